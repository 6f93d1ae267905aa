//! How a JSON value gets into a column: the coercion table.
//!
//! | column | takes |
//! |---|---|
//! | bool | `true`, `false` |
//! | int32, int64, uint32, uint64 | numbers and numeric strings; decimals are cut off towards zero |
//! | float32, float64 | numbers and numeric strings, rounded to the nearest |
//! | decimal128 | numbers and numeric strings, exactly |
//! | string | strings |
//! | binary | strings in base64 (standard or URL-safe alphabet, padded or not) |
//! | timestamp | strings (see [`crate::time`]), numbers in the column's unit, decimals cut off |
//! | json | everything |
//! | struct | objects |
//! | list | arrays |
//! | any, optional | null |

use crate::arrow_types::arrow_type;
use crate::base64_text;
use crate::column::{Column, Values};
use crate::json_text;
use crate::number::{self, NumberFault};
use crate::reject::{Fault, Read, Reason, Reject, syntax, unfit};
use crate::scan::{byte, starts_with};
use crate::text::{self, string_end};
use crate::time;
use lakehead_model::schema::FieldType;

fn is_number(first: u8) -> bool {
    matches!(first, b'-' | b'0'..=b'9')
}

impl Column {
    /// Reads the value at `pos` (no white space before it) as one row. The usual pairs of column and value are here, all
    /// else is in [`Column::read_other`].
    #[inline]
    pub(crate) fn read(&mut self, input: &[u8], pos: usize) -> Read {
        let build = self.build;
        let first = byte(input, pos);
        match &mut self.values {
            Values::Text(v) if first == b'"' => {
                return if build {
                    v.read_string(input, pos + 1)
                } else {
                    string_end(input, pos + 1).map(|(end, _)| end)
                };
            }
            Values::Int64(v) if is_number(first) => {
                if let Some((value, end)) = number::plain_integer(input, pos) {
                    push(v, build, value);
                    return Ok(end);
                }
            }
            Values::Int32(v) if is_number(first) => {
                let plain = number::plain_integer(input, pos);
                if let Some((Ok(value), end)) = plain.map(|(value, end)| (i32::try_from(value), end)) {
                    push(v, build, value);
                    return Ok(end);
                }
            }
            Values::Float64(v) if is_number(first) => {
                if let Some((value, end)) = number::plain_float64(input, pos) {
                    push(v, build, value);
                    return Ok(end);
                }
            }
            Values::Bool(v) => {
                if starts_with(input, pos, b"true") {
                    push(v, build, 1);
                    return Ok(pos + 4);
                }
                if starts_with(input, pos, b"false") {
                    push(v, build, 0);
                    return Ok(pos + 5);
                }
            }
            Values::Timestamp { values, unit } if first == b'"' => {
                // A text with escapes has another form than the usual one.
                let (end, _) = string_end(input, pos + 1)?;
                let content = input.get(pos + 1..end - 1).unwrap_or_default();
                if let Some(Ok(value)) = time::usual_moment(content).map(|m| m.in_unit(*unit)) {
                    push(values, build, value);
                    return Ok(end);
                }
            }
            Values::Json(v) if first != b'n' => {
                return if build { json_text::copy(input, pos, v) } else { json_text::skip(input, pos) };
            }
            Values::Struct(members) if first == b'{' => return members.read(input, pos + 1, build),
            Values::List(list) if first == b'[' => return list.read(input, pos + 1, build),
            _ => {}
        }
        self.read_other(input, pos)
    }

    /// Null, the rarer pairs of column and value, and what does not fit.
    #[inline(never)]
    fn read_other(&mut self, input: &[u8], pos: usize) -> Read {
        let end = json_text::skip(input, pos)?;
        let text = input.get(pos..end).unwrap_or_default();
        match text {
            b"null" if self.required => {
                let detail = format!("expected {}, received null", self.type_name());
                return Err(unfit(Reject::new(Reason::NullValue, detail)));
            }
            b"null" => self.push_null(),
            [b'"', ..] => {
                let escapes = memchr::memchr(b'\\', text).is_some();
                let mut scratch = Vec::new();
                let content = text::content(input, pos + 1, end, escapes, &mut scratch)?;
                self.push_string(content)?;
            }
            [first, ..] if is_number(*first) => {
                self.push_number(text)
                    .map_err(|f| self.refuse(f, format!("a number of {} bytes", text.len())))?;
            }
            [b'{', ..] => return Err(self.refuse(NumberFault::WrongColumn, "an object".to_owned())),
            [b'[', ..] => return Err(self.refuse(NumberFault::WrongColumn, "an array".to_owned())),
            b"true" | b"false" => return Err(self.refuse(NumberFault::WrongColumn, "a boolean".to_owned())),
            _ => return Err(syntax(pos)),
        }
        Ok(end)
    }

    /// Appends what the content of a string stands for.
    fn push_string(&mut self, content: &[u8]) -> Result<(), Box<Fault>> {
        let build = self.build;
        let pushed = match &mut self.values {
            Values::Binary(v) => match base64_text::decode(content) {
                Some(bytes) => {
                    if build {
                        v.push_slice(&bytes);
                        v.end_value();
                    }
                    Ok(())
                }
                None => Err(NumberFault::Unreadable),
            },
            Values::Timestamp { values, unit } => match time::moment(content) {
                Some(moment) => moment.in_unit(*unit).map(|value| push(values, build, value)),
                None => Err(NumberFault::Unreadable),
            },
            _ => self.push_number(content),
        };
        pushed.map_err(|fault| self.refuse(fault, format!("a string of {} bytes", content.len())))
    }

    /// Appends a number as it is written.
    fn push_number(&mut self, text: &[u8]) -> Result<(), NumberFault> {
        fn narrow<T: TryFrom<i128>>(text: &[u8]) -> Result<T, NumberFault> {
            T::try_from(number::integer(text)?).map_err(|_| NumberFault::OutOfRange)
        }
        let build = self.build;
        match &mut self.values {
            Values::Int32(v) => push(v, build, narrow(text)?),
            Values::Int64(v) => push(v, build, narrow(text)?),
            Values::Timestamp { values, unit } => push(values, build, time::counted(narrow(text)?, *unit)?),
            Values::Uint32(v) => push(v, build, narrow(text)?),
            Values::Uint64(v) => push(v, build, narrow(text)?),
            Values::Float32(v) => push(v, build, number::float32(text)?),
            Values::Float64(v) => push(v, build, number::float64(text)?),
            Values::Decimal { values, precision, scale } => {
                push(values, build, number::decimal(text, *precision, *scale)?);
            }
            _ => return Err(NumberFault::WrongColumn),
        }
        Ok(())
    }

    #[cold]
    fn refuse(&self, fault: NumberFault, received: String) -> Box<Fault> {
        let (reason, why) = match fault {
            NumberFault::WrongColumn => (Reason::TypeMismatch, ""),
            NumberFault::Unreadable => (Reason::ParseFailure, " that cannot be read as one"),
            NumberFault::OutOfRange => (Reason::TypeMismatch, " that is out of its range"),
            NumberFault::Inexact => (Reason::TypeMismatch, " with more decimals than its scale"),
        };
        unfit(Reject::new(reason, format!("expected {}, received {received}{why}", self.type_name())))
    }

    /// The Arrow type, without the inside of structs and lists.
    fn type_name(&self) -> String {
        let field_type = match &self.values {
            Values::Struct(_) => return "Struct".to_owned(),
            Values::List(_) => return "List".to_owned(),
            Values::Binary(_) => return "Binary".to_owned(),
            Values::Bool(_) => FieldType::Bool,
            Values::Int32(_) => FieldType::Int32,
            Values::Int64(_) => FieldType::Int64,
            Values::Uint32(_) => FieldType::Uint32,
            Values::Uint64(_) => FieldType::Uint64,
            Values::Float32(_) => FieldType::Float32,
            Values::Float64(_) => FieldType::Float64,
            Values::Decimal { precision, scale, .. } => {
                FieldType::Decimal128 { precision: *precision, scale: *scale }
            }
            Values::Timestamp { unit, .. } => FieldType::Timestamp { unit: *unit },
            Values::Text(_) => FieldType::String,
            Values::Json(_) => FieldType::Json,
        };
        arrow_type(&field_type).to_string()
    }
}

impl Column {
    /// The detail of a missing field.
    #[cold]
    pub(crate) fn missing(&self) -> String {
        format!("expected {}, received nothing", self.type_name())
    }
}

#[inline(always)]
fn push<T>(values: &mut Vec<T>, build: bool, value: T) {
    if build {
        values.push(value);
    }
}
