//! Orders and the receipt chain of an inference session.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use posthuman_types::api::Order;
use posthuman_types::{OrderId, SignedReceipt};

use super::Shared;
use super::extract::{Caller, PathId};
use crate::{Node, NodeError};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/orders/{order}", get(order))
        .route("/orders/{order}/close", post(close))
        .route("/orders/{order}/receipts", get(receipts))
}

async fn order(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(order): PathId<OrderId>,
) -> Result<Json<Order>, NodeError> {
    node.order(address, order).await.map(Json)
}

async fn close(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    PathId(order): PathId<OrderId>,
) -> Result<Json<Order>, NodeError> {
    node.close_session(address, order).await.map(Json)
}

/// Public, as every receipt is.
async fn receipts(
    State(node): State<Arc<Node>>,
    PathId(order): PathId<OrderId>,
) -> Result<Json<Vec<SignedReceipt>>, NodeError> {
    node.receipt_chain(order).await.map(Json)
}
