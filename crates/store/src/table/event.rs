//! What happened in a job, for whoever watches it or comes back to it.

use posthuman_types::JobId;

use crate::row::{row, values};
use crate::{Connection, StoreError, Transaction};

row! {
    /// One event of a job.
    pub struct JobEventRow in "job_events" {
        /// The job.
        pub job_id: JobId,
        /// Its number in the job, from 1, without gaps.
        pub sequence: u64,
        /// When, in milliseconds since 1970 (Unix time).
        pub at_milliseconds: u64,
        /// The event as JSON text.
        pub event: String,
    }
}

impl Connection {
    /// Events of a job after a number, in order, at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn job_events(
        &mut self,
        job: JobId,
        after: u64,
        limit: u64,
    ) -> Result<Vec<JobEventRow>, StoreError> {
        let tail = "WHERE job_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
        self.select(tail, values![&job, &after, &limit]).await
    }

    /// The newest event of a job.
    ///
    /// # Errors
    /// The database fails.
    pub async fn last_job_event(&mut self, job: JobId) -> Result<Option<JobEventRow>, StoreError> {
        self.select_one("WHERE job_id = $1 ORDER BY sequence DESC", values![&job])
            .await
    }
}

impl Transaction {
    /// Adds an event and says its number.
    ///
    /// # Errors
    /// No such job, or the database fails.
    pub async fn append_job_event(
        &mut self,
        job: JobId,
        at_milliseconds: u64,
        event: &str,
    ) -> Result<u64, StoreError> {
        let last = self.last_job_event(job).await?.map_or(0, |event| event.sequence);
        let row = JobEventRow {
            job_id: job,
            sequence: last + 1,
            at_milliseconds,
            event: event.to_owned(),
        };
        self.insert(&row, &[]).await?;
        Ok(row.sequence)
    }
}
