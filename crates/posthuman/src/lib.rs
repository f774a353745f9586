//! The top room: the client library of the market, and the one binary.
//!
//! Without default features the crate is the library alone; it brings neither server nor engine.
//!
//! A program reads like the story. This one is `examples/fine_tune.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/fine_tune.rs")]
//! ```

pub mod client;
pub mod error;
pub mod market;
pub mod verify;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod compare;
#[cfg(feature = "node")]
mod demo;

pub use client::{Goal, NodeClient};
pub use error::{MarketError, NodeAnswer};
pub use market::{
    Collected, Evaluation, EvaluationOutput, Event, Listener, Market, MarketOptions, Offer, Purchase,
    Segment, Selling, Session, SessionEnd, Text, Trained, Turn, Work,
};
pub use verify::{Check, Verification, verify};
