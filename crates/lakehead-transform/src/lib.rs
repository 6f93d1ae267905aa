//! SQL: from the text of a pipeline to a compiled program that turns batches of a stream's columns into batches of a
//! sink's columns.
//!
//! ```text
//!   text ─► statement (parse, limits) ─► grammar (allow-list) ─► select (a level for each SELECT) ─► plan ─► Program
//!                                          relation: names ─┐      │                                           └─ run(batch)
//!                                                           └─ expression (types, constants)
//! ```
//!
//! **Invariants:** the only crate that knows DataFusion. A program is stateless: what it makes of a row depends on that row
//! alone. Nothing a user writes can reach files, tables or functions that are not listed here, nor exhaust the stack:
//! tokens, nesting and expression depth are limited before planning, and planning runs on a thread with a large stack.

mod data_type;
mod dialect;
mod executable;
mod expression;
mod functions;
mod grammar;
mod json_text;
mod names;
mod plan;
mod program;
mod refusal;
mod relation;
mod select;
mod statement;
mod struct_cast;
mod suggest;
mod text;
mod unnest;
mod walk;

#[cfg(test)]
mod tests;

pub use program::{EvaluationError, Failure, Output, Program, StepSummary};
pub use refusal::{Place, Refusal};

use arrow::datatypes::SchemaRef;

/// The column that every stream has besides its own: when the record was received. Microseconds UTC, never NULL. SQL may name
/// it; `*` does not stand for it.
pub const INGEST_TIME: &str = "__ingest_ts";

/// A stream that SQL may read.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    /// The stream's columns, as the decoder makes them; without [`INGEST_TIME`].
    pub schema: SchemaRef,
}

/// One `INSERT INTO sink SELECT … FROM stream`, compiled.
#[derive(Debug)]
pub struct Statement {
    /// The stream's name as it was registered (the SQL may spell it in another case).
    pub stream: String,
    /// The sink's name as it was registered. In a preview: as it is written, or empty if there is no `INSERT INTO`.
    pub sink: String,
    /// Indexes of the stream's columns that the program reads, ascending.
    pub projection: Vec<usize>,
    /// Whether the program reads [`INGEST_TIME`] too.
    pub reads_ingest_time: bool,
    pub program: Program,
}

/// Compiles a pipeline's SQL: one or more `INSERT` statements.
///
/// # Errors
/// [`Refusal`] with a text for the user: a syntax error with its place, an unknown stream, sink, column or function, or a
/// construct that is not allowed.
pub fn compile(sql: &str, sources: &[Source], sinks: &[String]) -> Result<Vec<Statement>, Refusal> {
    on_large_stack(|| {
        let (inserts, text) = statement::parse(sql, false)?;
        plan::compile(&inserts, &text, sources, Some(sinks))
    })
}

/// Compiles SQL that is only to be looked at: as [`compile`], but sinks need not exist, and a `SELECT` may stand alone.
///
/// # Errors
/// As [`compile`].
pub fn compile_preview(sql: &str, sources: &[Source]) -> Result<Vec<Statement>, Refusal> {
    on_large_stack(|| {
        let (inserts, text) = statement::parse(sql, true)?;
        plan::compile(&inserts, &text, sources, None)
    })
}

/// Parsing, planning and dropping of expression trees recurse; the limits of `statement` keep them far below this.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Refusal> + Send) -> Result<T, Refusal> {
    const STACK_BYTES: usize = 256 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sql-plan".into()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, work).map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::new("the SQL made the planner fail; please report it")),
            Err(e) => Err(Refusal::new(format!("no thread for planning: {e}"))),
        }
    })
}
