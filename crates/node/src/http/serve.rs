//! Serving until told to stop, and then letting requests end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::guard::Closing;
use super::router_until;
use crate::Node;
use crate::error::{NodeError, OrFault};

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
    serve_router(
        router_until(node, closing.clone()),
        listener,
        shutdown,
        sender,
        closing,
        DRAIN_TIMEOUT,
    )
    .await
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    /// Serves one slow and one endless route; gives the word that ends it and what `/slow` was answered.
    async fn stop_while_asking(path: &str, drain: Duration) -> (String, Duration) {
        let router = Router::new()
            .route(
                "/slow",
                get(|| async {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    "done"
                }),
            )
            .route("/endless", get(std::future::pending::<()>));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, closing) = Closing::new();
        let shutdown = async move { drop(stopped.await) };
        let server = tokio::spawn(serve_router(router, listener, shutdown, sender, closing, drain));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = std::time::Instant::now();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        let took = begun.elapsed();
        assert!(TcpStream::connect(address).await.is_err(), "no new connections");
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(Duration::from_millis(200), stream.read_to_end(&mut answer));
        drop(reading.await);
        (String::from_utf8(answer).unwrap(), took)
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered() {
        let (answer, took) = stop_while_asking("/slow", Duration::from_secs(20)).await;
        assert!(answer.ends_with("done"), "{answer}");
        assert!(took < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn an_endless_request_is_cut_off() {
        let (answer, took) = stop_while_asking("/endless", Duration::from_millis(200)).await;
        assert_eq!(answer, "");
        assert!(took < Duration::from_secs(10));
    }
}
