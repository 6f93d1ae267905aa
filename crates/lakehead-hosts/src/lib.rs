//! Plays the hosts that wrangler contacts by names nobody can configure, so that its commands work as they are documented.
//!
//! ```text
//!  hosts file: fixed names -> this listener            CA in the data directory -> NODE_EXTRA_CA_CERTS
//!
//!  TLS ─► Host? ─┬─ oauth.pipelines.cloudflare.com ────────► oauth     a page that asks, a key pair
//!                ├─ {bucket}.{account}.r2.cloudflarestorage.com ► s3   HeadBucket, ListObjectsV2; signature V4
//!                └─ anything else ─────────────────────────► Through   the server's own front (ingest, the API)
//! ```
//!
//! It knows nothing of the server: what it asks and does is the trait [`Account`], everything else goes to [`Through`].
//!
//! **Invariants:** a secret key leaves through one redirect to this machine's own `localhost`, never through a log or a page;
//! nothing is minted without a click on a page that this listener made; nothing is read without a valid signature.
//! **Bounds:** connections ([`Settings::connections_max`]), pages that wait for a click ([`oauth::PAGES_MAX`]), one page of a
//! listing (1,000 keys) a request.

mod account;
mod answer;
pub mod certificate;
mod connection;
mod error;
mod front;
pub mod lines;
mod listener;
mod markup;
pub mod names;
pub mod oauth;
mod paced;
mod percent;
mod s3;

pub use account::{Account, KeyPair, ListQuery, ListedObject};
pub use answer::{Body, BoxError};
pub use certificate::Certificates;
pub use error::{Error, ErrorKind};
pub use front::{Front, Through};
pub use listener::{Settings, serve};
pub use paced::Paced;
