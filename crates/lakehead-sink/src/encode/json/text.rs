//! The JSON text of single values.

use std::io::Write;

use arrow::datatypes::TimeUnit;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakehead_model::resource::{DecimalEncoding, TimestampFormat};

pub(super) fn integer(out: &mut Vec<u8>, v: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
}

/// A float JSON can hold.
pub(super) trait Float: ryu::Float {
    fn finite(self) -> bool;
}

impl Float for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Float for f64 {
    fn finite(self) -> bool {
        self.is_finite()
    }
}

pub(super) fn float(out: &mut Vec<u8>, v: impl Float) {
    if v.finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(v).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

pub(super) fn decimal(out: &mut Vec<u8>, v: i128, scale: i8, encoding: DecimalEncoding) {
    match encoding {
        DecimalEncoding::Number => digits(out, v, scale),
        DecimalEncoding::String => quoted(out, |out| digits(out, v, scale)),
        DecimalEncoding::Bytes => binary(out, &v.to_be_bytes()),
    }
}

/// `v · 10^(−scale)` with all its digits.
fn digits(out: &mut Vec<u8>, v: i128, scale: i8) {
    let mut buffer = itoa::Buffer::new();
    let all = buffer.format(v.unsigned_abs());
    if v < 0 {
        out.push(b'-');
    }
    let behind = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(all.as_bytes());
        if v != 0 {
            out.resize(out.len() + behind, b'0');
        }
        return;
    }
    if all.len() > behind {
        let (whole, part) = all.split_at(all.len() - behind);
        out.extend_from_slice(whole.as_bytes());
        out.push(b'.');
        out.extend_from_slice(part.as_bytes());
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + behind - all.len(), b'0');
        out.extend_from_slice(all.as_bytes());
    }
}

pub(super) fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

pub(super) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    quoted(out, |out| {
        let start = out.len();
        out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        STANDARD
            .encode_slice(bytes, &mut out[start..])
            .expect("four characters for every three bytes, rounded up");
    });
}

/// Whether any byte of many strings together needs an escape; so written that it runs on whole vectors.
pub(super) fn any_special(bytes: &[u8]) -> bool {
    bytes
        .chunks(1024)
        .any(|chunk| chunk.iter().fold(false, |found, b| found | (*b < 0x20) | (*b == b'"') | (*b == b'\\')))
}

/// A JSON string of text without anything to escape.
#[inline]
pub(super) fn plain_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Text that is JSON already. Line breaks stand between tokens only, as strings cannot hold them raw; they become spaces,
/// because a line is a record.
pub(super) fn json(out: &mut Vec<u8>, raw: &str) {
    if raw.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    let start = out.len();
    out.extend_from_slice(raw.as_bytes());
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &out[at..]) {
        out[at + found] = b' ';
        at += found + 1;
    }
}

/// JSON without a line break.
#[inline]
pub(super) fn plain_json(out: &mut Vec<u8>, raw: &str) {
    out.extend_from_slice(if raw.is_empty() { b"null" } else { raw.as_bytes() });
}

/// A JSON string: quote, backslash and control characters escaped, everything else as it is.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = special(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The first byte that a JSON string cannot hold as it is; eight bytes at a time.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest flagged byte is exact; a borrow can flag only bytes above a true one.
    let zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGHS;
    let below_space = |w: u64| w.wrapping_sub(ONES * 0x20) & !w & HIGHS;
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in chunks.by_ref() {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        let found = zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | below_space(word);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    chunks.remainder().iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\').map(|i| at + i)
}

#[cold]
fn escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0C => out.extend_from_slice(b"\\f"),
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 0xF)]);
        }
    }
}

pub(super) fn timestamp(out: &mut Vec<u8>, v: i64, unit: TimeUnit, format: TimestampFormat) {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    if format == TimestampFormat::UnixMillis {
        match unit {
            TimeUnit::Second => integer(out, i128::from(v) * 1000),
            _ => integer(out, v.div_euclid(per_second / 1000)),
        }
        return;
    }
    let (seconds, fraction) = (v.div_euclid(per_second), v.rem_euclid(per_second));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    quoted(out, |out| {
        date(out, days);
        out.push(b'T');
        two(out, second / 3600);
        out.push(b':');
        two(out, second / 60 % 60);
        out.push(b':');
        two(out, second % 60);
        if per_second > 1 {
            out.push(b'.');
            let mut step = per_second / 10;
            let mut rest = fraction;
            while step > 0 {
                out.push(digit(rest / step));
                rest %= step;
                step /= 10;
            }
        }
        out.push(b'Z');
    });
}

/// `2025-08-03` for the days since 1970-01-01. Years outside 0 to 9999 have a sign, as in ISO 8601.
pub(super) fn date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    if let 0..=9999 = year {
        two(out, year / 100);
        two(out, year % 100);
    } else {
        let sign = if year < 0 { '-' } else { '+' };
        write!(out, "{sign}{:04}", year.unsigned_abs()).expect("a vector takes every byte");
    }
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
}

/// Year, month and day of the proleptic Gregorian calendar. Years are counted from March, so that the leap day is the last
/// of its year, in eras of 400 years or 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_of_0 = days + 719_468;
    let era = from_march_of_0.div_euclid(146_097);
    let day_of_era = from_march_of_0.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn two(out: &mut Vec<u8>, v: i64) {
    out.extend_from_slice(&[digit(v / 10), digit(v % 10)]);
}

fn digit(v: i64) -> u8 {
    b'0' + u8::try_from(v % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests;
