//! posthuman-assets
