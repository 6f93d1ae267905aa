//! Compiled SQL: filter and project steps over record batches.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use lakehead_model::Timestamp;

use crate::functions;

#[derive(Debug)]
pub(crate) enum Step {
    /// Keeps the rows for which the expression is true.
    Filter(Arc<dyn PhysicalExpr>),
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

#[derive(Debug)]
pub struct Program {
    steps: Vec<Step>,
    output: SchemaRef,
    /// In bytes.
    largest_constant: u64,
}

/// What a run made of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Rows for the sink, in the order of the records they come from.
    pub rows: RecordBatch,
    /// Rows of the input that have at least one row in `rows`.
    pub kept: usize,
}

/// A row of the batch made an expression fail (division by zero, a cast that cannot work, an overflow), or the batch asks for
/// more than is allowed. Which row, the caller finds by running parts of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    pub failure: Failure,
    pub message: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An expression has no value for a row.
    Expression,
    /// More memory or time than a batch may take.
    Limit,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvaluationError {}

impl From<DataFusionError> for EvaluationError {
    fn from(e: DataFusionError) -> Self {
        match functions::limit_of(&e) {
            Some(limit) => EvaluationError { failure: Failure::Limit, message: limit.to_string() },
            None => {
                EvaluationError { failure: Failure::Expression, message: e.find_root().strip_backtrace() }
            }
        }
    }
}

impl From<ArrowError> for EvaluationError {
    fn from(e: ArrowError) -> Self {
        EvaluationError { failure: Failure::Expression, message: e.to_string() }
    }
}

impl Program {
    pub(crate) fn new(steps: Vec<Step>, output: SchemaRef, largest_constant: u64) -> Self {
        Program { steps, output, largest_constant }
    }

    /// The columns that [`Program::run`] makes: no views, no dictionaries, names unique without case.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Turns a batch of the stream's columns (those of `Statement::projection`, then the ingest time if it is read) into rows
    /// of the sink. `now` is what `now()` means for all of them.
    ///
    /// # Errors
    /// If an expression fails for a row of the batch. Nothing is kept from one call to the next.
    pub fn run(&self, batch: &RecordBatch, now: Timestamp) -> Result<Output, EvaluationError> {
        let _run = functions::begin(now);
        functions::check_constants(self.largest_constant, batch.num_rows())?;
        let mut batch = batch.clone();
        for step in &self.steps {
            batch = step.run(&batch)?;
        }
        let columns = self.output.fields().iter().zip(batch.columns()).map(|(field, column)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type())
            }
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        let rows = with_rows(Arc::clone(&self.output), columns, batch.num_rows())?;
        Ok(Output { kept: rows.num_rows(), rows })
    }
}

fn with_rows(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

impl Step {
    fn run(&self, batch: &RecordBatch) -> Result<RecordBatch, EvaluationError> {
        match self {
            Step::Filter(predicate) => {
                let keep = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
                let keep = keep.as_boolean_opt().ok_or_else(|| EvaluationError {
                    failure: Failure::Expression,
                    message: format!("WHERE gave {}, not a boolean", keep.data_type()),
                })?;
                if keep.null_count() == 0 && keep.true_count() == batch.num_rows() {
                    return Ok(batch.clone());
                }
                Ok(filter_record_batch(batch, keep)?)
            }
            Step::Project(columns, schema) => {
                let arrays = columns
                    .iter()
                    .map(|c| {
                        let column = c.evaluate(batch)?.into_array(batch.num_rows())?;
                        functions::charge(c.as_ref(), &column).map(|()| column)
                    })
                    .collect::<Result<Vec<_>, DataFusionError>>()?;
                Ok(with_rows(Arc::clone(schema), arrays, batch.num_rows())?)
            }
        }
    }
}
