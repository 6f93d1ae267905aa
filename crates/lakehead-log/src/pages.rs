//! A buffer of whole pages, for writes that go past the page cache: they need memory, offset and length at page boundaries.

use std::ops::Range;

use crate::header::PAGE;

const PAGE_BYTES: usize = PAGE as usize;

/// Grows as it is filled, and keeps its memory when it is emptied.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Longer than what it holds; `start` is where the first page boundary lies.
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Pages {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let at = self.start + self.len;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn push_zeros(&mut self, count: usize) {
        self.reserve(count);
        let at = self.start + self.len;
        self.bytes[at..at + count].fill(0);
        self.len += count;
    }

    pub(crate) fn get(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.start..self.start + self.len][range]
    }

    pub(crate) fn get_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len][range]
    }

    /// Keeps the bytes of the last, unfinished page, of which `end` is the end, as the start of what comes next.
    pub(crate) fn keep_last_page(&mut self, end: usize) {
        let page = end - end % PAGE_BYTES;
        self.bytes.copy_within(self.start + page..self.start + end, self.start);
        self.len = end - page;
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.bytes.len().saturating_sub(PAGE_BYTES) {
            return;
        }
        let capacity = needed.max(self.bytes.len() * 2).max(64 << 10).next_multiple_of(PAGE_BYTES);
        let mut bytes = vec![0; capacity + PAGE_BYTES];
        let start = bytes.as_ptr().align_offset(PAGE_BYTES);
        bytes[start..start + self.len].copy_from_slice(&self.bytes[self.start..self.start + self.len]);
        (self.bytes, self.start) = (bytes, start);
    }
}

#[cfg(test)]
mod tests;
