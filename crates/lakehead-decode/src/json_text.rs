//! JSON values taken as text: skipped, or copied without insignificant white space.
//!
//! The input has been through framing. On other bytes both functions still end, stay within the input and use no stack;
//! what they then take for a value may be no JSON.

use crate::reject::{Read, syntax};
use crate::scan::byte;
use crate::text::{Bytes, string_end};

/// The place behind the value at `pos`.
pub(crate) fn skip(input: &[u8], pos: usize) -> Read {
    walk(input, pos, |_, _| {})
}

/// Copies the value at `pos` as one value, compact: no white space between tokens, strings and numbers as they are written.
pub(crate) fn copy(input: &[u8], pos: usize, out: &mut Bytes) -> Read {
    let mut kept_from = pos;
    let end = walk(input, pos, |white_from, white_to| {
        out.push_slice(input.get(kept_from..white_from).unwrap_or_default());
        kept_from = white_to;
    })?;
    out.push_slice(input.get(kept_from..end).unwrap_or_default());
    out.end_value();
    Ok(end)
}

/// Walks over the value at `pos`; tells every run of white space inside it, in order.
#[inline(always)]
fn walk(input: &[u8], mut pos: usize, mut white: impl FnMut(usize, usize)) -> Read {
    let mut depth = 0_usize;
    loop {
        match byte(input, pos) {
            b'"' => (pos, _) = string_end(input, pos + 1)?,
            b'{' | b'[' => {
                depth += 1;
                pos += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                pos += 1;
            }
            b' ' | b'\n' | b'\r' | b'\t' if depth > 0 => {
                let from = pos;
                while matches!(byte(input, pos), b' ' | b'\n' | b'\r' | b'\t') {
                    pos += 1;
                }
                white(from, pos);
                continue;
            }
            b',' | b':' if depth > 0 => {
                pos += 1;
                continue;
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                let rest = input.get(pos..).unwrap_or_default();
                let in_scalar = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'.' | b'-' | b'+');
                pos += rest.iter().take_while(|b| in_scalar(b)).count();
            }
            _ => return Err(syntax(pos)),
        }
        if depth == 0 {
            return Ok(pos);
        }
    }
}

#[cfg(test)]
mod tests;
