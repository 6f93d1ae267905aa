//! Walking and rewriting planned expressions. DataFusion's methods are compiled once for each closure they are given, which makes
//! for most of this crate's build time; these are compiled once.

use datafusion_common::Result;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_expr::Expr;

/// Rewrites an expression from the leaves up.
pub(crate) fn rewrite_up(
    expr: Expr,
    rewrite: &mut dyn FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<Expr>> {
    expr.transform_up(rewrite)
}

/// Visits an expression and what is in it, from the root down.
pub(crate) fn walk(
    expr: &Expr,
    visit: &mut dyn FnMut(&Expr) -> Result<TreeNodeRecursion>,
) -> Result<TreeNodeRecursion> {
    expr.apply(visit)
}
