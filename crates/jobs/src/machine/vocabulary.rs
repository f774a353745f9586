//! The words of the machine: what is done to a job, what follows, and why not.

use posthuman_types::{B256, Did, Digest, JobId, JobState, ObjectId, OrderId, Statement};

/// What is done to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A worker takes the job.
    Lease {
        /// Name of the worker.
        worker: String,
        /// When the lease runs out, in seconds since 1970 (Unix time).
        expires_at: u64,
    },
    /// The node stops and gives the job back; that is no failed attempt.
    Release {
        /// Its fencing token.
        fence: u64,
    },
    /// The worker that holds the job is alive.
    Renew {
        /// Its fencing token.
        fence: u64,
        /// When the lease runs out now.
        expires_at: u64,
    },
    /// The worker sealed a checkpoint, from which the next attempt goes on.
    Checkpoint {
        /// Its fencing token.
        fence: u64,
        /// The checkpoint in the vault.
        object: ObjectId,
        /// Steps done.
        step: u32,
    },
    /// The worker is done.
    Finish {
        /// Its fencing token.
        fence: u64,
        /// What it states.
        statement: Box<Statement>,
        /// The sealed model that a training made.
        result: Option<ObjectId>,
    },
    /// The worker failed.
    Fail {
        /// Its fencing token.
        fence: u64,
        /// How and why.
        failure: Failure,
    },
    /// The job is refused before its first step: by the worker that read the input, or by the node.
    Refuse {
        /// The worker's fencing token; absent where the node refuses.
        fence: Option<u64>,
        /// Public code of the reason.
        code: String,
        /// The reason in a sentence.
        reason: String,
    },
    /// The consumer wants it no more.
    Cancel,
    /// The lease ran out: the worker, or the whole node, is gone.
    LeaseExpired,
    /// The worker is known to be gone, whatever its lease says: the node starts again.
    Abandoned,
    /// The receipt is signed.
    Receipted {
        /// Its digest.
        digest: Digest,
    },
    /// The trained model is on the market.
    Published {
        /// Its asset.
        did: Did,
    },
    /// The receipt's digest is on the chain.
    Settled {
        /// The transaction that carries it.
        transaction: B256,
    },
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether another attempt makes sense.
    pub kind: FailureKind,
    /// Public code.
    pub code: String,
    /// The reason in a sentence.
    pub reason: String,
}

/// Whether another attempt makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It may go better later: the disk was full, an input was out of reach.
    Retryable,
    /// The worker process died. Perhaps the job kills its workers: it gets few further attempts.
    Crash,
    /// The same would happen again: the loss became NaN, the job needs more memory than it may have.
    Final,
}

/// What is to be done once the new state of the job is durable.
///
/// Every action can be done twice without harm, and [`crate::queue::Queue::unfinished`] names again those that a crash
/// may have swallowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker on the job.
    StartWorker {
        /// The job.
        job: JobId,
        /// The fencing token of the lease.
        fence: u64,
    },
    /// Stop the worker that had this lease, if it still runs.
    StopWorker {
        /// The job.
        job: JobId,
        /// The fencing token of the lease.
        fence: u64,
    },
    /// Count the tokens against the order. The queue does this in the same transaction; it never leaves it.
    UseOrder {
        /// The order.
        order: OrderId,
        /// Tokens that count against its allowance.
        tokens: u64,
    },
    /// Sign the receipt.
    SignReceipt(JobId),
    /// Sign the refusal.
    SignRefusal(JobId),
    /// Put the trained model on the market.
    Publish(JobId),
    /// Send the digest of the order's last receipt to the chain.
    Settle(OrderId),
    /// Remove a sealed object that no row names any more.
    DropObject(ObjectId),
    /// Tell whoever watches the job.
    Notify {
        /// The job.
        job: JobId,
        /// Where it stands now.
        state: JobState,
    },
}

/// A command that this job does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The state forbids it.
    #[error("a job that is {state} cannot be {verb}")]
    State {
        /// Where the job stands.
        state: &'static str,
        /// What was to be done.
        verb: &'static str,
    },
    /// The worker lost its lease.
    #[error(
        "the lease with fencing token {given} has ended (the newest is {newest}): its result is not taken"
    )]
    LeaseLost {
        /// The token that came.
        given: u64,
        /// The newest token.
        newest: u64,
    },
    /// A worker holds the job.
    #[error("worker {worker} holds this job until {until}")]
    Held {
        /// The worker.
        worker: String,
        /// When its lease runs out.
        until: u64,
    },
    /// Nobody holds the job.
    #[error("no worker holds this job")]
    NotHeld,
    /// The pause after a failure is not over.
    #[error("the next attempt on this job begins at {not_before}")]
    TooEarly {
        /// When, in seconds since 1970 (Unix time).
        not_before: u64,
    },
}

/// How often and when a failed job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub max_attempts: u32,
    /// After so many crashes of its worker a job is not run again.
    pub max_crashes: u32,
    /// Pause after the first failure, in seconds; it doubles with every further one.
    pub backoff_seconds: u64,
    /// Longest pause.
    pub max_backoff_seconds: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            max_crashes: 2,
            backoff_seconds: 2,
            max_backoff_seconds: 60,
        }
    }
}

impl RetryPolicy {
    /// The pause after that many attempts, in seconds.
    pub fn pause(&self, attempts: u32) -> u64 {
        let factor = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        self.backoff_seconds
            .saturating_mul(factor)
            .min(self.max_backoff_seconds)
    }
}
