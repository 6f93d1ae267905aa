//! Parquet files: zstd by default, statistics on, and a dictionary only for columns whose values repeat.
//!
//! Rows are encoded column by column into memory; a row group goes to disk when its encoded size reaches `row_group_bytes`
//! or when the process's memory for rows is short. Nothing of Arrow's own schema is stored in the file: what Parquet itself
//! says of a column is what readers get. Timestamps keep their unit, except seconds, which Parquet does not have: they
//! become milliseconds (values beyond 292 million years become null).

mod dictionary;

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use lakehead_model::Invalid;
use lakehead_model::resource::{ParquetCompression, ParquetFormat};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::staged::Output;
use crate::{Error, ErrorKind};

const ROW_GROUP_BYTES_DEFAULT: u64 = 128 << 20;

/// What the footer names as the writer.
const CREATED_BY: &str = concat!("lakehead version ", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(crate) struct ParquetFile {
    writer: ArrowWriter<Output>,
    schema: SchemaRef,
    row_group_bytes: u64,
}

pub(super) fn check_columns(schema: &Schema) -> Result<(), Invalid> {
    match schema.fields().iter().find(|field| !storable(field.data_type())) {
        Some(field) => {
            Err(Invalid::new(field.name(), format!("is {}, which Parquet cannot hold", field.data_type())))
        }
        None => Ok(()),
    }
}

/// Types with a Parquet form that readers understand. The others the writer would refuse late, or panic at.
fn storable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Union(..)
        | DataType::RunEndEncoded(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => false,
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|f| storable(f.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            storable(item.data_type())
        }
        DataType::Map(entries, _) => storable(entries.data_type()),
        DataType::Dictionary(_, values) => storable(values) && !values.is_nested(),
        _ => true,
    }
}

impl ParquetFile {
    pub(super) fn new(
        output: Output,
        format: &ParquetFormat,
        origin: &[(String, String)],
        first: &RecordBatch,
    ) -> Result<ParquetFile, Error> {
        check_columns(first.schema_ref()).map_err(|e| Error::new(ErrorKind::Encode, e.to_string()))?;
        let schema = stored_schema(first.schema_ref());
        let mut properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(compression(format.compression.unwrap_or_default()))
            .set_max_row_group_row_count(None)
            .set_key_value_metadata((!origin.is_empty()).then(|| {
                origin.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
            }))
            .set_dictionary_enabled(true);
        for column in dictionary::nearly_unique(first) {
            properties = properties.set_column_dictionary_enabled(column, false);
        }
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let path = output.path().to_owned();
        let writer = ArrowWriter::try_new_with_options(output, schema.clone(), options)
            .map_err(|e| failed(&path, e))?;
        let row_group_bytes = format.row_group_bytes.filter(|b| *b > 0).unwrap_or(ROW_GROUP_BYTES_DEFAULT);
        Ok(ParquetFile { writer, schema, row_group_bytes })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let batch = stored_batch(batch, &self.schema)?;
        self.writer.write(&batch).map_err(|e| failed(self.writer.inner().path(), e))?;
        if self.writer.in_progress_size() as u64 >= self.row_group_bytes {
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn produced_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.writer.flushed_row_groups().len()
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.writer.flush().map_err(|e| failed(self.writer.inner().path(), e))
    }

    pub(super) fn finish(self) -> Result<Output, Error> {
        let path = self.writer.inner().path().to_owned();
        self.writer.into_inner().map_err(|e| failed(&path, e))
    }
}

fn compression(of: ParquetCompression) -> Compression {
    match of {
        ParquetCompression::Uncompressed => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::try_new(1).unwrap_or_default()),
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()),
        ParquetCompression::Lz4 => Compression::LZ4_RAW,
    }
}

fn failed(path: &std::path::Path, error: ParquetError) -> Error {
    let kind = match &error {
        ParquetError::External(source) if source.is::<io::Error>() => ErrorKind::Staging,
        _ => ErrorKind::Encode,
    };
    Error::caused(kind, format!("cannot write {}", path.display()), error)
}

fn stored_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(stored_field).collect::<Vec<_>>()))
}

/// The metadata that becomes the id of a field in the file.
const FIELD_ID: &str = "PARQUET:field_id";

/// The field as the file has it: of its metadata only the id, no timestamps in seconds.
fn stored_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(stored_field).collect()),
        DataType::List(item) => DataType::List(stored_field(item)),
        DataType::LargeList(item) => DataType::LargeList(stored_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(stored_field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(stored_field(entries), *sorted),
        other => other.clone(),
    };
    let id = field.metadata().get(FIELD_ID).map(|id| (FIELD_ID.to_owned(), id.clone()));
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(id.into_iter().collect()))
}

fn stored_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => cast(column, field.data_type()),
        })
        .collect::<Result<_, _>>()
        .map_err(|e| Error::caused(ErrorKind::Encode, "cannot convert a column for Parquet", e))?;
    RecordBatch::try_new(schema.clone(), columns)
        .map_err(|e| Error::caused(ErrorKind::Encode, "the batch does not fit the file's columns", e))
}

#[cfg(test)]
mod tests;
