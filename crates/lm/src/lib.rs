//! posthuman-lm
