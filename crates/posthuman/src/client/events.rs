//! Server-sent events of a job, resumed where a connection broke.

use std::time::{Duration, Instant};

use posthuman_types::api::{Job, JobEvent};
use posthuman_types::{JobId, JobState, Operation};

use super::{NodeClient, error_body};
use crate::MarketError;

/// A line of the stream that is longer is not ours.
const LONGEST_LINE: usize = 4 * 1024 * 1024;
/// A stream without even a keep-alive comment for so long is broken.
const SILENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(500);

/// How far a job is followed. A job that fails, is refused or cancelled ends every wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The receipt is signed.
    Receipted,
    /// The trained model is on the market.
    Published,
    /// The receipt's digest is on the chain.
    Settled,
}

impl Goal {
    /// What the user of an operation waits for: a training's model, else the receipt.
    pub fn of(operation: Operation) -> Self {
        match operation {
            Operation::Train => Self::Published,
            Operation::Infer | Operation::Evaluate => Self::Receipted,
        }
    }

    /// Whether a job in that state need not be followed any further.
    pub fn is_reached(self, state: JobState) -> bool {
        match state {
            JobState::Failed | JobState::Refused | JobState::Cancelled | JobState::Settled => true,
            JobState::Published => self != Self::Settled,
            JobState::Receipted => self == Self::Receipted,
            JobState::Queued | JobState::Finished => false,
        }
    }
}

impl NodeClient {
    /// Follows a job until `goal`, handing over each event once and in order, through lost connections and restarts
    /// of the node, and returns the job as it then stands.
    ///
    /// # Errors
    /// As [`NodeClient::info`]. A job that ends without a result is returned, not an error.
    pub async fn follow(
        &self,
        job: JobId,
        goal: Goal,
        on_event: &mut (dyn FnMut(&JobEvent) + Send),
    ) -> Result<Job, MarketError> {
        let mut last = 0;
        let mut heard = Instant::now();
        loop {
            let before = last;
            match self.listen(job, goal, &mut last, on_event).await {
                Ok(()) => heard = Instant::now(),
                Err(error) if is_final(&error) || heard.elapsed() > self.patience => return Err(error),
                Err(error) => tracing::debug!(%error, "the event stream broke; listening again"),
            }
            if last > before {
                heard = Instant::now();
            }
            let state = self.job(job).await?;
            if goal.is_reached(state.state) {
                return Ok(state);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen(
        &self,
        job: JobId,
        goal: Goal,
        last: &mut u64,
        on_event: &mut (dyn FnMut(&JobEvent) + Send),
    ) -> Result<(), MarketError> {
        let url = self.url_of(&["jobs", &job.to_string(), "events"]);
        // The stream lives as long as the job: silence ends it, not a deadline of the whole request.
        let request = self
            .http
            .get(url)
            .header("accept", "text/event-stream")
            .header("last-event-id", last.to_string());
        let mut response = self
            .with_token(request, |request| self.open_stream(request))
            .await?;
        let mut parser = Parser::default();
        loop {
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await;
            let Ok(chunk) = chunk else { return Ok(()) };
            let Some(chunk) = chunk.map_err(|source| self.unreachable(source))? else {
                return Ok(());
            };
            for data in parser.push(&chunk).map_err(|why| self.strange("events", why))? {
                let event: JobEvent = serde_json::from_str(&data)
                    .map_err(|error| self.strange("events", &error.to_string()))?;
                // A node that repeats itself after a reconnection is not heard twice.
                if event.sequence > *last {
                    *last = event.sequence;
                    on_event(&event);
                }
                if goal.is_reached(event.state) {
                    return Ok(());
                }
            }
        }
    }

    async fn open_stream(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, MarketError> {
        let response = self.answer(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        Err(MarketError::Node(Box::new(error_body::read(
            status.as_u16(),
            &body,
        ))))
    }
}

fn is_final(error: &MarketError) -> bool {
    matches!(error, MarketError::Node(answer) if answer.status < 500)
        || matches!(error, MarketError::Strange { .. })
}

/// Cuts a byte stream into the `data` of its events (WHATWG HTML, 9.2.6). Ids are not needed: the data carry them.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    data: String,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, &'static str> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > LONGEST_LINE {
                    return Err("an event is longer than 4 MiB");
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = std::str::from_utf8(&line).map_err(|_| "an event is not UTF-8")?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                if !self.data.is_empty() {
                    events.push(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_the_stream_is_cut() {
        let stream = "id: 1\ndata: {\"a\":1}\n\n: keep-alive\n\nid: 2\r\nevent: x\r\ndata: ünd\r\ndata:b\r\n\r\ndata: cut";
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let events: Vec<String> = stream
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| parser.push(chunk).unwrap())
                .collect();
            assert_eq!(events, ["{\"a\":1}", "ünd\nb"], "chunks of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; LONGEST_LINE + 1]).is_err());
    }

    #[test]
    fn each_operation_waits_for_what_its_user_wants() {
        assert!(!Goal::of(Operation::Train).is_reached(JobState::Receipted));
        assert!(Goal::of(Operation::Train).is_reached(JobState::Published));
        assert!(Goal::of(Operation::Infer).is_reached(JobState::Receipted));
        assert!(!Goal::Settled.is_reached(JobState::Published));
        for goal in [Goal::Receipted, Goal::Published, Goal::Settled] {
            assert!(goal.is_reached(JobState::Refused) && !goal.is_reached(JobState::Finished));
        }
    }
}
