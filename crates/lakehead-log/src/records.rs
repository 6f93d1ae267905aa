//! Where the records of a body start and end, and how a frame stores that.
//!
//! ```text
//!   body    [ {…} , {…} , {…} ]        bounds   gap length gap length gap length     (LEB128 each)
//!            ^   ^                              gap: bytes between the end of the record before and this start
//! ```
//! About three bytes a record of a few hundred bytes.

/// Byte ranges `(start, end)` of the records of a body: ascending, not overlapping, inside the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records(Vec<(u32, u32)>);

impl Records {
    pub fn new(ranges: Vec<(u32, u32)>) -> Self {
        Records(ranges)
    }

    /// A body that is one record from its first byte to its last.
    pub fn whole(body: &[u8]) -> Self {
        Records(vec![(0, u32::try_from(body.len()).unwrap_or(u32::MAX))])
    }

    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.0.iter().copied()
    }

    /// Whether the ranges are what the type promises, for a body of `body_bytes`.
    pub(crate) fn fit(&self, body_bytes: usize) -> bool {
        let mut at = 0;
        for &(start, end) in &self.0 {
            if start < at || end < start {
                return false;
            }
            at = end;
        }
        at as usize <= body_bytes
    }
}

impl FromIterator<(u32, u32)> for Records {
    fn from_iter<T: IntoIterator<Item = (u32, u32)>>(ranges: T) -> Self {
        Records(ranges.into_iter().collect())
    }
}

impl From<Vec<(u32, u32)>> for Records {
    fn from(ranges: Vec<(u32, u32)>) -> Self {
        Records(ranges)
    }
}

/// The most bytes `count` records can need as bounds.
pub(crate) fn bounds_bytes_max(count: usize) -> usize {
    count * 10
}

/// Writes bounds of several bodies that stand one behind the other in a frame.
#[derive(Debug, Default)]
pub(crate) struct BoundsWriter {
    /// End of the last record, counted from the start of the frame's body.
    at: u32,
    /// Start of the current body in the frame's body.
    base: u32,
}

impl BoundsWriter {
    pub(crate) fn body(&mut self, out: &mut Vec<u8>, records: &Records, body_bytes: u32) {
        for &(start, end) in &records.0 {
            put(out, self.base + start - self.at);
            put(out, end - start);
            self.at = self.base + end;
        }
        self.base += body_bytes;
    }
}

/// Reads `count` bounds; `None` if they are not exactly `bytes` or leave the body.
pub(crate) fn read_bounds(mut bytes: &[u8], count: u32, body_bytes: u32) -> Option<Records> {
    if bytes.len() < (count as usize).checked_mul(2)? {
        return None;
    }
    let mut ranges = Vec::with_capacity(count as usize);
    let mut at: u32 = 0;
    for _ in 0..count {
        let start = at.checked_add(take(&mut bytes)?)?;
        at = start.checked_add(take(&mut bytes)?)?;
        ranges.push((start, at));
    }
    (bytes.is_empty() && at <= body_bytes).then_some(Records(ranges))
}

fn put(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut n: u64 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(n).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests;
