//! Integration tests of the room `assets`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod documents;
mod fixtures;
mod foreign;
mod publishing;
mod sealing;
mod stores;
