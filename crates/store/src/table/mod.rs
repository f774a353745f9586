//! One file per table or family of tables: the row, the questions and the changes.

pub(crate) mod asset;
pub(crate) mod chain;
pub(crate) mod event;
pub(crate) mod import;
pub(crate) mod job;
pub(crate) mod model;
pub(crate) mod order;
pub(crate) mod quote;
pub(crate) mod receipt;
mod search;
pub(crate) mod session;
pub(crate) mod transaction;
pub(crate) mod upload;
pub(crate) mod upload_chunk;
