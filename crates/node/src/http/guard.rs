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
    routes.route_layer(middleware::from_fn_with_state(Arc::new(Semaphore::new(most)), take_turn))
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

async fn take_turn(State(turns): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(TURN_TIMEOUT, turns.acquire_owned()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        _ => plain(ErrorCode::NodeBusy).into_response(),
    }
}

/// One span and one log line per request, and its metrics. Paths are logged, queries and bodies are not.
async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = matched.unwrap_or_else(|| "unknown".to_owned());
    let id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
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
