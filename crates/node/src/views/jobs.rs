//! Jobs, orders, results and receipts.

use std::path::PathBuf;

use bytes::Bytes;
use posthuman_store::JobRow;
use posthuman_types::api::{Job, JobEvent, JobFailure, JobPage, Order, OutputFile};
use posthuman_types::{Address, Digest, JobId, JobState, OrderId, SignedReceipt};

use crate::admission::admission_error;
use crate::error::{ErrorCode, NodeError, OrFault};
use crate::node::Node;
use crate::settlement::request_of;
use crate::views::of_page;

impl Node {
    /// A job of the caller.
    pub(crate) async fn job(&self, caller: Address, id: JobId) -> Result<Job, NodeError> {
        let job = self.owned_job(caller, id).await?;
        self.job_view(job).await
    }

    /// Jobs of an address, newest first.
    pub(crate) async fn jobs_of(
        &self,
        address: Address,
        limit: u64,
        offset: u64,
    ) -> Result<JobPage, NodeError> {
        let page = self.store.read().await?.jobs_of(address, limit, offset).await;
        let page = page.map_err(of_page)?;
        let mut jobs = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            jobs.push(self.job_view(row).await?);
        }
        Ok(JobPage {
            total: page.total,
            jobs,
        })
    }

    /// Somebody else's job is no job.
    pub(crate) async fn owned_job(&self, caller: Address, id: JobId) -> Result<JobRow, NodeError> {
        let job = self.store.read().await?.job(id).await?;
        job.filter(|job| job.consumer == caller).ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::JobNotFound,
                format!("There is no job {id} of {caller} on this node."),
            )
        })
    }

    pub(crate) async fn job_view(&self, job: JobRow) -> Result<Job, NodeError> {
        let mut reader = self.store.read().await?;
        let queue_position = match job.state {
            JobState::Queued => reader.queue_position(job.id).await?,
            _ => None,
        };
        let progress = match reader.last_job_event(job.id).await? {
            Some(row) => {
                let event: JobEvent = serde_json::from_str(&row.event).or_fault("reading an event")?;
                Some(JobEvent {
                    sequence: row.sequence,
                    ..event
                })
            }
            None => None,
        };
        let running = job.is_running(self.clock.now_seconds());
        let ended = job.state.is_final() && !job.state.has_result();
        let refusal = match job.state {
            JobState::Refused => reader.refusal(request_of(&job)?.digest()).await?,
            _ => None,
        };
        let failure = match (job.failure_code, job.failure_reason) {
            (Some(code), Some(message)) if ended => Some(JobFailure {
                code,
                message,
                refusal: refusal.map(|row| row.signed),
            }),
            _ => None,
        };
        let outputs = job
            .statement
            .as_ref()
            .map(|statement| statement.outputs.inputs().to_vec())
            .unwrap_or_default();
        Ok(Job {
            id: job.id,
            order: job.order_id,
            did: job.did,
            operation: job.operation,
            turn: job.turn,
            consumer: job.consumer,
            state: job.state,
            running,
            queue_position,
            attempt: job.attempt,
            inputs: job.spec.inputs,
            parameters: job.spec.parameters,
            progress,
            failure,
            outputs: outputs
                .into_iter()
                .map(|output| OutputFile {
                    name: output.name,
                    bytes: output.bytes,
                    digest: output.digest,
                })
                .collect(),
            usage: job.statement.map(|statement| statement.usage),
            receipt: job.receipt,
            published: job.published,
            settlement: job.settled_transaction,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        })
    }

    /// A file of a result.
    pub(crate) async fn output(&self, caller: Address, id: JobId, name: &str) -> Result<Bytes, NodeError> {
        let job = self.owned_job(caller, id).await?;
        let stated = job
            .statement
            .as_ref()
            .and_then(|statement| statement.outputs.get(name));
        if stated.is_none() {
            let message =
                format!("Job {id} has no output `{name}`; `GET /api/v1/jobs/{id}` lists what it has.");
            return Err(NodeError::rejected(ErrorCode::OutputNotFound, message));
        }
        self.read_output(&job, name).map(Bytes::from)
    }

    /// Reads an output and checks it against the job's statement.
    pub(crate) fn read_output(&self, job: &JobRow, name: &str) -> Result<Vec<u8>, NodeError> {
        let stated = job
            .statement
            .as_ref()
            .and_then(|statement| statement.outputs.get(name));
        let stated =
            stated.ok_or_else(|| NodeError::bug(format!("reading the output {name} of job {}", job.id)))?;
        let bytes = std::fs::read(self.output_path(job.id, name)).or_fault("reading an output")?;
        if posthuman_types::keccak256(&bytes) != stated.digest {
            return Err(NodeError::bug(format!(
                "reading the output {name} of job {}: it was changed on disk",
                job.id
            )));
        }
        Ok(bytes)
    }

    fn output_path(&self, job: JobId, name: &str) -> PathBuf {
        self.options
            .data
            .join("jobs")
            .join(job.to_string())
            .join("outputs")
            .join(name)
    }

    /// A receipt by its digest. Receipts are public: they hold no text, and whoever buys a model may check its birth.
    pub(crate) async fn receipt(&self, digest: Digest) -> Result<SignedReceipt, NodeError> {
        let row = self.store.read().await?.receipt(digest).await?;
        row.map(|row| row.signed).ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::ReceiptNotFound,
                format!("This node signed no receipt {digest}."),
            )
        })
    }

    /// The receipt of a job.
    pub(crate) async fn receipt_of_job(&self, job: JobId) -> Result<SignedReceipt, NodeError> {
        let row = self.store.read().await?.receipt_of_job(job).await?;
        row.map(|row| row.signed).ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::ReceiptNotFound,
                format!("Job {job} has no receipt, or not yet."),
            )
        })
    }

    /// All receipts of an order, in the order of its turns.
    pub(crate) async fn receipt_chain(&self, order: OrderId) -> Result<Vec<SignedReceipt>, NodeError> {
        let rows = self.store.read().await?.receipts_of_order(order).await?;
        Ok(rows.into_iter().map(|row| row.signed).collect())
    }

    /// Cancels a job that has no result yet. Its order stays open.
    pub(crate) async fn cancel(&self, caller: Address, id: JobId) -> Result<Job, NodeError> {
        let job = self.owned_job(caller, id).await?;
        if job.state != JobState::Queued {
            let message = format!("Job {id} is over, so it cannot be cancelled.");
            return Err(NodeError::rejected(ErrorCode::JobFinal, message));
        }
        let applied = self
            .queue
            .cancel(id, self.clock.now_seconds())
            .await
            .map_err(admission_error)?;
        self.perform(applied.actions).await;
        self.job_view(applied.job).await
    }

    /// An order of the caller that this node has admitted.
    pub(crate) async fn order(&self, caller: Address, id: OrderId) -> Result<Order, NodeError> {
        let row = self.store.read().await?.order(id).await?;
        let row = row.filter(|row| row.consumer == caller).ok_or_else(|| {
            let message = format!("No job was started on an order {id} of {caller} at this node.");
            NodeError::rejected(ErrorCode::OrderNotFound, message)
        })?;
        Ok(Order {
            id: row.id,
            did: row.did,
            operation: row.operation,
            consumer: row.consumer,
            state: row.state,
            allowance: row.allowance,
            used_tokens: row.used_tokens,
            next_turn: row.next_turn,
            last_receipt: row.last_receipt,
            settlement: row.settled_transaction,
        })
    }

    /// Ends an inference session; its last receipt then goes on the chain.
    pub(crate) async fn close_session(&self, caller: Address, id: OrderId) -> Result<Order, NodeError> {
        self.order(caller, id).await?;
        let actions = self
            .queue
            .close_session(id, self.clock.now_seconds())
            .await
            .map_err(admission_error)?;
        self.perform(actions).await;
        self.order(caller, id).await
    }
}
