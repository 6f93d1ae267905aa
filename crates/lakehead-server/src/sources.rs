//! What SQL sees of a stream: its columns, and the ingest times of its records where they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use lakehead_decode::arrow_schema;
use lakehead_model::Timestamp;
use lakehead_model::resource::Stream;
use lakehead_transform::{INGEST_TIME, Source};

/// The stream, for compiling SQL that names it.
pub(crate) fn source(stream: &Stream) -> Source {
    Source { name: stream.name.clone(), schema: arrow_schema(stream.schema.as_ref()) }
}

/// `rows` and, as the last column, the time at which the record of each came.
///
/// # Errors
/// If there is not one time for each row.
pub(crate) fn with_ingest_times(
    rows: &RecordBatch,
    times: impl Iterator<Item = Timestamp>,
) -> Result<RecordBatch, ArrowError> {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times.map(|t| t.as_micros())));
    let field = Field::new(INGEST_TIME, DataType::Timestamp(TimeUnit::Microsecond, None), false);
    let fields: Vec<_> = rows.schema_ref().fields().iter().cloned().chain([Arc::new(field)]).collect();
    let columns = rows.columns().iter().cloned().chain([times]).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}
