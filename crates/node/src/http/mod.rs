//! The node's HTTP: the market dialect under `/api/v1`, health, metrics, and a root that names the dialects.
//!
//! A handler reads its request, calls one method of [`Node`] and shapes the answer; it decides nothing else.
//! Every answer that is not a success has the body [`posthuman_types::api::ErrorBody`], whatever went wrong and wherever:
//! unknown paths, wrong methods, malformed bodies and panics included.
//! Another dialect is another module with a `routes` function, merged in [`router`].

mod accounts;
mod answer;
mod assets;
mod events;
mod extract;
mod guard;
mod jobs;
mod operator;
mod orders;
mod serve;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;

use crate::Node;

pub use serve::serve;

use events::Streams;
use guard::Closing;

/// The whole service, ready to be called without a socket, as tests do.
///
/// Event streams of this router end with their job; only [`serve`] also ends them at shutdown.
pub fn router(node: Arc<Node>) -> Router {
    router_until(node, Closing::never())
}

/// The service whose event streams end when `closing` says so.
fn router_until(node: Arc<Node>, closing: Closing) -> Router {
    let metrics = node.metrics.clone();
    let limits = node.info().limits;
    let shared = Shared {
        node,
        closing,
        streams: Streams::new(),
    };
    let market = assets::routes()
        .merge(accounts::routes())
        .merge(uploads::routes(&limits))
        .merge(jobs::routes(&limits))
        .merge(orders::routes());
    let routes = guard::busy_limit(Router::new().nest("/api/v1", market), guard::MAXIMUM_REQUESTS)
        .merge(operator::routes())
        .with_state(shared);
    guard::house(routes, metrics)
}

/// What handlers share.
#[derive(Clone)]
struct Shared {
    node: Arc<Node>,
    closing: Closing,
    streams: Streams,
}

impl FromRef<Shared> for Arc<Node> {
    fn from_ref(shared: &Shared) -> Self {
        shared.node.clone()
    }
}
