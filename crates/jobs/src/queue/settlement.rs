//! After the result: receipt, publication, the end of a session, settlement, and what a crash left undone.

use std::collections::BTreeSet;

use posthuman_store::{JobRow, OrderRow, ReceiptRow, RefusalRow};
use posthuman_types::api::OrderState;
use posthuman_types::receipt::SignedRefusal;
use posthuman_types::{B256, Did, Digest, JobId, JobState, Operation, OrderId, SignedReceipt, StartRequest};

use super::{Applied, Queue, commit, job_of, order_of, root_of};
use crate::JobsError;
use crate::machine::{Action, Command};

impl Queue {
    /// Records the signed receipt of a job. For the last turn of a session the actions settle it.
    ///
    /// # Errors
    /// The receipt is about another job, order or request, or does not follow the session's last one; the job has no
    /// result or has a receipt; the database fails.
    pub async fn receipted(&self, signed: SignedReceipt, now: u64) -> Result<Applied, JobsError> {
        let mut transaction = self.store.begin().await?;
        let job = job_of(&mut transaction, signed.receipt.job).await?;
        let mut order = order_of(&mut transaction, job.order_id).await?;
        let digest = signed.receipt.digest();
        check_receipt(&job, &order, &signed)?;
        let mut applied = self
            .apply(&mut transaction, &job, Command::Receipted { digest }, now)
            .await?;
        let (job_id, order_id, turn) = (job.id, job.order_id, job.turn);
        let row = ReceiptRow {
            digest,
            job_id,
            order_id,
            turn,
            signed,
            settled_transaction: None,
            created_at: now,
        };
        transaction.insert_receipt(&row).await?;
        order.last_receipt = digest;
        transaction.update_order(&order).await?;
        if job.operation == Operation::Infer && order.state == OrderState::Used {
            applied.actions.push(Action::Settle(order.id));
        }
        commit(
            transaction,
            "queue.receipted.before_commit",
            "queue.receipted.after_commit",
        )
        .await?;
        Ok(applied)
    }

    /// Records the signed refusal of a request, whether it became a job or not. Recording it again overwrites it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn refusal_signed(&self, signed: SignedRefusal, now: u64) -> Result<(), JobsError> {
        let mut transaction = self.store.begin().await?;
        let (request, order_id) = (signed.refusal.request, signed.refusal.order);
        let consumer = signed.refusal.consumer;
        transaction
            .put_refusal(&RefusalRow {
                request,
                order_id,
                consumer,
                signed,
                created_at: now,
            })
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Records the asset that a trained model became.
    ///
    /// # Errors
    /// The job is no training with a receipt; the asset has a model; the database fails.
    pub async fn published(&self, id: JobId, did: &Did, now: u64) -> Result<Applied, JobsError> {
        let mut transaction = self.store.begin().await?;
        let job = job_of(&mut transaction, id).await?;
        let applied = self
            .apply(
                &mut transaction,
                &job,
                Command::Published { did: did.clone() },
                now,
            )
            .await?;
        if let Some(root) = root_of(&job) {
            transaction.set_model_asset(root, did).await?;
        }
        commit(
            transaction,
            "queue.published.before_commit",
            "queue.published.after_commit",
        )
        .await?;
        Ok(applied)
    }

    /// Closes an inference session before its allowance is spent, so that it settles. Who may do so, the caller has
    /// checked.
    ///
    /// # Errors
    /// The order is no open session, or its newest turn has no receipt yet; the database fails.
    pub async fn close_session(&self, id: OrderId, now: u64) -> Result<Vec<Action>, JobsError> {
        let mut transaction = self.store.begin().await?;
        let mut order = order_of(&mut transaction, id).await?;
        let refuse = |reason| Err(JobsError::NotClosable { order: id, reason });
        match order.state {
            OrderState::Session => {}
            OrderState::Open => return refuse("no turn of it has succeeded, so there is nothing to settle"),
            OrderState::Used => return refuse("it is closed or used up already"),
        }
        let jobs = transaction.jobs_of_order(id).await?;
        if jobs
            .iter()
            .any(|job| matches!(job.state, JobState::Queued | JobState::Finished))
        {
            return refuse("a turn of it is not over; wait for its receipt or cancel it");
        }
        (order.state, order.closed_at) = (OrderState::Used, Some(now));
        transaction.update_order(&order).await?;
        commit(
            transaction,
            "queue.close.before_commit",
            "queue.close.after_commit",
        )
        .await?;
        Ok(vec![Action::Settle(id)])
    }

    /// Records the transaction that carries the digest of an order's last receipt. All jobs of the order that have a
    /// receipt are settled by it. Recording the same transaction again changes nothing.
    ///
    /// # Errors
    /// A training of the order is not published or a turn has no receipt; the order is not used up; the database fails.
    pub async fn settled(&self, id: OrderId, hash: B256, now: u64) -> Result<Vec<Applied>, JobsError> {
        let mut transaction = self.store.begin().await?;
        let mut order = order_of(&mut transaction, id).await?;
        if order.settled_transaction == Some(hash) {
            return Ok(Vec::new());
        }
        if order.state != OrderState::Used {
            return Err(JobsError::NotClosable {
                order: id,
                reason: "it is not used up, so it cannot be settled",
            });
        }
        let mut all = Vec::new();
        for job in transaction
            .jobs_of_order(id)
            .await?
            .into_iter()
            .filter(|job| job.state.has_result())
        {
            let command = Command::Settled { transaction: hash };
            all.push(self.apply(&mut transaction, &job, command, now).await?);
        }
        order.settled_transaction = Some(hash);
        transaction.update_order(&order).await?;
        transaction.settle_receipts(id, hash).await?;
        commit(
            transaction,
            "queue.settled.before_commit",
            "queue.settled.after_commit",
        )
        .await?;
        Ok(all)
    }

    /// What is still to be done for jobs that have a result or were refused, in chain order: the actions that a crash
    /// may have swallowed. Performing one again does no harm.
    ///
    /// Jobs without a result need nothing: they are in the queue. Objects to drop are not named; what
    /// `Connection::used_objects` does not hold is garbage.
    ///
    /// # Errors
    /// The database fails.
    pub async fn unfinished(&self) -> Result<Vec<Action>, JobsError> {
        let mut connection = self.store.read().await?;
        let mut actions = Vec::new();
        for job in connection.jobs_in_state(JobState::Refused).await? {
            let request = posthuman_types::keccak256(&job.request);
            if connection.refusal(request).await?.is_none() {
                actions.push(Action::SignRefusal(job.id));
            }
        }
        let finished = connection.jobs_in_state(JobState::Finished).await?;
        actions.extend(finished.iter().map(|job| Action::SignReceipt(job.id)));
        let mut to_settle = BTreeSet::new();
        for job in connection.jobs_in_state(JobState::Receipted).await? {
            match job.operation {
                Operation::Train => actions.push(Action::Publish(job.id)),
                Operation::Evaluate => actions.push(Action::Settle(job.order_id)),
                Operation::Infer => {
                    let order = order_of(&mut connection, job.order_id).await?;
                    let ended = order.state == OrderState::Used && job.turn + 1 == order.next_turn;
                    if ended && to_settle.insert(order.id) {
                        actions.push(Action::Settle(order.id));
                    }
                }
            }
        }
        let published = connection.jobs_in_state(JobState::Published).await?;
        actions.extend(published.iter().map(|job| Action::Settle(job.order_id)));
        Ok(actions)
    }
}

fn check_receipt(job: &JobRow, order: &OrderRow, signed: &SignedReceipt) -> Result<(), JobsError> {
    let receipt = &signed.receipt;
    let session = job.operation == Operation::Infer;
    let previous = if session { order.last_receipt } else { Digest::ZERO };
    let request = StartRequest::decode(&job.request);
    let checks = [
        ("digest", signed.digest == receipt.digest()),
        ("order", receipt.order == job.order_id),
        ("operation", receipt.operation == job.operation),
        ("consumer", receipt.consumer == job.consumer),
        (
            "request",
            request.is_some_and(|request| request.digest() == receipt.request),
        ),
        ("previous", receipt.previous == previous),
    ];
    let mismatch = |(field, _)| Err(JobsError::ReceiptMismatch { job: job.id, field });
    checks
        .into_iter()
        .find(|(_, holds)| !holds)
        .map_or(Ok(()), mismatch)
}
