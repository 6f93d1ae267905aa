//! Limits of the product, in one place. Sources: Cloudflare's published limits unless a line says otherwise.

/// Body of one ingest request, before and after inflation.
pub const REQUEST_BYTES_MAX: usize = 5_000_000;
/// One record as it stands in the body.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Nesting of arrays and objects in a record; ours, so that no input can exhaust a stack.
pub const JSON_DEPTH_MAX: usize = 64;
/// Characters of a stream's, sink's or pipeline's name.
pub const NAME_CHARS_MAX: usize = 128;
/// Streams, sinks and pipelines an account may have, each.
pub const RESOURCES_MAX: usize = 20;
/// Tokens an account may have, expired ones included; ours.
pub const TOKENS_MAX: usize = 1000;
/// Characters of a token's name.
pub const TOKEN_NAME_CHARS_MAX: usize = 120;
/// Streams and legacy pipelines one token may be bound to: as many as there can be at one time.
pub const TOKEN_STREAMS_MAX: usize = 2 * RESOURCES_MAX;
/// Fields of a schema, nested ones counted; ours.
pub const SCHEMA_FIELDS_MAX: usize = 1024;
/// Nesting of struct and list in a schema; ours.
pub const SCHEMA_DEPTH_MAX: usize = 16;
/// Shortest roll interval of a file sink.
pub const ROLL_INTERVAL_SECONDS_MIN: u64 = 10;
/// Shortest roll interval of a table sink.
pub const TABLE_ROLL_INTERVAL_SECONDS_MIN: u64 = 60;
/// Roll interval when none is given.
pub const ROLL_INTERVAL_SECONDS_DEFAULT: u64 = 300;
/// Characters of a legacy pipeline's name.
pub const LEGACY_NAME_CHARS_MAX: usize = 63;
/// Bytes, before compression, after which a legacy pipeline may be told to finish a file.
pub const BATCH_BYTES: std::ops::RangeInclusive<u64> = 1_000..=100_000_000;
/// Milliseconds after which a legacy pipeline may be told to finish a file.
pub const BATCH_AGE_MILLISECONDS: std::ops::RangeInclusive<u64> = 250..=300_000;
/// Records after which a legacy pipeline may be told to finish a file.
pub const BATCH_ROWS: std::ops::RangeInclusive<u64> = 100..=10_000_000;
/// Commits of which the files are remembered, of one statement of a pipeline; ours.
pub const JOURNAL_ENTRIES_MAX: u64 = 10_000;
/// SQL text of a pipeline; ours.
pub const SQL_BYTES_MAX: usize = 64 << 10;
/// Body of a management request; ours.
pub const API_BODY_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(RECORD_BYTES_MAX <= REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_BYTES_MAX <= u32::MAX as usize, "record bounds inside a body are 32-bit");
const _: () = assert!(SCHEMA_DEPTH_MAX < JSON_DEPTH_MAX);
