//! Strings: their content with escapes resolved, and columns of bytes under construction.
//!
//! A lone surrogate (`\ud800` without its partner) becomes U+FFFD, as it does wherever JavaScript strings are turned into
//! UTF-8. NUL is kept.

use crate::reject::{Read, syntax};
use crate::scan::{
    BLOCK_BYTES, CHUNK_BYTES, block, byte, chunk, find_quote_or_backslash, quote_or_backslash,
    quote_or_backslash_block,
};

/// Values of variable length under construction.
///
/// ```text
///   data:  | first value | second | third … | room …… |
///   ends:                ^        ^         ^
///   used:                                   ^  (more while a value is being written)
/// ```
#[derive(Debug)]
pub(crate) struct Bytes {
    /// Everything up to `used` is content; behind it is room, kept initialised so that whole chunks can be stored.
    data: Vec<u8>,
    used: usize,
    /// First 0, then one end a value.
    ends: Vec<i32>,
    /// Content of the batch before; the next one is likely to be as large.
    usual: usize,
}

impl Default for Bytes {
    fn default() -> Self {
        Bytes { data: Vec::new(), used: 0, ends: vec![0], usual: 0 }
    }
}

impl Bytes {
    pub(crate) fn rows(&self) -> usize {
        self.ends.len() - 1
    }

    /// Makes what was written since the last end a value.
    #[inline(always)]
    pub(crate) fn end_value(&mut self) {
        // Fits: a decoder takes no more input than 31 bits count, and content is never longer than its JSON.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "bounded by the decoder's input"
        )]
        self.ends.push(self.used as i32);
    }

    /// Drops every value from the `rows`-th on, and what was written behind the last one.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.used = self.ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0));
    }

    /// Bytes of which `count` are content.
    #[inline(always)]
    fn push_some<const N: usize>(&mut self, bytes: &[u8; N], count: usize) {
        let room = self.data.get_mut(self.used..).and_then(|room| room.first_chunk_mut());
        match room {
            Some(room) => *room = *bytes,
            None => {
                self.grow(N);
                self.data[self.used..self.used + N].copy_from_slice(bytes);
            }
        }
        self.used += count;
    }

    pub(crate) fn push_slice(&mut self, content: &[u8]) {
        if self.data.len() < self.used + content.len() {
            self.grow(content.len());
        }
        self.data[self.used..self.used + content.len()].copy_from_slice(content);
        self.used += content.len();
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let usual = if self.data.is_empty() { self.usual + self.usual / 8 } else { 0 };
        let wanted = (self.used + more).max(self.data.len() * 2).max(usual).max(256);
        self.data.resize(wanted, 0);
    }

    /// Content and ends, for an array; leaves nothing behind.
    pub(crate) fn take(&mut self) -> (Vec<u8>, Vec<i32>) {
        self.data.truncate(self.used);
        self.usual = std::mem::take(&mut self.used);
        let mut ends = Vec::with_capacity(self.ends.len());
        ends.push(0);
        (std::mem::take(&mut self.data), std::mem::replace(&mut self.ends, ends))
    }

    /// Reads the string whose content starts at `pos` as one value.
    #[inline(always)]
    pub(crate) fn read_string(&mut self, input: &[u8], mut pos: usize) -> Read {
        // Looking and copying go together: bytes are stored whole, and the next ones are stored over what was too much.
        let Some(chunk) = chunk(input, pos) else { return self.read_rest(input, pos) };
        let mask = quote_or_backslash(chunk);
        let count = if mask == 0 { CHUNK_BYTES } else { mask.trailing_zeros() as usize };
        self.push_some(chunk, count);
        pos += count;
        if mask == 0 {
            while let Some(block) = block(input, pos) {
                let mask = quote_or_backslash_block(block);
                let count = if mask == 0 { BLOCK_BYTES } else { mask.trailing_zeros() as usize };
                self.push_some(block, count);
                pos += count;
                if mask != 0 {
                    break;
                }
            }
        }
        if byte(input, pos) == b'"' {
            self.end_value();
            return Ok(pos + 1);
        }
        self.read_rest(input, pos)
    }

    /// The rest of a string, with whatever it holds.
    #[inline(never)]
    fn read_rest(&mut self, input: &[u8], mut pos: usize) -> Read {
        loop {
            let end = find_quote_or_backslash(input, pos);
            self.push_slice(input.get(pos..end).unwrap_or_default());
            match byte(input, end) {
                b'"' => {
                    self.end_value();
                    return Ok(end + 1);
                }
                b'\\' => {
                    let (letter, behind) = escape(input, end)?;
                    self.push_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    pos = behind;
                }
                _ => return Err(syntax(end)),
            }
        }
    }
}

/// Behind the string whose content starts at `pos`; whether it holds escapes.
#[inline(always)]
pub(crate) fn string_end(input: &[u8], pos: usize) -> Result<(usize, bool), Box<crate::reject::Fault>> {
    let mut at = find_quote_or_backslash(input, pos);
    let mut escapes = false;
    while byte(input, at) == b'\\' {
        escapes = true;
        at = find_quote_or_backslash(input, at + 2);
    }
    if byte(input, at) == b'"' { Ok((at + 1, escapes)) } else { Err(syntax(at)) }
}

/// The content of the string from `pos` to the quote before `end`, written to `scratch` if it has to be changed.
pub(crate) fn content<'a>(
    input: &'a [u8],
    pos: usize,
    end: usize,
    escapes: bool,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Box<crate::reject::Fault>> {
    let raw = input.get(pos..end.saturating_sub(1)).unwrap_or_default();
    if !escapes {
        return Ok(raw);
    }
    scratch.clear();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', raw.get(at..).unwrap_or_default()) {
        scratch.extend_from_slice(&raw[at..at + found]);
        let (letter, behind) = escape(raw, at + found)?;
        scratch.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        at = behind;
    }
    scratch.extend_from_slice(raw.get(at..).unwrap_or_default());
    Ok(scratch)
}

/// The character an escape at `pos` stands for, and the place behind it.
fn escape(input: &[u8], pos: usize) -> Result<(char, usize), Box<crate::reject::Fault>> {
    let simple = match byte(input, pos + 1) {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(input, pos + 2).ok_or_else(|| syntax(pos))?;
            if (0xD800..0xDC00).contains(&first)
                && byte(input, pos + 6) == b'\\'
                && byte(input, pos + 7) == b'u'
            {
                let second = hex(input, pos + 8).ok_or_else(|| syntax(pos))?;
                if (0xDC00..0xE000).contains(&second) {
                    let joined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                    return Ok((char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER), pos + 12));
                }
            }
            return Ok((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), pos + 6));
        }
        _ => return Err(syntax(pos)),
    };
    Ok((simple, pos + 2))
}

fn hex(input: &[u8], pos: usize) -> Option<u32> {
    let digits = input.get(pos..pos + 4)?;
    digits.iter().try_fold(0, |value, d| Some(value << 4 | char::from(*d).to_digit(16)?))
}

#[cfg(test)]
mod tests;
