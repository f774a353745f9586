//! Quotes, jobs, their progress and their results.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use posthuman_types::api::{Job, JobPage, NodeLimits, Quote, QuoteRequest, StartJob};
use posthuman_types::{Address, Digest, JobId, SignedReceipt};
use serde::Deserialize;

use super::Shared;
use super::answer::plain;
use super::events::{self, last_event_id};
use super::extract::{self, Caller, PathId, Query, read_id};
use crate::{ErrorCode, Node, NodeError};

type Answer<T> = Result<Json<T>, NodeError>;

/// Jobs of a page unless the query says otherwise, and at most.
const PAGE: (u64, u64) = (20, 100);

/// What a start request may weigh besides its prompt.
const REQUEST_BYTES: u64 = 256 << 10;

/// JSON may write one byte of a prompt as `\u0000`.
const JSON_GROWTH: u64 = 6;

pub(super) fn routes(limits: &NodeLimits) -> Router<Shared> {
    let most = limits
        .prompt_bytes
        .saturating_mul(JSON_GROWTH)
        .saturating_add(REQUEST_BYTES);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Router::new()
        .route("/initialize", post(quote))
        .route("/jobs", post(start).layer(DefaultBodyLimit::max(most)))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/events", get(job_events))
        .route("/jobs/{id}/outputs/{name}", get(output))
        .route("/jobs/{id}/receipt", get(receipt_of_job))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/receipts/{digest}", get(receipt))
        .route("/addresses/{address}/jobs", get(jobs_of))
}

async fn quote(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    extract::Json(request): extract::Json<QuoteRequest>,
) -> Answer<Quote> {
    node.quote(address, request).await.map(Json)
}

/// Needs no access token: the request carries the consumer's signature.
async fn start(State(node): State<Arc<Node>>, extract::Json(start): extract::Json<StartJob>) -> Answer<Job> {
    node.start(start).await.map(Json)
}

async fn job(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(id): PathId<JobId>,
) -> Answer<Job> {
    node.job(address, id).await.map(Json)
}

async fn job_events(
    State(shared): State<Shared>,
    Caller(address): Caller,
    PathId(id): PathId<JobId>,
    headers: HeaderMap,
) -> Result<Response, NodeError> {
    let after = last_event_id(&headers)?;
    let place = shared.streams.take(address);
    let place = place.ok_or_else(|| plain(ErrorCode::NodeBusy))?;
    let events = shared.node.job_events(address, id, after).await?;
    Ok(events::answer(events, shared.closing, place))
}

async fn output(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, NodeError> {
    let bytes = node.output(address, read_id(&id)?, &name).await?;
    Ok(file(&name, bytes))
}

async fn receipt_of_job(State(node): State<Arc<Node>>, PathId(id): PathId<JobId>) -> Answer<SignedReceipt> {
    node.receipt_of_job(id).await.map(Json)
}

async fn receipt(State(node): State<Arc<Node>>, PathId(digest): PathId<Digest>) -> Answer<SignedReceipt> {
    node.receipt(digest).await.map(Json)
}

async fn cancel(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(id): PathId<JobId>,
) -> Answer<Job> {
    node.cancel(address, id).await.map(Json)
}

/// Query of `GET /addresses/{address}/jobs`.
#[derive(Deserialize)]
struct Paging {
    limit: Option<u64>,
    offset: Option<u64>,
}

async fn jobs_of(
    State(node): State<Arc<Node>>,
    Caller(caller): Caller,
    PathId(address): PathId<Address>,
    Query(paging): Query<Paging>,
) -> Answer<JobPage> {
    if caller != address {
        let text = format!(
            "The jobs of {address} are private to it, and you are signed in as {caller}. Sign in with its key."
        );
        return Err(NodeError::rejected(ErrorCode::Unauthorized, text));
    }
    let limit = paging.limit.unwrap_or(PAGE.0).min(PAGE.1);
    node.jobs_of(address, limit, paging.offset.unwrap_or(0))
        .await
        .map(Json)
}

/// A result file. A browser must neither guess another type nor run what it holds.
fn file(name: &str, bytes: Bytes) -> Response {
    let content_type = match name.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        Some((_, "txt")) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (headers, bytes).into_response()
}
