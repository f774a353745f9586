//! posthuman-types
