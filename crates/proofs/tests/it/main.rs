//! Integration tests of the room `proofs`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod commitments;
mod fixtures;
mod models;
mod receipts;
mod statements;
mod stored;
mod vectors;
