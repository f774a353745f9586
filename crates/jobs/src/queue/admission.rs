//! From a paid order and a signed request to a job in the queue, in one transaction.

use posthuman_store::{JobInput, JobRow, OrderRow, QuoteRow, Transaction};
use posthuman_types::api::OrderState;
use posthuman_types::{Bytes, Digest, JobSpec, JobState, ObjectId, Operation, StartRequest};

use super::{Queue, commit};
use crate::JobsError;
use crate::machine::Action;

/// What is asked for, with everything that a worker will need. The caller has checked the consumer's signature and
/// the payment on the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// The start request.
    pub request: StartRequest,
    /// The consumer's signature over it.
    pub signature: Bytes,
    /// What the worker is told. Its job id is the request's.
    pub spec: JobSpec,
    /// Where the inputs lie in the vault.
    pub inputs: Vec<JobInput>,
    /// The sealed model that goes in; absent for a model made from scratch.
    pub model: Option<ObjectId>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The job.
    pub job: JobRow,
    /// Whether this call queued it; otherwise the same request came before and this is its job as it stands.
    pub new: bool,
    /// What to do now.
    pub actions: Vec<Action>,
}

impl Queue {
    /// Admits an order and queues a job on it, in one transaction. `order` is what the chain says, with state `open`
    /// and no turn taken; where the order is known already, its row counts and the argument is not looked at.
    ///
    /// The consumer's nonce in the request is used up. A request that came before gives its job back, without using
    /// anything.
    ///
    /// # Errors
    /// The order is used up or in use, its quote paid for another order or is about something else, the request is for
    /// another order, turn or receipt, its nonce is replayed; or the database fails.
    pub async fn admit(&self, order: &OrderRow, new: NewJob, now: u64) -> Result<Admitted, JobsError> {
        let mut transaction = self.store.begin().await?;
        if let Some(job) = transaction.job(new.request.job_id()).await? {
            return Ok(Admitted {
                job,
                new: false,
                actions: Vec::new(),
            });
        }
        let order = known_order(&mut transaction, order).await?;
        check_request(&order, &new)?;
        check_turn(&order, &new.request)?;
        transaction.use_nonce(order.consumer, new.request.nonce).await?;
        let job = job_row(&order, new, now);
        transaction
            .insert_job(&job)
            .await
            .map_err(|error| JobsError::of_order(order.id, error))?;
        commit(
            transaction,
            "queue.admit.before_commit",
            "queue.admit.after_commit",
        )
        .await?;
        tracing::info!(job = %job.id, order = %order.id, operation = %job.operation, "job queued");
        let notify = Action::Notify {
            job: job.id,
            state: job.state,
        };
        Ok(Admitted {
            job,
            new: true,
            actions: vec![notify],
        })
    }
}

async fn known_order(transaction: &mut Transaction, order: &OrderRow) -> Result<OrderRow, JobsError> {
    if let Some(known) = transaction.order(order.id).await? {
        return Ok(known);
    }
    let quote = transaction.quote(order.quote_id).await?;
    check_quote(order, quote.as_ref())?;
    transaction
        .insert_order(order)
        .await
        .map_err(|error| JobsError::of_order(order.id, error))?;
    Ok(order.clone())
}

fn check_quote(order: &OrderRow, quote: Option<&QuoteRow>) -> Result<(), JobsError> {
    let mismatch = |field| JobsError::QuoteMismatch {
        order: order.id,
        field,
    };
    let quote = quote.ok_or_else(|| mismatch("quote_id"))?;
    let checks = [
        ("consumer", order.consumer == quote.consumer),
        ("did", order.did == quote.did),
        ("datatoken", order.datatoken == quote.datatoken),
        ("operation", order.operation == quote.operation),
        ("fee_token", order.fee_token == quote.fee_token),
        ("fee_amount", order.fee_amount == quote.fee_amount),
        ("allowance", order.allowance == quote.allowance),
    ];
    checks
        .into_iter()
        .find(|(_, holds)| !holds)
        .map_or(Ok(()), |(field, _)| Err(mismatch(field)))
}

fn check_request(order: &OrderRow, new: &NewJob) -> Result<(), JobsError> {
    let NewJob { request, spec, .. } = new;
    let checks = [
        ("order", request.order == order.id),
        ("datatoken", request.datatoken == order.datatoken),
        (
            "operation",
            request.operation == order.operation && spec.operation == order.operation,
        ),
        ("input", request.input == spec.inputs.digest()),
        ("parameters", request.parameters == spec.parameters),
        ("job_id", request.job_id() == spec.job_id),
    ];
    let mismatch = |(field, _)| {
        Err(JobsError::RequestMismatch {
            order: order.id,
            field,
        })
    };
    checks
        .into_iter()
        .find(|(_, holds)| !holds)
        .map_or(Ok(()), mismatch)
}

fn check_turn(order: &OrderRow, request: &StartRequest) -> Result<(), JobsError> {
    if order.state == OrderState::Used {
        return Err(JobsError::OrderUsed { order: order.id });
    }
    let expected = if order.operation == Operation::Infer {
        order.next_turn
    } else {
        0
    };
    if request.turn != expected {
        return Err(JobsError::WrongTurn {
            order: order.id,
            given: request.turn,
            expected,
        });
    }
    let previous = if order.operation == Operation::Infer {
        order.last_receipt
    } else {
        Digest::ZERO
    };
    if request.previous != previous || (expected > 0 && previous == Digest::ZERO) {
        return Err(JobsError::WrongPrevious {
            order: order.id,
            turn: request.turn,
        });
    }
    Ok(())
}

fn job_row(order: &OrderRow, new: NewJob, now: u64) -> JobRow {
    let NewJob {
        request,
        signature,
        spec,
        inputs,
        model,
    } = new;
    JobRow {
        id: spec.job_id,
        order_id: order.id,
        turn: request.turn,
        operation: order.operation,
        did: order.did.clone(),
        consumer: order.consumer,
        state: JobState::Queued,
        attempt: 0,
        crashes: 0,
        fence: 0,
        worker: None,
        lease_expires_at: None,
        not_before: now,
        spec,
        inputs,
        request: request.encode(),
        request_signature: signature,
        model,
        result: None,
        checkpoint: None,
        checkpoint_step: None,
        statement: None,
        failure_code: None,
        failure_reason: None,
        receipt: None,
        published: None,
        settled_transaction: None,
        created_at: now,
        started_at: None,
        finished_at: None,
        updated_at: now,
    }
}
