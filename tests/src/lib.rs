//! Whole-market scenarios.
//!
//! A market of a test is what users have: the built binary as a node, a devnet with Ocean's real contracts, and
//! wallets that only the client library holds.

pub mod answers;
pub mod files;
mod full_disk;
pub mod imported;
pub mod keys;
pub mod leak;
pub mod market;
pub mod node;
pub mod pages;
pub mod played;
pub mod process;
pub mod recorder;
pub mod texts;
