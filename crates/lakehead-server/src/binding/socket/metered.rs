//! What a socket reads, counted: a message beyond a few KiB takes its share of the memory of all bodies before it is read on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lakehead_model::limits::REQUEST_BYTES_MAX;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::front::Front;
use crate::ingest::{Refusal, Room};

/// So much of a message is read without a share.
pub(super) const FREE_BYTES: usize = 16 << 10;
/// A message's share: itself, and the records that come out of it.
const SHARE_BYTES: usize = 2 * REQUEST_BYTES_MAX;

type Waiting = Pin<Box<dyn Future<Output = Result<Room, Refusal>> + Send>>;

/// What is known of the message that is being read. Shared by the reader and the loop that takes messages from it.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    received_bytes: usize,
    /// When the message's first bytes came.
    began: Option<Instant>,
    last_read: Option<Instant>,
    room: Option<Room>,
    refusal: Option<Refusal>,
}

impl Meter {
    /// For how long a message has been arriving, if one is.
    pub(super) fn message_age(&self) -> Option<Duration> {
        self.0.lock().began.map(|at| at.elapsed())
    }

    /// For how long nothing has been read.
    pub(super) fn silence(&self) -> Duration {
        self.0.lock().last_read.map(|at| at.elapsed()).unwrap_or_default()
    }

    /// Why reading failed, if it was for want of room.
    pub(super) fn take_refusal(&self) -> Option<Refusal> {
        self.0.lock().refusal.take()
    }

    /// The message is dealt with; its share goes back, and silence begins anew.
    pub(super) fn message_done(&self) {
        let mut state = self.0.lock();
        state.last_read = Some(Instant::now());
        (state.received_bytes, state.began, state.room) = (0, None, None);
    }
}

pub(super) struct Metered<S> {
    stream: S,
    meter: Meter,
    front: Arc<Front>,
    waiting: Option<Waiting>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Meter, front: Arc<Front>) -> Self {
        meter.0.lock().last_read = Some(Instant::now());
        Metered { stream, meter, front, waiting: None }
    }

    pub(super) fn unmetered(&mut self) -> &mut S {
        &mut self.stream
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let state = self.meter.0.lock();
            if state.received_bytes < FREE_BYTES || state.room.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        let front = &self.front;
        let waiting = self.waiting.get_or_insert_with(|| {
            let front = Arc::clone(front);
            Box::pin(async move { front.ingest.room(SHARE_BYTES).await })
        });
        let granted = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        let mut state = self.meter.0.lock();
        match granted {
            Ok(room) => state.room = Some(room),
            Err(refusal) => {
                state.refusal = Some(refusal);
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx))?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let mut state = self.meter.0.lock();
        state.received_bytes += read;
        state.last_read = Some(Instant::now());
        state.began = state.began.or(state.last_read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
