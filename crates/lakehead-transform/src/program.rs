//! Compiled SQL: filter and project steps over record batches.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;

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
}

/// A row of the batch made an expression fail (division by zero, a cast that cannot work, an overflow). Which row, the
/// caller finds by running parts of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    pub message: String,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EvaluationError {}

impl From<DataFusionError> for EvaluationError {
    fn from(e: DataFusionError) -> Self {
        EvaluationError { message: e.find_root().strip_backtrace() }
    }
}

impl From<ArrowError> for EvaluationError {
    fn from(e: ArrowError) -> Self {
        EvaluationError { message: e.to_string() }
    }
}

impl Program {
    pub(crate) fn new(steps: Vec<Step>, output: SchemaRef) -> Self {
        Program { steps, output }
    }

    /// The columns that [`Program::run`] makes: no views, no dictionaries, names unique without case.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Turns a batch of the stream's columns (those of `Statement::projection`) into one of the sink's. Rows that the WHERE
    /// turned away are missing from the result; all others are in it, in order, one for one.
    ///
    /// # Errors
    /// If an expression fails for a row of the batch. Nothing is kept from one call to the next.
    pub fn run(&self, batch: &RecordBatch) -> Result<RecordBatch, EvaluationError> {
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
        Ok(with_rows(Arc::clone(&self.output), columns, batch.num_rows())?)
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
                    .map(|c| c.evaluate(batch)?.into_array(batch.num_rows()))
                    .collect::<Result<Vec<_>, DataFusionError>>()?;
                Ok(with_rows(Arc::clone(schema), arrays, batch.num_rows())?)
            }
        }
    }
}
