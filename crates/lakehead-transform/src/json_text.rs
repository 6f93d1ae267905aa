//! `x::JSON`: text that must be JSON, in a column that is marked as JSON.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, exec_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::data_type::json_metadata;
use crate::suggest::short;

static JSON_TEXT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(JsonText::new())));

/// Takes text; fails for what is not JSON.
pub(crate) fn json_text() -> Arc<ScalarUDF> {
    Arc::clone(&JSON_TEXT)
}

pub(crate) fn is_it(function: &ScalarUDF) -> bool {
    function.inner().is::<JsonText>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonText {
    signature: Signature,
}

impl JsonText {
    fn new() -> Self {
        JsonText { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonText {
    fn name(&self) -> &str {
        "cast_to_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, nullable).with_metadata(json_metadata())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.into_iter().next() else {
            return exec_err!("a cast to JSON needs a text");
        };
        let texts = value.to_array(args.number_rows)?;
        let Some(strings) = texts.as_string_opt::<i32>() else {
            return exec_err!("{} cannot be cast to JSON", texts.data_type());
        };
        for text in strings.iter().flatten() {
            check_json(text)?;
        }
        Ok(value)
    }
}

pub(crate) fn check_json(text: &str) -> Result<()> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => exec_err!("Cannot cast string '{}' to JSON", short(text)),
    }
}
