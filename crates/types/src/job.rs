//! Jobs: what a worker is given, what it reports and the states a job goes through.

use serde::{Deserialize, Serialize};

use crate::{Commitment, InputManifest, JobId, Operation};

/// `job.json`: everything that decides the bytes of a job's result, and the limits it runs under.
///
/// It holds no key, no price and no time. Two workers that are given equal specifications, equal inputs and the same
/// weights write equal statements, whatever `threads` says; in bf16 that holds for workers with the same instructions, or
/// where `engine` names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Version of this format: 1.
    pub version: u16,
    /// The job.
    pub job_id: JobId,
    /// What to do.
    pub operation: Operation,
    /// Parameters in canonical text.
    pub parameters: String,
    /// The files under `inputs/`.
    pub inputs: InputManifest,
    /// Weights that must come out of the sealed input; absent for a model made from scratch.
    pub commitment: Option<Commitment>,
    /// The engine that must run it, as a statement names it ([`EngineName`](crate::EngineName)); a re-run says so. Absent,
    /// the worker takes the fastest of its machine in the precision that the parameters ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Threads of the engine. Does not change the result.
    pub threads: u16,
    /// What the operating system lets the worker use.
    pub limits: Limits,
}

/// Limits of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space in bytes.
    pub memory_bytes: u64,
    /// Processor time in seconds, over all threads.
    pub cpu_seconds: u64,
}

/// Where a job stands. Running is not a state but a lease on a queued job: after a crash the lease runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Paid, admitted and waiting for a worker, or with one that holds a lease.
    Queued,
    /// The worker's statement is recorded and its weights, if any, are in the vault.
    Finished,
    /// The receipt is signed.
    Receipted,
    /// The trained model is on the market. Only trainings pass through this state.
    Published,
    /// The receipt's digest is on the chain. The end of a good job.
    Settled,
    /// The node or the engine failed. The order stays open.
    Failed,
    /// The job was refused before its first step, with a signed reason. The order stays open.
    Refused,
    /// The consumer cancelled before the end. The order stays open.
    Cancelled,
}

impl JobState {
    /// The text form, as in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Finished => "finished",
            Self::Receipted => "receipted",
            Self::Published => "published",
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to the job.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Settled | Self::Failed | Self::Refused | Self::Cancelled
        )
    }

    /// Whether the job produced a result and so uses up its order.
    pub fn has_result(self) -> bool {
        matches!(
            self,
            Self::Finished | Self::Receipted | Self::Published | Self::Settled
        )
    }
}

/// What a worker says while it works. It has no clock: who reads the lines adds times and rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// A new phase of the work begins.
    Phase {
        /// For people: `opening the model`, `reading the text`, `training`, `sealing the result`.
        name: String,
    },
    /// A training step is done.
    Step {
        /// Steps done.
        step: u32,
        /// Steps in all.
        steps: u32,
        /// Mean loss of the step, in nats per token.
        loss: f32,
        /// Loss on the held-out text, where this step looked at it.
        held_out_loss: Option<f32>,
        /// Learning rate of the step.
        learning_rate: f32,
        /// Norm of the gradient before clipping.
        gradient_norm: f32,
        /// Tokens read so far.
        tokens: u64,
    },
    /// Text was generated.
    Text {
        /// The new text.
        text: String,
        /// Tokens generated so far.
        tokens: u64,
    },
    /// Part of a text was scored.
    Scored {
        /// Tokens scored so far.
        tokens: u64,
        /// Tokens to score in all.
        total: u64,
    },
}
