//! A key as nearly every producer writes it: `"name":`, only what must be escaped is, nothing between quote and colon.

use crate::scan::{CHUNK_BYTES, chunk};

#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// The first bytes, as a number, and which of its bits count: a key this short is compared in one step.
    head: u128,
    head_mask: u128,
    /// What does not fit into the head.
    tail: Box<[u8]>,
    length: usize,
}

impl Key {
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut written = Vec::with_capacity(name.len() + 3);
        written.push(b'"');
        for b in name {
            if matches!(b, b'"' | b'\\') {
                written.push(b'\\');
            }
            written.push(*b);
        }
        written.extend_from_slice(b"\":");
        let (head, tail) = written.split_at(written.len().min(CHUNK_BYTES));
        let mut bytes = [0; CHUNK_BYTES];
        let mut mask = [0; CHUNK_BYTES];
        bytes[..head.len()].copy_from_slice(head);
        mask[..head.len()].fill(0xFF);
        Key {
            head: u128::from_le_bytes(bytes),
            head_mask: u128::from_le_bytes(mask),
            tail: tail.into(),
            length: written.len(),
        }
    }

    /// The place behind the key, if it stands at `pos`. May miss it in the last bytes of the input.
    #[inline(always)]
    pub(crate) fn matches(&self, input: &[u8], pos: usize) -> Option<usize> {
        let found = u128::from_le_bytes(*chunk(input, pos)?);
        if (found ^ self.head) & self.head_mask != 0 {
            return None;
        }
        let end = pos + self.length;
        if self.tail.is_empty() || input.get(pos + CHUNK_BYTES..end) == Some(&self.tail) {
            Some(end)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
