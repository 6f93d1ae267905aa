//! One TLS connection. A handshake and each head must arrive within 10 seconds; a client that takes nothing of its answer for
//! 30 seconds is given up.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::answer::BoxError;
use crate::front::Front;
use crate::paced::Paced;

const HANDSHAKE_SECONDS_MAX: u64 = 10;
const HEAD_SECONDS_MAX: u64 = 10;
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// How long what a client still sends is read and dropped after the last answer.
const LINGER_SECONDS_MAX: u64 = 2;

pub(crate) struct Connection {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) front: Arc<Front>,
    pub(crate) peer: SocketAddr,
}

impl Connection {
    /// Serves until either side has had enough, or `stop` turns true: the request that has begun is answered.
    pub(crate) async fn serve(
        self,
        socket: TcpStream,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), BoxError> {
        let mut stopping = pin!(turned_on(&mut stop));
        let handshake = timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), self.acceptor.accept(socket));
        let stream = tokio::select! {
            stream = handshake => stream??,
            () = stopping.as_mut() => return Ok(()),
        };
        let (front, peer) = (self.front, self.peer);
        let service = service_fn(move |request| {
            let front = Arc::clone(&front);
            Box::pin(async move { Ok::<_, Infallible>(front.handle(request, peer).await) })
        });
        let mut connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Paced::new(stream)), service);
        let ended = tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
            () = stopping => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                poll_fn(|cx| connection.poll_without_shutdown(cx)).await
            }
        };
        // Closing at once could reset the answer away while the client still sends.
        let closed = close(connection.into_parts().io.into_inner());
        let _ = timeout(Duration::from_secs(LINGER_SECONDS_MAX), closed).await;
        Ok(ended?)
    }
}

/// Says that nothing more comes, and drops what comes until the client says so, too.
async fn close(stream: Paced<TlsStream<TcpStream>>) -> std::io::Result<()> {
    let mut stream = stream.into_inner();
    stream.shutdown().await?;
    let (mut socket, _) = stream.into_inner();
    let mut scrap = [0; 4096];
    while socket.read(&mut scrap).await? > 0 {}
    Ok(())
}

/// Returns when the flag is on, or when nobody can turn it on any more.
pub(crate) async fn turned_on(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|on| *on).await;
}
