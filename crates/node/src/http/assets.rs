//! The catalogue: assets, their documents, lineage and royalties; sales and imports.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use posthuman_types::Did;
use posthuman_types::api::{
    Asset, AssetPage, AssetQuery, ImportModel, ImportedModel, Lineage, NodeInfo, OpenSale, Royalties, Sale,
};

use super::Shared;
use super::extract::{self, Caller, PathId, Query};
use crate::{Node, NodeError};

type Answer<T> = Result<Json<T>, NodeError>;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/node", get(node_info))
        .route("/assets", get(assets))
        .route("/assets/{did}", get(asset))
        .route("/assets/{did}/ddo", get(ddo))
        .route("/assets/{did}/lineage", get(lineage))
        .route("/assets/{did}/royalties", get(royalties))
        .route("/sales", post(open_sale))
        .route("/models", post(import_model))
}

async fn node_info(State(node): State<Arc<Node>>) -> Json<NodeInfo> {
    Json(node.info())
}

async fn assets(State(node): State<Arc<Node>>, Query(query): Query<AssetQuery>) -> Answer<AssetPage> {
    node.assets(&query).await.map(Json)
}

async fn asset(State(node): State<Arc<Node>>, PathId(did): PathId<Did>) -> Answer<Asset> {
    node.asset(&did).await.map(Json)
}

async fn ddo(State(node): State<Arc<Node>>, PathId(did): PathId<Did>) -> Answer<serde_json::Value> {
    node.ddo(&did).await.map(Json)
}

async fn lineage(State(node): State<Arc<Node>>, PathId(did): PathId<Did>) -> Answer<Lineage> {
    node.lineage(&did).await.map(Json)
}

async fn royalties(State(node): State<Arc<Node>>, PathId(did): PathId<Did>) -> Answer<Royalties> {
    node.royalties(&did).await.map(Json)
}

async fn open_sale(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    extract::Json(sale): extract::Json<OpenSale>,
) -> Answer<Sale> {
    node.open_sale(address, sale).await.map(Json)
}

async fn import_model(
    State(node): State<Arc<Node>>,
    Caller(address): Caller,
    extract::Json(import): extract::Json<ImportModel>,
) -> Answer<ImportedModel> {
    node.import_model(address, import).await.map(Json)
}
