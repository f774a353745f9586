//! Durable rows and queries: the index of assets, uploads and quotes, orders, jobs, receipts and the transactions
//! that tell the chain.
//!
//! [`Store::open`] opens a SQLite file and brings its schema up to date; [`Store::read`] gives a [`Connection`] with
//! every question, [`Store::begin`] a [`Transaction`] with every change. A change is durable when
//! [`Transaction::commit`] returns, and never half there.
//!
//! This crate knows rows. It does not know what a DDO must hold, what a job may do next or what the chain says; the
//! rules that it does enforce are the unique ones ([`UniqueRule`]): one quote pays for one order, one order pays one
//! job, one job has one receipt. No type of the database driver appears here, so that another database can follow.

mod column;
mod database;
mod error;
mod row;
mod table;

pub use database::{Connection, Store, Transaction};
pub use error::{Cause, StoreError, UniqueRule};
pub use table::asset::AssetRow;
pub use table::chain::{CollectorRow, CursorRow};
pub use table::event::JobEventRow;
pub use table::import::ImportRow;
pub use table::job::{JobInput, JobRow};
pub use table::model::{ModelRow, PublicationRow};
pub use table::order::OrderRow;
pub use table::quote::QuoteRow;
pub use table::receipt::{ReceiptRow, RefusalRow};
pub use table::session::AccessTokenRow;
pub use table::transaction::{TransactionRow, TransactionState};
pub use table::upload::{UploadRow, UploadState};
pub use table::upload_chunk::UploadChunkRow;

/// Rows of one page, and how many there are on all pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// How many rows all pages have together.
    pub total: u64,
}
