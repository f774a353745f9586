//! Files in chunks.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json, Router};
use posthuman_types::UploadId;
use posthuman_types::api::{CreateUpload, NodeLimits, Upload};
use serde::Deserialize;

use super::Shared;
use super::extract::{self, Caller, Chunk, PathId, Query};
use super::guard::busy_limit;
use crate::{Node, NodeError};

/// Chunks that are received at once: each may stand in memory whole.
const MAXIMUM_CHUNKS: usize = 32;

pub(super) fn routes(limits: &NodeLimits) -> Router<Shared> {
    let most = usize::try_from(limits.chunk_bytes).unwrap_or(usize::MAX);
    let chunks = Router::new().route(
        "/uploads/{id}",
        put(append)
            .get(upload)
            .delete(remove)
            .layer(DefaultBodyLimit::max(most)),
    );
    busy_limit(chunks, MAXIMUM_CHUNKS).route("/uploads", post(create))
}

/// Query of `PUT /uploads/{id}`.
#[derive(Deserialize)]
struct Position {
    offset: u64,
}

async fn create(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    extract::Json(upload): extract::Json<CreateUpload>,
) -> Result<Json<Upload>, NodeError> {
    node.create_upload(address, upload).await.map(Json)
}

async fn append(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(id): PathId<UploadId>,
    Query(position): Query<Position>,
    Chunk(chunk): Chunk,
) -> Result<Json<Upload>, NodeError> {
    node.append_upload(address, id, position.offset, chunk)
        .await
        .map(Json)
}

async fn upload(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(id): PathId<UploadId>,
) -> Result<Json<Upload>, NodeError> {
    node.upload(address, id).await.map(Json)
}

async fn remove(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(id): PathId<UploadId>,
) -> Result<StatusCode, NodeError> {
    node.remove_upload(address, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
