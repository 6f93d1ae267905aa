//! Accepting TLS connections. **Bound:** [`Settings::connections_max`] at once; further ones wait in the kernel's queue. A
//! handshake and each head must arrive within 10 seconds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::answer::BoxError;
use crate::certificate::Certificates;
use crate::front::Front;

const HANDSHAKE_SECONDS_MAX: u64 = 10;
const HEAD_SECONDS_MAX: u64 = 10;
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
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

/// Returns when the flag is on, or when nobody can turn it on any more.
async fn turned_on(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|on| *on).await;
}

async fn renew(certificates: &Arc<Certificates>) {
    let certificates = Arc::clone(certificates);
    match tokio::task::spawn_blocking(move || certificates.renew()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the certificate of the played hosts was not renewed"),
        Err(error) => tracing::error!(%error, "the certificate of the played hosts was not renewed"),
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    front: Arc<Front>,
    peer: SocketAddr,
}

impl Connection {
    async fn serve(self, socket: TcpStream, mut stop: watch::Receiver<bool>) -> Result<(), BoxError> {
        let mut stopping = pin!(turned_on(&mut stop));
        let handshake = timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), self.acceptor.accept(socket));
        let stream = tokio::select! {
            stream = handshake => stream??,
            () = stopping.as_mut() => return Ok(()),
        };
        let (front, peer) = (self.front, self.peer);
        let service = service_fn(move |request| {
            let front = Arc::clone(&front);
            async move { Ok::<_, Infallible>(front.handle(request, peer).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = stopping => {}
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }
}
