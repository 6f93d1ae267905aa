//! SQL: from the text of a pipeline to a compiled program that turns batches of a stream's columns into batches of a
//! sink's columns.
//!
//! ```text
//!   text ─► statement (parse, limits) ─► plan (name, allow-list, coerce, push down) ─► Program (filter and project steps)
//!                                                                                       └─ run(batch) per batch
//! ```
//!
//! **Invariants:** the only crate that knows DataFusion. A program is stateless: what it makes of a row depends on that row
//! alone. Nothing a user writes can reach files, tables or functions that are not listed here, nor exhaust the stack:
//! tokens, nesting and expression depth are limited before planning, and planning runs on a thread with a large stack.

mod names;
mod plan;
mod program;
mod refusal;
mod statement;

#[cfg(test)]
mod tests;

pub use program::{EvaluationError, Program};
pub use refusal::Refusal;

use arrow::datatypes::SchemaRef;
use lakehead_model::Timestamp;

/// A stream that SQL may read.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    /// The stream's columns, as the decoder makes them.
    pub schema: SchemaRef,
}

/// One `INSERT INTO sink SELECT … FROM stream`, compiled.
#[derive(Debug)]
pub struct Statement {
    /// The stream's name as it was registered (the SQL may spell it in another case).
    pub stream: String,
    pub sink: String,
    /// Indexes of the stream's columns that the program reads, ascending. [`Program::run`] expects exactly these.
    pub projection: Vec<usize>,
    pub program: Program,
}

/// Compiles a pipeline's SQL: one or more `INSERT` statements. `now` is what `now()` means for the life of the program.
///
/// # Errors
/// [`Refusal`] with a text for the user: a syntax error with its place, an unknown stream, sink, column or function, or a
/// construct that is not allowed.
pub fn compile(
    sql: &str,
    sources: &[Source],
    sinks: &[String],
    now: Timestamp,
) -> Result<Vec<Statement>, Refusal> {
    // Parsing, planning and dropping of expression trees recurse; the limits of `statement` keep them far below this.
    const STACK_BYTES: usize = 256 << 20;
    std::thread::scope(|scope| {
        let work = std::thread::Builder::new().name("sql-plan".into()).stack_size(STACK_BYTES).spawn_scoped(
            scope,
            || {
                let inserts = statement::parse(sql)?;
                inserts.into_iter().map(|insert| plan::compile(insert, sources, sinks, now)).collect()
            },
        );
        match work.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::new("the SQL made the planner fail; please report it")),
            Err(e) => Err(Refusal::new(format!("no thread for planning: {e}"))),
        }
    })
}
