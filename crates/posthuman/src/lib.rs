//! The top room: the client library of the market.
//!
//! Without default features the crate is this library alone; it brings neither server nor engine.

pub mod client;
pub mod error;

pub use client::{Goal, NodeClient};
pub use error::{MarketError, NodeAnswer};
