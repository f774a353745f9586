//! The market node: indexer, HTTP, admission, publication and settlement.
//!
//! A node holds no user's key and touches no tensor. It checks on the chain that an order is paid, hands jobs to
//! `jobs`, signs receipts, puts trained models on the market and their receipts' digests on the chain.
//!
//! | file | duty |
//! | --- | --- |
//! | `bootstrap.rs` | the node's own assets: blank model, operations, identity |
//! | `quotes.rs`, `offers.rs`, `inputs.rs` | what a job would cost, before anything is paid |
//! | `admission.rs` | is an order paid, here, for this, by this consumer, and fresh? |
//! | `work.rs`, `events.rs` | running jobs and telling of their progress |
//! | `settlement.rs` | receipts, and their digests on the chain |
//! | `publication.rs`, `imports.rs`, `sales.rs` | models on the market |
//! | `outbox.rs` | transactions, each exactly once |
//! | `indexer.rs`, `views/` | the chain's logs as rows, rows as answers |
//! | `http/`, `sign_in.rs`, `uploads.rs` | the market's HTTP dialect |
//! | `recovery.rs` | what a start does about the life before it |

mod admission;
mod bootstrap;
mod clock;
mod documents;
mod error;
mod events;
mod http;
mod imports;
mod indexer;
mod info;
mod inputs;
mod metrics;
mod node;
mod offers;
mod options;
mod outbox;
mod publication;
mod quotes;
mod recovery;
mod sales;
mod settlement;
mod sign_in;
mod unpaid;
mod uploads;
mod views;
mod work;

pub use error::{ERROR_CODES, ErrorCode, ErrorRow, NodeError, OrFault};
pub use http::{router, serve};
pub use metrics::Metrics;
pub use node::{Node, RunningNode, run};
pub use options::{MarketOptions, NodeOptions, WorkOptions};
