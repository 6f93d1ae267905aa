//! `extract_json(j, '$.path')` and `extract_json_string(j, '$.path')`: JSONPath (RFC 9535). The path is a literal, compiled once.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use serde_json_path::JsonPath;

use super::Texts;
use crate::functions::budget;
use crate::functions::own::Own;

const PATH_BYTES_MAX: usize = 1024;
/// Parts of a path that choose more than one value. Each can multiply the work, and the output.
const CHOICES_MAX: usize = 6;
/// Parts that look into every depth, and filters.
const SEARCHES_MAX: usize = 1;

fn list_of_texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// As they are named; [`compile`] puts a compiled path in their place.
pub(in crate::functions) fn functions() -> Vec<Arc<ScalarUDF>> {
    let arguments = [DataType::Utf8, DataType::Utf8];
    let uncompiled = |_: &ScalarFunctionArgs| exec_err!("a JSONPath must be a literal text");
    vec![
        Arc::new(Own::exact("extract_json", &arguments, |_| Ok(list_of_texts()), uncompiled).udf()),
        Arc::new(Own::exact("extract_json_string", &arguments, |_| Ok(DataType::Utf8), uncompiled).udf()),
    ]
}

/// A function of one argument: the values at `path`, or the first one if it is a string.
pub(in crate::functions) fn compile(path: &str, first_string: bool) -> Result<ScalarUDF> {
    bounded(path)?;
    let compiled = match JsonPath::parse(path) {
        Ok(compiled) => compiled,
        Err(e) => return plan_err!("`{path}` is not a JSONPath: {e}"),
    };
    Ok(ScalarUDF::new_from_impl(Extract {
        path: path.to_owned(),
        first_string,
        compiled,
        signature: Signature::new(TypeSignature::Exact(vec![DataType::Utf8]), Volatility::Immutable),
    }))
}

pub(in crate::functions) fn is_compiled(function: &ScalarUDF) -> bool {
    function.inner().is::<Extract>()
}

/// Refuses paths whose work could be many times the size of the JSON.
fn bounded(path: &str) -> Result<()> {
    if path.len() > PATH_BYTES_MAX {
        return plan_err!("a JSONPath has {} bytes; the limit is {PATH_BYTES_MAX}", path.len());
    }
    let (mut choices, mut searches) = (0, 0);
    let (mut quote, mut escaped, mut before, mut filters) = (None, false, ' ', false);
    for c in path.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '*' | ',' | ':') => choices += 1,
            (None, '.') if before == '.' => searches += 1,
            (None, '?') => {
                filters = true;
                searches += 1;
            }
            (None, '$') if filters => {
                return plan_err!(
                    "`$` in a filter of a JSONPath is not supported (`{path}`): each element would search the whole"
                );
            }
            (None, '(') if before.is_alphanumeric() => {
                return plan_err!("functions in a JSONPath are not supported (`{path}`)");
            }
            _ => {}
        }
        before = if quote.is_some() { ' ' } else { c };
    }
    if choices > CHOICES_MAX || searches > SEARCHES_MAX {
        return plan_err!(
            "the JSONPath `{path}` searches too much; at most {SEARCHES_MAX} `..` or filter, and {CHOICES_MAX} `*`, slices or lists, are allowed"
        );
    }
    Ok(())
}

#[derive(Debug)]
struct Extract {
    path: String,
    first_string: bool,
    compiled: JsonPath,
    signature: Signature,
}

impl PartialEq for Extract {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.first_string == other.first_string
    }
}

impl Eq for Extract {}

impl Hash for Extract {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
        self.first_string.hash(state);
    }
}

impl ScalarUDFImpl for Extract {
    fn name(&self) -> &str {
        if self.first_string { "extract_json_string" } else { "extract_json" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.first_string { DataType::Utf8 } else { list_of_texts() })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json] = args.args.as_slice() else { return exec_err!("`{}` needs JSON", self.name()) };
        let constant = matches!(json, ColumnarValue::Scalar(_));
        let texts = Texts::of(json)?;
        let rows = if constant { 1 } else { args.number_rows };
        let array = if self.first_string { self.strings(&texts, rows) } else { self.lists(&texts, rows)? };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

impl Extract {
    fn strings(&self, texts: &Texts, rows: usize) -> ArrayRef {
        let mut out = StringBuilder::new();
        for row in 0..rows {
            let value = texts.get(row).and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            let first = value.as_ref().and_then(|value| self.compiled.query(value).first());
            out.append_option(first.and_then(serde_json::Value::as_str));
        }
        Arc::new(out.finish())
    }

    /// NULL for NULL; an empty list for what is not JSON.
    fn lists(&self, texts: &Texts, rows: usize) -> Result<ArrayRef> {
        let mut out = ListBuilder::new(StringBuilder::new());
        let mut bytes = 0;
        for row in 0..rows {
            let Some(text) = texts.get(row) else {
                out.append(false);
                continue;
            };
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
                for found in self.compiled.query(&value).all() {
                    let found = found.to_string();
                    bytes += found.len() as u64 + 4;
                    budget::check_size(self.name(), bytes)?;
                    out.values().append_value(found);
                }
            }
            out.append(true);
        }
        Ok(Arc::new(out.finish()))
    }
}
