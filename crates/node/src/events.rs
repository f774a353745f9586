//! Events of jobs: kept in the store, and passed on at once to whoever watches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use posthuman_types::api::JobEvent;
use posthuman_types::{Address, JobId, JobState, Operation, Progress};
use tokio::sync::broadcast;

use crate::error::{NodeError, OrFault};
use crate::node::Node;

const WATCHER_BACKLOG: usize = 256;
const PAGE: u64 = 500;
/// How long a watcher waits for news before it looks whether any can come.
const QUIET: Duration = Duration::from_secs(5);

/// Who watches which job.
#[derive(Default)]
pub(crate) struct EventHub {
    watched: Mutex<HashMap<JobId, broadcast::Sender<u64>>>,
}

impl EventHub {
    /// Hears of new sequence numbers of a job.
    fn watch(&self, job: JobId) -> broadcast::Receiver<u64> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched
            .entry(job)
            .or_insert_with(|| broadcast::channel(WATCHER_BACKLOG).0)
            .subscribe()
    }

    fn tell(&self, job: JobId, sequence: u64) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&job) {
            // Without a receiver there is nobody to tell.
            let _ = sender.send(sequence);
        }
    }
}

/// Rates of one phase of a running job.
#[derive(Default)]
pub(crate) struct Rates {
    begun: Option<(Instant, u64)>,
}

impl Rates {
    /// Tokens per second since the phase's first report, and seconds to its end.
    pub(crate) fn note(&mut self, progress: &Progress) -> (Option<f64>, Option<f64>) {
        let (tokens, share) = match progress {
            Progress::Phase { .. } => {
                self.begun = None;
                return (None, None);
            }
            Progress::Step {
                tokens, step, steps, ..
            } => (*tokens, Some((f64::from(*step), f64::from(*steps)))),
            Progress::Text { tokens, .. } => (*tokens, None),
            Progress::Scored { tokens, total } => (*tokens, Some((*tokens as f64, *total as f64))),
        };
        let Some((since, first)) = self.begun else {
            self.begun = Some((Instant::now(), tokens));
            return (None, None);
        };
        let elapsed = since.elapsed().as_secs_f64();
        if elapsed <= 0.0 || tokens <= first {
            return (None, None);
        }
        let rate = (tokens - first) as f64 / elapsed;
        let eta = share.filter(|(done, _)| *done > 0.0).map(|(done, all)| {
            let tokens_per_unit = tokens as f64 / done;
            (all - done).max(0.0) * tokens_per_unit / rate
        });
        (Some(rate), eta)
    }
}

impl Node {
    /// Keeps an event of a job and tells its watchers.
    pub(crate) async fn record_event(
        &self,
        job: JobId,
        state: JobState,
        progress: Option<Progress>,
        (tokens_per_second, eta_seconds): (Option<f64>, Option<f64>),
    ) -> Result<(), NodeError> {
        let at_milliseconds = self.clock.now_milliseconds();
        let event = JobEvent {
            sequence: 0,
            at_milliseconds,
            state,
            progress,
            tokens_per_second,
            eta_seconds,
        };
        let text = serde_json::to_string(&event).or_fault("writing an event")?;
        let mut transaction = self.store.begin().await?;
        let sequence = transaction.append_job_event(job, at_milliseconds, &text).await?;
        transaction.commit().await?;
        self.events.tell(job, sequence);
        Ok(())
    }

    /// Events of a job after a sequence number: first those kept, then new ones as they come. Ends with the job.
    pub(crate) async fn job_events(
        self: &std::sync::Arc<Self>,
        caller: Address,
        job: JobId,
        after: u64,
    ) -> Result<BoxStream<'static, JobEvent>, NodeError> {
        let operation = self.owned_job(caller, job).await?.operation;
        let watcher = self.events.watch(job);
        let node = self.clone();
        let state = Watch {
            node,
            job,
            operation,
            after,
            watcher,
            ready: Vec::new(),
            quiet: false,
            ended: false,
        };
        Ok(stream::unfold(state, Watch::next).boxed())
    }

    pub(crate) async fn events_after(&self, job: JobId, after: u64) -> Result<Vec<JobEvent>, NodeError> {
        let rows = self.store.read().await?.job_events(job, after, PAGE).await?;
        rows.into_iter()
            .map(|row| {
                let event: JobEvent = serde_json::from_str(&row.event).or_fault("reading an event")?;
                Ok(JobEvent {
                    sequence: row.sequence,
                    ..event
                })
            })
            .collect()
    }
}

struct Watch {
    node: std::sync::Arc<Node>,
    job: JobId,
    operation: Operation,
    after: u64,
    watcher: broadcast::Receiver<u64>,
    /// Events read and not yet given, newest first.
    ready: Vec<JobEvent>,
    /// Whether nothing was heard for a while.
    quiet: bool,
    ended: bool,
}

impl Watch {
    async fn next(mut self) -> Option<(JobEvent, Self)> {
        loop {
            if let Some(event) = self.ready.pop() {
                self.after = event.sequence;
                self.ended = is_last(self.operation, event.state);
                self.quiet = false;
                return Some((event, self));
            }
            if self.ended || self.node.is_stopping() {
                return None;
            }
            // Looked at before the events: what comes ahead of the end is not missed.
            let over = self.quiet && self.is_over().await.ok()?;
            let mut events = self.node.events_after(self.job, self.after).await.ok()?;
            if events.is_empty() {
                if over {
                    return None;
                }
                let mut stopping = self.node.stopping.clone();
                tokio::select! {
                    heard = self.watcher.recv() => match heard {
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return None,
                    },
                    () = tokio::time::sleep(QUIET) => self.quiet = true,
                    _ = stopping.changed() => return None,
                }
            }
            events.reverse();
            self.ready = events;
        }
    }

    /// Whether the job has come to its end, so that a watcher who has its last event waits for nothing.
    async fn is_over(&self) -> Result<bool, NodeError> {
        let job = self.node.store.read().await?.job(self.job).await?;
        Ok(job.is_none_or(|job| is_last(job.operation, job.state)))
    }
}

/// Whether a watcher waits for nothing after this state. A turn of a session has its answer with its receipt; it is
/// settled only when the session ends.
fn is_last(operation: Operation, state: JobState) -> bool {
    state.is_final() || (operation == Operation::Infer && state == JobState::Receipted)
}
