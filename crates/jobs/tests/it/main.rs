//! Workers as real processes in their sandbox, and vaults under processes that are killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod crashes;
mod leaks;
mod precision;
mod refusals;
mod sandbox;
mod story;
mod support;
mod trouble;
