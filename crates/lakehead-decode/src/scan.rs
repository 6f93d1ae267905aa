//! Looking for the bytes that end or interrupt a string, sixteen at a time.
//!
//! Two implementations with one meaning: SSE2, which every x86-64 has, and plain 64-bit arithmetic for other machines.

#[cfg(not(target_arch = "x86_64"))]
use portable as chosen;
#[cfg(target_arch = "x86_64")]
use sse2 as chosen;

pub(crate) use chosen::{classes, quote_or_backslash, quote_or_backslash_block};
use chosen::{string_special, string_special_block};

/// Bytes looked at in one step.
pub(crate) const CHUNK_BYTES: usize = 16;
pub(crate) type Chunk = [u8; CHUNK_BYTES];
/// Bytes classified in one step.
pub(crate) const BLOCK_BYTES: usize = 64;
pub(crate) type Block = [u8; BLOCK_BYTES];

/// The sixteen bytes from `pos`, if there are as many.
#[inline(always)]
pub(crate) fn chunk(input: &[u8], pos: usize) -> Option<&Chunk> {
    input.get(pos..)?.first_chunk()
}

/// The byte at `pos`, 0 behind the end. A zero byte is never part of JSON outside of a refusal, so it stands for "the end".
#[inline(always)]
pub(crate) fn byte(input: &[u8], pos: usize) -> u8 {
    match input.get(pos) {
        Some(b) => *b,
        None => 0,
    }
}

/// Whether these bytes stand at `pos`.
#[inline(always)]
pub(crate) fn starts_with<const N: usize>(input: &[u8], pos: usize, wanted: &[u8; N]) -> bool {
    input.get(pos..).and_then(|rest| rest.first_chunk()) == Some(wanted)
}

/// Behind the white space at `pos`.
#[inline(always)]
pub(crate) fn skip_white(input: &[u8], mut pos: usize) -> usize {
    if byte(input, pos) > b' ' {
        return pos;
    }
    while matches!(byte(input, pos), b' ' | b'\n' | b'\r' | b'\t') {
        pos += 1;
    }
    pos
}

/// The 64 bytes from `pos`, if there are as many.
#[inline(always)]
pub(crate) fn block(input: &[u8], pos: usize) -> Option<&Block> {
    input.get(pos..)?.first_chunk()
}

/// What the bytes of a block are; the lowest bit is the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Classes {
    pub(crate) quote: u64,
    pub(crate) backslash: u64,
    /// `{` and `[`
    pub(crate) open: u64,
    /// `}` and `]`
    pub(crate) close: u64,
    /// White space and control characters.
    pub(crate) white: u64,
}

/// First quote, backslash or control character from `pos`; the input's length if there is none.
#[inline(always)]
pub(crate) fn find_string_special(input: &[u8], pos: usize) -> usize {
    find(input, pos, string_special, string_special_block, |b| matches!(b, b'"' | b'\\' | 0..=0x1F))
}

/// First quote or backslash from `pos`; the input's length if there is none.
#[inline(always)]
pub(crate) fn find_quote_or_backslash(input: &[u8], pos: usize) -> usize {
    find(input, pos, quote_or_backslash, quote_or_backslash_block, |b| matches!(b, b'"' | b'\\'))
}

/// Sixteen bytes first, for short strings; then blocks, so that the lengths of long ones need not be guessed.
#[inline(always)]
fn find(
    input: &[u8],
    mut pos: usize,
    in_chunk: impl Fn(&Chunk) -> u32,
    in_block: impl Fn(&Block) -> u64,
    wanted: impl Fn(u8) -> bool,
) -> usize {
    if let Some(chunk) = chunk(input, pos) {
        let mask = in_chunk(chunk);
        if mask != 0 {
            return pos + mask.trailing_zeros() as usize;
        }
        pos += CHUNK_BYTES;
    }
    while let Some(block) = block(input, pos) {
        let mask = in_block(block);
        if mask != 0 {
            return pos + mask.trailing_zeros() as usize;
        }
        pos += BLOCK_BYTES;
    }
    let rest = input.get(pos..).unwrap_or_default();
    rest.iter().position(|b| wanted(*b)).map_or(input.len(), |at| pos + at)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    #![expect(
        unsafe_code,
        reason = "calls of SSE2 functions; with the portable ones framing and decoding take 2.4 times the CPU"
    )]

    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::{Block, CHUNK_BYTES, Chunk, Classes};

    #[target_feature(enable = "sse2")]
    #[inline]
    fn load(chunk: &Chunk) -> __m128i {
        let all = u128::from_le_bytes(*chunk);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the chunk")]
        _mm_set_epi64x((all >> 64) as i64, all as i64)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn is(bytes: __m128i, wanted: u8) -> __m128i {
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(wanted.cast_signed()))
    }

    /// At most `limit`.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn up_to(bytes: __m128i, limit: u8) -> __m128i {
        _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(limit.cast_signed())), bytes)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn mask(hits: __m128i) -> u32 {
        _mm_movemask_epi8(hits).cast_unsigned()
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn quote(chunk: &Chunk) -> u32 {
        let bytes = load(chunk);
        mask(_mm_or_si128(is(bytes, b'"'), is(bytes, b'\\')))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn special(chunk: &Chunk) -> u32 {
        let bytes = load(chunk);
        mask(_mm_or_si128(up_to(bytes, 0x1F), _mm_or_si128(is(bytes, b'"'), is(bytes, b'\\'))))
    }

    /// The four chunks of a block, each with the place of its first bit.
    #[inline(always)]
    fn chunks(block: &Block) -> impl Iterator<Item = (&Chunk, usize)> {
        let (chunks, _) = block.as_chunks::<CHUNK_BYTES>();
        chunks.iter().zip([0, 16, 32, 48])
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn class(block: &Block) -> Classes {
        let mut classes = Classes { quote: 0, backslash: 0, open: 0, close: 0, white: 0 };
        for (chunk, at) in chunks(block) {
            let bytes = load(chunk);
            // `[` and `{`, `]` and `}` differ in one bit; nothing else becomes one of them by it.
            let folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
            classes.quote |= u64::from(mask(is(bytes, b'"'))) << at;
            classes.backslash |= u64::from(mask(is(bytes, b'\\'))) << at;
            classes.open |= u64::from(mask(is(folded, b'{'))) << at;
            classes.close |= u64::from(mask(is(folded, b'}'))) << at;
            classes.white |= u64::from(mask(up_to(bytes, b' '))) << at;
        }
        classes
    }

    /// A bit for every byte that is a quote, a backslash or a control character; the lowest bit is the first byte.
    #[inline(always)]
    pub(crate) fn string_special(chunk: &Chunk) -> u32 {
        // SAFETY: SSE2 belongs to every x86-64 processor; the function reads only the array behind its reference.
        unsafe { special(chunk) }
    }

    /// A bit for every byte that is a quote or a backslash; the lowest bit is the first byte.
    #[inline(always)]
    pub(crate) fn quote_or_backslash(chunk: &Chunk) -> u32 {
        // SAFETY: as above.
        unsafe { quote(chunk) }
    }

    /// As [`string_special`], of a block.
    #[inline(always)]
    pub(crate) fn string_special_block(block: &Block) -> u64 {
        chunks(block).fold(0, |all, (chunk, at)| all | u64::from(string_special(chunk)) << at)
    }

    /// As [`quote_or_backslash`], of a block.
    #[inline(always)]
    pub(crate) fn quote_or_backslash_block(block: &Block) -> u64 {
        chunks(block).fold(0, |all, (chunk, at)| all | u64::from(quote_or_backslash(chunk)) << at)
    }

    /// What the bytes of a block are.
    #[inline(always)]
    pub(crate) fn classes(block: &Block) -> Classes {
        // SAFETY: as above.
        unsafe { class(block) }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{Block, Chunk, Classes};

    fn mask(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> u64 {
        bytes.iter().enumerate().fold(0, |mask, (i, b)| mask | (u64::from(wanted(*b)) << i))
    }

    fn is_special(b: u8) -> bool {
        matches!(b, b'"' | b'\\' | 0..=0x1F)
    }

    fn is_quote_or_backslash(b: u8) -> bool {
        matches!(b, b'"' | b'\\')
    }

    #[expect(clippy::cast_possible_truncation, reason = "sixteen bits")]
    pub(crate) fn string_special(chunk: &Chunk) -> u32 {
        mask(chunk, is_special) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "sixteen bits")]
    pub(crate) fn quote_or_backslash(chunk: &Chunk) -> u32 {
        mask(chunk, is_quote_or_backslash) as u32
    }

    pub(crate) fn string_special_block(block: &Block) -> u64 {
        mask(block, is_special)
    }

    pub(crate) fn quote_or_backslash_block(block: &Block) -> u64 {
        mask(block, is_quote_or_backslash)
    }

    pub(crate) fn classes(block: &Block) -> Classes {
        Classes {
            quote: mask(block, |b| b == b'"'),
            backslash: mask(block, |b| b == b'\\'),
            open: mask(block, |b| matches!(b, b'{' | b'[')),
            close: mask(block, |b| matches!(b, b'}' | b']')),
            white: mask(block, |b| b <= b' '),
        }
    }
}

#[cfg(test)]
mod tests;
