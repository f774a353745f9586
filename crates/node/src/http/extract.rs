//! Extractors that answer bad input in the house's shape.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use futures::stream;
use posthuman_types::{Address, ErrorClass};
use serde::de::DeserializeOwned;

use super::answer::plain;
use crate::Node;
use crate::error::{ErrorCode, NodeError};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of a body that is too large is still received, and for how long: most clients send all of it before they
/// read the answer, and would only see the connection break.
const LARGEST_DRAINED: usize = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Most characters of a parser's words that are passed on; they may quote the whole input.
const QUOTED_CHARACTERS: usize = 400;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = NodeError;

    async fn from_request(request: Request, state: &S) -> Result<Self, NodeError> {
        let of_rejection = |rejection| match rejection {
            JsonRejection::MissingJsonContentType(_) => plain(ErrorCode::ContentTypeUnsupported),
            JsonRejection::BytesRejection(rejection) => of_bytes(&rejection, ErrorCode::BodyTooLarge),
            other => described(ErrorCode::BodyInvalid, &other.body_text()),
        };
        let axum::Json(value) = received(request, state, of_rejection).await?;
        Ok(Self(value))
    }
}

/// The raw bytes of one chunk of an upload.
pub(super) struct Chunk(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Chunk {
    type Rejection = NodeError;

    async fn from_request(request: Request, state: &S) -> Result<Self, NodeError> {
        let of_rejection = |rejection| of_bytes(&rejection, ErrorCode::UploadTooLarge);
        received(request, state, of_rejection).await.map(Self)
    }
}

/// The query of the address.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = NodeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NodeError> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| described(ErrorCode::QueryInvalid, &rejection.body_text()))
    }
}

/// The first parameter of the path, read by its text form.
pub(super) struct PathId<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: FromStr,
    T::Err: Display,
    S: Send + Sync,
{
    type Rejection = NodeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NodeError> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| described(ErrorCode::IdInvalid, &rejection.body_text()))?;
        let text = parameters.iter().next().map_or("", |(_, text)| text);
        read_id(text).map(Self)
    }
}

/// Reads an identifier of the path.
pub(super) fn read_id<T>(text: &str) -> Result<T, NodeError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| {
        described(
            ErrorCode::IdInvalid,
            &format!("`{text}` in the path cannot be read: {error}"),
        )
    })
}

/// The signed-in address of a private request.
pub(super) struct Caller(pub(super) Address);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Arc<Node>: FromRef<S>,
{
    type Rejection = NodeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NodeError> {
        let token = bearer(&parts.headers).ok_or_else(|| plain(ErrorCode::Unauthorized))?;
        Arc::<Node>::from_ref(state).authenticate(token).await.map(Self)
    }
}

/// The token of `Authorization: Bearer TOKEN`. What a careless page sends for "no token" counts as none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    let token = token.trim();
    let present = !matches!(token, "" | "undefined" | "null");
    (scheme.eq_ignore_ascii_case("bearer") && present).then_some(token)
}

/// Reads a body in time. What is too large is received to its end, within bounds, so that the caller sees the answer.
async fn received<T: FromRequest<S>, S: Send + Sync>(
    request: Request,
    state: &S,
    of_rejection: impl FnOnce(T::Rejection) -> NodeError,
) -> Result<T, NodeError> {
    let (parts, body) = request.into_parts();
    let whole = Arc::new(Mutex::new(body.into_data_stream()));
    let request = Request::from_parts(parts, Body::from_stream(shared(whole.clone())));
    let error = match tokio::time::timeout(BODY_TIMEOUT, T::from_request(request, state)).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(rejection)) => of_rejection(rejection),
        Err(_) => plain(ErrorCode::BodyTimeout),
    };
    if error.class() == ErrorClass::TooLarge {
        // Whoever sends more, or too slowly, sees the connection break.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(shared(whole))).await;
    }
    Err(error)
}

/// A body that somebody else can read on from where this one's reader stopped.
fn shared(body: Arc<Mutex<BodyDataStream>>) -> impl stream::Stream<Item = Result<Bytes, axum::Error>> + Send {
    stream::poll_fn(move |context| {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        body.poll_next_unpin(context)
    })
}

async fn drain(body: impl stream::Stream<Item = Result<Bytes, axum::Error>>) {
    let mut left = LARGEST_DRAINED;
    let mut body = std::pin::pin!(body);
    while let Some(Ok(bytes)) = body.next().await {
        match left.checked_sub(bytes.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn of_bytes(rejection: &BytesRejection, too_large: ErrorCode) -> NodeError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return plain(too_large);
    }
    described(ErrorCode::BodyInvalid, "The body broke off before its end")
}

/// The words of a parser, as far as they are short, and the remedy of the code.
pub(super) fn described(code: ErrorCode, words: &str) -> NodeError {
    let words: String = words
        .trim_end_matches('.')
        .chars()
        .take(QUOTED_CHARACTERS)
        .collect();
    NodeError::rejected(code, format!("{words}. {}", code.row().remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_token() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(read("bearer  abc "), Some("abc".to_owned()));
        for none in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer undefined",
            "Bearer null",
            "Basic abc",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn whoever_sends_too_much_hears_so() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let routes = axum::Router::new().route(
            "/chunk",
            axum::routing::put(|Chunk(_): Chunk| async {}).layer(axum::extract::DefaultBodyLimit::max(10)),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, routes).into_future());
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = 32 << 20;
        let head = format!(
            "PUT /chunk HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("upload_too_large"), "{answer}");
        server.abort();
    }

    #[test]
    fn long_input_is_not_echoed() {
        let error = described(ErrorCode::BodyInvalid, &"x".repeat(100_000));
        assert!(error.message().len() < 600);
    }
}
