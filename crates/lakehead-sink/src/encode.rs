//! One open file: rows in, bytes of its format out.

mod json;
mod parquet;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use lakehead_model::Invalid;
use lakehead_model::resource::SinkFormat;

use crate::Error;
use crate::staged::Output;

use self::json::JsonFile;
use self::parquet::ParquetFile;

pub use self::json::{JSON_BUFFER_BYTES, json_lines};

/// Says whether every column of a query can be written in `format`, before a pipeline is created.
///
/// # Errors
/// [`Invalid`] with the column's name as its field.
pub fn check_columns(schema: &Schema, format: &SinkFormat) -> Result<(), Invalid> {
    match format {
        SinkFormat::Json(_) => json::check_columns(schema),
        SinkFormat::Parquet(_) => parquet::check_columns(schema),
    }
}

/// The encoder of one open file.
#[derive(Debug)]
pub(crate) enum Encoder {
    Json(Box<JsonFile>),
    Parquet(Box<ParquetFile>),
}

impl Encoder {
    /// `first`: the first rows of the file, which decide how columns are encoded. They are not written.
    pub(crate) fn new(output: Output, format: &SinkFormat, first: &RecordBatch) -> Result<Encoder, Error> {
        Ok(match format {
            SinkFormat::Json(format) => Encoder::Json(Box::new(JsonFile::new(output, format))),
            SinkFormat::Parquet(format) => {
                Encoder::Parquet(Box::new(ParquetFile::new(output, format, first)?))
            }
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        match self {
            Encoder::Json(file) => file.write(batch),
            Encoder::Parquet(file) => file.write(batch),
        }
    }

    /// Bytes on disk plus what the rows in memory come to.
    pub(crate) fn produced_bytes(&self) -> u64 {
        match self {
            Encoder::Json(file) => file.produced_bytes(),
            Encoder::Parquet(file) => file.produced_bytes(),
        }
    }

    /// Bytes before compression. Of a Parquet file, which knows no such figure, the produced ones.
    pub(crate) fn plain_bytes(&self) -> u64 {
        match self {
            Encoder::Json(file) => file.plain_bytes(),
            Encoder::Parquet(file) => file.produced_bytes(),
        }
    }

    /// Memory that [`Encoder::flush`] would free.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Encoder::Json(_) => 0,
            Encoder::Parquet(file) => file.held_bytes(),
        }
    }

    /// Puts the row group in progress on disk.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        match self {
            Encoder::Json(_) => Ok(()),
            Encoder::Parquet(file) => file.flush(),
        }
    }

    /// Row groups on disk; 0 for formats without.
    pub(crate) fn row_groups(&self) -> usize {
        match self {
            Encoder::Json(_) => 0,
            Encoder::Parquet(file) => file.row_groups(),
        }
    }

    /// Writes what is left. Does not sync.
    pub(crate) fn finish(self) -> Result<Output, Error> {
        match self {
            Encoder::Json(file) => file.finish(),
            Encoder::Parquet(file) => file.finish(),
        }
    }
}
