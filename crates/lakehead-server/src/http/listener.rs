//! Accepting connections. **Bound:** `connections_max` at once; further ones wait in the kernel's queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{self, turned_on};
use crate::access::Peer;
use crate::front::Front;

/// Serves until `closing` turns true, then lets requests that have begun finish and returns.
pub async fn serve(
    listener: TcpListener,
    connections_max: usize,
    mut closing: watch::Receiver<bool>,
    front: Arc<Front>,
) {
    let permits = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = turned_on(&mut closing) => break,
        };
        let (permit, socket, peer) = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => break,
            Err(error) => {
                // Out of file descriptors, or a connection reset before it was accepted. Neither may stop the server.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = socket.set_nodelay(true);
        let (front, closing) = (Arc::clone(&front), closing.clone());
        connections.spawn(async move {
            connection::serve(socket, peer, front, closing).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<Option<(OwnedSemaphorePermit, TcpStream, Peer)>> {
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return Ok(None) };
    let (socket, address) = listener.accept().await?;
    Ok(Some((permit, socket, Peer(address.ip()))))
}
