//! What a node tells Prometheus, in the OpenMetrics text format.
//!
//! Counters are counted where things happen; gauges are read when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use posthuman_store::JobRow;
use posthuman_types::{JobState, Operation};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Node;
use crate::error::{NodeError, OrFault};

/// The `Content-Type` of [`Node::metrics_text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets of answer times, in seconds. Imports and quotes take long, the rest does not.
const SECONDS: [f64; 9] = [0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0];

/// The node's counters and gauges; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    tokens: Family<OperationLabels, Counter>,
    jobs: Family<StateLabels, Gauge<u64, AtomicU64>>,
    queue_length: Gauge<u64, AtomicU64>,
    chain_block: Gauge<u64, AtomicU64>,
    indexed_block: Gauge<u64, AtomicU64>,
    indexer_lag: Gauge<u64, AtomicU64>,
    vault_bytes: Gauge<u64, AtomicU64>,
    vault_objects: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("posthuman");
        let inner = Inner {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            tokens: Family::default(),
            jobs: Family::default(),
            queue_length: Gauge::default(),
            chain_block: Gauge::default(),
            indexed_block: Gauge::default(),
            indexer_lag: Gauge::default(),
            vault_bytes: Gauge::default(),
            vault_objects: Gauge::default(),
            registry: Registry::default(),
        };
        inner.register(&mut registry);
        Self(Arc::new(Inner { registry, ..inner }))
    }

    /// Counts tokens that a finished job used up.
    fn count_tokens(&self, operation: Operation, tokens: u64) {
        let labels = OperationLabels {
            operation: operation.as_str(),
        };
        self.0.tokens.get_or_create(&labels).inc_by(tokens);
    }

    /// Counts the tokens of a job that has just got its result.
    pub(crate) fn count_result(&self, job: &JobRow) {
        if let Some(statement) = &job.statement {
            self.count_tokens(job.operation, statement.usage.counted(job.operation));
        }
    }

    /// Counts an answer. `route` is the pattern of the path, never the path itself, of which there are endlessly many.
    pub(crate) fn count_request(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let labels = RequestLabels {
            method: known_method(method),
            route: route.to_owned(),
            status,
        };
        self.0.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: route.to_owned(),
        };
        self.0.seconds.get_or_create(&labels).observe(seconds);
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.0.registry)?;
        Ok(written)
    }

    fn set_jobs(&self, counts: &[(JobState, u64)]) {
        for state in STATES {
            let count = counts
                .iter()
                .find(|(of, _)| *of == state)
                .map_or(0, |(_, count)| *count);
            let labels = StateLabels {
                state: state.as_str(),
            };
            self.0.jobs.get_or_create(&labels).set(count);
            if state == JobState::Queued {
                self.0.queue_length.set(count);
            }
        }
    }

    fn set_blocks(&self, indexed: u64, chain: Option<u64>) {
        self.0.indexed_block.set(indexed);
        // An old number says more than none while the chain does not answer.
        if let Some(chain) = chain {
            self.0.chain_block.set(chain);
            self.0.indexer_lag.set(chain.saturating_sub(indexed));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Inner {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Answers by method, route and status",
            self.requests.clone(),
        );
        let help = "Time to the head of the answer, by route";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, self.seconds.clone());
        registry.register(
            "tokens",
            "Tokens that finished jobs used up, by operation",
            self.tokens.clone(),
        );
        registry.register("jobs", "Jobs by state", self.jobs.clone());
        registry.register("queue_length", "Jobs that wait or run", self.queue_length.clone());
        registry.register(
            "chain_block",
            "Newest block of the chain",
            self.chain_block.clone(),
        );
        registry.register(
            "indexed_block",
            "Newest block that was indexed",
            self.indexed_block.clone(),
        );
        registry.register(
            "indexer_lag_blocks",
            "Blocks that are yet to be indexed",
            self.indexer_lag.clone(),
        );
        registry.register(
            "vault_bytes",
            "Plain bytes of all sealed objects",
            self.vault_bytes.clone(),
        );
        registry.register("vault_objects", "Sealed objects", self.vault_objects.clone());
    }
}

impl Node {
    /// All metrics as OpenMetrics text; gauges are read now.
    ///
    /// # Errors
    /// The database or the vault fails.
    pub async fn metrics_text(&self) -> Result<String, NodeError> {
        let counts = self.store.read().await?.job_counts().await?;
        self.metrics.set_jobs(&counts);
        let health = self.health().await;
        self.metrics.set_blocks(health.indexed_block, health.chain_block);
        let vault = self.vault.clone();
        let objects = tokio::task::spawn_blocking(move || vault.list())
            .await
            .or_fault("listing the vault")??;
        self.metrics.0.vault_objects.set(objects.len() as u64);
        self.metrics
            .0
            .vault_bytes
            .set(objects.iter().map(|object| object.bytes).sum());
        self.metrics.text().or_fault("writing metrics")
    }
}

/// A method as a label. HTTP lets a caller invent methods, and each new label would be kept for ever.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

const STATES: [JobState; 8] = [
    JobState::Queued,
    JobState::Finished,
    JobState::Receipted,
    JobState::Published,
    JobState::Settled,
    JobState::Failed,
    JobState::Refused,
    JobState::Cancelled,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        let metrics = Metrics::new();
        metrics.count_request("GET", "/api/v1/assets/{did}", 404, 0.01);
        metrics.count_request("INVENTED", "unknown", 405, 0.01);
        metrics.count_request("ANOTHER", "unknown", 405, 0.01);
        metrics.count_tokens(Operation::Train, 5);
        metrics.count_tokens(Operation::Train, 7);
        metrics.set_jobs(&[(JobState::Queued, 3)]);
        metrics.set_blocks(7, Some(9));
        metrics.set_blocks(8, None);
        let text = metrics.text().unwrap();
        for line in [
            r#"posthuman_http_requests_total{method="GET",route="/api/v1/assets/{did}",status="404"} 1"#,
            r#"posthuman_http_request_duration_seconds_bucket{le="0.02",route="/api/v1/assets/{did}"} 1"#,
            r#"posthuman_http_requests_total{method="other",route="unknown",status="405"} 2"#,
            r#"posthuman_tokens_total{operation="train"} 12"#,
            r#"posthuman_jobs{state="queued"} 3"#,
            r#"posthuman_jobs{state="settled"} 0"#,
            "posthuman_queue_length 3",
            "posthuman_chain_block 9",
            "posthuman_indexed_block 8",
            "posthuman_indexer_lag_blocks 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
