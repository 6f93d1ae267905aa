//! One connection: plain ingest requests are answered here, one after another; with the first other request the connection
//! goes to hyper for the rest of its life.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lakehead_hosts::Paced;
use lakehead_model::limits::REQUEST_BYTES_MAX;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Body;
use super::plain::{PlainHead, Recognised, recognise};
use super::rewound::Rewound;
use crate::access::Peer;
use crate::binding;
use crate::front::Front;
use crate::ingest::idempotency::REPLAYED;
use crate::ingest::{Ingest, Refusal, Room, Stored, acknowledgement};

/// From the first byte of a head to its last; also from accepting a connection to its first byte.
const HEAD_SECONDS_MAX: u64 = 10;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a connection may wait for its next request.
const IDLE_SECONDS_MAX: u64 = 75;
/// How long a client may take to accept a plain answer; for others [`Paced`] has the same limit.
const WRITE_SECONDS_MAX: u64 = 30;
/// How long what a refused client still sends is read.
const LINGER_SECONDS_MAX: u64 = 2;
const BUFFER_BYTES: usize = 16 << 10;

/// Serves one connection until either side has had enough, or `closing` turns true: the request that has begun is answered.
pub(super) async fn serve(
    socket: TcpStream,
    peer: Peer,
    front: Arc<Front>,
    mut closing: watch::Receiver<bool>,
) {
    let mut closing = pin!(turned_on(&mut closing));
    let outcome = match plain_requests(socket, peer, &front.ingest, closing.as_mut()).await {
        Ok(Some(rest)) => by_hyper(rest, peer, front, closing).await,
        Ok(None) => return,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Returns when the flag is on, or when nobody can turn it on any more.
pub(super) async fn turned_on(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|on| *on).await;
}

/// Answers plain requests. Returns what is left for hyper, or nothing when the connection is over.
async fn plain_requests(
    mut socket: TcpStream,
    peer: Peer,
    ingest: &Ingest,
    mut closing: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<Option<Rewound>> {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    let mut answer = Vec::new();
    let mut deadline = Instant::now() + Duration::from_secs(HEAD_SECONDS_MAX);
    // Whether the deadline is that of a head of which some bytes are here.
    let mut begun = false;
    loop {
        let head = match recognise(&buffer) {
            Recognised::Plain(head) if is_for_a_stream(&head, ingest) => head,
            Recognised::Partial if buffer.len() < HEAD_BYTES_MAX => {
                if !buffer.is_empty() && !begun {
                    begun = true;
                    deadline = Instant::now() + Duration::from_secs(HEAD_SECONDS_MAX);
                }
                match more(&mut socket, &mut buffer, deadline, closing.as_mut()).await? {
                    true => continue,
                    false => return Ok(None),
                }
            }
            _ => return Ok(Some(Rewound { first: buffer, socket })),
        };
        let request = ingest.begin_plain(&head, peer);
        let (head_bytes, length) = (head.head_bytes, head.content_length);
        let outcome = match request {
            Err(refusal) => Err(refusal),
            Ok(request) => match body(&mut socket, &mut buffer, head_bytes, length, ingest).await {
                Ok((body, _room)) => Ok(ingest.finish_plain(request, body).await),
                Err(BodyFailure::Refused(refusal)) => Err(refusal),
                Err(BodyFailure::Broken(error)) => return Err(error),
            },
        };
        // Where the body was not read, nothing else can follow on this connection.
        let keep = outcome.is_ok() && !is_ready(closing.as_mut()).await;
        answer.clear();
        match outcome {
            Ok(Ok(stored)) => write_acknowledgement(&mut answer, stored, keep),
            Ok(Err(refusal)) | Err(refusal) => {
                write_response(&mut answer, ingest.refuse(refusal), keep).await
            }
        }
        timeout(Duration::from_secs(WRITE_SECONDS_MAX), socket.write_all(&answer)).await??;
        if !keep {
            // What the client still sends is not read; closing at once could reset the answer away.
            let _ = socket.shutdown().await;
            linger(&mut socket).await;
            return Ok(None);
        }
        begun = false;
        deadline = Instant::now() + Duration::from_secs(IDLE_SECONDS_MAX);
        if buffer.is_empty() && buffer.capacity() > 4 * BUFFER_BYTES {
            buffer = BytesMut::with_capacity(BUFFER_BYTES);
        }
    }
}

/// What is too large is hyper's to refuse, like everything unusual.
fn is_for_a_stream(head: &PlainHead<'_>, ingest: &Ingest) -> bool {
    head.content_length <= REQUEST_BYTES_MAX && ingest.target(head.path, Some(head.host)).is_some()
}

/// Reads on. `false`: the connection is over, or the server closes and no request has begun.
async fn more(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
    deadline: Instant,
    closing: Pin<&mut impl Future<Output = ()>>,
) -> io::Result<bool> {
    let begun = !buffer.is_empty();
    buffer.reserve(BUFFER_BYTES / 2);
    let read = timeout_at(deadline, socket.read_buf(buffer));
    let read = tokio::select! {
        biased;
        read = read => read,
        () = closing, if !begun => return Ok(false),
    };
    match read {
        Ok(read) => Ok(read? > 0),
        Err(_) => Ok(false),
    }
}

enum BodyFailure {
    Refused(Refusal),
    Broken(io::Error),
}

/// Reads the body whose head stands at the start of `buffer`; what follows it stays in `buffer`.
async fn body(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
    head_bytes: usize,
    length: usize,
    ingest: &Ingest,
) -> Result<(Bytes, Room), BodyFailure> {
    let room = ingest.room(length).await.map_err(BodyFailure::Refused)?;
    let _ = buffer.split_to(head_bytes);
    if buffer.len() >= length {
        // A copy of its own: a small body must not keep the whole buffer alive while it waits for the disk.
        let body = Bytes::copy_from_slice(&buffer[..length]);
        let _ = buffer.split_to(length);
        return Ok((body, room));
    }
    let mut body = BytesMut::with_capacity(length);
    body.extend_from_slice(buffer);
    buffer.clear();
    let pace = ingest.pace();
    while body.len() < length {
        let left = pace.left(body.len());
        // No byte behind the body may be read here: it belongs to the next request.
        let wanted = (length - body.len()) as u64;
        let mut limited = (&mut *socket).take(wanted);
        match timeout(left, limited.read_buf(&mut body)).await {
            Err(_) => return Err(BodyFailure::Refused(Refusal::TooSlow)),
            Ok(Ok(0)) => return Err(BodyFailure::Refused(Refusal::Disconnected)),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(BodyFailure::Broken(error)),
        }
    }
    Ok((body.freeze(), room))
}

async fn is_ready(mut future: Pin<&mut impl Future<Output = ()>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// The answer that nearly all requests get.
fn write_acknowledgement(out: &mut Vec<u8>, stored: Stored, keep: bool) {
    let body = acknowledgement(stored.committed);
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json");
    if stored.is_repeat {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(REPLAYED.as_str().as_bytes());
        out.extend_from_slice(b": true");
    }
    write_end(out, body.as_bytes(), keep);
}

async fn write_response(out: &mut Vec<u8>, response: Response<Body>, keep: bool) {
    let (head, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in &head.headers {
        if *name != http::header::CONNECTION {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
        }
    }
    write_end(out, &body, keep);
}

/// The last headers, and the body.
fn write_end(out: &mut Vec<u8>, body: &[u8], keep: bool) {
    if !keep {
        out.extend_from_slice(b"\r\nconnection: close");
    }
    out.extend_from_slice(b"\r\ncontent-length: ");
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Reads and drops what the client had under way, for a moment.
async fn linger(socket: &mut TcpStream) {
    let drop_all = async {
        let mut scrap = [0; 4096];
        let mut left = 2 * REQUEST_BYTES_MAX;
        while left > 0 {
            match socket.read(&mut scrap).await {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    };
    let _ = timeout(Duration::from_secs(LINGER_SECONDS_MAX), drop_all).await;
}

async fn by_hyper(
    rest: Rewound,
    peer: Peer,
    front: Arc<Front>,
    mut closing: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // A session of a Worker binding that one of the answers has begun; it takes the connection over.
    let begun = Arc::new(Mutex::new(None::<binding::Begun>));
    let service = service_fn(|request| {
        let (front, begun) = (Arc::clone(&front), Arc::clone(&begun));
        async move {
            let mut response = front.handle(request, peer).await;
            *begun.lock() = response.extensions_mut().remove();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
        .max_headers(100)
        .serve_connection(TokioIo::new(Paced::new(rest)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            ended?;
            let begun = begun.lock().take();
            if let Some(begun) = begun {
                binding::serve(begun, peer, Arc::clone(&front), closing).await;
            }
            return Ok(());
        }
        () = closing.as_mut() => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
