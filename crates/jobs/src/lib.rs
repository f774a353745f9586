//! posthuman-jobs
