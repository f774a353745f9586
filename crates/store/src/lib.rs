//! posthuman-store
