//! Accepting connections and serving HTTP/1.1 on them.
//!
//! Bounds: `connections_max` connections; a head must arrive within [`HEAD_SECONDS_MAX`] and in [`HEAD_BYTES_MAX`]; an answer
//! that the client does not take is given up after [`WRITE_SECONDS_MAX`].

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

const HEAD_SECONDS_MAX: u64 = 10;
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Serves until `draining` turns true, then lets requests that have begun finish and returns.
pub async fn serve<S, F, B>(listener: TcpListener, connections_max: usize, mut draining: watch::Receiver<bool>, service: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = turned_on(&mut draining) => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, or a connection reset before it was accepted. Neither may stop the server.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = socket.set_nodelay(true);
        let service = service.clone();
        let mut draining = draining.clone();
        connections.spawn(async move {
            let _permit = permit;
            let answer = service_fn(move |request| {
                let answer = service(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
                .max_buf_size(HEAD_BYTES_MAX.max(400 << 10))
                .serve_connection(TokioIo::new(socket), answer);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = turned_on(&mut draining) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns when the flag is on, or when nobody can turn it on any more.
async fn turned_on(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|on| *on).await;
}
