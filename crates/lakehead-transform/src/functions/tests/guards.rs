//! The guard itself, around functions made for it.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};

use super::super::own::{Own, by_rows};
use super::super::{budget, guarded, limit_of};
use super::NOW;

/// Calls a guarded function of no arguments.
fn call(run: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>) -> Result<ColumnarValue> {
    let function = guarded::wrap(&Arc::new(Own::exact("f", &[], |_| Ok(DataType::Utf8), run).udf()));
    function.invoke_with_args(ScalarFunctionArgs {
        args: vec![],
        arg_fields: vec![],
        number_rows: 3,
        return_field: Arc::new(Field::new("f", DataType::Utf8, true)),
        config_options: Arc::new(ConfigOptions::new()),
    })
}

fn of_mebibytes(mebibytes: usize) -> Result<ColumnarValue> {
    Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some("x".repeat(mebibytes << 20)))))
}

#[test]
fn a_panic_in_a_function_is_an_error_of_its_rows() {
    let _run = budget::begin(NOW);
    let error = call(|_| panic!("as a test")).unwrap_err();
    assert!(error.to_string().contains("`f` failed on these arguments"), "{error}");
    assert!(limit_of(&error).is_none());
}

#[test]
fn what_a_function_made_is_weighed_though_nobody_foresaw_it() {
    let run = budget::begin(NOW);
    assert!(call(|_| of_mebibytes(64)).is_ok());
    let error = call(|_| of_mebibytes(65)).unwrap_err();
    assert!(limit_of(&error).unwrap().to_string().contains("`f` would make 68157440 bytes"), "{error}");
    assert!(run.exceeded().is_some());
}

#[test]
fn all_calls_of_a_run_share_one_account_and_the_next_run_has_its_own() {
    {
        let _run = budget::begin(NOW);
        for _ in 0..4 {
            call(|_| of_mebibytes(64)).unwrap();
        }
        let error = call(|_| of_mebibytes(1)).unwrap_err();
        assert!(limit_of(&error).unwrap().to_string().contains("more than 256 MiB"), "{error}");
    }
    let _run = budget::begin(NOW);
    assert!(call(|_| of_mebibytes(1)).is_ok());
}

#[test]
fn a_run_that_takes_too_long_ends_at_the_next_call() {
    let _run = budget::begin(NOW);
    assert!(call(|_| of_mebibytes(1)).is_ok());
    budget::expire();
    let error = call(|_| of_mebibytes(1)).unwrap_err();
    assert!(limit_of(&error).unwrap().to_string().contains("longer than 10 seconds"), "{error}");
}

#[test]
fn an_answer_of_one_row_to_a_constant_stands_for_every_row() {
    let one = |args: &ScalarFunctionArgs| {
        by_rows(args, |_, _| Ok(Arc::new(arrow::array::StringArray::from(vec!["x"])) as ArrayRef))
    };
    assert!(matches!(call(one).unwrap(), ColumnarValue::Scalar(_)));
}
