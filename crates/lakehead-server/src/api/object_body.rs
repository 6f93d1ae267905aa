//! An object's bytes as a response body: read where blocking is allowed, two chunks ahead of the client at most.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::control::Object;

const CHUNK_BYTES: usize = 256 << 10;
const CHUNKS_AHEAD: usize = 2;

#[derive(Debug)]
pub(super) struct ObjectBody {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left_bytes: u64,
}

impl ObjectBody {
    /// Begins to read. Ends when the client goes away: nobody takes the next chunk then.
    pub(super) fn start(object: Object) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let left_bytes = object.size_bytes;
        // Detached on purpose: it ends with its reader.
        drop(tokio::task::spawn_blocking(move || send_all(object, &sender)));
        ObjectBody { chunks, left_bytes }
    }
}

fn send_all(mut object: Object, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let mut left = object.size_bytes;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = vec![0; want];
        let read = object.bytes.read_exact(&mut chunk).map(|()| Bytes::from(chunk));
        let failed = read.is_err();
        if sender.blocking_send(read).is_err() || failed {
            return;
        }
        left -= want as u64;
    }
}

impl Body for ObjectBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.chunks.poll_recv(cx).map(|next| {
            next.map(|chunk| {
                let chunk = chunk?;
                self.left_bytes = self.left_bytes.saturating_sub(chunk.len() as u64);
                Ok(Frame::data(chunk))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
