//! Progress as server-sent events (WHATWG HTML, section 9.2).
//!
//! An event's id is its sequence, so that a client that reconnects with `Last-Event-ID` misses nothing.
//! A comment every few seconds keeps proxies from closing a quiet stream.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use posthuman_types::Address;
use posthuman_types::api::JobEvent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::extract::described;
use super::guard::Closing;
use crate::error::{ErrorCode, NodeError};

/// Pause between comments on a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Event streams that are answered at once; each holds a connection for as long as its job runs.
const MAXIMUM_STREAMS: usize = 1024;

/// How many of them one address may hold.
const STREAMS_PER_ADDRESS: usize = 32;

/// The event streams that are answered now.
#[derive(Clone)]
pub(super) struct Streams {
    free: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<Address, usize>>>,
}

/// The place of one stream, free again when this is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    held: Arc<Mutex<HashMap<Address, usize>>>,
    address: Address,
}

impl Streams {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MAXIMUM_STREAMS)),
            held: Arc::default(),
        }
    }

    /// A place for a stream of `address`, if there is one.
    pub(super) fn take(&self, address: Address) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = held.entry(address).or_default();
        if *of_address == STREAMS_PER_ADDRESS {
            return None;
        }
        *of_address += 1;
        Some(Place {
            _permit: permit,
            held: self.held.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = held.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// Streams the events of a job up to its final state, or until the node closes. `place` is held as long.
pub(super) fn answer(events: BoxStream<'static, JobEvent>, closing: Closing, place: Place) -> Response {
    let events = to_the_end(events)
        .take_until(closing.wait())
        .filter_map(move |event| {
            let _held = &place;
            std::future::ready(write(&event).map(Ok::<_, Infallible>))
        });
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    (unbuffered, stream).into_response()
}

/// The sequence of the last event that the caller has, 0 for none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<u64, NodeError> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(0);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(0);
    }
    // The numbers of events are stored as signed ones.
    match text.parse::<i64>().map(u64::try_from) {
        Ok(Ok(sequence)) => Ok(sequence),
        _ => Err(described(
            ErrorCode::QueryInvalid,
            "The header `Last-Event-ID` is not the number of an event",
        )),
    }
}

/// Ends after the first event whose state is final, whether or not the source ends there.
fn to_the_end(events: BoxStream<'static, JobEvent>) -> impl Stream<Item = JobEvent> + Send {
    stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let event = events.next().await?;
        let rest = (!event.state.is_final()).then_some(events);
        Some((event, rest))
    })
}

/// An event that cannot be written as JSON is left out: its successor carries the newer state anyway.
fn write(event: &JobEvent) -> Option<Event> {
    match Event::default().id(event.sequence.to_string()).json_data(event) {
        Ok(written) => Some(written),
        Err(error) => {
            tracing::error!(sequence = event.sequence, %error, "an event cannot be written");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use posthuman_types::JobState;

    use super::*;

    fn event(sequence: u64, state: JobState) -> JobEvent {
        JobEvent {
            sequence,
            at_milliseconds: 7,
            state,
            progress: None,
            tokens_per_second: None,
            eta_seconds: None,
        }
    }

    async fn text(events: BoxStream<'static, JobEvent>, closing: Closing) -> String {
        let streams = Streams::new();
        let place = streams.take(Address::ZERO).unwrap();
        let response = answer(events, closing, place);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(streams.free.available_permits(), MAXIMUM_STREAMS - 1);
        let read = axum::body::to_bytes(response.into_body(), 1 << 16);
        let bytes = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(streams.free.available_permits(), MAXIMUM_STREAMS);
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn ends_at_a_final_state_though_the_source_goes_on() {
        let source = stream::iter([event(3, JobState::Queued), event(4, JobState::Settled)])
            .chain(stream::pending())
            .boxed();
        let text = text(source, Closing::never()).await;
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.contains(&"id: 3") && lines.contains(&"id: 4"), "{text}");
        let data = lines.iter().find_map(|line| line.strip_prefix("data: ")).unwrap();
        assert_eq!(
            serde_json::from_str::<JobEvent>(data).unwrap(),
            event(3, JobState::Queued)
        );
    }

    #[tokio::test]
    async fn ends_when_the_node_closes() {
        let (sender, closing) = Closing::new();
        let source = stream::iter([event(1, JobState::Queued)])
            .chain(stream::pending())
            .boxed();
        let reading = tokio::spawn(text(source, closing));
        tokio::time::sleep(Duration::from_millis(50)).await;
        sender.send_replace(true);
        assert!(reading.await.unwrap().contains("id: 1"));
    }

    #[test]
    fn one_address_does_not_hold_all_streams() {
        let streams = Streams::new();
        let [alice, bob] = [Address::repeat_byte(1), Address::repeat_byte(2)];
        let mut places: Vec<_> = (0..STREAMS_PER_ADDRESS)
            .map(|_| streams.take(alice).unwrap())
            .collect();
        assert!(streams.take(alice).is_none());
        assert!(streams.take(bob).is_some());
        places.pop();
        assert!(streams.take(alice).is_some());
        places.clear();
        assert!(streams.held.lock().unwrap().is_empty());
        assert_eq!(streams.free.available_permits(), MAXIMUM_STREAMS);
    }

    #[test]
    fn resuming() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", text.parse().unwrap());
            last_event_id(&headers)
        };
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), 0);
        assert_eq!(read("12").unwrap(), 12);
        assert_eq!(read("").unwrap(), 0);
        for wrong in ["-1", "18446744073709551615", "many"] {
            assert_eq!(read(wrong).unwrap_err().code(), "query_invalid");
        }
    }
}
