//! Signing in.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use posthuman_types::Address;
use posthuman_types::api::{AccessToken, NextNonce, SignIn};

use super::Shared;
use super::extract::{self, PathId};
use crate::{Node, NodeError};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/nonces/{address}", get(next_nonce))
        .route("/sign-in", post(sign_in))
}

async fn next_nonce(
    State(node): State<Arc<Node>>,
    PathId(address): PathId<Address>,
) -> Result<Json<NextNonce>, NodeError> {
    node.next_nonce(address).await.map(Json)
}

async fn sign_in(
    State(node): State<Arc<Node>>,
    extract::Json(sign_in): extract::Json<SignIn>,
) -> Result<Json<AccessToken>, NodeError> {
    node.sign_in(sign_in).await.map(Json)
}
