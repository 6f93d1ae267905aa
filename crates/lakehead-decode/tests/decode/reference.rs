//! A second, slow decoder: the coercion table written down again without looking at speed, on top of serde_json for the
//! grammar and chrono for the calendar. What it says and what the decoder says must agree.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use lakehead_decode::Reason;
use lakehead_model::Schema;
use lakehead_model::schema::{Field, FieldType, TimeUnit};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    /// Bits, so that -0 and 0 differ.
    Float32(u32),
    Float64(u64),
    Text(String),
    Bytes(Vec<u8>),
    Struct(Vec<Cell>),
    List(Vec<Cell>),
}

/// The row, or reason and path.
pub(crate) type Verdict = Result<Vec<Cell>, (Reason, String)>;

type Outcome = Result<Cell, (Reason, String)>;

/// Keys and values of an object as they stand there, duplicates included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(V)
    }
}

/// What a record must become. The record is JSON.
pub(crate) fn decode(schema: Option<&Schema>, record: &str) -> Verdict {
    let record = record.trim_matches([' ', '\n', '\r', '\t']);
    if !record.starts_with('{') {
        return Err((Reason::TypeMismatch, String::new()));
    }
    match schema {
        Some(schema) => members(&schema.fields, record),
        None => Ok(vec![Cell::Text(compact(record))]),
    }
}

fn within(path: &str, rest: &str) -> String {
    match rest {
        "" => path.to_owned(),
        _ if rest.starts_with('[') => format!("{path}{rest}"),
        _ => format!("{path}.{rest}"),
    }
}

fn members(fields: &[Field], object: &str) -> Verdict {
    let Pairs(pairs) = serde_json::from_str(object).expect("the input is JSON");
    fields
        .iter()
        .map(|field| {
            let last = pairs.iter().rev().find(|(key, _)| *key == field.name);
            match last {
                None if field.required => Err((Reason::MissingField, String::new())),
                None => Ok(Cell::Null),
                Some((_, raw)) => value(field, raw.get()),
            }
            .map_err(|(reason, path)| (reason, within(&field.name, &path)))
        })
        .collect()
}

fn value(field: &Field, raw: &str) -> Outcome {
    let mismatch = Err((Reason::TypeMismatch, String::new()));
    let first = raw.as_bytes()[0];
    if raw == "null" {
        return if field.required { Err((Reason::NullValue, String::new())) } else { Ok(Cell::Null) };
    }
    let is_number = first == b'-' || first.is_ascii_digit();
    let content = (first == b'"').then(|| unescape(&raw[1..raw.len() - 1]));
    match &field.field_type {
        FieldType::Json => Ok(Cell::Text(compact(raw))),
        FieldType::Bool => match raw {
            "true" => Ok(Cell::Bool(true)),
            "false" => Ok(Cell::Bool(false)),
            _ => mismatch,
        },
        FieldType::String => content.map_or(mismatch, |c| Ok(Cell::Text(c))),
        FieldType::Binary { .. } => match content {
            Some(c) => base64(&c).map(Cell::Bytes).ok_or((Reason::ParseFailure, String::new())),
            None => mismatch,
        },
        FieldType::Struct(fields) if first == b'{' => members(fields, raw).map(Cell::Struct),
        FieldType::List(item) if first == b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).expect("the input is JSON");
            let cells = items.iter().enumerate().map(|(i, raw)| {
                value(item, raw.get()).map_err(|(reason, path)| (reason, within(&format!("[{i}]"), &path)))
            });
            Ok(Cell::List(cells.collect::<Result<_, _>>()?))
        }
        FieldType::Struct(_) | FieldType::List(_) => mismatch,
        FieldType::Timestamp { unit } if content.is_some() => timestamp(&content.unwrap_or_default(), *unit),
        _ if is_number => number(&field.field_type, raw),
        numeric => content.map_or(mismatch, |c| number(numeric, &c)),
    }
}

/// Content of a string by way of UTF-16, as JSON's escapes are defined.
fn unescape(raw: &str) -> String {
    let mut units = Vec::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' {
            match chars.next().unwrap() {
                'b' => '\u{8}',
                'f' => '\u{C}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let hex: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&hex, 16).unwrap());
                    continue;
                }
                other => other,
            }
        } else {
            c
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Without white space outside of strings.
pub(crate) fn compact(raw: &str) -> String {
    let mut out = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in raw.chars() {
        if in_string || !matches!(c, ' ' | '\n' | '\r' | '\t') {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    out
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const STANDARD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return None;
    }
    [STANDARD, URL_SAFE].iter().find_map(|alphabet| {
        let mut bits = String::new();
        for c in digits.chars() {
            bits += &format!("{:06b}", alphabet.find(c)?);
        }
        let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
        if rest.len() >= 6 || rest.contains('1') {
            return None;
        }
        Some((0..whole.len() / 8).map(|i| u8::from_str_radix(&whole[i * 8..i * 8 + 8], 2).unwrap()).collect())
    })
}

/// A number as digits in front of and behind the point.
fn decimal_text(text: &str) -> Option<(bool, String, String)> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => {
            let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let huge = if e.starts_with('-') { -5000 } else { 5000 };
            (m, e.parse::<i64>().map_or(huge, |e| e.clamp(-5000, 5000)))
        }
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if whole.is_empty() || !(whole.to_owned() + fraction).bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    for _ in 0..exponent.max(0) {
        whole.push(if fraction.is_empty() { '0' } else { fraction.remove(0) });
    }
    for _ in 0..(-exponent).max(0) {
        fraction.insert(0, whole.pop().unwrap_or('0'));
    }
    Some((negative, whole, fraction))
}

fn number(field_type: &FieldType, text: &str) -> Outcome {
    let unreadable = (Reason::ParseFailure, String::new());
    let unholdable = (Reason::TypeMismatch, String::new());
    let (negative, mut whole, fraction) = decimal_text(text).ok_or(unreadable)?;
    let (min, max) = match field_type {
        FieldType::Int32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        // Seconds must fit as milliseconds.
        FieldType::Timestamp { unit: TimeUnit::Second } => {
            (i128::from(i64::MIN / 1_000), i128::from(i64::MAX / 1_000))
        }
        FieldType::Int64 | FieldType::Timestamp { .. } => (i128::from(i64::MIN), i128::from(i64::MAX)),
        FieldType::Uint32 => (0, i128::from(u32::MAX)),
        FieldType::Uint64 => (0, i128::from(u64::MAX)),
        FieldType::Float32 => {
            let value: f32 = text.parse().unwrap();
            return if value.is_finite() { Ok(Cell::Float32(value.to_bits())) } else { Err(unholdable) };
        }
        FieldType::Float64 => {
            let value: f64 = text.parse().unwrap();
            return if value.is_finite() { Ok(Cell::Float64(value.to_bits())) } else { Err(unholdable) };
        }
        FieldType::Decimal128 { precision, scale } => {
            let scale = usize::from(*scale);
            let kept = format!("{fraction:0<scale$}");
            if kept[scale..].contains(|c| c != '0') {
                return Err(unholdable);
            }
            whole += &kept[..scale];
            let limit = 10_i128.pow(u32::from(*precision)) - 1;
            (-limit, limit)
        }
        _ => return Err(unholdable),
    };
    let digits = whole.trim_start_matches('0');
    if digits.len() > 38 {
        return Err(unholdable);
    }
    let magnitude: i128 = if digits.is_empty() { 0 } else { digits.parse().unwrap() };
    let value = if negative { -magnitude } else { magnitude };
    if (min..=max).contains(&value) { Ok(Cell::Int(value)) } else { Err(unholdable) }
}

fn timestamp(text: &str, unit: TimeUnit) -> Outcome {
    use chrono::{DateTime, NaiveDate, NaiveDateTime};
    let unreadable = Err((Reason::ParseFailure, String::new()));
    // chrono takes more shapes than we do.
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some(behind_date) = shape.strip_prefix("0000-00-00") else { return unreadable };
    let zone_at = behind_date.find(['Z', 'z', '+', '-']).unwrap_or(behind_date.len());
    let (time, zone) = behind_date.split_at(zone_at);
    let known_zone = ["", "Z", "z", "+00", "-00", "+0000", "-0000", "+00:00", "-00:00"].contains(&zone);
    let seconds = time.get(1..).is_some_and(|t| t.starts_with("00:00:00"));
    let fraction = time.get(9..).unwrap_or_default();
    let known_fraction =
        fraction.is_empty() || (fraction.starts_with('.') && (2..=10).contains(&fraction.len()));
    let known_time = time.is_empty() && zone.is_empty()
        || (time.starts_with(['T', 't', ' '])
            && (time.get(1..) == Some("00:00") || (seconds && known_fraction)));
    if !known_zone || !known_time || !fraction.chars().skip(1).all(|c| c == '0') {
        return unreadable;
    }
    let (date, rest) = text.split_at(10);
    let moment = if rest.is_empty() {
        NaiveDate::parse_from_str(date, "%Y-%m-%d")
            .ok()
            .map(|d| (d.and_hms_opt(0, 0, 0).unwrap().and_utc(), 0))
    } else {
        let clock = &rest[1..zone_at];
        let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
        let zone = match &rest[zone_at..] {
            "" | "z" | "Z" => "+00:00".to_owned(),
            z if z.len() == 3 => format!("{z}:00"),
            z if z.len() == 5 => format!("{}:{}", &z[..3], &z[3..]),
            z => z.to_owned(),
        };
        let local = NaiveDateTime::parse_from_str(&format!("{date}T{clock}"), "%Y-%m-%dT%H:%M:%S%.f");
        let (hours, minutes): (i64, i64) = (zone[1..3].parse().unwrap(), zone[4..].parse().unwrap());
        let offset = (hours * 60 + minutes) * if zone.starts_with('-') { -1 } else { 1 };
        let valid = hours < 24 && minutes < 60;
        local.ok().filter(|_| valid).map(|l| (l.and_utc(), offset))
    };
    // A leap second is nanoseconds above 10^9 here, and only at the last second of a minute.
    let Some((moment, offset)): Option<(DateTime<chrono::Utc>, i64)> = moment else { return unreadable };
    let leap = text.get(16..19) == Some(":60");
    if leap && text.get(14..16) != Some("59") {
        return unreadable;
    }
    let seconds = moment.timestamp() - offset * 60;
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(moment.timestamp_subsec_nanos());
    let value = match unit {
        TimeUnit::Second => nanos.div_euclid(1_000_000_000),
        TimeUnit::Millisecond => nanos.div_euclid(1_000_000),
        TimeUnit::Microsecond => nanos.div_euclid(1_000),
        TimeUnit::Nanosecond => nanos,
    };
    match i64::try_from(value) {
        Ok(value) => Ok(Cell::Int(i128::from(value))),
        Err(_) => Err((Reason::TypeMismatch, String::new())),
    }
}

/// A batch as rows.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|c| cell(c, row)).collect()).collect()
}

pub(crate) fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    macro_rules! int {
        ($t:ty) => {
            Cell::Int(i128::from(array.as_primitive::<$t>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt32 => int!(UInt32Type),
        DataType::UInt64 => int!(UInt64Type),
        DataType::Decimal128(_, _) => int!(Decimal128Type),
        DataType::Timestamp(ArrowUnit::Second, None) => int!(TimestampSecondType),
        DataType::Timestamp(ArrowUnit::Millisecond, None) => int!(TimestampMillisecondType),
        DataType::Timestamp(ArrowUnit::Microsecond, None) => int!(TimestampMicrosecondType),
        DataType::Timestamp(ArrowUnit::Nanosecond, None) => int!(TimestampNanosecondType),
        DataType::Float32 => Cell::Float32(array.as_primitive::<Float32Type>().value(row).to_bits()),
        DataType::Float64 => Cell::Float64(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Cell::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Struct(_) => {
            Cell::Struct(array.as_struct().columns().iter().map(|c| cell(c, row)).collect())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Cell::List((0..items.len()).map(|i| cell(&items, i)).collect())
        }
        other => panic!("no column is {other}"),
    }
}
