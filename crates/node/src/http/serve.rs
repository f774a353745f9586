//! Serving until told to stop, and then letting requests end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::guard::Closing;
use super::router_until;
use crate::error::{NodeError, OrFault};
use crate::Node;

/// How long requests may go on after shutdown began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Answers HTTP on `listener` until `shutdown` is ready.
///
/// Then no connection is accepted any more, event streams end at once, and other requests may end within
/// twenty seconds. It does not stop jobs: their workers are the queue's business.
///
/// # Errors
/// A fault when the listener fails.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), NodeError> {
    let (sender, closing) = Closing::new();
    serve_router(router_until(node, closing.clone()), listener, shutdown, sender, closing, DRAIN_TIMEOUT).await
}

async fn serve_router(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    sender: watch::Sender<bool>,
    closing: Closing,
    drain: Duration,
) -> Result<(), NodeError> {
    let closed = async move {
        shutdown.await;
        tracing::info!("no new connections; requests may end");
        sender.send_replace(true);
        // Kept: streams that begin only now have to see it too.
        drop(sender);
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(closed);
    let too_long = async {
        closing.wait().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        served = serving => served.or_fault("serving HTTP"),
        () = too_long => {
            tracing::warn!(seconds = drain.as_secs(), "requests did not end in time and are cut off");
            Ok(())
        }
    }
}
