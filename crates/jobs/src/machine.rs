//! What may happen to a job: a pure function `(job, command, now) → (job, actions)`.
//!
//! ```text
//! queued ──finish──▶ finished ──receipted──▶ receipted ──published──▶ published ──settled──▶ settled
//!   │ ▲                                          └──────settled (no training)──────────────▶ settled
//!   │ └─ lease, release, renew, checkpoint, a failure that is tried again, a lease that ran out
//!   └──▶ failed, refused, cancelled
//! ```
//!
//! Running is not a state but a lease on a queued job: a worker's name, the time it runs out and a fencing token that
//! grows with every lease. What comes under an old token, or after the lease was taken away, is refused; so at most
//! one result is ever taken, whichever workers think that they hold the job. No clock, no database, no randomness here.

mod vocabulary;

use posthuman_store::JobRow;
use posthuman_types::{B256, Did, Digest, JobState, ObjectId, Operation, Statement};

pub use vocabulary::{Action, Command, Failure, FailureKind, Refused, RetryPolicy};

type Outcome = Result<(JobRow, Vec<Action>), Refused>;

/// Applies a command at the time `now`, in seconds since 1970 (Unix time).
///
/// A statement that does not answer the job's specification ends the job as failed (`statement_mismatch`); a training
/// that gives back the weights it was given ends it as refused (`unchanged_weights`). Neither uses the order.
///
/// # Errors
/// The job does not take the command now; it stays as it is.
pub fn apply(job: &JobRow, command: Command, policy: &RetryPolicy, now: u64) -> Outcome {
    let mut job = job.clone();
    job.updated_at = now;
    match command {
        Command::Lease { worker, expires_at } => lease(job, worker, expires_at, now),
        Command::Release { fence } => release(job, fence),
        Command::Renew { fence, expires_at } => renew(job, fence, expires_at),
        Command::Checkpoint { fence, object, step } => checkpoint(job, fence, object, step),
        Command::Finish {
            fence,
            statement,
            result,
        } => finish(job, fence, *statement, result, now),
        Command::Fail { fence, failure } => fail(job, fence, failure, policy, now),
        Command::Refuse { fence, code, reason } => refuse(job, fence, code, reason, now),
        Command::Cancel => cancel(job, now),
        Command::LeaseExpired => lease_expired(job, policy, now),
        Command::Abandoned => abandoned(job, policy, now),
        Command::Receipted { digest } => receipted(job, digest),
        Command::Published { did } => published(job, did),
        Command::Settled { transaction } => settled(job, transaction),
    }
}

fn lease(mut job: JobRow, worker: String, expires_at: u64, now: u64) -> Outcome {
    expect_queued(&job, "leased")?;
    if let (Some(worker), Some(until)) = (&job.worker, job.lease_expires_at) {
        return Err(Refused::Held {
            worker: worker.clone(),
            until,
        });
    }
    if job.not_before > now {
        return Err(Refused::TooEarly {
            not_before: job.not_before,
        });
    }
    job.attempt += 1;
    job.fence += 1;
    job.worker = Some(worker);
    job.lease_expires_at = Some(expires_at);
    job.started_at = Some(now);
    let start = Action::StartWorker {
        job: job.id,
        fence: job.fence,
    };
    let notify = notify(&job);
    Ok((job, vec![start, notify]))
}

fn release(mut job: JobRow, fence: u64) -> Outcome {
    expect_held(&job, fence, "given back")?;
    job.attempt = job.attempt.saturating_sub(1);
    clear_lease(&mut job);
    let notify = notify(&job);
    Ok((job, vec![notify]))
}

fn renew(mut job: JobRow, fence: u64, expires_at: u64) -> Outcome {
    expect_held(&job, fence, "renewed")?;
    job.lease_expires_at = job.lease_expires_at.max(Some(expires_at));
    Ok((job, Vec::new()))
}

fn checkpoint(mut job: JobRow, fence: u64, object: ObjectId, step: u32) -> Outcome {
    expect_held(&job, fence, "checkpointed")?;
    let old = job.checkpoint.replace(object).filter(|old| *old != object);
    job.checkpoint_step = Some(step);
    Ok((job, old.into_iter().map(Action::DropObject).collect()))
}

fn finish(mut job: JobRow, fence: u64, statement: Statement, result: Option<ObjectId>, now: u64) -> Outcome {
    expect_held(&job, fence, "finished")?;
    if let Some(field) = mismatch(&job, &statement, result) {
        let reason = format!("the worker's statement does not answer the job: `{field}` differs");
        return end(
            job,
            JobState::Failed,
            ("statement_mismatch".to_owned(), reason),
            result,
            now,
        );
    }
    if statement.commitment_out.is_some() && statement.commitment_out == statement.commitment_in {
        let reason = "the training left the weights as they were, so there is no new model".to_owned();
        return end(
            job,
            JobState::Refused,
            ("unchanged_weights".to_owned(), reason),
            result,
            now,
        );
    }
    let used = Action::UseOrder {
        order: job.order_id,
        tokens: statement.usage.counted(job.operation),
    };
    let mut actions = vec![used, Action::SignReceipt(job.id)];
    actions.extend(drop_checkpoint(&mut job));
    job.state = JobState::Finished;
    job.statement = Some(statement);
    job.result = result;
    (job.failure_code, job.failure_reason) = (None, None);
    job.finished_at = Some(now);
    clear_lease(&mut job);
    actions.push(notify(&job));
    Ok((job, actions))
}

/// The first field in which a statement does not answer the specification it was made for.
fn mismatch(job: &JobRow, statement: &Statement, result: Option<ObjectId>) -> Option<&'static str> {
    let spec = &job.spec;
    let trained = job.operation == Operation::Train;
    let checks = [
        ("version", statement.version == spec.version),
        ("operation", statement.operation == job.operation),
        ("parameters", statement.parameters == spec.parameters),
        ("input", statement.input == spec.inputs.digest()),
        ("commitment_in", statement.commitment_in == spec.commitment),
        ("commitment_out", statement.commitment_out.is_some() == trained),
        ("result", result.is_some() == trained),
    ];
    checks
        .into_iter()
        .find(|(_, holds)| !holds)
        .map(|(field, _)| field)
}

fn fail(mut job: JobRow, fence: u64, failure: Failure, policy: &RetryPolicy, now: u64) -> Outcome {
    expect_held(&job, fence, "failed")?;
    if failure.kind == FailureKind::Crash {
        job.crashes += 1;
    }
    let again = failure.kind != FailureKind::Final
        && job.attempt < policy.max_attempts
        && job.crashes < policy.max_crashes;
    if !again {
        return end(job, JobState::Failed, (failure.code, failure.reason), None, now);
    }
    job.not_before = now.saturating_add(policy.pause(job.attempt));
    Ok(requeue(job, (failure.code, failure.reason)))
}

fn refuse(job: JobRow, fence: Option<u64>, code: String, reason: String, now: u64) -> Outcome {
    match fence {
        Some(fence) => expect_held(&job, fence, "refused")?,
        None => expect_queued(&job, "refused")?,
    }
    end(job, JobState::Refused, (code, reason), None, now)
}

fn cancel(job: JobRow, now: u64) -> Outcome {
    expect_queued(&job, "cancelled")?;
    let reason = "the consumer cancelled the job".to_owned();
    end(
        job,
        JobState::Cancelled,
        ("cancelled".to_owned(), reason),
        None,
        now,
    )
}

fn lease_expired(job: JobRow, policy: &RetryPolicy, now: u64) -> Outcome {
    expect_queued(&job, "taken from its worker")?;
    match (&job.worker, job.lease_expires_at) {
        (Some(worker), Some(until)) if until > now => Err(Refused::Held {
            worker: worker.clone(),
            until,
        }),
        _ => abandoned(job, policy, now),
    }
}

fn abandoned(job: JobRow, policy: &RetryPolicy, now: u64) -> Outcome {
    expect_queued(&job, "taken from its worker")?;
    let Some(worker) = &job.worker else {
        return Err(Refused::NotHeld);
    };
    let failure = (
        "worker_lost".to_owned(),
        format!("worker {worker} was lost during attempt {}", job.attempt),
    );
    // A lost worker waited long enough already, so no further pause.
    if job.attempt < policy.max_attempts {
        Ok(requeue(job, failure))
    } else {
        end(job, JobState::Failed, failure, None, now)
    }
}

fn receipted(mut job: JobRow, digest: Digest) -> Outcome {
    expect_state(&job, JobState::Finished, "given a receipt")?;
    job.state = JobState::Receipted;
    job.receipt = Some(digest);
    let next = match job.operation {
        Operation::Train => Some(Action::Publish(job.id)),
        Operation::Evaluate => Some(Action::Settle(job.order_id)),
        // A session is settled once, by its last receipt, when the queue sees it end.
        Operation::Infer => None,
    };
    let actions = next.into_iter().chain([notify(&job)]).collect();
    Ok((job, actions))
}

fn published(mut job: JobRow, did: Did) -> Outcome {
    let verb = "published";
    if job.operation != Operation::Train {
        return Err(Refused::State {
            state: "no training",
            verb,
        });
    }
    expect_state(&job, JobState::Receipted, verb)?;
    job.state = JobState::Published;
    job.published = Some(did);
    let actions = vec![Action::Settle(job.order_id), notify(&job)];
    Ok((job, actions))
}

fn settled(mut job: JobRow, transaction: B256) -> Outcome {
    let last = if job.operation == Operation::Train {
        JobState::Published
    } else {
        JobState::Receipted
    };
    expect_state(&job, last, "settled")?;
    job.state = JobState::Settled;
    job.settled_transaction = Some(transaction);
    let notify = notify(&job);
    Ok((job, vec![notify]))
}

/// Back into the queue, without a lease.
fn requeue(mut job: JobRow, (code, reason): (String, String)) -> (JobRow, Vec<Action>) {
    (job.failure_code, job.failure_reason) = (Some(code), Some(reason));
    let mut actions: Vec<_> = stop_worker(&job).into_iter().collect();
    clear_lease(&mut job);
    actions.push(notify(&job));
    (job, actions)
}

/// The end of a job without a result. The order stays open.
fn end(
    mut job: JobRow,
    state: JobState,
    (code, reason): (String, String),
    garbage: Option<ObjectId>,
    now: u64,
) -> Outcome {
    let mut actions: Vec<_> = stop_worker(&job).into_iter().collect();
    if state == JobState::Refused {
        actions.push(Action::SignRefusal(job.id));
    }
    actions.extend(drop_checkpoint(&mut job));
    actions.extend(garbage.map(Action::DropObject));
    job.state = state;
    (job.failure_code, job.failure_reason) = (Some(code), Some(reason));
    job.finished_at = Some(now);
    clear_lease(&mut job);
    actions.push(notify(&job));
    Ok((job, actions))
}

fn stop_worker(job: &JobRow) -> Option<Action> {
    job.worker.as_ref().map(|_| Action::StopWorker {
        job: job.id,
        fence: job.fence,
    })
}

fn drop_checkpoint(job: &mut JobRow) -> Option<Action> {
    job.checkpoint_step = None;
    job.checkpoint.take().map(Action::DropObject)
}

fn clear_lease(job: &mut JobRow) {
    (job.worker, job.lease_expires_at) = (None, None);
}

fn notify(job: &JobRow) -> Action {
    Action::Notify {
        job: job.id,
        state: job.state,
    }
}

fn expect_state(job: &JobRow, state: JobState, verb: &'static str) -> Result<(), Refused> {
    if job.state == state {
        Ok(())
    } else {
        Err(Refused::State {
            state: job.state.as_str(),
            verb,
        })
    }
}

fn expect_queued(job: &JobRow, verb: &'static str) -> Result<(), Refused> {
    expect_state(job, JobState::Queued, verb)
}

fn expect_held(job: &JobRow, fence: u64, verb: &'static str) -> Result<(), Refused> {
    expect_queued(job, verb)?;
    let held = job.worker.is_some() && job.fence == fence;
    if held {
        Ok(())
    } else {
        Err(Refused::LeaseLost {
            given: fence,
            newest: job.fence,
        })
    }
}

#[cfg(test)]
mod tests;
