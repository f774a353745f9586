//! The store from outside: one module per promise.

mod fixtures;
mod lineage;
mod processes;
mod rows;
mod schema;
mod search;
mod unique;
