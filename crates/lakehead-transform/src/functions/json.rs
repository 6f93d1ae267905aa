//! JSON in SQL: `json_get(j, 'a', 0)`, `j -> 'a' ->> 0`, `j ? 'a'` and their kin, over the text of the value.
//!
//! Where the value is missing or of another kind, the typed functions give an empty value (`''`, `0`, `0.0`, `false`): that is
//! what the documentation of Cloudflare Pipelines promises. NULL instead of JSON gives NULL, and so does NULL in a path.

mod operators;
mod path;
mod walk;

pub(crate) use operators::{JsonPlanner, prepare};
pub(super) use path::{compile as compile_path, functions as path_functions, is_compiled};

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Array, Int64Builder, StringArray,
    StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use walk::{Part, Value};

/// What marks a text column as JSON.
const TYPE_KEY: &str = "lakehead.type";
const TYPE_JSON: &str = "json";
/// Parts of a path: far below the nesting that reading follows.
const PARTS_MAX: usize = 64;

/// What a function makes of the value it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Make {
    Contains,
    Json,
    RawText,
    Str,
    Int,
    Float,
    Bool,
    Text,
    Length,
    /// Casts of `json_get`: the value with its native kind. `lenient`: what has no such value is NULL, not an error.
    CastInt {
        lenient: bool,
    },
    CastFloat {
        lenient: bool,
    },
    CastBool {
        lenient: bool,
    },
}

/// A function that walks into JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonFunction {
    name: &'static str,
    make: Make,
    /// As it was written, if not as a call: `->`.
    operator: Option<&'static str>,
    signature: Signature,
}

impl JsonFunction {
    fn new(name: &'static str, make: Make, operator: Option<&'static str>) -> JsonFunction {
        JsonFunction { name, make, operator, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }
}

/// The functions that SQL may name.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ("json_contains", Make::Contains),
        ("json_get", Make::Json),
        ("json_get_str", Make::Str),
        ("json_get_int", Make::Int),
        ("json_get_float", Make::Float),
        ("json_get_bool", Make::Bool),
        ("json_get_json", Make::RawText),
        ("json_as_text", Make::Text),
        ("json_length", Make::Length),
    ]
    .map(|(name, make)| JsonFunction::new(name, make, None).udf())
    .into()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let written = |arg: &Expr| match arg {
            Expr::Literal(ScalarValue::Utf8(Some(key)), _) => format!("'{key}'"),
            Expr::Literal(ScalarValue::Int64(Some(index)), _) => index.to_string(),
            other => other.schema_name().to_string(),
        };
        let parts = args.iter().map(written).collect::<Vec<_>>();
        Ok(match self.operator {
            Some(operator) => parts.join(&format!(" {operator} ")),
            None => format!("{}({})", self.name, parts.join(",")),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.operator.unwrap_or(self.name);
        let [json, path @ ..] = arguments else {
            return plan_err!("`{name}` needs JSON or text as its first argument");
        };
        if path.is_empty() && !matches!(self.make, Make::Length | Make::Text | Make::RawText) {
            return plan_err!("`{name}` needs a key or an index after the JSON");
        }
        if path.len() > PARTS_MAX {
            return plan_err!("the path of `{name}` has {} parts; the limit is {PARTS_MAX}", path.len());
        }
        if !is_text(json) && !json.is_null() {
            return plan_err!("the first argument of `{name}` must be JSON or text, not {json}");
        }
        let mut types = vec![DataType::Utf8];
        for part in path {
            types.push(match part {
                part if is_text(part) || part.is_null() => DataType::Utf8,
                part if part.is_integer() => DataType::Int64,
                other => {
                    return plan_err!(
                        "a part of a path of `{name}` is a key (text) or an index (integer), not {other}"
                    );
                }
            });
        }
        Ok(types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.make {
            Make::Contains | Make::Bool | Make::CastBool { .. } => DataType::Boolean,
            Make::Json | Make::RawText | Make::Str | Make::Text => DataType::Utf8,
            Make::Int | Make::Length | Make::CastInt { .. } => DataType::Int64,
            Make::Float | Make::CastFloat { .. } => DataType::Float64,
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        let field = Field::new(self.name, self.return_type(&[])?, true);
        Ok(Arc::new(match self.make {
            Make::Json => field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), TYPE_JSON.to_owned())])),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let [json, path @ ..] = args.args.as_slice() else { return exec_err!("`{}` needs JSON", self.name) };
        let json = Texts::of(json)?;
        let path = path.iter().map(Step::of).collect::<Result<Vec<_>>>()?;
        let array = self.make.rows(rows, |row| Place::find(&json, &path, row))?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The texts of an argument.
enum Texts {
    Same(Option<String>),
    Each(StringArray),
}

impl Texts {
    fn of(value: &ColumnarValue) -> Result<Texts> {
        Ok(match value {
            ColumnarValue::Scalar(
                ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text),
            ) => Texts::Same(text.clone()),
            ColumnarValue::Scalar(ScalarValue::Null) => Texts::Same(None),
            ColumnarValue::Scalar(other) => return exec_err!("{other} is not text"),
            ColumnarValue::Array(array) => {
                Texts::Each(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
        })
    }

    fn get(&self, row: usize) -> Option<&str> {
        match self {
            Texts::Same(text) => text.as_deref(),
            Texts::Each(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// One argument of a path.
enum Step {
    Keys(Texts),
    Index(Option<i64>),
    Indexes(Int64Array),
}

impl Step {
    fn of(value: &ColumnarValue) -> Result<Step> {
        Ok(match value {
            ColumnarValue::Scalar(ScalarValue::Int64(index)) => Step::Index(*index),
            ColumnarValue::Array(array) if array.data_type().is_integer() => {
                Step::Indexes(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            other => Step::Keys(Texts::of(other)?),
        })
    }

    fn get(&self, row: usize) -> Option<Part<'_>> {
        match self {
            Step::Keys(keys) => keys.get(row).map(Part::Key),
            Step::Index(index) => index.map(Part::Index),
            Step::Indexes(array) => array.is_valid(row).then(|| Part::Index(array.value(row))),
        }
    }
}

/// What is at the end of a path.
enum Place<'a> {
    /// An argument is NULL.
    Unknown,
    Missing,
    Found(&'a str),
}

impl<'a> Place<'a> {
    fn find(json: &'a Texts, path: &'a [Step], row: usize) -> Place<'a> {
        let Some(json) = json.get(row) else { return Place::Unknown };
        let mut parts = [Part::Index(0); PARTS_MAX];
        for (part, step) in parts.iter_mut().zip(path) {
            match step.get(row) {
                Some(here) => *part = here,
                None => return Place::Unknown,
            }
        }
        walk::find(json, &parts[..path.len()]).map_or(Place::Missing, Place::Found)
    }
}

impl Make {
    fn rows<'a>(self, rows: usize, place: impl Fn(usize) -> Place<'a>) -> Result<ArrayRef> {
        match self {
            Make::Contains | Make::Bool | Make::CastBool { .. } => {
                let mut out = BooleanBuilder::with_capacity(rows);
                for row in 0..rows {
                    out.append_option(self.boolean(place(row))?);
                }
                Ok(Arc::new(out.finish()))
            }
            Make::Int | Make::Length | Make::CastInt { .. } => {
                let mut out = Int64Builder::with_capacity(rows);
                for row in 0..rows {
                    out.append_option(self.integer(place(row))?);
                }
                Ok(Arc::new(out.finish()))
            }
            Make::Float | Make::CastFloat { .. } => {
                let mut out = Float64Builder::with_capacity(rows);
                for row in 0..rows {
                    out.append_option(self.float(place(row))?);
                }
                Ok(Arc::new(out.finish()))
            }
            Make::Json | Make::RawText | Make::Str | Make::Text => {
                let mut out = StringBuilder::new();
                for row in 0..rows {
                    self.append_text(place(row), &mut out);
                }
                Ok(Arc::new(out.finish()))
            }
        }
    }

    fn boolean(self, place: Place) -> Result<Option<bool>> {
        let value = match (self, place) {
            (_, Place::Unknown) => return Ok(None),
            (Make::Contains, place) => return Ok(Some(matches!(place, Place::Found(_)))),
            (_, Place::Missing) => None,
            (_, Place::Found(raw)) => Value::of(raw),
        };
        let Make::CastBool { lenient } = self else {
            return Ok(Some(value == Some(Value::Bool(true))));
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(Value::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => no_cast(&other, "BOOLEAN", lenient),
        }
    }

    fn integer(self, place: Place) -> Result<Option<i64>> {
        let value = match (self, place) {
            (_, Place::Unknown) => return Ok(None),
            (Make::Length, Place::Found(raw)) => return Ok(Some(walk::length(raw).unwrap_or(0))),
            (_, Place::Missing) => None,
            (_, Place::Found(raw)) => Value::of(raw),
        };
        let Make::CastInt { lenient } = self else {
            return Ok(Some(match value {
                Some(Value::Number(number)) => number.parse().unwrap_or(0),
                _ => 0,
            }));
        };
        let number = match &value {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Bool(value)) => Some(i64::from(*value)),
            Some(Value::Number(number)) => number.parse().ok().or_else(|| whole(number)),
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(Value::Nested(_)) => None,
        };
        match (number, value) {
            (None, Some(value)) => no_cast(&value, "BIGINT", lenient),
            (number, _) => Ok(number),
        }
    }

    fn float(self, place: Place) -> Result<Option<f64>> {
        let value = match place {
            Place::Unknown => return Ok(None),
            Place::Missing => None,
            Place::Found(raw) => Value::of(raw),
        };
        let Make::CastFloat { lenient } = self else {
            return Ok(Some(match value {
                Some(Value::Number(number)) => number.parse().unwrap_or(0.0),
                _ => 0.0,
            }));
        };
        let number = match &value {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Bool(value)) => Some(f64::from(u8::from(*value))),
            Some(Value::Number(number)) => number.parse().ok(),
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(Value::Nested(_)) => None,
        };
        match (number, value) {
            (None, Some(value)) => no_cast(&value, "DOUBLE", lenient),
            (number, _) => Ok(number),
        }
    }

    fn append_text(self, place: Place, out: &mut StringBuilder) {
        let raw = match place {
            Place::Unknown => return out.append_null(),
            Place::Missing if self == Make::Str => return out.append_value(""),
            Place::Missing => return out.append_null(),
            Place::Found(raw) => raw,
        };
        match (self, Value::of(raw)) {
            (Make::Json | Make::RawText, _) => out.append_value(raw),
            (_, Some(Value::Text(text))) => out.append_value(text),
            (Make::Str, _) => out.append_value(""),
            (_, None | Some(Value::Null)) => out.append_null(),
            (_, Some(Value::Bool(_) | Value::Number(_) | Value::Nested(_))) => out.append_value(raw),
        }
    }
}

/// A number with a fraction or an exponent, cut off towards zero; `None` if it is too large.
fn whole(number: &str) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let number: f64 = number.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the fraction is to go")]
    (-LIMIT..LIMIT).contains(&number).then_some(number as i64)
}

fn no_cast<T>(value: &Value, wanted: &str, lenient: bool) -> Result<Option<T>> {
    const SHOWN: usize = 40;
    if lenient {
        return Ok(None);
    }
    let (kind, text) = match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) => ("number", *number),
        Value::Text(text) => ("string", text.as_ref()),
        Value::Nested(_) => return exec_err!("an object or array in JSON has no value of type {wanted}"),
    };
    let shown = text.chars().take(SHOWN).collect::<String>();
    exec_err!("the {kind} `{shown}` in JSON has no value of type {wanted}")
}
