//! From a query to a [`Program`]: name resolution and type coercion by DataFusion, then the allow-list, then the steps.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_expr::LogicalPlan;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_optimizer::analyzer::Analyzer;
use datafusion_optimizer::optimizer::{Optimizer, OptimizerContext, OptimizerRule};
use datafusion_physical_expr::create_physical_expr;
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use datafusion_sql::sqlparser::ast;
use lakehead_model::Timestamp;

use crate::functions;
use crate::names::{self, Names, StreamTable};
use crate::program::{Program, Step};
use crate::statement::Insert;
use crate::{Refusal, Source, Statement};

pub(crate) fn compile(
    insert: Insert,
    sources: &[Source],
    sinks: Option<&[String]>,
) -> Result<Statement, Refusal> {
    let sink = match sinks {
        None => insert.sink,
        Some(sinks) => names::find(sinks, &insert.sink, String::as_str)
            .ok_or_else(|| Refusal::new(format!("sink `{}` does not exist", insert.sink)))?
            .clone(),
    };
    let now = Timestamp(0);
    let planning = functions::begin_planning();
    let names = Names::new(sources);
    let options = ParserOptions { map_string_types_to_utf8view: false, ..ParserOptions::new() };
    let plan = SqlToRel::new_with_options(&names, options)
        .sql_statement_to_plan(ast::Statement::Query(insert.query))?;
    allow(&plan)?;

    let config = Arc::new(ConfigOptions::new());
    let plan = functions::prepare(plan)?;
    let plan = Analyzer::new().execute_and_check(plan, &config, |_, _| {})?;
    let plan = functions::guard(plan)?;
    let context = OptimizerContext::new_with_config_options(config)
        .with_query_execution_start_time(now.to_utc())
        .with_max_passes(3);
    let plan = Optimizer::with_rules(rules()).optimize(plan, &context, |_, _| {})?;
    let plan = functions::guard(plan)?;
    planning.exceeded().map_or(Ok(()), |limit| Err(Refusal::new(limit.to_string())))?;

    let mut builder = Builder { props: ExecutionProps::new(), scan: None, steps: Vec::new() };
    builder.props.query_execution_start_time = Some(now.to_utc());
    builder.add(&plan)?;
    let (stream, projection) = builder.scan.ok_or_else(|| Refusal::new("the SELECT reads no stream"))?;
    let output = output_schema(plan.schema().as_arrow())?;
    Ok(Statement {
        stream,
        sink,
        projection,
        reads_ingest_time: false,
        program: Program::new(builder.steps, output, functions::largest_constant(&plan)?),
    })
}

/// What shortens the work per row: constants folded, filters before projections, columns nobody reads left out.
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(datafusion_optimizer::simplify_expressions::SimplifyExpressions::new()),
        Arc::new(datafusion_optimizer::push_down_filter::PushDownFilter::new()),
        Arc::new(datafusion_optimizer::common_subexpr_eliminate::CommonSubexprEliminate::new()),
        Arc::new(datafusion_optimizer::optimize_projections::OptimizeProjections::new()),
    ]
}

/// The allow-list, over the logical plan: one scan of a stream, filters, projections, and names for them.
fn allow(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut scans = 0;
    let mut refusal = None;
    plan.apply_with_subqueries(|node| {
        let refused = match node {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => None,
            LogicalPlan::TableScan(_) => {
                scans += 1;
                (scans > 1).then_some("reading more than one stream, or one stream twice")
            }
            LogicalPlan::Aggregate(_) => Some("an aggregate or GROUP BY"),
            LogicalPlan::Window(_) => Some("a window function"),
            LogicalPlan::Distinct(_) => Some("DISTINCT"),
            LogicalPlan::Sort(_) => Some("ORDER BY"),
            LogicalPlan::Limit(_) => Some("LIMIT"),
            LogicalPlan::Join(_) => Some("a join"),
            LogicalPlan::Union(_) => Some("UNION"),
            LogicalPlan::Unnest(_) => Some("UNNEST"),
            LogicalPlan::Subquery(_) => Some("a subquery inside an expression"),
            LogicalPlan::EmptyRelation(_) => Some("a SELECT without FROM"),
            LogicalPlan::Values(_) => Some("VALUES"),
            _ => Some("this kind of statement"),
        };
        refusal = refused.or(refusal);
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    match refusal {
        Some(what) => Err(Refusal::new(format!(
            "{what} is not supported: a pipeline is `INSERT INTO sink SELECT … FROM stream [WHERE …]`, row by row"
        ))),
        None => Ok(()),
    }
}

struct Builder {
    props: ExecutionProps,
    scan: Option<(String, Vec<usize>)>,
    steps: Vec<Step>,
}

impl Builder {
    /// Appends the steps of `plan`, its inputs first.
    fn add(&mut self, plan: &LogicalPlan) -> Result<(), Refusal> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.add(&alias.input),
            LogicalPlan::Filter(filter) => {
                self.add(&filter.input)?;
                let predicate = create_physical_expr(&filter.predicate, filter.input.schema(), &self.props)?;
                self.steps.push(Step::Filter(predicate));
                Ok(())
            }
            LogicalPlan::Projection(projection) => {
                self.add(&projection.input)?;
                let columns = projection
                    .expr
                    .iter()
                    .map(|e| create_physical_expr(e, projection.input.schema(), &self.props))
                    .collect::<Result<Vec<_>, _>>()?;
                self.steps.push(Step::Project(columns, Arc::new(projection.schema.as_arrow().clone())));
                Ok(())
            }
            LogicalPlan::TableScan(scan) => {
                let table = (scan.source.as_ref() as &dyn std::any::Any)
                    .downcast_ref::<StreamTable>()
                    .ok_or_else(|| Refusal::new("only streams can be read"))?;
                let all = || (0..table.schema.fields().len()).collect();
                self.scan = Some((table.stream.clone(), scan.projection.clone().unwrap_or_else(all)));
                // Filters are only ever pushed here if the source takes them, and ours does not.
                debug_assert!(scan.filters.is_empty());
                Ok(())
            }
            other => Err(Refusal::new(format!("{} is not supported", other.display()))),
        }
    }
}

/// The sink's columns: unique names, and types that every writer knows.
fn output_schema(planned: &Schema) -> Result<SchemaRef, Refusal> {
    let mut seen = std::collections::HashSet::new();
    let mut fields = Vec::with_capacity(planned.fields().len());
    for field in planned.fields() {
        if !seen.insert(field.name().to_lowercase()) {
            return Err(Refusal::new(format!(
                "two columns are named `{}`; give one another name with AS",
                field.name()
            )));
        }
        fields.push(Field::clone(field).with_data_type(plain(field.data_type())));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Views, dictionaries and NULL-typed columns become the plain types they stand for.
fn plain(data_type: &DataType) -> DataType {
    let inner = |f: &Arc<Field>| Arc::new(Field::clone(f).with_data_type(plain(f.data_type())));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) => DataType::List(inner(f)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
