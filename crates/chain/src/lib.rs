//! posthuman-chain
