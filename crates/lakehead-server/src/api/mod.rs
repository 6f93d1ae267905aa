//! The management API, as Cloudflare's clients speak it. Handlers read wire values, call [`Control`], write wire values.
//!
//! ```text
//!   request ──auth──► handler ──body, query──► Control ──► envelope ──► answer
//!                        └──────── any refusal ──► error ──────┘
//! ```
//!
//! **Invariant:** `status >= 400` exactly when `success` is false; every answer is JSON but for the bytes of an object; no
//! answer holds a secret.
//! **Bounds:** a request body is at most `limits::API_BODY_BYTES_MAX`; an object is sent in chunks of 256 KiB, two in memory.

mod account;
mod audit;
mod auth;
mod body;
mod buckets;
mod catalogs;
mod envelope;
mod error;
mod graph;
mod legacy;
mod object_body;
pub mod openapi;
mod path;
mod pipelines;
mod preview;
mod query;
mod route;
mod router;
mod schemas;
mod sinks;
mod streams;
mod tokens;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use lakehead_model::StreamId;

use crate::access::Access;
use crate::control::{self, Control};

pub use error::ApiError;
pub use router::router;

/// The path under which the API is served.
pub const BASE: &str = "/client/v4";

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The rules.
    pub control: Arc<Control>,
    /// Who may call.
    pub access: Arc<Access>,
    /// The URL at which a stream takes records.
    pub endpoint: Arc<dyn Fn(StreamId) -> String + Send + Sync>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("control", &self.control).finish_non_exhaustive()
    }
}

impl Api {
    /// Runs `call` where it may block.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Control) -> Result<T, control::Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let control = Arc::clone(&self.control);
        match tokio::task::spawn_blocking(move || call(&control)).await {
            Ok(done) => done.map_err(ApiError::from),
            Err(stopped) => Err(control::Error::Unavailable(stopped.to_string()).into()),
        }
    }
}
