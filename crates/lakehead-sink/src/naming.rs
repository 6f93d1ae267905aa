//! Names of files: made of the first record in them, and of nothing else.
//!
//! ```text
//!   uuid_v7   | 48 bits: Unix milliseconds | 4: version 7 | 40: position | 2: variant | 34: hash |      RFC 9562 §5.7, §5.8
//!   ulid      | 48 bits: Unix milliseconds | 40: position | 40: hash |   written in Crockford's base 32
//!   uuid      | 122 bits: hash | with version 4
//!   serial    00012-000: a counter of the sink, then the writer
//! ```
//! Time and position are those of the record, the hash is one of flow, stream, partition and position. So a flow that reads the
//! same records again, because an older data folder was put back, asks for the same names: what it would write a second time is
//! met by the object that is there ([`crate::ErrorKind::Conflict`]), wherever the files are cut this time. And names rise with
//! the records, whatever the clock does: within a stream neither ingest times nor positions go back.

use std::sync::Arc;

use lakehead_model::resource::NamingStrategy;
use lakehead_model::{Position, Random, Timestamp};
use sha2::{Digest, Sha256};

/// The record that made the first row of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct FirstRecord {
    pub position: Position,
    pub ingest_time: Timestamp,
}

/// Names the files of one flow.
#[derive(Debug)]
pub(crate) struct Names {
    /// Whose records they hold: the flow and its stream.
    of: String,
    /// The writer, for [`NamingStrategy::Serial`].
    writer_index: u32,
    random: Arc<dyn Random>,
}

impl Names {
    pub(crate) fn new(of: String, writer_index: u32, random: Arc<dyn Random>) -> Self {
        Names { of, writer_index, random }
    }

    /// The name of the file that `first` begins. `serial` is used by [`NamingStrategy::Serial`] alone.
    pub(crate) fn name(
        &self,
        strategy: NamingStrategy,
        first: FirstRecord,
        partition: &str,
        serial: u64,
    ) -> String {
        let millis = u64::try_from(first.ingest_time.as_millis()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
        let time = u128::from(millis) << 80;
        let position = u128::from(first.position.0 & 0xFF_FFFF_FFFF);
        match strategy {
            NamingStrategy::Serial => format!("{serial:05}-{:03}", self.writer_index),
            NamingStrategy::Uuid => uuid(self.hash(first.position, partition), 4),
            NamingStrategy::UuidV7 => {
                // 12 of the position's bits stand before the variant, 28 behind it.
                let (high, low) = (position >> 28, position & 0xFFF_FFFF);
                let hash = self.hash(first.position, partition) >> 94;
                uuid(time | high << 64 | low << 34 | hash, 7)
            }
            NamingStrategy::Ulid => ulid(time | position << 40 | self.hash(first.position, partition) >> 88),
        }
    }

    /// A name that no other file has, for staged files.
    pub(crate) fn unique(&self) -> String {
        format!("{:032x}", self.random.u128())
    }

    fn hash(&self, position: Position, partition: &str) -> u128 {
        let mut hash = Sha256::new();
        for part in [self.of.as_bytes(), partition.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(position.0.to_le_bytes());
        hash.finalize().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

/// The 36 characters of a UUID with version and variant set.
fn uuid(bits: u128, version: u128) -> String {
    let bits = bits & !(0xF << 76) | version << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn ulid(bits: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..26).rev().map(|i| char::from(DIGITS[(bits >> (i * 5) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests;
