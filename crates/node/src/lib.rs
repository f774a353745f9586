//! posthuman-node
