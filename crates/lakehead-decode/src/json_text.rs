//! JSON values taken as text: skipped, or copied without insignificant white space.
//!
//! The input has been through framing. On other bytes both functions still end, stay within the input and use no stack;
//! what they then take for a value may be no JSON.

use crate::reject::{Fault, Read, syntax};
use crate::scan::{BLOCK_BYTES, Block, block, byte, classes};
use crate::text::{Bytes, string_end};

/// The place behind the value at `pos`.
#[inline]
pub(crate) fn skip(input: &[u8], pos: usize) -> Read {
    match byte(input, pos) {
        b'"' => Ok(string_end(input, pos + 1)?.0),
        b'{' | b'[' => Ok(container_end(input, pos)?.0),
        _ => scalar_end(input, pos),
    }
}

/// Copies the value at `pos` as one value, compact: no white space between tokens, strings and numbers as they are written.
#[inline]
pub(crate) fn copy(input: &[u8], pos: usize, out: &mut Bytes) -> Read {
    let (end, white) = match byte(input, pos) {
        b'{' | b'[' => container_end(input, pos)?,
        _ => (skip(input, pos)?, false),
    };
    let text = input.get(pos..end).unwrap_or_default();
    if white {
        copy_compact(text, out)
    } else {
        out.push_slice(text)
    }
    out.end_value();
    Ok(end)
}

/// Behind the literal or number at `pos`.
#[inline]
fn scalar_end(input: &[u8], pos: usize) -> Read {
    let rest = input.get(pos..).unwrap_or_default();
    let in_scalar = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'.' | b'-' | b'+');
    match rest.iter().take_while(|b| in_scalar(b)).count() {
        0 => Err(syntax(pos)),
        length => Ok(pos + length),
    }
}

/// Behind the object or array at `pos`, and whether there is white space between its tokens.
#[inline]
fn container_end(input: &[u8], mut pos: usize) -> Result<(usize, bool), Box<Fault>> {
    let mut strings = Strings::default();
    let mut depth = 0;
    let mut white = 0;
    while let Some(bytes) = block(input, pos) {
        if let Some(end) = strings.close_in(bytes, &mut depth, &mut white) {
            return Ok((pos + end, white != 0));
        }
        pos += BLOCK_BYTES;
    }
    // The last, short block, filled up with what is neither of the classes.
    let rest = input.get(pos..).unwrap_or_default();
    let mut last = [b'x'; BLOCK_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    match strings.close_in(&last, &mut depth, &mut white) {
        Some(end) => Ok((pos + end, white != 0)),
        None => Err(syntax(input.len())),
    }
}

/// Which bytes of a run of blocks lie in strings.
#[derive(Default)]
struct Strings {
    /// 1: the block before ended with an odd number of backslashes, so the first byte is escaped.
    escaped: u64,
    /// All ones: the block before ended in a string.
    inside: u64,
}

impl Strings {
    /// Goes on to the next block: counts the containers opened and closed there outside of strings. At the one that closes
    /// the outermost, returns the place behind it. Collects white space outside of strings in front of that.
    #[inline(always)]
    fn close_in(&mut self, block: &Block, depth: &mut u64, white: &mut u64) -> Option<usize> {
        let classes = classes(block);
        let quotes = classes.quote & !self.escapes(classes.backslash);
        // From an opening quote, included, to a closing one, excluded.
        let inside = parity(quotes) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        let opens = classes.open & !inside;
        let mut closes = classes.close & !inside;
        let white_here = classes.white & !inside;
        let mut counted = 0;
        while closes != 0 {
            let before = closes.wrapping_sub(1) & !closes;
            *depth += u64::from((opens & before & !counted).count_ones());
            counted = before;
            *depth = depth.wrapping_sub(1);
            if *depth == 0 {
                *white |= white_here & before;
                return Some(closes.trailing_zeros() as usize + 1);
            }
            closes &= closes - 1;
        }
        *depth += u64::from((opens & !counted).count_ones());
        *white |= white_here;
        None
    }

    /// The bytes that a backslash in front of them escapes.
    #[inline(always)]
    fn escapes(&mut self, backslash: u64) -> u64 {
        if backslash == 0 {
            return std::mem::take(&mut self.escaped);
        }
        let mut escaped = self.escaped;
        let mut left = backslash & !escaped;
        self.escaped = 0;
        while left != 0 {
            let at = left.trailing_zeros();
            if at == 63 {
                self.escaped = 1;
                break;
            }
            escaped |= 2 << at;
            left &= !(3 << at);
        }
        escaped
    }
}

/// For every bit, whether the number of bits set up to and with it is odd.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Copies without the white space outside of strings.
#[inline(never)]
fn copy_compact(text: &[u8], out: &mut Bytes) {
    let mut pos = 0;
    let mut kept_from = 0;
    while pos < text.len() {
        match byte(text, pos) {
            b'"' => pos = string_end(text, pos + 1).map_or(text.len(), |(end, _)| end),
            0..=b' ' => {
                out.push_slice(&text[kept_from..pos]);
                while pos < text.len() && byte(text, pos) <= b' ' {
                    pos += 1;
                }
                kept_from = pos;
            }
            _ => pos += 1,
        }
    }
    out.push_slice(&text[kept_from..]);
}

#[cfg(test)]
mod tests;
