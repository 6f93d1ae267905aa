//! Lists, where the documentation says something else than DataFusion does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::{ScalarFunctionArgs, ScalarUDF, Signature, Volatility};

use super::own::{Own, by_rows};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let empty = Own::new(
        "empty",
        Signature::array(Volatility::Immutable),
        |_| Ok(DataType::Int64),
        |args| by_rows(args, empty),
    );
    vec![Arc::new(empty.aliases(&["array_empty", "list_empty"]).udf())]
}

/// 1 for a list without elements, 0 for others.
fn empty(_: &ScalarFunctionArgs, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let array = &arrays[0];
    let length = |row: usize| match array.data_type() {
        DataType::List(_) => Ok(array.as_list::<i32>().value_length(row).into()),
        DataType::LargeList(_) => Ok(array.as_list::<i64>().value_length(row)),
        DataType::FixedSizeList(_, length) => Ok(i64::from(*length)),
        other => exec_err!("{other} is not a list"),
    };
    let answer = |row: usize| match array.is_valid(row) {
        true => length(row).map(|length| Some(i64::from(length == 0))),
        false => Ok(None),
    };
    Ok(Arc::new((0..array.len()).map(answer).collect::<Result<Int64Array>>()?))
}
