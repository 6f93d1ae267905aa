//! JSON bytes to Arrow by schema, in one pass; and the framing of request bodies before that.
//!
//! ```text
//!   ingest side                                pipeline side
//!   body ─► frame_array / frame_lines          records ─► Decoder::push ─► Decoder::finish ─► RecordBatch
//!           well-formed? where are records?               │
//!                                                         └─► Reject: reason, path, detail
//! ```
//!
//! There is no tape and no DOM: bytes go from the record into the column's buffer. The rules of coercion stand in `read`,
//! those of numbers in `number`, of timestamps in `time`, of strings in `text`, of keys in `members` and `order`.
//!
//! **Invariants.** No function here panics, loops or recurses deeper than the schema on any input. A rejected record leaves
//! no trace in the columns. Columns are valid UTF-8. Messages never hold a value of a record.

pub mod arrow_types;
mod base64_text;
pub mod body_error;
mod column;
pub mod decoder;
mod finish;
pub mod frame;
mod json_text;
mod key;
mod keys;
mod list;
mod members;
mod number;
mod order;
mod read;
pub mod reject;
mod scan;
mod text;
mod time;

pub use arrow_types::{TYPE_JSON, TYPE_KEY, VALUE_COLUMN, arrow_field, arrow_schema, is_json};
pub use body_error::{BodyError, BodyErrorKind};
pub use decoder::{BATCH_BYTES_MAX, Decoder};
pub use frame::{Bounds, frame_array, frame_lines};
pub use reject::{Reason, Reject};
