//! From DataFusion's logical expressions to what runs over batches, with arithmetic that fails instead of wrapping around.

use std::sync::Arc;

use crate::walk::{rewrite_up, walk};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, Result, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::logical_plan::{EmptyRelation, Projection};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion_optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion_optimizer::optimizer::{Optimizer, OptimizerContext};
use datafusion_physical_expr::expressions::BinaryExpr as PhysicalBinary;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

use crate::program::Column;

/// Makes expressions over the columns of a schema executable.
pub(crate) struct Executable<'a> {
    schema: &'a DFSchemaRef,
    props: ExecutionProps,
}

impl<'a> Executable<'a> {
    pub(crate) fn new(schema: &'a DFSchemaRef) -> Self {
        Executable { schema, props: ExecutionProps::new() }
    }

    pub(crate) fn expression(&self, expr: Expr) -> Result<Arc<dyn PhysicalExpr>> {
        self.over(expr, self.schema)
    }

    /// One projection, or more: what several of the expressions have in common is computed once, before them.
    pub(crate) fn projections(&self, exprs: Vec<Expr>) -> Result<Vec<Vec<Column>>> {
        let plan = projection(exprs, self.schema)?;
        let rules = Optimizer::with_rules(vec![Arc::new(CommonSubexprEliminate::new())]);
        let plan = rules.optimize(plan, &OptimizerContext::new().with_max_passes(1), |_, _| {})?;
        let mut steps = Vec::new();
        let mut node = &plan;
        while let LogicalPlan::Projection(projection) = node {
            let schema = projection.input.schema();
            let columns = projection.expr.iter().map(|e| {
                let name = e.schema_name().to_string();
                Ok(Column { expr: self.over(e.clone(), schema)?, name })
            });
            steps.push(columns.collect::<Result<Vec<_>>>()?);
            node = &projection.input;
        }
        if !matches!(node, LogicalPlan::EmptyRelation(_)) {
            return Err(DataFusionError::Plan(format!("{} is not supported", node.display())));
        }
        steps.reverse();
        Ok(steps)
    }

    fn over(&self, expr: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = rewrite_up(expr, &mut |expr| checked(expr, schema))?.data;
        let executable = create_physical_expr(&expr, schema, &self.props)?;
        Ok(executable.transform_up(fail_on_overflow)?.data)
    }
}

/// Expressions over the columns of a schema, as a plan.
pub(crate) fn projection(exprs: Vec<Expr>, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let input =
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema: Arc::clone(schema) });
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Replaces operators that wrap around.
fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Negative(inner) => {
            let data_type = inner.get_type(schema)?;
            if !data_type.is_integer() {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
            let from_zero = BinaryExpr { left: Box::new(zero), op: Operator::Minus, right: inner };
            Ok(Transformed::yes(Expr::BinaryExpr(from_zero)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn fail_on_overflow(expr: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    let Some(binary) = expr.downcast_ref::<PhysicalBinary>() else { return Ok(Transformed::no(expr)) };
    if !matches!(binary.op(), Operator::Plus | Operator::Minus | Operator::Multiply) {
        return Ok(Transformed::no(expr));
    }
    let (left, right) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
    let strict = PhysicalBinary::new(left, *binary.op(), right).with_fail_on_overflow(true);
    Ok(Transformed::yes(Arc::new(strict)))
}

/// Whether a row can make the expression fail.
pub(crate) fn can_fail(expr: &Expr) -> bool {
    let mut can_fail = false;
    let walked = walk(expr, &mut |e| {
        can_fail |= match e {
            Expr::Cast(_) | Expr::ScalarFunction(_) | Expr::Negative(_) => true,
            Expr::BinaryExpr(binary) => matches!(
                binary.op,
                Operator::Plus
                    | Operator::Minus
                    | Operator::Multiply
                    | Operator::Divide
                    | Operator::Modulo
                    | Operator::StringConcat
            ),
            _ => false,
        };
        Ok(if can_fail { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    can_fail || walked.is_err()
}
