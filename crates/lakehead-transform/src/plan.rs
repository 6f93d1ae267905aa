//! From the levels of a query to a [`Program`]: conditions moved down to where their columns come from, columns nobody needs
//! left out, expressions made executable.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::walk::rewrite_up;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::Column;
use datafusion_common::tree_node::Transformed;
use datafusion_expr::Expr;
use datafusion_expr::utils::conjunction;

use crate::data_type::stored;
use crate::executable::{Executable, can_fail, projection};
use crate::expression::Expressions;
use crate::functions;
use crate::grammar::Grammar;
use crate::names::{self, Names};
use crate::program::{Program, Step, StepSummary};
use crate::select::{Chain, Item, Level, Queries};
use crate::statement::Insert;
use crate::suggest::{hint, short};
use crate::text::Text;
use crate::{Refusal, Source, Statement};

/// Characters of a step's summary.
const SUMMARY_CHARS_MAX: usize = 200;

/// Compiles the statements of a text. Sinks need not exist if `sinks` is None.
pub(crate) fn compile(
    inserts: &[Insert],
    text: &Text<'_>,
    sources: &[Source],
    sinks: Option<&[String]>,
) -> Result<Vec<Statement>, Refusal> {
    let registered = Names::new();
    let is_function = |name: &str| {
        use datafusion_expr::planner::ContextProvider;
        registered.get_function_meta(name).is_some()
    };
    let mut grammar = Grammar::new(text, &is_function);
    for insert in inserts {
        grammar.query(&insert.query)?;
    }
    let mut statements: Vec<Statement> = Vec::with_capacity(inserts.len());
    for insert in inserts {
        let sink = sink(insert, text, sinks)?;
        let planning = functions::begin_planning();
        let exceeded = || planning.exceeded().map(|limit| limit.to_string());
        let expressions = Expressions { names: &registered, text, exceeded: &exceeded };
        let queries = Queries { sources, text, expressions: &expressions };
        let chain = queries.plan(&insert.query)?;
        let statement = statement(&chain, sink, text)?;
        same_columns(&statements, &statement).map_err(|message| match &insert.sink {
            Some(name) => text.refuse(name.span, message),
            None => Refusal::new(message),
        })?;
        statements.push(statement);
    }
    Ok(statements)
}

fn sink(insert: &Insert, text: &Text<'_>, sinks: Option<&[String]>) -> Result<String, Refusal> {
    let Some(name) = &insert.sink else { return Ok(String::new()) };
    let Some(sinks) = sinks else { return Ok(name.value.clone()) };
    names::find(sinks, &name.value, String::as_str).cloned().ok_or_else(|| {
        let known = sinks.iter().map(String::as_str);
        let message = format!("sink `{}` does not exist{}", short(&name.value), hint(&name.value, known));
        text.refuse(name.span, message)
    })
}

/// Files of a sink have one schema: what is wrong if another statement into the same sink makes other columns.
fn same_columns(before: &[Statement], statement: &Statement) -> Result<(), String> {
    let Some(other) = before.iter().find(|s| s.sink == statement.sink && !s.sink.is_empty()) else {
        return Ok(());
    };
    let (one, two) = (other.program.output_schema(), statement.program.output_schema());
    for (a, b) in one.fields().iter().zip(two.fields()) {
        if a.name() != b.name() {
            return Err(format!(
                "every INSERT into sink `{}` must make the same columns: this one has `{}` where an earlier one has `{}`",
                statement.sink,
                short(b.name()),
                short(a.name())
            ));
        }
        if a.data_type() != b.data_type() {
            return Err(format!(
                "every INSERT into sink `{}` must make the same columns: `{}` is {} here and {} in an earlier one",
                statement.sink,
                short(a.name()),
                crate::data_type::sql_name(b.data_type()),
                crate::data_type::sql_name(a.data_type())
            ));
        }
    }
    if one.fields().len() != two.fields().len() {
        return Err(format!(
            "every INSERT into sink `{}` must make the same columns: this one has {}, an earlier one {}",
            statement.sink,
            two.fields().len(),
            one.fields().len()
        ));
    }
    Ok(())
}

fn statement(chain: &Chain, sink: String, text: &Text<'_>) -> Result<Statement, Refusal> {
    let output = output_schema(chain, text)?;
    let mut stages: Vec<Stage<'_>> = chain.levels.iter().map(|level| Stage::new(level)).collect();
    move_conditions(&mut stages);
    let mut wanted: BTreeSet<usize> = (0..chain.columns.len()).collect();
    for stage in stages.iter_mut().rev() {
        wanted = stage.keep(&wanted);
    }
    let mut steps = Vec::new();
    let mut summary = Vec::new();
    for stage in &stages {
        stage.add(&mut steps, &mut summary)?;
    }
    // The ingest time is behind the stream's own columns.
    let own = chain.levels.first().map_or(0, |level| level.input.columns.len() - level.input.hidden);
    Ok(Statement {
        stream: chain.stream.clone(),
        sink,
        reads_ingest_time: wanted.contains(&own),
        projection: wanted.into_iter().filter(|i| *i < own).collect(),
        program: Program::new(steps, summary, output, largest_constant(&stages)?),
    })
}

/// In bytes; every row of a batch may get it.
fn largest_constant(stages: &[Stage<'_>]) -> Result<u64, Refusal> {
    let mut largest = 0;
    for stage in stages {
        let schema = stage.level.input.schema(None)?;
        let items = stage.kept_items().map(|item| &item.expr);
        for expr in stage.conditions.iter().chain(items) {
            largest = largest.max(functions::largest_constant(&projection(vec![expr.clone()], &schema)?)?);
        }
    }
    Ok(largest)
}

/// A level on its way to steps.
struct Stage<'a> {
    level: &'a Level,
    conditions: Vec<Expr>,
    /// Indexes of its items that are needed, and of the input's columns.
    items: Vec<usize>,
    inputs: Vec<usize>,
}

/// Conditions over columns that a query only passes on go into that query: rows leave as early as they can. A condition stays
/// behind the ones before it, as they may be what keeps it from failing.
fn move_conditions(stages: &mut [Stage<'_>]) {
    for upper in (1..stages.len()).rev() {
        let (below, above) = stages.split_at_mut(upper);
        let (Some(below), Some(above)) = (below.last_mut(), above.first_mut()) else { return };
        let moved: Vec<Expr> =
            above.conditions.iter().map_while(|c| below.level.passed_on(c, above.level)).collect();
        above.conditions.drain(..moved.len());
        below.conditions.extend(moved);
    }
}

impl Level {
    /// The condition over this level's input, if the columns in it are passed on as they are.
    fn passed_on(&self, condition: &Expr, above: &Level) -> Option<Expr> {
        let columns = condition.column_refs();
        let below = |column: &Column| {
            let index = above.input.index_of(&column.name)?;
            match &self.items.get(index)?.expr {
                Expr::Column(column) if self.unnest != Some(index) => Some(column.clone()),
                _ => None,
            }
        };
        // A random number drawn before rows are multiplied would be one for all of them.
        if condition.is_volatile() || columns.is_empty() || !columns.iter().all(|c| below(c).is_some()) {
            return None;
        }
        let moved = rewrite_up(condition.clone(), &mut |expr| match &expr {
            Expr::Column(column) => {
                Ok(below(column).map_or(Transformed::no(expr), |c| Transformed::yes(Expr::Column(c))))
            }
            _ => Ok(Transformed::no(expr)),
        });
        moved.ok().map(|moved| moved.data)
    }
}

impl<'a> Stage<'a> {
    fn new(level: &'a Level) -> Self {
        Stage { level, conditions: level.conditions.clone(), items: Vec::new(), inputs: Vec::new() }
    }

    /// Keeps what is needed for the `wanted` items, and returns which of the input's columns that takes.
    fn keep(&mut self, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut items = wanted.clone();
        // It makes rows, whether or not anybody looks at them.
        items.extend(self.level.unnest);
        self.items = items.into_iter().collect();
        let inputs = self.read_by(&self.conditions, true);
        self.inputs = inputs.iter().copied().collect();
        inputs
    }

    fn kept_items(&self) -> impl Iterator<Item = &'a Item> {
        let items = &self.level.items;
        self.items.iter().filter_map(move |i| items.get(*i))
    }

    /// The input's columns that conditions and items read.
    fn read_by(&self, conditions: &[Expr], with_items: bool) -> BTreeSet<usize> {
        let items = self.kept_items().filter(|_| with_items).map(|item| &item.expr);
        let columns = conditions.iter().chain(items).flat_map(Expr::column_refs);
        columns.filter_map(|column| self.level.input.index_of(&column.name)).collect()
    }

    fn add(&self, steps: &mut Vec<Step>, summary: &mut Vec<StepSummary>) -> Result<(), Refusal> {
        let mut current = self.inputs.clone();
        if !self.level.condition_text.is_empty() {
            summary.push(summarize("filter", &self.level.condition_text));
        }
        // A condition that can fail sees only the rows that the conditions before it let through.
        let mut rest = self.conditions.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            let more = behind.iter().take_while(|c| !can_fail(c)).count();
            let together = conjunction(rest[..=more].iter().cloned()).unwrap_or_else(|| first.clone());
            rest = &behind[more..];
            let schema = self.level.input.schema(Some(&current))?;
            let predicate = Executable::new(&schema).expression(together)?;
            let needed = self.read_by(rest, true);
            let keep: Vec<usize> = (0..current.len()).filter(|i| needed.contains(&current[*i])).collect();
            current = keep.iter().map(|i| current[*i]).collect();
            steps.push(Step::Filter { predicate, keep });
        }
        self.add_items(&current, steps, summary)
    }

    fn add_items(
        &self,
        current: &[usize],
        steps: &mut Vec<Step>,
        summary: &mut Vec<StepSummary>,
    ) -> Result<(), Refusal> {
        let unnest = self.level.unnest.and_then(|item| self.items.iter().position(|i| *i == item));
        let passed_on = |(at, item): (usize, &Item)| matches!(&item.expr, Expr::Column(c) if self.level.input.index_of(&c.name) == current.get(at).copied());
        let is_all = self.items.len() == current.len() && self.kept_items().enumerate().all(passed_on);
        if !is_all {
            summary.push(summarize("project", &self.level.items_text));
            let schema = self.level.input.schema(Some(current))?;
            let named = self.kept_items().map(|item| item.expr.clone().alias(item.field.name())).collect();
            steps.extend(Executable::new(&schema).projections(named)?.into_iter().map(Step::Project));
        }
        if let Some(column) = unnest {
            let name = self.kept_items().nth(column).map_or("", |item| item.field.name());
            summary.push(summarize("unnest", name));
            steps.push(Step::Unnest { column });
        }
        Ok(())
    }
}

/// One line, shortened.
fn summarize(kind: &'static str, written: &str) -> StepSummary {
    let line = written.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_long = line.chars().count() > SUMMARY_CHARS_MAX;
    let description =
        if is_long { line.chars().take(SUMMARY_CHARS_MAX - 1).chain(['…']).collect() } else { line };
    StepSummary { kind, description }
}

/// The sink's columns: names that differ in more than case, and types that every writer knows.
fn output_schema(chain: &Chain, text: &Text<'_>) -> Result<SchemaRef, Refusal> {
    let mut seen = std::collections::HashSet::new();
    let mut fields = Vec::with_capacity(chain.columns.len());
    for (field, place) in chain.columns.iter().zip(&chain.places) {
        if !seen.insert(field.name().to_lowercase()) {
            let message = format!(
                "two columns are named `{}`, but for case; give one another name with AS",
                short(field.name())
            );
            return Err(text.refuse(*place, message));
        }
        let data_type = stored(field.data_type())
            .map_err(|why| text.refuse(*place, format!("the column `{}` {why}", short(field.name()))))?;
        fields.push(Arc::new(arrow::datatypes::Field::clone(field).with_data_type(data_type)));
    }
    Ok(Arc::new(Schema::new(fields)))
}
