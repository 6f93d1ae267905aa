//! The way in for Worker bindings: the same steps as for a request, with the body's already behind.

use std::sync::Arc;

use bytes::Bytes;
use lakehead_model::StreamId;
use lakehead_model::limits::REQUEST_BYTES_MAX;

use super::endpoints::Endpoint;
use super::inflate::Encoding;
use super::{Ingest, Page, Refusal, Shape};
use crate::access::Peer;

/// Who is at the other end: what it claims and where it is.
pub(crate) struct Sender<'s> {
    /// The stream's id; not checked.
    pub(crate) stream: &'s str,
    /// As the header of a request.
    pub(crate) authorization: Option<&'s [u8]>,
    pub(crate) peer: Peer,
}

impl Ingest {
    /// Whether the stream takes records from this sender.
    pub(crate) fn admit_binding(&self, sender: &Sender<'_>) -> Result<Arc<Endpoint>, Refusal> {
        let id = sender.stream.parse::<StreamId>().ok();
        let endpoint = id.and_then(|id| self.endpoints.get(id)).filter(|e| e.worker_binding);
        self.admit(endpoint, sender.authorization, Page::None, sender.peer).map_err(|refusal| match refusal {
            Refusal::NoSuchStream => Refusal::NoSuchBinding,
            other => other,
        })
    }

    /// Stores `records`, a JSON array, as one request; their number, when they are synced. The stream and the right to send are
    /// looked up again: both may have changed since the session began.
    pub(crate) async fn accept_binding(
        &self,
        sender: &Sender<'_>,
        records: Vec<u8>,
    ) -> Result<usize, Refusal> {
        let began = self.clock.monotonic();
        let stored = self.store_binding(sender, records).await;
        match &stored {
            Ok(_) => self.note_accepted(began),
            Err(refusal) => {
                self.metrics.ingest_requests.with_label_values(&[refusal.parts().0.as_str()]).inc();
            }
        }
        stored
    }

    async fn store_binding(&self, sender: &Sender<'_>, records: Vec<u8>) -> Result<usize, Refusal> {
        let endpoint = self.admit_binding(sender)?;
        if records.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::TooLarge(format!(
                "the records have {} bytes of JSON; one send() takes at most {REQUEST_BYTES_MAX}",
                records.len()
            )));
        }
        let shape = Shape { encoding: Encoding::Identity, lines: false };
        Ok(self.append(&endpoint, shape, None, Bytes::from(records)).await?.committed)
    }
}

impl Refusal {
    /// The reason, as an answer would hold it.
    pub(crate) fn reason(&self) -> &str {
        self.parts().2
    }
}
