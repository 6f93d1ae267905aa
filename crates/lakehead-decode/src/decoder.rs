//! Records into record batches.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use lakehead_model::Schema;

use crate::arrow_types::arrow_schema;
use crate::finish::array;
use crate::members::Members;
use crate::reject::{Fault, Read, Reason, Reject, syntax, unfit};
use crate::scan::{byte, skip_white};
use crate::text::Bytes;
use crate::{Bounds, json_text};

/// Bytes of records one batch may hold, so that places in its columns fit into 31 bits. Callers finish far below.
pub const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// Turns records, JSON objects, into columns.
///
/// Every field of the schema is checked; those of the projection are built. A record is taken whole or not at all.
///
/// Memory: about the JSON bytes pushed since the last [`Decoder::finish`], plus up to 20 bytes for every column of the
/// projection and row, and for every column inside a list and element, whether the record wrote it or not. Elements of one
/// record have at most 4 Mi values. So callers finish by rows as well as by bytes.
#[derive(Debug)]
pub struct Decoder {
    shape: Shape,
    /// The columns of the batches.
    schema: SchemaRef,
    bytes: usize,
}

#[derive(Debug)]
enum Shape {
    Structured { record: Members, projection: Vec<usize> },
    Unstructured { values: Bytes, rows: usize, build: bool },
}

impl Decoder {
    /// `schema`: what records must look like; `None` takes every object as one value. `projection`: indices of the fields to
    /// build, in ascending order; others are checked only. Indices the schema does not have are ignored.
    pub fn new(schema: Option<&Schema>, projection: &[usize]) -> Self {
        let all = arrow_schema(schema);
        let mut projection: Vec<usize> =
            projection.iter().copied().filter(|i| *i < all.fields().len()).collect();
        projection.sort_unstable();
        projection.dedup();
        let columns: Vec<_> = projection.iter().map(|i| all.fields()[*i].clone()).collect();
        let shape = match schema {
            Some(schema) => Shape::Structured {
                record: Members::new(&schema.fields, |i| projection.contains(&i)),
                projection,
            },
            None => Shape::Unstructured { values: Bytes::default(), rows: 0, build: !projection.is_empty() },
        };
        Decoder { shape, schema: arrow_schema::Schema::new(columns).into(), bytes: 0 }
    }

    /// The schema of the batches: the fields of the projection in the schema's order.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Records taken since the last [`Decoder::finish`].
    pub fn rows(&self) -> usize {
        match &self.shape {
            Shape::Structured { record, .. } => record.rows(),
            Shape::Unstructured { rows, .. } => *rows,
        }
    }

    /// JSON bytes of the records taken since the last [`Decoder::finish`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes one record, which went through framing.
    ///
    /// Other bytes do no harm: they are taken for the record they resemble or rejected, and columns are valid UTF-8 always.
    ///
    /// # Errors
    /// Why the record does not fit. Nothing of it stays.
    pub fn push(&mut self, record: &[u8]) -> Result<(), Reject> {
        match u32::try_from(record.len()) {
            Ok(end) => self.push_within(record, (0, end)),
            Err(_) => Err(Reject::not_json("the record has more than 4 GiB")),
        }
    }

    /// Takes one record of a body, as framing found it. Faster than [`Decoder::push`]: bytes behind the record may be looked
    /// at (never taken), so that its last ones need no special care.
    ///
    /// # Errors
    /// As [`Decoder::push`].
    pub fn push_within(&mut self, body: &[u8], (start, end): Bounds) -> Result<(), Reject> {
        let (start, end) = (start as usize, end as usize);
        match body.get(start..end) {
            None => Err(Reject::not_json("the record lies outside of its body")),
            Some(record) if simdutf8::basic::from_utf8(record).is_err() => {
                Err(Reject::not_json("the record is not UTF-8"))
            }
            // What reading may take from behind a broken record is dropped with it: its end is not where it should be.
            Some(_) => self.push_at(body, start, end),
        }
    }

    /// Takes the records of a body, as framing found them. Tells of each that does not fit its index in `bounds` and why.
    pub fn push_body(&mut self, body: &[u8], bounds: &[Bounds], mut rejected: impl FnMut(usize, Reject)) {
        for (index, bounds) in bounds.iter().enumerate() {
            if let Err(reject) = self.push_within(body, *bounds) {
                rejected(index, reject);
            }
        }
    }

    /// Takes the record from `start` to `end` of `input`, which is UTF-8 there.
    fn push_at(&mut self, input: &[u8], start: usize, end: usize) -> Result<(), Reject> {
        let length = end - start;
        if self.bytes + length > BATCH_BYTES_MAX {
            return Err(Reject::not_json("the batch is full"));
        }
        let rows = self.rows();
        let read = self.read(input, start).and_then(|behind| {
            let rest = input.get(behind..end);
            let ends = rest.is_some_and(|rest| skip_white(rest, 0) == rest.len());
            if ends { Ok(()) } else { Err(syntax(behind.min(end))) }
        });
        match read {
            Ok(()) => {
                if let Shape::Unstructured { rows, .. } = &mut self.shape {
                    *rows += 1;
                }
                self.bytes += length;
                Ok(())
            }
            Err(fault) => {
                self.truncate(rows);
                Err(match *fault {
                    Fault::Unfit(reject) => reject,
                    Fault::Syntax { pos } => {
                        let at = pos.saturating_sub(start);
                        Reject::not_json(&format!("the record is not JSON at byte {at}"))
                    }
                })
            }
        }
    }

    fn read(&mut self, input: &[u8], start: usize) -> Read {
        let pos = skip_white(input, start);
        if byte(input, pos) != b'{' {
            let detail = format!("expected an object, received {}", kind(byte(input, pos)));
            return Err(unfit(Reject::new(Reason::TypeMismatch, detail)));
        }
        match &mut self.shape {
            Shape::Structured { record, .. } => {
                record.begin_record();
                record.read(input, pos + 1, true)
            }
            Shape::Unstructured { values, build: true, .. } => json_text::copy(input, pos, values),
            Shape::Unstructured { .. } => json_text::skip(input, pos),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.shape {
            Shape::Structured { record, .. } => record.truncate(rows),
            Shape::Unstructured { values, build: true, .. } => values.truncate(rows),
            Shape::Unstructured { .. } => {}
        }
    }

    /// The records taken so far as one batch; the decoder starts over.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.rows();
        self.bytes = 0;
        let arrays = match &mut self.shape {
            Shape::Structured { record, projection } => {
                let mut columns: Vec<_> = record.columns().collect();
                let arrays = projection.iter().zip(self.schema.fields());
                let arrays = arrays.map(|(i, field)| array(columns[*i], field)).collect();
                record.truncate(0);
                arrays
            }
            Shape::Unstructured { values, rows, build } => {
                *rows = 0;
                if *build { vec![crate::finish::utf8(values, None)] } else { Vec::new() }
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .expect("columns have the types of the schema and one row for every record taken")
    }
}

/// The kind of JSON value that starts with a byte.
fn kind(first: u8) -> &'static str {
    match first {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        b'-' | b'0'..=b'9' => "a number",
        _ => "what is no JSON",
    }
}

#[cfg(test)]
mod tests;
