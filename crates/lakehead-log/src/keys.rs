//! Keys of appends: an append that comes again with the key of one that was stored is answered like it, and not stored again.
//!
//! ```text
//!   frame    the keys of its appends, synced with them           so a crash knows exactly the appends that a start finds
//!   <id>.keys    those of a sealed segment, kept when it is trimmed, until KEYS younger ones came
//!   memory   the last KEYS of all partitions                     KEYS: Settings::keys_max
//!
//!   0  magic u32       8  version u32    16  log id u64         32  entries:  0  key u128           24  records u32
//!   4  CRC32C u32     12  entries u32    24  segment id u64                  16  first position u64  28  CRC32C of the body u32
//! ```
//! Nothing here looks at a clock: which keys are remembered depends on nothing but the appends.
//!
//! **Bounds:** 43 MiB of memory for 500,000 keys; 64 files of segments that are gone.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use lakehead_model::{Partition, Position};

use crate::codec::{Fields, put_u32, put_u64};
use crate::frame::crc;

const MAGIC: u32 = u32::from_le_bytes(*b"LhKy");
const VERSION: u32 = 1;
/// Bytes of an entry, in frames and in files.
pub(crate) const ENTRY_BYTES: usize = 32;
const HEAD_BYTES: usize = 32;

/// A name that a producer gave an append: 128 bits of a hash, unique within its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppendKey(pub u128);

impl AppendKey {
    /// Unique across partitions.
    pub(crate) fn within(self, partition: Partition) -> u128 {
        self.0 ^ partition.stream.0.rotate_left(64) ^ u128::from(partition.index)
    }
}

/// What is stored of a keyed append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    /// As [`AppendKey::within`] makes it.
    pub(crate) key: u128,
    pub(crate) first: Position,
    pub(crate) count: u32,
    pub(crate) body_crc: u32,
}

impl KeyEntry {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        put_u64(out, self.first.0);
        put_u32(out, self.count);
        put_u32(out, self.body_crc);
    }

    fn read(fields: &mut Fields<'_>) -> Option<KeyEntry> {
        let (low, high) = (fields.u64()?, fields.u64()?);
        let key = u128::from(high) << 64 | u128::from(low);
        Some(KeyEntry { key, first: fields.position()?, count: fields.u32()?, body_crc: fields.u32()? })
    }

    /// All of `bytes`, which hold entries and nothing else.
    pub(crate) fn read_all(bytes: &[u8]) -> Option<Vec<KeyEntry>> {
        let mut fields = Fields(bytes);
        (0..bytes.len() / ENTRY_BYTES).map(|_| KeyEntry::read(&mut fields)).collect()
    }
}

/// What is known of an append's key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Nothing,
    /// The same append is stored, here.
    Stored(Range<Position>),
    /// Another append came with it.
    Other,
}

/// The keys stored last.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: HashMap<u128, KeyEntryValue>,
    /// Oldest first.
    order: VecDeque<u128>,
    count_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct KeyEntryValue {
    first: Position,
    count: u32,
    body_crc: u32,
}

impl Keys {
    pub(crate) fn new(count_max: usize) -> Self {
        Keys { count_max, ..Keys::default() }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn add(&mut self, entry: KeyEntry) {
        let KeyEntry { key, first, count, body_crc } = entry;
        if self.entries.insert(key, KeyEntryValue { first, count, body_crc }).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.count_max {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    pub(crate) fn look_up(&self, key: u128, count: usize, body_crc: u32) -> Known {
        match self.entries.get(&key) {
            None => Known::Nothing,
            Some(v) if v.count as usize == count && v.body_crc == body_crc => {
                Known::Stored(v.first..v.first.plus(u64::from(v.count)))
            }
            Some(_) => Known::Other,
        }
    }
}

/// The file of a sealed segment's keys.
pub(crate) fn encode(entries: &[KeyEntry], log_id: u64, segment: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + entries.len() * ENTRY_BYTES);
    for n in [MAGIC, 0, VERSION, entries.len() as u32] {
        put_u32(&mut out, n);
    }
    put_u64(&mut out, log_id);
    put_u64(&mut out, segment);
    entries.iter().for_each(|entry| entry.put(&mut out));
    let crc = crc(0, &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The keys in a file; `None` for anything but the whole file of this segment of this log.
pub(crate) fn decode(bytes: &[u8], log_id: u64, segment: u64) -> Option<Vec<KeyEntry>> {
    let mut fields = Fields(bytes);
    if fields.u32()? != MAGIC || fields.u32()? != crc(0, bytes.get(8..)?) || fields.u32()? != VERSION {
        return None;
    }
    let count = fields.u32()? as usize;
    if fields.u64()? != log_id || fields.u64()? != segment || fields.0.len() != count * ENTRY_BYTES {
        return None;
    }
    KeyEntry::read_all(fields.0)
}

#[cfg(test)]
mod tests;
