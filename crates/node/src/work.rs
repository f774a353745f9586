//! The loop that runs jobs: lease, launch, report, record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use posthuman_jobs::JobsError;
use posthuman_jobs::break_point::break_point;
use posthuman_jobs::engine::local::{
    Event, Finished, Launch, LaunchError, Outcome, RunningJob, Task, TimedEvent,
};
use posthuman_jobs::machine::{Action, Failure, FailureKind};
use posthuman_jobs::queue::{Applied, Lease, LeasedJob};
use posthuman_types::{ErrorClass, JobId, JobState, ObjectId, Operation};
use tokio::sync::mpsc;

use crate::error::{NodeError, OrFault, chain_of_causes};
use crate::events::Rates;
use crate::inputs::stage_of;
use crate::node::Node;

const IDLE_PAUSE: Duration = Duration::from_secs(2);
const RENEW_EVERY: Duration = Duration::from_secs(8);
const EVENT_BACKLOG: usize = 1024;
/// How often a result is recorded at most, and the pause after a time when the database failed.
const FINISH_ATTEMPTS: u32 = 5;
const FINISH_PAUSE: Duration = Duration::from_secs(2);

/// Jobs that run right now, to stop them.
#[derive(Default)]
pub(crate) struct Running {
    stops: Mutex<HashMap<JobId, mpsc::Sender<Stop>>>,
}

/// How a running job is to be stopped.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    /// Let the worker end at its next step.
    Cancel,
    /// End it now; the job goes on elsewhere or later.
    Kill,
}

impl Running {
    fn enter(&self, job: JobId) -> mpsc::Receiver<Stop> {
        let (sender, receiver) = mpsc::channel(4);
        self.stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(job, sender);
        receiver
    }

    fn leave(&self, job: JobId) {
        self.stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&job);
    }

    pub(crate) fn stop(&self, job: JobId, how: Stop) {
        if let Some(sender) = self
            .stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&job)
        {
            // A full channel means that it is being stopped already.
            let _ = sender.try_send(how);
        }
    }

    pub(crate) fn stop_all(&self) {
        for sender in self.stops.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = sender.try_send(Stop::Kill);
        }
    }
}

impl Node {
    /// Runs jobs one after another until the node stops.
    pub(crate) async fn work_loop(self: Arc<Self>, number: u16) {
        let worker = format!("local-{number}");
        loop {
            match self.run_next(&worker).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(worker, error = %chain_of_causes(&error), "running a job")
                }
            }
            if !self.pause(Some(&self.wake), IDLE_PAUSE).await {
                return;
            }
        }
    }

    /// Runs the next job in chain order. Answers whether there was one.
    async fn run_next(self: &Arc<Self>, worker: &str) -> Result<bool, NodeError> {
        if self.is_stopping() {
            return Ok(false);
        }
        let leased = self
            .queue
            .lease_next(worker, self.clock.now_seconds())
            .await
            .or_fault("leasing a job")?;
        let Some(leased) = leased else { return Ok(false) };
        let job = leased.job.id;
        let mut stop = self.running.enter(job);
        self.perform(leased.actions.clone()).await;
        let result = self.run(&leased, &mut stop).await;
        self.running.leave(job);
        result?;
        Ok(true)
    }

    async fn run(
        self: &Arc<Self>,
        leased: &LeasedJob,
        stop: &mut mpsc::Receiver<Stop>,
    ) -> Result<(), NodeError> {
        let (events, mut heard) = mpsc::channel::<TimedEvent>(EVENT_BACKLOG);
        let launch = self.launch_of(leased).await?;
        // The launcher's thread waits where the backlog is full, so that no event is lost.
        let forward = move |event| drop(events.blocking_send(event));
        let started = self.engine.start(launch, forward);
        let running = match started {
            Ok(running) => running,
            Err(error) => {
                return self.record_launch_error(leased.lease, &error).await;
            }
        };
        let mut rates = Rates::default();
        let mut renew = tokio::time::interval(RENEW_EVERY);
        loop {
            tokio::select! {
                event = heard.recv() => match event {
                    Some(event) => if let Err(error) = self.note(leased.lease, event, &mut rates).await {
                        tracing::warn!(job = %leased.job.id, error = %chain_of_causes(&error), "noting what a worker does");
                    },
                    // The worker has closed its output: it is over.
                    None => break,
                },
                how = stop.recv() => match how {
                    Some(Stop::Cancel) => running.cancel(),
                    Some(Stop::Kill) | None => running.kill(),
                },
                _ = renew.tick() => if !self.renew(leased.lease).await {
                    running.kill();
                },
            }
        }
        self.conclude(leased, running).await
    }

    /// Prolongs a lease, and says whether it still holds. A database that fails for a moment takes no lease away.
    async fn renew(&self, lease: Lease) -> bool {
        match self.queue.renew(lease, self.clock.now_seconds()).await {
            Ok(_) => true,
            Err(error @ JobsError::Refused { .. }) => {
                tracing::warn!(job = %lease.job, error = %chain_of_causes(&error), "the lease was lost; stopping the worker");
                false
            }
            Err(error) => {
                tracing::warn!(job = %lease.job, error = %chain_of_causes(&error), "a lease was not renewed");
                true
            }
        }
    }

    async fn launch_of(&self, leased: &LeasedJob) -> Result<Launch, NodeError> {
        let job = &leased.job;
        let order = self.store.read().await?.order(job.order_id).await?;
        let order = order.ok_or_else(|| NodeError::bug("finding the order of a job"))?;
        Ok(Launch {
            task: Task::Job(job.spec.clone()),
            model: job.model,
            inputs: stage_of(job),
            checkpoint: job.checkpoint,
            checkpoint_every: if job.operation == Operation::Train {
                self.options.work.checkpoint_every
            } else {
                0
            },
            allowance: Some(order.allowance.saturating_sub(order.used_tokens)),
            deadline: Some(self.options.work.deadline),
        })
    }

    async fn note(&self, lease: Lease, event: TimedEvent, rates: &mut Rates) -> Result<(), NodeError> {
        match event.event {
            Event::Progress(progress) => {
                let rates = rates.note(&progress);
                self.record_event(lease.job, JobState::Queued, Some(progress), rates)
                    .await
            }
            Event::Checkpoint { object, step } => {
                break_point("work.checkpoint_sealed");
                let now = self.clock.now_seconds();
                match self.queue.checkpoint(lease, object, step, now).await {
                    Ok(actions) => {
                        self.vault.commit(object)?;
                        self.perform(actions).await;
                    }
                    Err(error) => {
                        tracing::warn!(job = %lease.job, error = %chain_of_causes(&error), "a checkpoint was not taken");
                        self.keep_or_discard(object).await?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn conclude(&self, leased: &LeasedJob, running: RunningJob) -> Result<(), NodeError> {
        let lease = leased.lease;
        match running.wait().await {
            Ok(Outcome::Finished(finished)) => self.record_result(lease, finished).await,
            Ok(Outcome::Refused { code, reason }) => {
                let now = self.clock.now_seconds();
                let applied = self.queue.refuse(lease, code.as_str(), &reason, now).await;
                self.perform(applied.or_fault("recording a refusal")?.actions)
                    .await;
                Ok(())
            }
            Ok(Outcome::Failed { code, reason }) => {
                self.record_failure(lease, code.kind(), code.as_str(), reason)
                    .await
            }
            Ok(Outcome::Cancelled) if self.is_stopping() => self.give_back(lease).await,
            // Cancelled by its owner: the queue knows.
            Ok(Outcome::Cancelled) => Ok(()),
            Ok(Outcome::Checked(_) | Outcome::Imported(_)) => {
                Err(NodeError::bug("running a job: the worker did something else"))
            }
            Err(error) => self.record_launch_error(lease, &error).await,
        }
    }

    async fn record_result(&self, lease: Lease, finished: Finished) -> Result<(), NodeError> {
        break_point("work.result_sealed");
        let result = finished.result;
        let applied = match self.finish(lease, finished).await {
            Ok(applied) => applied,
            Err(error @ JobsError::Refused { .. }) => {
                tracing::warn!(job = %lease.job, error = %chain_of_causes(&error), "a result was not taken");
                return match result {
                    Some(object) => self.keep_or_discard(object).await,
                    None => Ok(()),
                };
            }
            // Whether it was recorded is not known: the sealed result stays pending, and the next start decides.
            Err(error) => return Err(NodeError::fault("recording a result", error)),
        };
        break_point("work.result_recorded");
        if let Some(object) = result.filter(|_| applied.job.state == JobState::Finished) {
            self.vault.commit(object)?;
        }
        self.metrics.count_result(&applied.job);
        self.perform(applied.actions).await;
        Ok(())
    }

    /// Hours of work are not given up for a database that is busy or full for a moment.
    async fn finish(&self, lease: Lease, finished: Finished) -> Result<Applied, JobsError> {
        for _ in 1..FINISH_ATTEMPTS {
            let (statement, now) = (finished.statement.clone(), self.clock.now_seconds());
            match self.queue.finish(lease, statement, finished.result, now).await {
                Ok(applied) => return Ok(applied),
                Err(error @ JobsError::Refused { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(job = %lease.job, error = %chain_of_causes(&error), "a result was not recorded yet");
                }
            }
            self.pause(None, FINISH_PAUSE).await;
            self.renew(lease).await;
        }
        let now = self.clock.now_seconds();
        self.queue
            .finish(lease, finished.statement, finished.result, now)
            .await
    }

    /// Settles what becomes of a sealed object when it is not certain whether it was recorded: it stays if a row names
    /// it, and goes otherwise.
    pub(crate) async fn keep_or_discard(&self, object: ObjectId) -> Result<(), NodeError> {
        if self.store.read().await?.object_is_used(object).await? {
            return Ok(self.vault.commit(object)?);
        }
        Ok(self.vault.discard(object)?)
    }

    /// What kept a worker from starting, or its launcher from taking the result. A full disk is no fault of the job.
    async fn record_launch_error(&self, lease: Lease, error: &LaunchError) -> Result<(), NodeError> {
        let causes = chain_of_causes(error);
        let (kind, code, reason) = if error.class() == ErrorClass::Unavailable {
            let reason = format!("the worker could not be started or served: {causes}");
            (FailureKind::Retryable, "worker_not_started", reason)
        } else {
            let reason = format!("the worker was lost: {causes}");
            (FailureKind::Crash, "worker_lost", reason)
        };
        self.record_failure(lease, kind, code, reason).await
    }

    /// The node stops: the next start goes on with the job, and this attempt does not count.
    async fn give_back(&self, lease: Lease) -> Result<(), NodeError> {
        match self.queue.release(lease, self.clock.now_seconds()).await {
            // Cancelled by its owner meanwhile.
            Ok(_) | Err(JobsError::Refused { .. }) => Ok(()),
            Err(error) => Err(NodeError::fault("giving a job back", error)),
        }
    }

    async fn record_failure(
        &self,
        lease: Lease,
        kind: FailureKind,
        code: &str,
        reason: String,
    ) -> Result<(), NodeError> {
        if self.is_stopping() {
            return self.give_back(lease).await;
        }
        tracing::warn!(job = %lease.job, code, reason, "an attempt failed");
        let failure = Failure {
            kind,
            code: code.to_owned(),
            reason,
        };
        let applied = self.queue.fail(lease, failure, self.clock.now_seconds()).await;
        self.perform(applied.or_fault("recording a failure")?.actions)
            .await;
        Ok(())
    }

    /// Performs the actions that follow from a change of a job. What fails here is found again at the next start or by
    /// the settlement loop.
    pub(crate) async fn perform(&self, actions: Vec<Action>) {
        for action in actions {
            let done = match action {
                Action::StopWorker { job, .. } => {
                    self.running.stop(job, Stop::Cancel);
                    Ok(())
                }
                Action::DropObject(object) => self.drop_object(object).await,
                Action::Notify { job, state } => self.record_event(job, state, None, (None, None)).await,
                Action::SignReceipt(_) | Action::SignRefusal(_) | Action::Publish(_) | Action::Settle(_) => {
                    self.settle.notify_one();
                    Ok(())
                }
                // The loop that leased it runs it; the queue counted the tokens.
                Action::StartWorker { .. } | Action::UseOrder { .. } => Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(error = %chain_of_causes(&error), "after a change of a job");
            }
        }
    }

    async fn drop_object(&self, object: ObjectId) -> Result<(), NodeError> {
        if self.store.read().await?.object_is_used(object).await? {
            return Ok(());
        }
        Ok(self.vault.remove(object)?)
    }
}
