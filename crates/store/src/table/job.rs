//! Jobs: what was asked, who works on it and what came out.

use std::collections::BTreeSet;

use posthuman_types::{
    Address, B256, Bytes, Did, Digest, JobId, JobSpec, JobState, ObjectId, Operation, OrderId, Statement,
};
use serde::{Deserialize, Serialize};

use crate::row::{row, values};
use crate::{Connection, Page, StoreError, Transaction};

/// Where one input of a job lies in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInput {
    /// Its name in the job's specification.
    pub name: String,
    /// The sealed object.
    pub object: ObjectId,
}

row! {
    /// A job.
    pub struct JobRow in "jobs" {
        /// The job: the head of the digest of its start request.
        pub id: JobId,
        /// The order that pays.
        pub order_id: OrderId,
        /// Turn of an inference session; 0 for the other operations.
        pub turn: u64,
        /// What to do.
        pub operation: Operation,
        /// The asset whose service was ordered.
        pub did: Did,
        /// Who asked.
        pub consumer: Address,
        /// Where it stands.
        pub state: JobState,
        /// How often a worker started on it.
        pub attempt: u32,
        /// How often it brought its worker down.
        pub crashes: u32,
        /// Fencing token of the newest lease; grows with every lease.
        pub fence: u64,
        /// The worker that holds a lease.
        pub worker: Option<String>,
        /// When that lease runs out, in seconds since 1970 (Unix time).
        pub lease_expires_at: Option<u64>,
        /// No lease before then.
        pub not_before: u64,
        /// What the worker is told.
        pub spec: JobSpec,
        /// Where its inputs lie.
        pub inputs: Vec<JobInput>,
        /// Canonical bytes of the start request.
        pub request: Bytes,
        /// The consumer's signature over them.
        pub request_signature: Bytes,
        /// The sealed model that goes in; absent for a model made from scratch.
        pub model: Option<ObjectId>,
        /// The sealed model that came out.
        pub result: Option<ObjectId>,
        /// The newest sealed checkpoint.
        pub checkpoint: Option<ObjectId>,
        /// Steps done at that checkpoint.
        pub checkpoint_step: Option<u32>,
        /// What the worker states.
        pub statement: Option<Statement>,
        /// Public code of what went wrong, of the last attempt while it is queued.
        pub failure_code: Option<String>,
        /// The same in a sentence.
        pub failure_reason: Option<String>,
        /// Digest of the signed receipt.
        pub receipt: Option<Digest>,
        /// The asset that the trained model became.
        pub published: Option<Did>,
        /// The transaction that carries the receipt's digest.
        pub settled_transaction: Option<B256>,
        /// When it was queued, in seconds since 1970 (Unix time).
        pub created_at: u64,
        /// When the newest attempt began.
        pub started_at: Option<u64>,
        /// When it came to a result or to an end without one.
        pub finished_at: Option<u64>,
        /// When the row was last written.
        pub updated_at: u64,
    }
}

/// Chain order, whoever pays: block, log, turn.
const CHAIN_ORDER: &str = "orders.block_number, orders.log_index, jobs.turn, jobs.created_at, jobs.id";

impl JobRow {
    /// Whether a worker holds a lease on it that has not run out.
    pub fn is_running(&self, now: u64) -> bool {
        self.state == JobState::Queued && self.lease_expires_at.is_some_and(|end| end > now)
    }
}

impl Connection {
    /// A job.
    ///
    /// # Errors
    /// The database fails.
    pub async fn job(&mut self, id: JobId) -> Result<Option<JobRow>, StoreError> {
        self.select_one("WHERE id = $1", values![&id]).await
    }

    /// All jobs of an order, in order of turns and of time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn jobs_of_order(&mut self, order: OrderId) -> Result<Vec<JobRow>, StoreError> {
        self.select(
            "WHERE order_id = $1 ORDER BY turn, created_at, id",
            values![&order],
        )
        .await
    }

    /// Jobs of a consumer, newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn jobs_of(
        &mut self,
        consumer: Address,
        limit: u64,
        offset: u64,
    ) -> Result<Page<JobRow>, StoreError> {
        let total = self
            .count(
                "SELECT count(*) FROM jobs WHERE consumer = $1",
                values![&consumer],
            )
            .await?;
        let tail = "WHERE consumer = $1 ORDER BY created_at DESC, turn DESC, id LIMIT $2 OFFSET $3";
        Ok(Page {
            rows: self.select(tail, values![&consumer, &limit, &offset]).await?,
            total,
        })
    }

    /// The first job in chain order that no worker holds and that may run now.
    ///
    /// # Errors
    /// The database fails.
    pub async fn next_queued_job(&mut self, now: u64) -> Result<Option<JobRow>, StoreError> {
        let tail = format!(
            "JOIN orders ON orders.id = jobs.order_id
             WHERE jobs.state = $1 AND jobs.worker IS NULL AND jobs.not_before <= $2 ORDER BY {CHAIN_ORDER}"
        );
        self.select_one(&tail, values![&JobState::Queued, &now]).await
    }

    /// Jobs whose lease ran out, in chain order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn jobs_with_ended_lease(&mut self, now: u64) -> Result<Vec<JobRow>, StoreError> {
        let tail = format!(
            "JOIN orders ON orders.id = jobs.order_id
             WHERE jobs.state = $1 AND jobs.lease_expires_at <= $2 ORDER BY {CHAIN_ORDER}"
        );
        self.select(&tail, values![&JobState::Queued, &now]).await
    }

    /// Jobs in one state, in chain order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn jobs_in_state(&mut self, state: JobState) -> Result<Vec<JobRow>, StoreError> {
        let tail =
            format!("JOIN orders ON orders.id = jobs.order_id WHERE jobs.state = $1 ORDER BY {CHAIN_ORDER}");
        self.select(&tail, values![&state]).await
    }

    /// How many queued jobs come before this one in chain order; nothing where it is not queued.
    ///
    /// # Errors
    /// The database fails.
    pub async fn queue_position(&mut self, id: JobId) -> Result<Option<u64>, StoreError> {
        let queued = self.jobs_in_state(JobState::Queued).await?;
        Ok(queued
            .iter()
            .position(|job| job.id == id)
            .map(|position| position as u64))
    }

    /// How many jobs stand in each state that has any.
    ///
    /// # Errors
    /// The database fails.
    pub async fn job_counts(&mut self) -> Result<Vec<(JobState, u64)>, StoreError> {
        let states = self
            .scalars("SELECT DISTINCT state FROM jobs ORDER BY state", Vec::new())
            .await?;
        let mut counts = Vec::with_capacity(states.len());
        for state in states {
            let count = self
                .count("SELECT count(*) FROM jobs WHERE state = $1", values![&state])
                .await?;
            counts.push((state, count));
        }
        Ok(counts)
    }

    /// Every sealed object that some row still needs: models, results, inputs of jobs that have or may have a result,
    /// checkpoints of jobs that may go on, and uploads. Everything else in a vault is garbage.
    ///
    /// # Errors
    /// The database fails.
    pub async fn used_objects(&mut self) -> Result<BTreeSet<ObjectId>, StoreError> {
        let sql = "SELECT object FROM models
             UNION SELECT object FROM uploads WHERE object IS NOT NULL
             UNION SELECT object FROM upload_chunks
             UNION SELECT model FROM jobs WHERE model IS NOT NULL AND state NOT IN ('failed', 'refused', 'cancelled')
             UNION SELECT result FROM jobs WHERE result IS NOT NULL
             UNION SELECT checkpoint FROM jobs WHERE checkpoint IS NOT NULL";
        let mut objects: BTreeSet<_> = self.scalars(sql, Vec::new()).await?.into_iter().collect();
        let sql = "SELECT inputs FROM jobs WHERE state NOT IN ('failed', 'refused', 'cancelled')";
        let inputs: Vec<Vec<JobInput>> = self.scalars(sql, Vec::new()).await?;
        objects.extend(inputs.into_iter().flatten().map(|input| input.object));
        Ok(objects)
    }

    /// Whether some row still needs a sealed object.
    ///
    /// # Errors
    /// The database fails.
    pub async fn object_is_used(&mut self, object: ObjectId) -> Result<bool, StoreError> {
        Ok(self.used_objects().await?.contains(&object))
    }
}

impl Transaction {
    /// Adds a job.
    ///
    /// # Errors
    /// The order already pays for another job on this turn that did not end without a result, the job is known, there
    /// is no such order, or the database fails.
    pub async fn insert_job(&mut self, job: &JobRow) -> Result<(), StoreError> {
        self.insert(job, &[]).await
    }

    /// Writes all columns of a job.
    ///
    /// # Errors
    /// No such job; another job of its order has the turn; the database fails.
    pub async fn update_job(&mut self, job: &JobRow) -> Result<(), StoreError> {
        let found = self.update(job).await?;
        if found {
            Ok(())
        } else {
            Err(StoreError::Missing {
                what: "job",
                id: job.id.to_string(),
            })
        }
    }
}
