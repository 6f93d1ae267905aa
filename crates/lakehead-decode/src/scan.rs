//! Looking for the bytes that end or interrupt a string, sixteen at a time.
//!
//! Two implementations with one meaning: SSE2, which every x86-64 has, and plain 64-bit arithmetic for other machines.

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::{quote_or_backslash, string_special};
#[cfg(target_arch = "x86_64")]
pub(crate) use sse2::{quote_or_backslash, string_special};

/// Bytes looked at in one step.
pub(crate) const CHUNK_BYTES: usize = 16;
pub(crate) type Chunk = [u8; CHUNK_BYTES];

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

/// First quote, backslash or control character from `pos`; the input's length if there is none.
#[inline(always)]
pub(crate) fn find_string_special(input: &[u8], mut pos: usize) -> usize {
    while let Some(chunk) = chunk(input, pos) {
        let mask = string_special(chunk);
        if mask != 0 {
            return pos + mask.trailing_zeros() as usize;
        }
        pos += CHUNK_BYTES;
    }
    let rest = input.get(pos..).unwrap_or_default();
    rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F)).map_or(input.len(), |at| pos + at)
}

/// First quote or backslash from `pos`; the input's length if there is none.
#[inline(always)]
pub(crate) fn find_quote_or_backslash(input: &[u8], mut pos: usize) -> usize {
    while let Some(chunk) = chunk(input, pos) {
        let mask = quote_or_backslash(chunk);
        if mask != 0 {
            return pos + mask.trailing_zeros() as usize;
        }
        pos += CHUNK_BYTES;
    }
    let rest = input.get(pos..).unwrap_or_default();
    rest.iter().position(|b| matches!(b, b'"' | b'\\')).map_or(input.len(), |at| pos + at)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    #![expect(
        unsafe_code,
        reason = "calls of SSE2 functions; the portable form costs framing a third of its speed"
    )]

    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::Chunk;

    #[target_feature(enable = "sse2")]
    #[inline]
    fn load(chunk: &Chunk) -> __m128i {
        let all = u128::from_le_bytes(*chunk);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the chunk")]
        _mm_set_epi64x((all >> 64) as i64, all as i64)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn quotes(bytes: __m128i) -> __m128i {
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        _mm_or_si128(quote, backslash)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn special(chunk: &Chunk) -> u32 {
        let bytes = load(chunk);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        _mm_movemask_epi8(_mm_or_si128(control, quotes(bytes))).cast_unsigned()
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn quote(chunk: &Chunk) -> u32 {
        _mm_movemask_epi8(quotes(load(chunk))).cast_unsigned()
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
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::Chunk;

    fn mask(chunk: &Chunk, wanted: impl Fn(u8) -> bool) -> u32 {
        chunk.iter().enumerate().fold(0, |mask, (i, b)| mask | (u32::from(wanted(*b)) << i))
    }

    pub(crate) fn string_special(chunk: &Chunk) -> u32 {
        mask(chunk, |b| matches!(b, b'"' | b'\\' | 0..=0x1F))
    }

    pub(crate) fn quote_or_backslash(chunk: &Chunk) -> u32 {
        mask(chunk, |b| matches!(b, b'"' | b'\\'))
    }
}

#[cfg(test)]
mod tests;
