//! Finds the rows that make the SQL fail: the batch is halved until such a row stands alone; all others go through.
//!
//! A batch without such rows is run once. Each such row costs two runs for every halving, fourteen halvings in a full batch; if what
//! fails is a limit of time, that is minutes.

use arrow::array::RecordBatch;
use lakehead_model::Timestamp;
use lakehead_transform::{EvaluationError, Failure, Output, Program};

/// What became of a part of a batch. Parts come in the order of the rows and cover the batch.
#[derive(Debug)]
pub(crate) enum Part {
    /// The `taken` rows of the input from `first` on made these.
    Made { first: usize, taken: usize, made: Output },
    /// The row with this index in the batch makes the SQL fail.
    Failed { row: usize, error: EvaluationError },
    /// Not a part: a run came to a limit, and others of its rows follow, which may take as long.
    Slow,
}

/// The word for a failure in dead letters, metrics and previews.
pub(crate) fn reason(error: &EvaluationError) -> &'static str {
    match error.failure {
        Failure::Expression => "transform_error",
        Failure::Limit => "resource_limit",
    }
}

/// Runs `program` over `rows` and gives each part to `each`.
///
/// # Errors
/// What `each` returns; then the rest is not run.
pub(crate) fn isolate<E>(
    program: &Program,
    rows: &RecordBatch,
    now: Timestamp,
    each: &mut impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    isolate_from(0, program, rows, now, each)
}

/// As [`isolate`], where `rows` begin with row `first` of the batch. The depth is the logarithm of the rows.
fn isolate_from<E>(
    first: usize,
    program: &Program,
    rows: &RecordBatch,
    now: Timestamp,
    each: &mut impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    let count = rows.num_rows();
    if count == 0 {
        return Ok(());
    }
    match program.run(rows, now) {
        Ok(made) => each(Part::Made { first, taken: count, made }),
        Err(error) if count == 1 => each(Part::Failed { row: first, error }),
        Err(error) => {
            if error.failure == Failure::Limit {
                each(Part::Slow)?;
            }
            let half = count / 2;
            isolate_from(first, program, &rows.slice(0, half), now, each)?;
            isolate_from(first + half, program, &rows.slice(half, count - half), now, each)
        }
    }
}

#[cfg(test)]
mod tests;
