//! Jobs and orders as their owners see them.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    Did, Digest, InputManifest, JobId, JobState, Operation, OrderId, Progress, SignedRefusal, StartRequest,
    UploadId, Usage,
};

/// An input by the upload that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputReference {
    /// What the operation calls it: `text` or `held_out`.
    pub name: String,
    /// The complete upload.
    pub upload: UploadId,
}

/// `POST /jobs`: starts a job on a paid order. Sending it again is harmless: the same request is the same job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartJob {
    /// What is asked.
    pub request: StartRequest,
    /// The consumer's EIP-191 signature over the request's digest, or ERC-1271 for a contract.
    pub signature: Bytes,
    /// The inputs.
    pub inputs: Vec<InputReference>,
    /// The prompt of an inference turn; it is the input `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// `GET /jobs/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// The order that pays.
    pub order: OrderId,
    /// The asset that was ordered.
    pub did: Did,
    /// What is run.
    pub operation: Operation,
    /// Turn of an inference session.
    pub turn: u64,
    /// Who asked.
    pub consumer: Address,
    /// Where it stands.
    pub state: JobState,
    /// Whether a worker holds it right now.
    pub running: bool,
    /// Jobs that run before it.
    pub queue_position: Option<u64>,
    /// How often a worker began it.
    pub attempt: u32,
    /// Its inputs.
    pub inputs: InputManifest,
    /// Parameters in canonical text.
    pub parameters: String,
    /// The newest event.
    pub progress: Option<JobEvent>,
    /// Why it ended without a result.
    pub failure: Option<JobFailure>,
    /// Files to fetch at `/jobs/{id}/outputs/{name}`.
    pub outputs: Vec<OutputFile>,
    /// What was used up.
    pub usage: Option<Usage>,
    /// Digest of its receipt.
    pub receipt: Option<Digest>,
    /// The model that it made.
    pub published: Option<Did>,
    /// The transaction that carries the receipt's digest.
    pub settlement: Option<B256>,
    /// When it was admitted.
    pub created_at: u64,
    /// When a worker last began it.
    pub started_at: Option<u64>,
    /// When it ended.
    pub finished_at: Option<u64>,
}

/// A file of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// File name.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Keccak-256.
    pub digest: Digest,
}

/// Why a job ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// Stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The node's signed refusal, where the worker refused what was asked: it is there as soon as the node has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<SignedRefusal>,
}

/// One server-sent event of `GET /jobs/{id}/events`. Its `sequence` is the event's id, so that a client that sends
/// `Last-Event-ID` misses nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Counts from 1 within a job.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub at_milliseconds: u64,
    /// State of the job at that moment.
    pub state: JobState,
    /// What the worker said, if it was the worker.
    pub progress: Option<Progress>,
    /// Tokens per second since the phase began.
    pub tokens_per_second: Option<f64>,
    /// Seconds to the end of the phase at this rate.
    pub eta_seconds: Option<f64>,
}

/// `GET /addresses/{address}/jobs`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// All jobs of the address.
    pub total: u64,
    /// This page.
    pub jobs: Vec<Job>,
}

/// Whether an order can still start a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// No job has succeeded on it: it can start one.
    Open,
    /// An inference session with allowance left.
    Session,
    /// Used up.
    Used,
}

/// `GET /orders/{order}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// The asset.
    pub did: Did,
    /// What it allows.
    pub operation: Operation,
    /// Who may use it.
    pub consumer: Address,
    /// Whether it can still start a job.
    pub state: OrderState,
    /// Tokens that it allows.
    pub allowance: u64,
    /// Tokens used.
    pub used_tokens: u64,
    /// The next turn of a session.
    pub next_turn: u64,
    /// Digest of the newest receipt; zero before the first.
    pub last_receipt: Digest,
    /// The transaction that carries the last receipt's digest.
    pub settlement: Option<B256>,
}
