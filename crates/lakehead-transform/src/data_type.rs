//! Types: what their SQL names mean, how they are called in sentences, and which of them a sink can take.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion_common::{Result, plan_err};
use datafusion_expr::planner::TypePlanner;
use datafusion_sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType, ExactNumberInfo, TimezoneInfo};

/// Parts of a column's type: itself, its fields, their fields.
const TYPE_PARTS_MAX: usize = 4_096;
/// Nesting of lists and structs.
const TYPE_DEPTH_MAX: usize = 24;

/// Types as SQL names them. Those not treated here are planned by DataFusion, or refused by it.
#[derive(Debug)]
pub(crate) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql: &SqlType) -> Result<Option<FieldRef>> {
        let planned = match sql {
            SqlType::Character(length)
            | SqlType::CharacterVarying(length)
            | SqlType::CharVarying(length)
            | SqlType::Varchar(length)
            | SqlType::Char(length)
            | SqlType::Nvarchar(length) => {
                if length.is_some() {
                    return plan_err!("the length in {sql} would not be kept to; write VARCHAR");
                }
                DataType::Utf8
            }
            SqlType::String(Some(_)) => {
                return plan_err!("the length in {sql} would not be kept to; write STRING");
            }
            SqlType::JSON | SqlType::JSONB => {
                let field = Field::new("", DataType::Utf8, true).with_metadata(json_metadata());
                return Ok(Some(Arc::new(field)));
            }
            // As streams and tables have it, and PostgreSQL: microseconds.
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                return plan_err!("{sql} is not supported: times are UTC; write TIMESTAMP");
            }
            SqlType::Timestamp(Some(precision), _) if ![0, 3, 6, 9].contains(precision) => {
                return plan_err!("{sql} is not supported; the digits may be 0, 3, 6 or 9");
            }
            SqlType::Dec(ExactNumberInfo::None) => DataType::Decimal128(38, 10),
            SqlType::Dec(ExactNumberInfo::Precision(digits)) => decimal(*digits, 0)?,
            SqlType::Dec(ExactNumberInfo::PrecisionAndScale(digits, scale)) => decimal(*digits, *scale)?,
            SqlType::Array(ArrayElemTypeDef::SquareBracket(inner, Some(size))) => {
                return plan_err!("the size in {inner}[{size}] would not be kept to; write {inner}[]");
            }
            SqlType::Int64 => DataType::Int64,
            SqlType::Float64 => DataType::Float64,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", planned, true))))
    }
}

fn decimal(digits: u64, scale: i64) -> Result<DataType> {
    match (u8::try_from(digits), i8::try_from(scale)) {
        (Ok(digits @ 1..=38), Ok(scale))
            if (0..=38).contains(&scale) && u8::try_from(scale).is_ok_and(|s| s <= digits) =>
        {
            Ok(DataType::Decimal128(digits, scale))
        }
        _ => plan_err!(
            "DECIMAL has 1 to 38 digits, and no more of them behind the point; not ({digits},{scale})"
        ),
    }
}

/// What marks a text column as JSON.
pub(crate) fn json_metadata() -> HashMap<String, String> {
    HashMap::from([("lakehead.type".to_owned(), "json".to_owned())])
}

/// Whether a text column holds JSON.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get("lakehead.type").is_some_and(|t| t == "json")
}

/// How SQL calls a type.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTEA"
        }
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::Struct(_) => "STRUCT",
        DataType::Union(..) => "a JSON value",
        DataType::Map(..) => "MAP",
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            return format!("DECIMAL({p},{s})");
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => return format!("{}[]", sql_name(item.data_type())),
        DataType::Dictionary(_, values) => return sql_name(values),
        DataType::RunEndEncoded(_, values) => return sql_name(values.data_type()),
    };
    name.to_owned()
}

/// The type that a sink stores for a column of a query: views, dictionaries and the like become what they stand for.
///
/// # Errors
/// What to cast to, if no file format holds the type.
pub(crate) fn stored(data_type: &DataType) -> std::result::Result<DataType, String> {
    let inner = |f: &FieldRef| Ok(Arc::new(Field::clone(f).with_data_type(stored(f.data_type())?)));
    let refuse = |advice: &str| Err(format!("is {}, which no file can hold; {advice}", sql_name(data_type)));
    Ok(match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Dictionary(_, values) => stored(values)?,
        DataType::RunEndEncoded(_, values) => stored(values.data_type())?,
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::FixedSizeList(f, _) => DataType::List(inner(f)?),
        DataType::Struct(fields) if fields.is_empty() => return refuse("give it a field"),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(inner).collect::<std::result::Result<_, String>>()?)
        }
        DataType::Null => return Err("is NULL without a type; cast it: `NULL::VARCHAR`".into()),
        DataType::Time32(_) | DataType::Time64(_) => return refuse("cast it: `…::VARCHAR`"),
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Duration(_) => return refuse("cast it: `…::VARCHAR`, or add it to a timestamp"),
        DataType::Decimal256(..) => return refuse("cast it to at most 38 digits: `…::DECIMAL(38, 10)`"),
        DataType::Union(..) => {
            return refuse("cast it to what it holds, such as `…::VARCHAR` or `…::BIGINT`");
        }
        DataType::Map(..) => return refuse("take the values you need out of it"),
        plain => plain.clone(),
    })
}

/// What is too large about a type, if anything is: types can double with every query around another.
pub(crate) fn too_large(data_type: &DataType) -> Option<String> {
    let mut parts = 0;
    let deep = walk(data_type, 1, &mut parts);
    if parts > TYPE_PARTS_MAX {
        return Some(format!("its type has more than {TYPE_PARTS_MAX} parts"));
    }
    deep.then(|| format!("its type is nested deeper than {TYPE_DEPTH_MAX} levels"))
}

/// Whether the type is too deep. Stops counting when `parts` is more than is allowed.
fn walk(data_type: &DataType, depth: usize, parts: &mut usize) -> bool {
    *parts += 1;
    if *parts > TYPE_PARTS_MAX || depth > TYPE_DEPTH_MAX {
        return depth > TYPE_DEPTH_MAX;
    }
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|f| walk(f.data_type(), depth + 1, parts)),
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::FixedSizeList(f, _)
        | DataType::Map(f, _) => walk(f.data_type(), depth + 1, parts),
        _ => false,
    }
}
