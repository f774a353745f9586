//! The queue: applies the machine to a durable job in one transaction and says what to do after the commit.
//!
//! Every method commits or changes nothing. The actions that it returns may be lost in a crash right after the commit;
//! [`Queue::unfinished`] names them again, so a node that starts performs those first. Jobs are leased in chain order
//! (block, log index, turn), whoever pays; a job that pauses after a failure does not hold up those behind it.

mod admission;
mod settlement;

use posthuman_store::{Connection, JobRow, ModelRow, OrderRow, Store, Transaction};
use posthuman_types::api::OrderState;
use posthuman_types::{Digest, JobId, JobState, ObjectId, Operation, OrderId, Statement};

use crate::JobsError;
use crate::break_point::break_point;
use crate::machine::{self, Action, Command, Failure, RetryPolicy};

pub use admission::{Admitted, NewJob};

/// The queue of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    store: Store,
    options: QueueOptions,
}

/// How a queue behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a lease lasts unless it is renewed, in seconds. Renew it three times as often.
    pub lease_seconds: u64,
    /// How often and when a failed job is tried again.
    pub retry: RetryPolicy,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            lease_seconds: 30,
            retry: RetryPolicy::default(),
        }
    }
}

/// A worker's hold on a job. Whoever acts for the worker shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The fencing token.
    pub fence: u64,
}

/// A job that a worker has just taken.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedJob {
    /// The hold on it.
    pub lease: Lease,
    /// The job, with the checkpoint to go on from if there is one.
    pub job: JobRow,
    /// What to do now.
    pub actions: Vec<Action>,
}

/// What a change led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The job as it is now.
    pub job: JobRow,
    /// What to do now.
    pub actions: Vec<Action>,
}

impl Queue {
    /// The queue in a store.
    pub fn new(store: Store, options: QueueOptions) -> Self {
        Self { store, options }
    }

    /// The store that holds it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Leases the first job in chain order that may run now, or nothing where there is none.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lease_next(&self, worker: &str, now: u64) -> Result<Option<LeasedJob>, JobsError> {
        let mut transaction = self.store.begin().await?;
        let Some(job) = transaction.next_queued_job(now).await? else {
            return Ok(None);
        };
        let expires_at = now.saturating_add(self.options.lease_seconds);
        let command = Command::Lease {
            worker: worker.to_owned(),
            expires_at,
        };
        let Applied { job, actions } = self.apply(&mut transaction, &job, command, now).await?;
        commit(
            transaction,
            "queue.lease.before_commit",
            "queue.lease.after_commit",
        )
        .await?;
        Ok(Some(LeasedJob {
            lease: Lease {
                job: job.id,
                fence: job.fence,
            },
            job,
            actions,
        }))
    }

    /// Prolongs a lease and says until when.
    ///
    /// # Errors
    /// The lease was lost: stop the worker. No such job; the database fails.
    pub async fn renew(&self, lease: Lease, now: u64) -> Result<u64, JobsError> {
        let expires_at = now.saturating_add(self.options.lease_seconds);
        let command = Command::Renew {
            fence: lease.fence,
            expires_at,
        };
        let places = ("queue.renew.before_commit", "queue.renew.after_commit");
        let applied = self.change(lease.job, command, now, places).await?;
        Ok(applied.job.lease_expires_at.unwrap_or(expires_at))
    }

    /// Gives a job back because the node stops. The attempt does not count, and the next one goes on from the newest
    /// checkpoint.
    ///
    /// # Errors
    /// The lease was lost; no such job; the database fails.
    pub async fn release(&self, lease: Lease, now: u64) -> Result<Applied, JobsError> {
        let places = ("queue.release.before_commit", "queue.release.after_commit");
        let command = Command::Release { fence: lease.fence };
        self.change(lease.job, command, now, places).await
    }

    /// Records a checkpoint that is sealed in the vault; the next attempt goes on from it.
    ///
    /// # Errors
    /// The lease was lost: drop the checkpoint. No such job; the database fails.
    pub async fn checkpoint(
        &self,
        lease: Lease,
        object: ObjectId,
        step: u32,
        now: u64,
    ) -> Result<Vec<Action>, JobsError> {
        let command = Command::Checkpoint {
            fence: lease.fence,
            object,
            step,
        };
        let places = ("queue.checkpoint.before_commit", "queue.checkpoint.after_commit");
        Ok(self.change(lease.job, command, now, places).await?.actions)
    }

    /// Records a worker's statement and the model that a training sealed, and counts the usage against the order: an
    /// order is used by this and by nothing else.
    ///
    /// The job that comes back may be failed or refused, where the statement does not answer it or the training left
    /// the weights as they were; then the order is not used and an action drops the sealed model.
    ///
    /// # Errors
    /// The lease was lost: drop the sealed model. No such job; the database fails.
    pub async fn finish(
        &self,
        lease: Lease,
        statement: Statement,
        result: Option<ObjectId>,
        now: u64,
    ) -> Result<Applied, JobsError> {
        let command = Command::Finish {
            fence: lease.fence,
            statement: Box::new(statement),
            result,
        };
        self.change(
            lease.job,
            command,
            now,
            ("queue.finish.before_commit", "queue.finish.after_commit"),
        )
        .await
    }

    /// Records that an attempt failed. The job goes back into the queue or fails for good, by the retry policy.
    ///
    /// # Errors
    /// The lease was lost; no such job; the database fails.
    pub async fn fail(&self, lease: Lease, failure: Failure, now: u64) -> Result<Applied, JobsError> {
        let command = Command::Fail {
            fence: lease.fence,
            failure,
        };
        self.change(
            lease.job,
            command,
            now,
            ("queue.fail.before_commit", "queue.fail.after_commit"),
        )
        .await
    }

    /// Records that the worker refused the job before its first step.
    ///
    /// # Errors
    /// The lease was lost; no such job; the database fails.
    pub async fn refuse(
        &self,
        lease: Lease,
        code: &str,
        reason: &str,
        now: u64,
    ) -> Result<Applied, JobsError> {
        let command = Command::Refuse {
            fence: Some(lease.fence),
            code: code.to_owned(),
            reason: reason.to_owned(),
        };
        self.change(
            lease.job,
            command,
            now,
            ("queue.refuse.before_commit", "queue.refuse.after_commit"),
        )
        .await
    }

    /// Cancels a job that has no result yet. Who may do so, the caller has checked.
    ///
    /// # Errors
    /// The job has a result or came to an end; no such job; the database fails.
    pub async fn cancel(&self, job: JobId, now: u64) -> Result<Applied, JobsError> {
        self.change(
            job,
            Command::Cancel,
            now,
            ("queue.cancel.before_commit", "queue.cancel.after_commit"),
        )
        .await
    }

    /// Takes the jobs back whose lease ran out. Call it every few seconds.
    ///
    /// # Errors
    /// The database fails.
    pub async fn expire_leases(&self, now: u64) -> Result<Vec<Applied>, JobsError> {
        self.take_back(Command::LeaseExpired, now).await
    }

    /// Takes back every job that a worker holds, whatever its lease says.
    ///
    /// Only for a node that starts and knows that no worker of its former life is left: it holds the vault's lock, and
    /// workers die with their launcher.
    ///
    /// # Errors
    /// The database fails.
    pub async fn abandon_leases(&self, now: u64) -> Result<Vec<Applied>, JobsError> {
        self.take_back(Command::Abandoned, now).await
    }

    async fn take_back(&self, command: Command, now: u64) -> Result<Vec<Applied>, JobsError> {
        let mut transaction = self.store.begin().await?;
        // Every lease ends before the end of time, so this names all jobs that are held.
        let until = if command == Command::Abandoned {
            i64::MAX.unsigned_abs()
        } else {
            now
        };
        let mut all = Vec::new();
        for job in transaction.jobs_with_ended_lease(until).await? {
            all.push(self.apply(&mut transaction, &job, command.clone(), now).await?);
        }
        commit(
            transaction,
            "queue.expire.before_commit",
            "queue.expire.after_commit",
        )
        .await?;
        Ok(all)
    }

    async fn change(
        &self,
        id: JobId,
        command: Command,
        now: u64,
        (before, after): (&'static str, &'static str),
    ) -> Result<Applied, JobsError> {
        let mut transaction = self.store.begin().await?;
        let job = job_of(&mut transaction, id).await?;
        let applied = self.apply(&mut transaction, &job, command, now).await?;
        commit(transaction, before, after).await?;
        Ok(applied)
    }

    /// Applies the machine and writes what follows from it in the database itself.
    async fn apply(
        &self,
        transaction: &mut Transaction,
        job: &JobRow,
        command: Command,
        now: u64,
    ) -> Result<Applied, JobsError> {
        let outcome = machine::apply(job, command, &self.options.retry, now);
        let (next, mut actions) = outcome.map_err(|source| JobsError::Refused { job: job.id, source })?;
        transaction.update_job(&next).await?;
        for action in &actions {
            if let Action::UseOrder { order, tokens } = action {
                use_order(transaction, *order, next.operation, *tokens).await?;
            }
        }
        actions.retain(|action| !matches!(action, Action::UseOrder { .. }));
        if next.state == JobState::Finished && job.state != JobState::Finished {
            record_model(transaction, &next, now).await?;
        }
        tracing::info!(job = %next.id, state = ?next.state, attempt = next.attempt, "job changed");
        Ok(Applied { job: next, actions })
    }
}

/// Counts tokens against an order; it is used up by its one job, or when a session's allowance is spent.
async fn use_order(
    transaction: &mut Transaction,
    id: OrderId,
    operation: Operation,
    tokens: u64,
) -> Result<(), JobsError> {
    let mut order = order_of(transaction, id).await?;
    if order.state == OrderState::Used {
        return Err(JobsError::OrderUsed { order: id });
    }
    order.used_tokens = order.used_tokens.saturating_add(tokens);
    order.next_turn += 1;
    let more = operation == Operation::Infer && order.used_tokens < order.allowance;
    order.state = if more {
        OrderState::Session
    } else {
        OrderState::Used
    };
    Ok(transaction.update_order(&order).await?)
}

/// A training's model is on record from the moment its statement is, so that its sealed object is never garbage.
async fn record_model(transaction: &mut Transaction, job: &JobRow, now: u64) -> Result<(), JobsError> {
    let commitment = job
        .statement
        .as_ref()
        .and_then(|statement| statement.commitment_out.as_ref());
    if let (Some(commitment), Some(object)) = (commitment, job.result) {
        let (root, scheme) = (commitment.root, commitment.scheme.clone());
        let model = ModelRow {
            root,
            scheme,
            object,
            did: None,
            job_id: Some(job.id),
            created_at: now,
        };
        transaction.insert_model(&model).await?;
    }
    Ok(())
}

async fn commit(
    transaction: Transaction,
    before: &'static str,
    after: &'static str,
) -> Result<(), JobsError> {
    break_point(before);
    transaction.commit().await?;
    break_point(after);
    Ok(())
}

async fn job_of(connection: &mut Connection, id: JobId) -> Result<JobRow, JobsError> {
    connection.job(id).await?.ok_or(JobsError::JobUnknown { job: id })
}

async fn order_of(connection: &mut Connection, id: OrderId) -> Result<OrderRow, JobsError> {
    connection
        .order(id)
        .await?
        .ok_or(JobsError::OrderUnknown { order: id })
}

/// The root of the model that a training made.
fn root_of(job: &JobRow) -> Option<Digest> {
    Some(job.statement.as_ref()?.commitment_out.as_ref()?.root)
}

#[cfg(test)]
pub(crate) mod tests;
