//! The vocabulary of Posthuman: ids, amounts, digests, job specifications and states, the receipt format and the
//! bodies of the market's HTTP dialect.
//!
//! Six words carry the system and keep one spelling from SQL to the web page:
//! **publish → order → job → result → receipt → reward**.
//!
//! This crate does no I/O and holds no async code. A type enters only when two rooms need it.
//! Ids, digests, addresses and amounts each have exactly one text form; receipts have one canonical byte encoding.

pub mod amount;
pub mod api;
pub mod digest;
pub mod engine;
pub mod error;
pub mod id;
pub mod job;
pub mod model;
pub mod operation;
pub mod order;
pub mod parameters;
pub mod receipt;
pub mod request;
pub mod statement;

pub use alloy_primitives::{Address, B256, Bytes, U256, address, b256, keccak256};

pub use amount::Amount;
pub use digest::{Commitment, Digest, Hasher, Input, InputManifest};
pub use engine::EngineName;
pub use error::ErrorClass;
pub use id::{Did, JobId, ObjectId, QuoteId, UploadId};
pub use job::{JobSpec, JobState, Limits, Progress};
pub use model::{ArchitectureFacts, MemoryNeeds, ModelDetails, SpecialToken, TensorShare, TokenizerFacts};
pub use operation::Operation;
pub use order::OrderId;
pub use parameters::{
    Architecture, EvaluateParameters, InferParameters, Parameters, Precision, Publication, TrainParameters,
};
pub use receipt::{PublicationStatement, Receipt, Refusal, SignedPublication, SignedReceipt, SignedRefusal};
pub use request::StartRequest;
pub use statement::{Statement, Usage};
