//! Commitments, statements, receipts and their comparison.
//!
//! - [`commitment`]: a salted Merkle root over a model's architecture, tokenizer and weights, with openings of single
//!   leaves for audits.
//! - [`statement`]: what a worker says about its run: built, validated and written canonically.
//! - [`mod@compare`]: two accounts of the same run, and in plain words what differs.
//! - [`receipt`]: what the node signs; who signed it; whether it agrees with the statement, the request and the order.
//! - [`chain`]: the receipts of an inference session, one linked to the next.
//!
//! This room is pure: no file, no network, no clock, no engine. It does not run a job again (`jobs` does) and does not
//! know which signer was valid when (the chain does).

pub mod chain;
pub mod commitment;
pub mod compare;
mod hashes;
pub mod opening;
pub mod receipt;
pub mod salt;
pub mod scheme;
pub mod signature;
pub mod statement;
pub mod tree;

pub use chain::{ChainError, check_chain, check_session};
pub use commitment::{
    CommitmentBuilder, CommitmentError, Header, LEAF_BYTES, TensorFacts, TensorWriter, commit,
};
pub use compare::{Difference, Differences, compare};
pub use opening::{LeafContent, Opening, OpeningError, verify_opening};
pub use receipt::{ExpectedFacts, ReceiptFacts, check_facts, check_request, check_statement};
pub use salt::Salt;
pub use scheme::Scheme;
pub use signature::{
    SignError, SignatureError, check_publication, check_refusal, check_signature, receipt_signer,
    recover_signer, sign_publication, sign_receipt, sign_refusal,
};
pub use statement::{
    StatementError, StatementFacts, build_statement, check_answers, read_statement, statement_bytes,
    validate_statement,
};
pub use tree::{CommitmentTree, LeafLocation};
