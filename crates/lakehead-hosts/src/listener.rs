//! Accepting TLS connections. **Bound:** [`Settings::connections_max`] at once; further ones wait in the kernel's queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::certificate::Certificates;
use crate::connection::{Connection, turned_on};
use crate::front::Front;

const RENEWAL_SECONDS: u64 = 86_400;

/// Bounds of the listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections at once.
    pub connections_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { connections_max: 512 }
    }
}

/// Serves until `stop` turns true, then lets requests that have begun finish and returns.
///
/// # Errors
/// As [`Certificates::server_config`], before anything is accepted.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    certificates: Arc<Certificates>,
    front: Arc<Front>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let acceptor = TlsAcceptor::from(certificates.server_config()?);
    let permits = Arc::new(Semaphore::new(settings.connections_max));
    let mut renewal = interval(Duration::from_secs(RENEWAL_SECONDS));
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renewal.reset();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            _ = renewal.tick() => {
                renew(&certificates).await;
                continue;
            }
            () = turned_on(&mut stop) => break,
        };
        match accepted {
            Ok(Some((permit, socket, peer))) => {
                let connection = Connection { acceptor: acceptor.clone(), front: Arc::clone(&front), peer };
                let stop = stop.clone();
                connections.spawn(async move {
                    if let Err(error) = connection.serve(socket, stop).await {
                        tracing::debug!(%error, %peer, "a connection ended early");
                    }
                    drop(permit);
                });
            }
            Ok(None) => break,
            Err(error) => {
                // Out of file descriptors, or a connection reset before it was accepted. Neither may stop the server.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

type Accepted = (OwnedSemaphorePermit, TcpStream, SocketAddr);

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> std::io::Result<Option<Accepted>> {
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return Ok(None) };
    let (socket, peer) = listener.accept().await?;
    let _ = socket.set_nodelay(true);
    Ok(Some((permit, socket, peer)))
}

async fn renew(certificates: &Arc<Certificates>) {
    let certificates = Arc::clone(certificates);
    match tokio::task::spawn_blocking(move || certificates.renew()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the certificate of the played hosts was not renewed"),
        Err(error) => tracing::error!(%error, "the certificate of the played hosts was not renewed"),
    }
}
