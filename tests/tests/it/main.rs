//! Whole-market scenarios, over the built binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bad_input;
mod break_points;
mod chain_read;
mod contract_wallet;
mod example;
mod ground;
mod imports;
mod leak;
mod patience;
mod personas;
mod precision;
mod quantised;
mod story;
mod strangers;
mod trade;
