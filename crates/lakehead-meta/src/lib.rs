//! The metadata store: what the control plane wants, and how far each flow has come.
//!
//! ```text
//!   data dir   meta.sqlite      records of streams, sinks, pipelines, buckets, credentials (encrypted), flows,
//!                                tokens (their hashes, encrypted)
//!              secret.key       32 bytes as 64 hex digits, mode 0600; without it credentials and tokens cannot be read
//!              account_id       32 hex digits, mode 0600
//!              admin_token      `lh_` and 48 hex digits (192 random bits), mode 0600
//! ```
//!
//! Layers: [`records`] (versioned records with preconditions, few verbs, the seam) ← [`Store`] (resources and a revision to
//! watch; `flows` adds the commit records of flows, `journal` what each commit made, `versions` those of a pipeline's past SQL, `tokens` the account's tokens, `tables` what the catalogs of tables keep; none is
//! part of the revision).
//!
//! **Invariant:** whatever a method reports as done is on disk; a change of several records happens whole or not at all;
//! a record is only replaced by somebody who has seen its newest version.
//! **Memory:** all resources are kept in memory (at most 20 of each kind, buckets as many as the user made), and all
//! tokens (at most 1,000); flows are not.
//! **Crash:** at any step the store reopens to the state before or after the change that was under way.

#![deny(missing_docs)]

mod catalog;
mod error;
mod flows;
mod hex;
mod identity;
mod journal;
mod private_file;
pub mod records;
mod resources;
#[cfg(feature = "sim")]
pub mod sim;
mod sqlite;
mod tables;
mod tokens;
mod vault;
mod versions;

pub use catalog::{Catalog, Legacy};
pub use error::{Error, ErrorKind};
pub use flows::{FlowKey, FlowRecord, FlowState, TableMark};
pub use identity::Identity;
pub use journal::{Before, Entry, Head, Ledger, Made, MadeFile, MadeLetters};
pub use resources::{Change, Store};
pub use sqlite::SqliteRecords;
pub use tokens::{NewToken, USES_SAVED_EVERY};
pub use versions::{PastVersion, Retired, Span, Totals};
