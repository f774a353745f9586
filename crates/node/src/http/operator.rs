//! What operators and tools look at: the root, health and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use posthuman_types::api::Health;
use serde_json::{Value, json};

use super::Shared;
use crate::metrics::CONTENT_TYPE;
use crate::{Node, NodeError};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
}

/// Names the dialects that the node speaks and where each begins.
async fn root(State(node): State<Arc<Node>>) -> Json<Value> {
    let info = node.info();
    Json(json!({
        "software": "posthuman",
        "version": info.version,
        "chain_id": info.chain_id,
        "address": info.wallet,
        "dialects": { "market": "/api/v1" },
    }))
}

/// Answers with status 200 also when degraded: the body says so.
async fn health(State(node): State<Arc<Node>>) -> Json<Health> {
    Json(node.health().await)
}

async fn metrics(State(node): State<Arc<Node>>) -> Result<impl IntoResponse, NodeError> {
    let text = node.metrics_text().await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
