//! Keys met before, so that framing need not look into them again.
//!
//! The keys of one record are noted as they stand there, with quotes and colon; where the same bytes stand in the next
//! records, there is a well-formed key. A guess that fails costs a comparison and nothing else: the key is read then.

use crate::scan::{CHUNK_BYTES, chunk};

/// Keys noted; a record has more only if it is unusual.
const KEYS_MAX: usize = 64;
/// Guesses in one place: optional keys are left out at times.
const GUESSES: usize = 3;
/// Times a body's keys are noted anew.
const LESSONS_MAX: u32 = 16;

/// The keys of a record of this body, in their order.
pub(crate) struct Keys {
    noted: [Noted; KEYS_MAX],
    count: usize,
    /// The next one expected.
    next: usize,
    misses: usize,
    learning: bool,
    /// Lessons left.
    lessons: u32,
}

#[derive(Clone, Copy)]
struct Noted {
    bytes: u128,
    mask: u128,
    length: usize,
}

impl Keys {
    /// `learn`: whether there is enough to come for it to pay.
    pub(crate) fn new(learn: bool) -> Self {
        let lessons = if learn { LESSONS_MAX } else { 0 };
        let nothing = Noted { bytes: 1, mask: 0, length: 0 };
        Keys { noted: [nothing; KEYS_MAX], count: 0, next: 0, misses: 0, learning: false, lessons }
    }

    /// Begins a record.
    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.learning = self.lessons > 0 && (self.count == 0 || self.misses * 2 > self.count);
        if self.learning {
            self.lessons -= 1;
            self.count = 0;
        }
        self.next = 0;
        self.misses = 0;
    }

    /// The place behind the colon, if the key at `pos` is one of those expected.
    #[inline(always)]
    pub(crate) fn guess(&mut self, input: &[u8], pos: usize) -> Option<usize> {
        let found = u128::from_le_bytes(*chunk(input, pos)?);
        for i in self.next..(self.next + GUESSES).min(self.count) {
            let noted = self.noted.get(i)?;
            if (found ^ noted.bytes) & noted.mask == 0 {
                self.next = i + 1;
                return Some(pos + noted.length);
            }
        }
        None
    }

    /// Notes the key from its quote at `start` to behind its colon, which was read.
    #[inline(always)]
    pub(crate) fn note(&mut self, input: &[u8], start: usize, end: usize) {
        self.misses += 1;
        if self.learning {
            self.learn(input, start, end);
        }
    }

    #[inline(never)]
    fn learn(&mut self, input: &[u8], start: usize, end: usize) {
        let length = end - start;
        let (Some(chunk), Some(place)) = (chunk(input, start), self.noted.get_mut(self.count)) else {
            return;
        };
        if length <= CHUNK_BYTES {
            let mask = u128::MAX >> (8 * (CHUNK_BYTES - length));
            *place = Noted { bytes: u128::from_le_bytes(*chunk) & mask, mask, length };
            self.count += 1;
            self.misses -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
