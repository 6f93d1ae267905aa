//! The values that JSON does not have: arrays that begin with a name.

use chrono::{DateTime, Datelike};

use super::{Done, Fault};
use crate::binding::elements::Elements;

/// Milliseconds from 1970 within which a JavaScript date is valid.
const DATE_MILLISECONDS_MAX: f64 = 8.64e15;

#[derive(Debug)]
pub(super) enum Special<'t> {
    Undefined,
    /// An infinity, or not a number.
    NotFinite,
    /// Milliseconds from 1970; `None` is an invalid date.
    Date(Option<f64>),
    /// Its decimal digits.
    BigInt(&'t str),
    /// Base64 without padding.
    Bytes(&'t str),
    /// A JSON string.
    Url(&'t str),
    /// What it is.
    NotData(&'static str),
}

impl<'t> Special<'t> {
    /// `None`: not of the protocol.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let elements = Elements::parse(text)?;
        Some(match (elements.tag()?, elements.rest()) {
            ("undefined", []) => Special::Undefined,
            ("inf" | "-inf" | "nan", []) => Special::NotFinite,
            ("date", ["null"]) => Special::Date(None),
            ("date", [number]) => Special::Date(Some(milliseconds(number)?)),
            ("bigint", [digits]) => Special::BigInt(decimal(quoted(digits)?)?),
            ("bytes", [text] | [text, _]) => Special::Bytes(base64(quoted(text)?)?),
            ("url", [text]) if text.starts_with('"') => Special::Url(text),
            ("error", _) => Special::NotData("an error"),
            ("headers" | "request" | "response" | "blob", _) => {
                Special::NotData("a request, a response or a part of one")
            }
            ("readable" | "writable", _) => Special::NotData("a stream of bytes"),
            ("export" | "import" | "promise" | "pipeline" | "remap", _) => {
                Special::NotData("a function or an RPC stub")
            }
            _ => return None,
        })
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Special::Undefined => "undefined",
            Special::NotFinite => "a number",
            Special::Date(_) => "a date",
            Special::BigInt(_) => "a bigint",
            Special::Bytes(_) => "bytes",
            Special::Url(_) => "a URL",
            Special::NotData(kind) => kind,
        }
    }

    /// Writes its JSON; of undefined nothing.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<Done, Fault> {
        match self {
            Special::Undefined => return Ok(Done::Undefined),
            Special::NotFinite => out.extend_from_slice(b"null"),
            Special::Date(milliseconds) => out.extend_from_slice(date(*milliseconds)?.as_bytes()),
            Special::BigInt(digits) => out.extend_from_slice(digits.as_bytes()),
            Special::Bytes(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.extend(std::iter::repeat_n(b'=', text.len().wrapping_neg() % 4));
                out.push(b'"');
            }
            Special::Url(text) => out.extend_from_slice(text.as_bytes()),
            Special::NotData(kind) => {
                return Err(Fault::Refused(format!(
                    "the records hold {kind}; a record is made of JSON values"
                )));
            }
        }
        Ok(Done::Written)
    }
}

/// The inside of a JSON string without escapes.
fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

fn milliseconds(number: &str) -> Option<f64> {
    number.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| number.parse().ok())?
}

/// An integer as JSON may write it.
fn decimal(digits: &str) -> Option<&str> {
    let magnitude = digits.strip_prefix('-').unwrap_or(digits);
    let plain = !magnitude.is_empty()
        && magnitude.bytes().all(|b| b.is_ascii_digit())
        && (magnitude.len() == 1 || !magnitude.starts_with('0'));
    plain.then_some(digits)
}

fn base64(text: &str) -> Option<&str> {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    (text.len() % 4 != 1 && text.bytes().all(alphabet)).then_some(text)
}

/// As `Date.prototype.toJSON` writes it.
fn date(milliseconds: Option<f64>) -> Result<String, Fault> {
    let Some(milliseconds) = milliseconds.map(f64::trunc).filter(|m| m.abs() <= DATE_MILLISECONDS_MAX) else {
        return Ok("null".to_owned());
    };
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far inside of 64 bits")]
    let time = DateTime::from_timestamp_millis(milliseconds as i64)
        .ok_or_else(|| Fault::Refused("the records hold a date more than 262,000 years away".to_owned()))?;
    let year = match time.year() {
        year @ 0..=9999 => format!("{year:04}"),
        year => format!("{year:+07}"),
    };
    Ok(format!("\"{year}-{}\"", time.format("%m-%dT%H:%M:%S%.3fZ")))
}
