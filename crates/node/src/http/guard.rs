//! What surrounds every route: request ids, log lines, metrics, CORS, panics, load, and answers for unknown paths.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use posthuman_types::ErrorClass;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any as AnyOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tracing::Instrument;

use super::answer::plain;
use crate::error::{ErrorCode, NodeError};
use crate::metrics::Metrics;

/// Requests of the market dialect that are worked on at once.
pub(super) const MAXIMUM_REQUESTS: usize = 256;

/// How long a request waits for its turn before the node says that it is busy.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a browser may remember what CORS allows.
const CORS_MAXIMUM_AGE: Duration = Duration::from_secs(3600);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Surrounds `routes` with what every request of the node passes.
pub(super) fn house(routes: Router, metrics: Metrics) -> Router {
    routes
        .fallback(|| async { plain(ErrorCode::NotFound) })
        .method_not_allowed_fallback(|| async { plain(ErrorCode::MethodNotAllowed) })
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(cors())
        .layer(middleware::from_fn_with_state(metrics, observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// Lets at most `most` requests into `routes` at once. Others wait a little and are then told that the node is busy.
pub(super) fn busy_limit<S: Clone + Send + Sync + 'static>(routes: Router<S>, most: usize) -> Router<S> {
    limit_with(routes, most, TURN_TIMEOUT)
}

fn limit_with<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    most: usize,
    patience: Duration,
) -> Router<S> {
    let turns = Turns {
        free: Arc::new(Semaphore::new(most)),
        patience,
    };
    routes.route_layer(middleware::from_fn_with_state(turns, take_turn))
}

#[derive(Clone)]
struct Turns {
    free: Arc<Semaphore>,
    /// How long a request waits for its turn.
    patience: Duration,
}

/// Becomes true when the node begins to shut down.
#[derive(Clone)]
pub(super) struct Closing(watch::Receiver<bool>);

impl Closing {
    /// One that the sender can make true.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// One that never becomes true.
    pub(super) fn never() -> Self {
        Self::new().1
    }

    /// Returns when the node begins to shut down.
    pub(super) async fn wait(mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            // Nobody is left who could close the node this way.
            std::future::pending::<()>().await;
        }
    }
}

async fn take_turn(State(turns): State<Turns>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(turns.patience, turns.free.acquire_owned()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        _ => plain(ErrorCode::NodeBusy).into_response(),
    }
}

/// One span and one log line per request, and its metrics. Paths are logged, queries and bodies are not.
async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| "unknown".to_owned());
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let span = tracing::info_span!("request", %method, path = request.uri().path(), id);
    let answering = async {
        let response = next.run(request).await;
        let (status, seconds) = (response.status().as_u16(), begun.elapsed().as_secs_f64());
        metrics.count_request(method.as_str(), &route, status, seconds);
        log(&response, status, seconds);
        response
    };
    answering.instrument(span).await
}

fn log(response: &Response, status: u16, seconds: f64) {
    match response.extensions().get::<ErrorCode>() {
        None => tracing::debug!(status, seconds, "answered"),
        Some(code) if matches!(code.class(), ErrorClass::Bug | ErrorClass::Unavailable) => {
            tracing::warn!(status, seconds, code = code.as_str(), "answered");
        }
        Some(code) => tracing::info!(status, seconds, code = code.as_str(), "answered"),
    }
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        // A wildcard would not cover `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(CORS_MAXIMUM_AGE)
}

fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    NodeError::bug(format!("answering a request: {words}")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::http::{StatusCode, header};
    use axum::routing::{get, post, put};
    use posthuman_types::JobId;
    use posthuman_types::api::{CreateUpload, ErrorBody};
    use serde::Deserialize;
    use tower::ServiceExt;

    use super::super::extract::{Chunk, Json, PathId, Query};
    use super::*;

    #[derive(Deserialize)]
    struct Position {
        #[serde(rename = "offset")]
        _offset: u64,
    }

    /// Routes as the node has them, with handlers that need no node.
    fn routes() -> Router {
        let routes = Router::new()
            .route(
                "/json",
                post(|Json(upload): Json<CreateUpload>| async move { upload.name })
                    .layer(DefaultBodyLimit::max(200)),
            )
            .route(
                "/chunk",
                put(|Chunk(chunk): Chunk| async move { chunk.len().to_string() })
                    .layer(DefaultBodyLimit::max(10)),
            )
            .route("/query", get(|Query(_): Query<Position>| async { "read" }))
            .route(
                "/jobs/{id}",
                get(|PathId(id): PathId<JobId>| async move { id.to_string() }),
            )
            .route(
                "/panic",
                get(|| async {
                    if true {
                        panic!("the secret of /var/lib")
                    }
                }),
            );
        house(routes, Metrics::new())
    }

    async fn ask(method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ORIGIN, "https://elsewhere.example")
            .body(body.into())
            .unwrap();
        routes().oneshot(request).await.unwrap()
    }

    async fn error(response: Response) -> (u16, ErrorBody) {
        let status = response.status().as_u16();
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(response.headers().contains_key(REQUEST_ID));
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn whatever_goes_wrong_has_one_shape() {
        let json = "application/json";
        let cases = [
            ("GET", "/nowhere", json, "", 404, "not_found"),
            ("GET", "/json", json, "", 405, "method_not_allowed"),
            (
                "POST",
                "/json",
                "text/plain",
                "{}",
                415,
                "content_type_unsupported",
            ),
            ("POST", "/json", json, "{", 400, "body_invalid"),
            ("POST", "/json", json, "", 400, "body_invalid"),
            ("POST", "/json", json, "{\"name\": 7}", 400, "body_invalid"),
            ("POST", "/json", json, &"x".repeat(201), 413, "body_too_large"),
            ("PUT", "/chunk", "", "01234567890", 413, "upload_too_large"),
            ("GET", "/query", json, "", 400, "query_invalid"),
            ("GET", "/query?offset=-1", json, "", 400, "query_invalid"),
            ("GET", "/jobs/12", json, "", 400, "id_invalid"),
            ("GET", "/jobs/%ff", json, "", 400, "id_invalid"),
            ("GET", "/panic", json, "", 500, "internal"),
        ];
        for (method, path, content_type, body, status, code) in cases {
            let found = error(ask(method, path, content_type, body.to_owned()).await).await;
            assert_eq!(
                (found.0, found.1.error.code.as_str()),
                (status, code),
                "{method} {path} {body}"
            );
            let message = found.1.error.message;
            assert!(message.ends_with('.') && !message.contains("secret"), "{message}");
        }
    }

    #[tokio::test]
    async fn messages_name_what_is_wrong() {
        let message = async |method, path, body: &str| {
            let response = ask(method, path, "application/json", body.to_owned()).await;
            error(response).await.1.error.message
        };
        assert!(
            message("POST", "/json", "{\"name\": 7}")
                .await
                .contains("name: invalid type: integer `7`")
        );
        assert!(
            message("GET", "/query", "")
                .await
                .contains("missing field `offset`")
        );
        assert!(
            message("GET", "/jobs/12", "")
                .await
                .contains("`12` is not a job id")
        );
        assert!(message("GET", "/panic", "").await.contains("Reference: "));
    }

    #[tokio::test]
    async fn wrong_methods_learn_the_right_ones() {
        let response = ask("DELETE", "/json", "", "").await;
        assert_eq!(
            (response.status(), &response.headers()[header::ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn browsers_of_any_origin_may_send_tokens() {
        let request = Request::builder()
            .method("OPTIONS")
            .uri("/json")
            .header(header::ORIGIN, "https://elsewhere.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                "authorization,last-event-id",
            )
            .body(Body::empty())
            .unwrap();
        let response = routes().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let allowed = &response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS];
        assert_eq!(allowed, "authorization,last-event-id");
    }

    #[tokio::test]
    async fn too_many_requests_are_told_to_come_back() {
        let routes = limit_with(
            Router::new().route("/slow", get(std::future::pending::<()>)),
            1,
            Duration::from_millis(20),
        );
        let routes = house(routes, Metrics::new());
        let ask = || {
            routes
                .clone()
                .oneshot(Request::get("/slow").body(Body::empty()).unwrap())
        };
        let first = tokio::spawn(ask());
        tokio::task::yield_now().await;
        let second = ask().await.unwrap();
        assert_eq!(error_code(second).await, (503, "node_busy".to_owned()));
        first.abort();
    }

    async fn error_code(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (
            status,
            serde_json::from_slice::<ErrorBody>(&bytes).unwrap().error.code,
        )
    }
}
