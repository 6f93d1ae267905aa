//! What names in SQL may mean: the pipeline's streams, and the listed functions.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use crate::Source;
use crate::functions::{JsonPlanner, Registry};

pub(crate) struct Names<'a> {
    sources: &'a [Source],
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl<'a> Names<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        Names {
            sources,
            expr_planners: vec![
                Arc::new(JsonPlanner),
                Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
                Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
                Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
                Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
                Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
            ],
            options: ConfigOptions::new(),
        }
    }
}

/// The stream of that name, or the only one that matches without case: unquoted names arrive in lower case.
pub(crate) fn find<'a, T>(all: &'a [T], name: &str, name_of: impl Fn(&T) -> &str) -> Option<&'a T> {
    all.iter().find(|t| name_of(t) == name).or_else(|| {
        let mut matching = all.iter().filter(|t| name_of(t).eq_ignore_ascii_case(name));
        matching.next().filter(|_| matching.next().is_none())
    })
}

/// A stream as the planner sees it. Filters are not pushed into it.
pub(crate) struct StreamTable {
    pub(crate) stream: String,
    pub(crate) schema: SchemaRef,
}

impl TableSource for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let TableReference::Bare { table } = &name else {
            return plan_err!("`{name}` is not the name of a stream");
        };
        match find(self.sources, table, |s| &s.name) {
            Some(source) => {
                Ok(Arc::new(StreamTable { stream: source.name.clone(), schema: Arc::clone(&source.schema) }))
            }
            None => plan_err!("stream `{table}` does not exist"),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        Registry::get().find(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        Registry::get().names()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }
}
