//! The durable log: bytes in, positions out.
//!
//! ```text
//!   append ─► queue ─► writer: group, one write, one fdatasync ─► answer: the positions
//!                          │
//!                          ▼
//!   <dir>/00…01.seg  00…02.seg  00…03.seg │ 00…04.seg  00…05.seg      lock   floor
//!         00…01.idx  00…02.idx   written  │  prepared ahead: named, zero-filled, synced
//!              ▲
//!   reader ────┘  by position, per partition
//! ```
//! All partitions share the segments; a position counts the records of its partition, densely, from 0.
//!
//! **Invariants.**
//! - An append is answered `Ok` only after the frame that holds all of it was `fdatasync`ed, and the name of its file too.
//! - After a failed write or sync nothing is answered `Ok`, written or synced again; the server is told once.
//! - An append that comes again with its key is answered as before and not stored again, as long as the key is remembered.
//! - A position is never given out twice, and no byte that fails its checksum is ever served.
//! - Opening ends, for any content of any file: opened and reported, or refused with file, place and remedy.
//!
//! **Assumed of the disk:** what was synced stays, up to flipped bits and lost files, which are detected; overwriting part of
//! a page with the same bytes does not damage it (the first page of a group repeats the end of the group before).
//!
//! **Memory.** The waiting appends ([`Settings::queue_bytes_max`]); the frames written last
//! ([`Settings::recent_bytes_max`]); one group; the sparse index (see `index.rs`); the keys of appends (see `keys.rs`) and 32 bytes
//! more for each in a segment that is not sealed; a buffer a reader. **Open files.** The segment being written, two prepared ones, the floor, the lock, one a reader.

mod chain;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod floor;
mod frame;
mod group;
mod header;
mod index;
mod keeper;
mod keys;
mod log;
mod pages;
mod partition;
mod queue;
mod reader;
mod recent;
mod records;
mod recovery;
mod scan;
mod seam;
mod segment;
mod settings;
mod shared;
mod stats;
mod survey;
mod trim;
mod window;
mod writer;

pub use error::{AppendError, Error, ErrorKind, Fatal};
pub use frame::Frame;
pub use index::Lost;
pub use keys::AppendKey;
pub use log::{Append, LocalLog};
pub use queue::{Appended, Outcome};
pub use reader::{Batch, Reader};
pub use records::Records;
pub use recovery::RecoveryReport;
pub use seam::Log;
pub use settings::{QUOTA_SEGMENTS_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Seams, Settings};
pub use stats::Stats;
