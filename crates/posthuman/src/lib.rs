//! posthuman
