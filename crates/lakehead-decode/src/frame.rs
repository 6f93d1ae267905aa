//! Framing: is the body well-formed, and where does each record stand?
//!
//! ```text
//!   body:    [ {"a":1} , {"a":[2,{}]} ]
//!              ^------^   ^----------^       bounds: [(2, 9), (12, 24)], half-open, white space outside
//! ```
//!
//! One pass over the grammar of RFC 8259, behind one pass of SIMD UTF-8 validation. What is accepted here is JSON: later
//! stages rely on it. Stricter than the RFC in three ways, each its own [`BodyErrorKind`]: nesting is limited to
//! [`JSON_DEPTH_MAX`] levels (the record itself is the first), a record to [`RECORD_BYTES_MAX`] bytes, and a record must be
//! an object. A byte order mark is refused, as the RFC allows. Lone surrogates written as escapes (`\ud800`) are within
//! the grammar and accepted.
//!
//! **Invariant:** no allocation but the growth of `bounds`, no recursion; time is linear in the body. The stack of open
//! containers is one 64-bit word.

use lakehead_model::limits::{JSON_DEPTH_MAX, RECORD_BYTES_MAX};

use crate::body_error::{BodyError, BodyErrorKind};
use crate::keys::Keys;
use crate::scan::{byte, find_string_special, skip_white};

const _: () = assert!(JSON_DEPTH_MAX <= 64, "open containers are the bits of one word");

/// Bodies from this size on have their keys noted.
const LEARN_FROM_BYTES: usize = 4096;

/// Where a record stands in a body: first byte, and the byte behind its last.
pub type Bounds = (u32, u32);

/// Finds the records of a body that is one JSON array of objects. An empty array has none.
///
/// `bounds` is emptied first; after an error it holds the records before the fault.
///
/// # Errors
/// The first fault in the body; bytes that are not UTF-8 anywhere come before all other faults.
pub fn frame_array(body: &[u8], bounds: &mut Vec<Bounds>) -> Result<(), BodyError> {
    start(body, bounds)?;
    let mut keys = Keys::new(body.len() > LEARN_FROM_BYTES);
    let mut pos = skip_white(body, 0);
    if byte(body, pos) != b'[' {
        let kind = match byte(body, pos) {
            b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => BodyErrorKind::NotAnArray,
            _ => BodyErrorKind::Malformed,
        };
        return Err(BodyError::expected(kind, body, pos, None, "`[`, the start of an array of objects"));
    }
    pos = skip_white(body, pos + 1);
    if byte(body, pos) == b']' {
        pos = skip_white(body, pos + 1);
    } else {
        loop {
            pos = record::<false>(body, pos, bounds, &mut keys)?;
            pos = skip_white(body, pos);
            match byte(body, pos) {
                b',' => pos = skip_white(body, pos + 1),
                b']' => break,
                _ => return Err(malformed(body, pos, Some(bounds.len()), "`,` or `]` behind a record")),
            }
        }
        pos = skip_white(body, pos + 1);
    }
    if pos < body.len() {
        return Err(malformed(body, pos, None, "the end of the body behind the array"));
    }
    Ok(())
}

/// Finds the records of a body with one JSON object a line. Lines end in `\n` or `\r\n`, the last one may lack it; blank
/// lines are skipped. An object stands on one line.
///
/// `bounds` is emptied first; after an error it holds the records before the fault.
///
/// # Errors
/// The first fault in the body; bytes that are not UTF-8 anywhere come before all other faults.
pub fn frame_lines(body: &[u8], bounds: &mut Vec<Bounds>) -> Result<(), BodyError> {
    start(body, bounds)?;
    let mut keys = Keys::new(body.len() > LEARN_FROM_BYTES);
    let mut pos = skip_white(body, 0);
    while pos < body.len() {
        pos = record::<true>(body, pos, bounds, &mut keys)?;
        pos = skip_blank(body, pos);
        if pos < body.len() && byte(body, pos) != b'\n' {
            return Err(malformed(body, pos, Some(bounds.len()), "the end of the line behind a record"));
        }
        pos = skip_white(body, pos);
    }
    Ok(())
}

fn start(body: &[u8], bounds: &mut Vec<Bounds>) -> Result<(), BodyError> {
    bounds.clear();
    if u32::try_from(body.len()).is_err() {
        return Err(BodyError::expected(BodyErrorKind::Malformed, body, 0, None, "a body below 4 GiB"));
    }
    if simdutf8::basic::from_utf8(body).is_err() {
        let valid = simdutf8::compat::from_utf8(body).map_or_else(|e| e.valid_up_to(), str::len);
        return Err(BodyError::expected(BodyErrorKind::NotUtf8, body, valid, None, "UTF-8"));
    }
    Ok(())
}

#[cold]
fn malformed(body: &[u8], pos: usize, record: Option<usize>, expected: &'static str) -> BodyError {
    BodyError::expected(BodyErrorKind::Malformed, body, pos, record, expected)
}

/// Checks the record at `pos`, notes its bounds and returns the place behind it.
#[inline]
fn record<const LINE: bool>(
    body: &[u8],
    pos: usize,
    bounds: &mut Vec<Bounds>,
    keys: &mut Keys,
) -> Result<usize, BodyError> {
    let record = bounds.len();
    if byte(body, pos) != b'{' {
        let kind = match byte(body, pos) {
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => BodyErrorKind::NotAnObject { record },
            _ => BodyErrorKind::Malformed,
        };
        return Err(BodyError::expected(kind, body, pos, Some(record), "`{`, the start of a record"));
    }
    keys.begin();
    let end = match object::<LINE>(body, pos, keys) {
        Ok(end) => end,
        Err(fault) => return Err(fault.in_record(body, record)),
    };
    if end - pos > RECORD_BYTES_MAX {
        return Err(BodyError::record_too_large(pos, record, end - pos));
    }
    // Both fit: the body is below 4 GiB.
    #[expect(clippy::cast_possible_truncation, reason = "the body is below 4 GiB")]
    bounds.push((pos as u32, end as u32));
    Ok(end)
}

enum Fault {
    Expected { pos: usize, what: &'static str },
    TooDeep { pos: usize },
}

impl Fault {
    #[cold]
    fn in_record(self, body: &[u8], record: usize) -> BodyError {
        match self {
            Fault::Expected { pos, what } => malformed(body, pos, Some(record), what),
            Fault::TooDeep { pos } => BodyError::too_deep(pos, record),
        }
    }
}

#[cold]
fn expected(pos: usize, what: &'static str) -> Fault {
    Fault::Expected { pos, what }
}

/// White space between tokens; in a line there is no line feed among it.
#[inline(always)]
fn white<const LINE: bool>(body: &[u8], pos: usize) -> usize {
    if LINE { skip_blank(body, pos) } else { skip_white(body, pos) }
}

#[inline(always)]
fn skip_blank(body: &[u8], mut pos: usize) -> usize {
    if byte(body, pos) > b' ' {
        return pos;
    }
    while matches!(byte(body, pos), b' ' | b'\r' | b'\t') {
        pos += 1;
    }
    pos
}

/// Checks the object whose brace is at `start`; returns the place behind its closing brace.
fn object<const LINE: bool>(body: &[u8], start: usize, keys: &mut Keys) -> Result<usize, Fault> {
    // The lowest bit is the innermost open container, 1 for an object.
    let mut open = 1_u64;
    let mut depth = 1;
    let mut pos = white::<LINE>(body, start + 1);
    if byte(body, pos) == b'}' {
        return Ok(pos + 1);
    }
    loop {
        // At a member of the innermost container.
        if open & 1 == 1 {
            pos = match keys.guess(body, pos) {
                Some(behind) => white::<LINE>(body, behind),
                None => key::<LINE>(body, pos, keys)?,
            };
        }
        match byte(body, pos) {
            b'"' => pos = string(body, pos + 1)?,
            b'-' | b'0'..=b'9' => pos = number(body, pos)?,
            first @ (b'{' | b'[') => {
                if depth == JSON_DEPTH_MAX {
                    return Err(Fault::TooDeep { pos });
                }
                depth += 1;
                open = open << 1 | u64::from(first == b'{');
                pos = white::<LINE>(body, pos + 1);
                if byte(body, pos) != first + 2 {
                    continue;
                }
                open >>= 1;
                depth -= 1;
                pos += 1;
            }
            b't' => pos = literal(body, pos, b"true")?,
            b'f' => pos = literal(body, pos, b"false")?,
            b'n' => pos = literal(body, pos, b"null")?,
            _ => return Err(expected(pos, "a value")),
        }
        // Behind a value: a comma, or as many closings as there are.
        loop {
            pos = white::<LINE>(body, pos);
            match byte(body, pos) {
                b',' => break,
                b'}' if open & 1 == 1 => {}
                b']' if open & 1 == 0 => {}
                _ if open & 1 == 1 => return Err(expected(pos, "`,` or `}`")),
                _ => return Err(expected(pos, "`,` or `]`")),
            }
            pos += 1;
            open >>= 1;
            depth -= 1;
            if depth == 0 {
                return Ok(pos);
            }
        }
        pos = white::<LINE>(body, pos + 1);
    }
}

/// Checks the key at `pos` and its colon; returns the place of the value.
#[inline(always)]
fn key<const LINE: bool>(body: &[u8], pos: usize, keys: &mut Keys) -> Result<usize, Fault> {
    if byte(body, pos) != b'"' {
        return Err(expected(pos, "`\"`, the start of a key"));
    }
    let colon = white::<LINE>(body, string(body, pos + 1)?);
    if byte(body, colon) != b':' {
        return Err(expected(colon, "`:` behind a key"));
    }
    keys.note(body, pos, colon + 1);
    Ok(white::<LINE>(body, colon + 1))
}

/// Checks the string whose content starts at `pos`; returns the place behind its closing quote.
#[inline(always)]
fn string(body: &[u8], pos: usize) -> Result<usize, Fault> {
    let at = find_string_special(body, pos);
    if byte(body, at) == b'"' { Ok(at + 1) } else { string_with_escapes(body, at) }
}

#[inline(never)]
fn string_with_escapes(body: &[u8], mut pos: usize) -> Result<usize, Fault> {
    loop {
        match body.get(pos) {
            Some(b'"') => return Ok(pos + 1),
            Some(b'\\') => match byte(body, pos + 1) {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => pos += 2,
                b'u' => {
                    let digits = body.get(pos + 2..).unwrap_or_default();
                    let valid = digits.iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
                    if valid < 4 {
                        return Err(expected(pos + 2 + valid, "four hex digits of an escape"));
                    }
                    pos += 6;
                }
                _ => return Err(expected(pos + 1, "the letter of an escape")),
            },
            Some(_) => return Err(expected(pos, "an escape instead of a control character")),
            None => return Err(expected(pos, "the closing quote of a string")),
        }
        pos = find_string_special(body, pos);
    }
}

#[inline(always)]
fn digits(body: &[u8], mut pos: usize) -> usize {
    while byte(body, pos).is_ascii_digit() {
        pos += 1;
    }
    pos
}

/// Checks the number at `pos`; returns the place behind it.
#[inline(always)]
fn number(body: &[u8], mut pos: usize) -> Result<usize, Fault> {
    if byte(body, pos) == b'-' {
        pos += 1;
    }
    match byte(body, pos) {
        b'0' => pos += 1,
        b'1'..=b'9' => pos = digits(body, pos + 1),
        _ => return Err(expected(pos, "a digit")),
    }
    if byte(body, pos) == b'.' {
        let end = digits(body, pos + 1);
        if end == pos + 1 {
            return Err(expected(end, "a digit behind the point"));
        }
        pos = end;
    }
    if byte(body, pos) | 0x20 == b'e' {
        pos += 1;
        if matches!(byte(body, pos), b'+' | b'-') {
            pos += 1;
        }
        let end = digits(body, pos);
        if end == pos {
            return Err(expected(end, "a digit of the exponent"));
        }
        pos = end;
    }
    Ok(pos)
}

#[inline(always)]
fn literal(body: &[u8], pos: usize, word: &'static [u8]) -> Result<usize, Fault> {
    match body.get(pos..pos + word.len()) {
        Some(found) if found == word => Ok(pos + word.len()),
        _ => Err(expected(pos, "a value")),
    }
}

#[cfg(test)]
mod tests;
