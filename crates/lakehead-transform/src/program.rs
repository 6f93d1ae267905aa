//! Compiled SQL: filter, project and unnest steps over record batches.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, filter, filter_record_batch, take};
use arrow::datatypes::{Field, Schema, SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use lakehead_model::Timestamp;

use crate::functions;
use crate::refusal::plain;
use crate::suggest::short;
use crate::unnest::unnest;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Keeps the rows for which the expression is true, and of their columns those of `keep`.
    Filter {
        predicate: Arc<dyn PhysicalExpr>,
        keep: Vec<usize>,
    },
    Project(Vec<Column>),
    /// Makes a row of each element of a list.
    Unnest {
        column: usize,
    },
}

/// A column that a projection makes.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    /// For messages.
    pub(crate) name: String,
}

/// A step as it may be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSummary {
    /// `filter`, `project` or `unnest`.
    pub kind: &'static str,
    /// What it does, much as in SQL; at most 200 characters.
    pub description: String,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Program {
    steps: Arc<[Step]>,
    summary: Arc<[StepSummary]>,
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
    /// The row of the input that the first of `rows` comes from, if there is any.
    pub first: Option<usize>,
    way: Way,
}

/// How the rows of the input became those of the output.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    /// These filters, one behind the other.
    Filtered(Vec<BooleanArray>),
    /// For each row of the output the one of the input.
    From(UInt32Array),
}

impl Output {
    /// A column of the input, which has a value for each of its rows, as it would stand beside `rows`.
    ///
    /// # Errors
    /// If it has another number of values than the input had rows.
    pub fn carry(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let carried = match &self.way {
            Way::Filtered(masks) => {
                masks.iter().try_fold(Arc::clone(column), |column, mask| filter(&column, mask))?
            }
            Way::From(rows) => take(column, rows, None)?,
        };
        if carried.len() != self.rows.num_rows() {
            let text = format!("{} values stand beside {} rows", carried.len(), self.rows.num_rows());
            return Err(ArrowError::InvalidArgumentError(text));
        }
        Ok(carried)
    }
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
            None => EvaluationError { failure: Failure::Expression, message: plain(&e) },
        }
    }
}

impl From<ArrowError> for EvaluationError {
    fn from(e: ArrowError) -> Self {
        EvaluationError::from(DataFusionError::from(e))
    }
}

impl EvaluationError {
    /// Says where it happened.
    fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl Program {
    pub(crate) fn new(
        steps: Vec<Step>,
        summary: Vec<StepSummary>,
        output: SchemaRef,
        largest_constant: u64,
    ) -> Self {
        Program { steps: steps.into(), summary: summary.into(), output, largest_constant }
    }

    /// The same program, which gives its columns other types and names. A row whose values do not fit them makes a run fail, as
    /// one does that makes an expression fail.
    #[must_use]
    pub fn into_columns(self, output: SchemaRef) -> Program {
        Program { output, ..self }
    }

    /// The columns that [`Program::run`] makes: no views, no dictionaries, names unique without case.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    /// What the program does to a batch, in order. Empty if it passes every column on.
    pub fn steps(&self) -> &[StepSummary] {
        &self.summary
    }

    /// Turns a batch of the stream's columns (those of `Statement::projection`, then the ingest time if it is read) into rows
    /// of the sink. `now` is what `now()` means for all of them.
    ///
    /// # Errors
    /// If an expression fails for a row of the batch. Nothing is kept from one call to the next.
    pub fn run(&self, batch: &RecordBatch, now: Timestamp) -> Result<Output, EvaluationError> {
        let _run = functions::begin(now);
        functions::check_constants(self.largest_constant, batch.num_rows())?;
        // Which row of the input each row comes from; only where a row can become several.
        let makes_rows = self.steps.iter().any(|step| matches!(step, Step::Unnest { .. }));
        let rows = u32::try_from(batch.num_rows()).map_err(|_| too_many_rows())?;
        let origins = makes_rows.then(|| UInt32Array::from_iter_values(0..rows));
        let mut state = State { batch: batch.clone(), origins, masks: Vec::new() };
        for step in self.steps.iter() {
            state = step.run(state)?;
        }
        let State { batch, origins, masks } = state;
        let columns =
            self.output.fields().iter().zip(batch.columns()).map(|(field, column)| stored(column, field));
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        functions::check_output(&columns)?;
        let rows = with_rows(Arc::clone(&self.output), columns, batch.num_rows())?;
        // Rows are in the order of the input, so those of one record are neighbours.
        let (kept, first, way) = match origins {
            None => {
                let first = (rows.num_rows() > 0).then(|| first_through(&masks)).flatten();
                (rows.num_rows(), first, Way::Filtered(masks))
            }
            Some(origins) => {
                let kept = origins.values().chunk_by(|a, b| a == b).count();
                (kept, origins.values().first().map(|row| *row as usize), Way::From(origins))
            }
        };
        Ok(Output { rows, kept, first, way })
    }
}

/// The row of the input that filters with these masks, one behind the other, leave as their first.
fn first_through(masks: &[BooleanArray]) -> Option<usize> {
    masks.iter().rev().try_fold(0, |row, mask| {
        let is_kept = |row: &usize| mask.is_valid(*row) && mask.value(*row);
        (0..mask.len()).filter(is_kept).nth(row)
    })
}

fn too_many_rows() -> EvaluationError {
    EvaluationError { failure: Failure::Limit, message: "a batch has too many rows".into() }
}

fn stored(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..CastOptions::default() })
}

fn with_rows(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

/// A batch between steps. Its columns are known by their place, not by name.
struct State {
    batch: RecordBatch,
    origins: Option<UInt32Array>,
    /// Without origins, what the filters passed so far have kept.
    masks: Vec<BooleanArray>,
}

/// A batch of columns whose names nobody looks at.
fn unnamed(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new("", c.data_type().clone(), true)).collect();
    with_rows(Arc::new(Schema::new(fields)), columns, rows)
}

fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, EvaluationError> {
    Ok(expr.evaluate(batch)?.into_array(batch.num_rows())?)
}

impl Column {
    fn failed(&self, error: EvaluationError) -> EvaluationError {
        // What several columns have in common is computed under a name of the optimizer's.
        if self.name.starts_with("__common_expr") {
            return error;
        }
        error.within(&format!("column `{}`", short(&self.name)))
    }
}

impl Step {
    fn run(&self, state: State) -> Result<State, EvaluationError> {
        let State { batch, origins, mut masks } = state;
        let rows = batch.num_rows();
        match self {
            Step::Filter { predicate, keep } => {
                let mask = evaluate(predicate, &batch).map_err(|e| e.within("WHERE"))?;
                let mask = mask.as_boolean_opt().ok_or_else(|| EvaluationError {
                    failure: Failure::Expression,
                    message: format!("WHERE gave {}, not a condition", mask.data_type()),
                })?;
                let batch = batch.project(keep)?;
                if mask.null_count() == 0 && mask.true_count() == rows {
                    return Ok(State { batch, origins, masks });
                }
                if origins.is_none() {
                    masks.push(mask.clone());
                }
                let origins = origins.map(|o| filter(&o, mask)).transpose()?;
                let origins = origins.map(|o| o.as_primitive::<UInt32Type>().clone());
                Ok(State { batch: filter_record_batch(&batch, mask)?, origins, masks })
            }
            Step::Project(columns) => {
                let arrays = columns.iter().map(|c| {
                    let column = evaluate(&c.expr, &batch).map_err(|e| c.failed(e))?;
                    functions::charge(c.expr.as_ref(), &column).map_err(|e| c.failed(e.into()))?;
                    Ok(column)
                });
                let arrays = arrays.collect::<Result<Vec<_>, EvaluationError>>()?;
                Ok(State { batch: unnamed(arrays, rows)?, origins, masks })
            }
            Step::Unnest { column } => {
                let (columns, from) = unnest(batch.columns(), *column)?;
                let rows = from.len();
                let origins = origins.map(|o| take(&o, &from, None)).transpose()?;
                let origins = origins.map(|o| o.as_primitive::<UInt32Type>().clone());
                Ok(State { batch: unnamed(columns, rows)?, origins, masks })
            }
        }
    }
}
