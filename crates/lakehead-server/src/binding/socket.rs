//! The socket of a session: messages in, one after another, and what the session answers out.
//!
//! Calls are carried out in the order in which they came, each when the one before is on disk: while one is under way nothing
//! more is read, which is all the back-pressure there is.
//!
//! **Bounds:** a message has at most [`MESSAGE_BYTES_MAX`] and a minute; from [`metered::FREE_BYTES`] on it needs its share of
//! the memory of all bodies. Miniflare opens a session for every call and leaves it open: one in which no call is open is closed
//! after [`IDLE_SECONDS_MAX`], any other that is silent after a minute.

mod metered;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use lakehead_model::limits::REQUEST_BYTES_MAX;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use self::metered::{Meter, Metered};
use super::Begun;
use super::capnweb::{self, Failure, Session, Step};
use crate::access::Peer;
use crate::front::Front;
use crate::ingest::Sender;

/// A request's worth of records, and what the wire adds to it.
pub(super) const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX + (1 << 20);
const MESSAGE_SECONDS_MAX: u64 = 60;
const TICK_SECONDS: u64 = 1;
const IDLE_SECONDS_MAX: u64 = 5;
const SILENT_SECONDS_MAX: u64 = 60;
/// How long a client may take to ask for the outcome of its calls when the server stops.
const ASK_SECONDS_MAX: u64 = 2;
/// How long a client may take to accept a frame.
const WRITE_SECONDS_MAX: u64 = 30;
const BUFFER_BYTES: usize = 8 << 10;
/// Bytes of frames that a client does not take.
const WAITING_BYTES_MAX: usize = 64 << 10;

type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// Why a session ends on this side; the text is for the client.
struct Ending {
    code: CloseCode,
    /// A frame of the protocol.
    frame: String,
}

impl Ending {
    fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Ending { code, frame: capnweb::abort(reason) }
    }
}

/// Serves a session until its end, or until `closing` is done: the call that is under way is answered.
pub(crate) async fn serve(
    begun: Begun,
    peer: Peer,
    front: Arc<Front>,
    closing: Pin<&mut impl Future<Output = ()>>,
) {
    let upgraded = match begun.upgrade.clone().await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a binding's connection ended with its handshake");
            return;
        }
    };
    let meter = Meter::default();
    let metered = Metered::new(upgraded, meter.clone(), Arc::clone(&front));
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        // Without it a client that pings and never reads would have its pongs gathered.
        .max_write_buffer_size(WAITING_BYTES_MAX);
    let mut socket = WebSocketStream::from_raw_socket(metered, Role::Server, Some(limits)).await;
    let authorization = begun.authorization.as_deref().map(str::as_bytes);
    let sender = Sender { stream: &begun.stream, authorization, peer };
    let ending = match front.ingest.admit_binding(&sender) {
        Ok(_) => talk(&mut socket, &meter, &sender, &front, closing).await,
        Err(refusal) => Some(Ending::new(CloseCode::Policy, refusal.reason())),
    };
    if let Some(ending) = ending {
        let _ = timeout(Duration::from_secs(WRITE_SECONDS_MAX), end(&mut socket, ending)).await;
    }
}

/// Until either side has had enough. `None`: there is nobody left to be told why.
async fn talk(
    socket: &mut Socket,
    meter: &Meter,
    sender: &Sender<'_>,
    front: &Front,
    mut closing: Pin<&mut impl Future<Output = ()>>,
) -> Option<Ending> {
    let mut session = Session::default();
    let mut ticks = interval(Duration::from_secs(TICK_SECONDS));
    let mut stop_at = None;
    loop {
        // Of a call that is stored the client must hear, so it may still ask for a moment. Further calls are refused.
        if stop_at.is_some_and(|at| session.is_settled() || at < Instant::now()) {
            return Some(Ending::new(CloseCode::Away, "the server is stopping"));
        }
        let message = tokio::select! {
            message = socket.next() => message,
            () = closing.as_mut(), if stop_at.is_none() => {
                stop_at = Some(Instant::now() + Duration::from_secs(ASK_SECONDS_MAX));
                continue;
            }
            _ = ticks.tick() => {
                let silence_max = if session.is_idle() { IDLE_SECONDS_MAX } else { SILENT_SECONDS_MAX };
                match meter.message_age() {
                    Some(age) if age.as_secs() > MESSAGE_SECONDS_MAX => {
                        return Some(Ending::new(CloseCode::Policy, "the records arrived too slowly"));
                    }
                    None if meter.silence().as_secs() > silence_max => {
                        return Some(Ending { code: CloseCode::Normal, frame: String::new() });
                    }
                    _ => {}
                }
                continue;
            }
        };
        match message {
            Some(Ok(Message::Text(text))) => match session.receive(&text) {
                Step::Reply(None) => {}
                Step::Reply(Some(frame)) => write(socket, Message::text(frame)).await?,
                Step::Send { call, records } => {
                    // The text is not needed while the log syncs.
                    drop(text);
                    let stored = front.ingest.accept_binding(sender, records).await;
                    let outcome = stored.map(|_| ()).map_err(|refusal| Failure::error(refusal.reason()));
                    if let Some(frame) = session.finish(call, outcome) {
                        write(socket, Message::text(frame)).await?;
                    }
                }
                Step::End => return Some(Ending { code: CloseCode::Normal, frame: String::new() }),
                Step::Abort(frame) => return Some(Ending { code: CloseCode::Protocol, frame }),
            },
            Some(Ok(Message::Binary(_))) => {
                return Some(Ending::new(CloseCode::Unsupported, "bad RPC message: a frame is text"));
            }
            // The library has answered a ping by itself. It may stand between the fragments of a message.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) => {
                let _ = timeout(Duration::from_secs(WRITE_SECONDS_MAX), socket.flush()).await;
                return None;
            }
            Some(Err(error)) => return ending_of(&error, meter),
            None => return None,
        }
        meter.message_done();
    }
}

/// What the client is told about a message that could not be read.
fn ending_of(error: &Error, meter: &Meter) -> Option<Ending> {
    if let Some(refusal) = meter.take_refusal() {
        return Some(Ending::new(CloseCode::Again, refusal.reason()));
    }
    match error {
        Error::Capacity(_) => Some(Ending::new(
            CloseCode::Size,
            format!(
                "the message has more than {MESSAGE_BYTES_MAX} bytes; a request has at most {REQUEST_BYTES_MAX}"
            ),
        )),
        Error::Protocol(_) | Error::Utf8(_) => Some(Ending::new(CloseCode::Protocol, error.to_string())),
        _ => None,
    }
}

/// Writes one message. `None`: the connection is over.
async fn write(socket: &mut Socket, message: Message) -> Option<()> {
    timeout(Duration::from_secs(WRITE_SECONDS_MAX), socket.send(message)).await.ok()?.ok()
}

/// Says why, closes, and drops what the client had under way, so that it is not reset before it has read the reason.
async fn end(socket: &mut Socket, ending: Ending) {
    if !ending.frame.is_empty() {
        let _ = socket.send(Message::text(ending.frame)).await;
    }
    let _ = socket.send(Message::Close(Some(CloseFrame { code: ending.code, reason: "".into() }))).await;
    let stream = socket.get_mut().unmetered();
    let mut scrap = [0; 4096];
    let mut left = 2 * MESSAGE_BYTES_MAX;
    while left > 0 {
        match timeout(Duration::from_secs(1), stream.read(&mut scrap)).await {
            Ok(Ok(n)) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}
