//! JSON lines: one object a row, columns in their order, nulls written out, so that every line has every key.
//!
//! | column | JSON |
//! |---|---|
//! | integers, booleans | as they are |
//! | floats | the shortest text that reads back the same; NaN and infinities are `null` |
//! | decimal | a number, a string, or base64 of 16 bytes, by `decimal_encoding` |
//! | text | a string, escaped where JSON demands it |
//! | json | its text, raw; line breaks between tokens become spaces |
//! | binary | base64 |
//! | timestamp | RFC 3339 with `Z` and as many digits as its unit has, or whole milliseconds, by `timestamp_format` |
//! | date, time, others | a string |
//! | struct, map; list | object; array |
//!
//! With `unstructured`, a single json column named `value` is the line itself.

mod column;
mod text;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lakehead_model::resource::{DecimalEncoding, JsonCompression, JsonFormat, TimestampFormat};

use crate::Error;
use crate::staged::Output;

use self::column::{Column, Object, Style, is_json};

pub(super) use self::column::check_columns;

/// Lines gathered before they go to disk or into gzip. A line longer than that makes the buffer longer for a while.
pub const JSON_BUFFER_BYTES: usize = 64 << 10;

/// The rows as lines of a file with default settings, each ended by `\n`; in memory, so for few rows.
///
/// # Errors
/// If a column is of a type that JSON cannot hold.
pub fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>, Error> {
    let object = Object::new(rows.schema_ref().fields(), rows.columns())?;
    let style = Style { decimals: DecimalEncoding::default(), timestamps: TimestampFormat::default() };
    let mut lines = Vec::new();
    for row in 0..rows.num_rows() {
        object.write(&mut lines, row, style);
        lines.push(b'\n');
    }
    Ok(lines)
}

#[derive(Debug)]
pub(crate) struct JsonFile {
    target: Target,
    lines: Vec<u8>,
    style: Style,
    unstructured: bool,
    /// Bytes given to the target, before compression.
    spilled_bytes: u64,
}

#[derive(Debug)]
enum Target {
    Plain(Output),
    Gzip(Box<GzEncoder<Output>>),
    Deflate(Box<ZlibEncoder<Output>>),
}

impl JsonFile {
    pub(super) fn new(output: Output, format: &JsonFormat) -> JsonFile {
        let target = match format.compression.unwrap_or_default() {
            JsonCompression::Uncompressed => Target::Plain(output),
            JsonCompression::Gzip => Target::Gzip(Box::new(GzEncoder::new(output, Compression::fast()))),
            JsonCompression::Deflate => {
                Target::Deflate(Box::new(ZlibEncoder::new(output, Compression::fast())))
            }
        };
        JsonFile {
            target,
            lines: Vec::with_capacity(JSON_BUFFER_BYTES + (JSON_BUFFER_BYTES >> 2)),
            style: Style {
                decimals: format.decimal_encoding.unwrap_or_default(),
                timestamps: format.timestamp_format.unwrap_or_default(),
            },
            unstructured: format.unstructured,
            spilled_bytes: 0,
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let schema = batch.schema_ref();
        if self.unstructured
            && let [field] = schema.fields().as_ref()
            && field.name() == "value"
            && is_json(field)
        {
            let value = Column::new(field, batch.column(0))?;
            return self.write_lines(batch.num_rows(), |lines, row, style| value.write(lines, row, style));
        }
        let object = Object::new(schema.fields(), batch.columns())?;
        self.write_lines(batch.num_rows(), |lines, row, style| object.write(lines, row, style))
    }

    fn write_lines(&mut self, rows: usize, write: impl Fn(&mut Vec<u8>, usize, Style)) -> Result<(), Error> {
        for row in 0..rows {
            write(&mut self.lines, row, self.style);
            self.lines.push(b'\n');
            if self.lines.len() >= JSON_BUFFER_BYTES {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.target
            .write_all(&self.lines)
            .map_err(|e| Error::staging("write", self.target.output().path(), e))?;
        self.spilled_bytes += self.lines.len() as u64;
        self.lines.clear();
        self.lines.shrink_to(JSON_BUFFER_BYTES * 2);
        Ok(())
    }

    /// Bytes of the lines so far, before compression.
    pub(super) fn plain_bytes(&self) -> u64 {
        self.spilled_bytes + self.lines.len() as u64
    }

    pub(super) fn produced_bytes(&self) -> u64 {
        let waiting = match self.target {
            Target::Plain(_) => self.lines.len() as u64,
            // Not compressed yet; clickstream shrinks to about a sixth.
            Target::Gzip(_) | Target::Deflate(_) => self.lines.len() as u64 / 6,
        };
        self.target.output().written_bytes() + waiting
    }

    pub(super) fn finish(mut self) -> Result<Output, Error> {
        self.spill()?;
        match self.target {
            Target::Plain(output) => Ok(output),
            Target::Gzip(encoder) => {
                let path = encoder.get_ref().path().to_owned();
                encoder.finish().map_err(|e| Error::staging("write", &path, e))
            }
            Target::Deflate(encoder) => {
                let path = encoder.get_ref().path().to_owned();
                encoder.finish().map_err(|e| Error::staging("write", &path, e))
            }
        }
    }
}

impl Target {
    fn output(&self) -> &Output {
        match self {
            Target::Plain(output) => output,
            Target::Gzip(encoder) => encoder.get_ref(),
            Target::Deflate(encoder) => encoder.get_ref(),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Plain(output) => output.write_all(bytes),
            Target::Gzip(encoder) => encoder.write_all(bytes),
            Target::Deflate(encoder) => encoder.write_all(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
