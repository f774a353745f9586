//! posthuman-proofs
