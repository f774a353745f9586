//! The crate against the real contracts on a real EVM, and its bindings against the pinned artifacts.
//!
//! Every test starts its own devnet from one cached deployment. Without the pinned packages they fail and say what to run.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod bindings;
mod devnet;
mod faults;
mod market;
mod orders;
mod pools;
mod publishing;
mod rewards;
mod sales;
mod tokens;
mod transactions;
mod unsteady;
