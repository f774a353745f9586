//! The store from outside: one module per promise.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod fixtures;
mod lineage;
mod processes;
mod rows;
mod schema;
mod search;
mod unique;
