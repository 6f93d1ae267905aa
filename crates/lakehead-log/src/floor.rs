//! The floor: which segments were trimmed, so that a trimmed segment and a missing one can be told apart.
//!
//! ```text
//!   0      slot A     magic u32, CRC32C u32, version u32, zero u32, log id u64, sequence u64, oldest segment id u64
//!   4096   slot B     the same
//! ```
//! The slots are written in turn, in place, so that trimming needs no space; the valid one with the higher sequence counts.
//! The floor is raised before a segment is removed: a crash in between leaves segments below it, which the next start
//! removes.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use lakehead_disk::{Disk, File};

use crate::codec::{Fields, put_u32, put_u64};
use crate::frame::crc;

pub(crate) const NAME: &str = "floor";
const TEMPORARY: &str = "floor.tmp";
const MAGIC: u32 = u32::from_le_bytes(*b"LhFl");
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 40;
const SLOTS_AT: [u64; 2] = [0, 4096];
const FILE_BYTES: u64 = 8192;

#[derive(Debug)]
pub(crate) struct Floor {
    file: Arc<dyn File>,
    pub(crate) log_id: u64,
    sequence: u64,
    pub(crate) oldest: u64,
}

impl Floor {
    /// Makes the floor file anew, durably.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, log_id: u64, oldest: u64) -> io::Result<Floor> {
        let temporary = dir.join(TEMPORARY);
        match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&temporary)?;
        file.fill_with_zeros(FILE_BYTES)?;
        let mut floor = Floor { file, log_id, sequence: 0, oldest };
        floor.write()?;
        disk.rename(&temporary, &dir.join(NAME))?;
        disk.sync_dir(dir)?;
        Ok(floor)
    }

    /// The floor on disk; `None` if neither slot is valid.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Floor>> {
        let file = disk.open(&dir.join(NAME))?;
        // What is acted upon must be what a power cut leaves.
        file.sync_data()?;
        file.drop_cached();
        let mut best: Option<Floor> = None;
        for at in SLOTS_AT {
            let mut slot = [0; SLOT_BYTES];
            let read = file.read_at(&mut slot, at)?;
            if let Some((log_id, sequence, oldest)) = decode(&slot[..read])
                && best.as_ref().is_none_or(|floor| floor.sequence < sequence)
            {
                best = Some(Floor { file: file.clone(), log_id, sequence, oldest });
            }
        }
        Ok(best)
    }

    /// Says, durably, that segments below `oldest` are not needed.
    pub(crate) fn raise(&mut self, oldest: u64) -> io::Result<()> {
        if oldest <= self.oldest {
            return Ok(());
        }
        self.oldest = oldest;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.sequence += 1;
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        for n in [MAGIC, 0, VERSION, 0] {
            put_u32(&mut slot, n);
        }
        for n in [self.log_id, self.sequence, self.oldest] {
            put_u64(&mut slot, n);
        }
        let crc = crc(0, &slot[8..]);
        slot[4..8].copy_from_slice(&crc.to_le_bytes());
        let at = SLOTS_AT[(self.sequence % 2) as usize];
        self.file.write_at(&[IoSlice::new(&slot)], at)?;
        self.file.sync_data()
    }
}

fn decode(slot: &[u8]) -> Option<(u64, u64, u64)> {
    let mut fields = Fields(slot);
    let valid = fields.u32()? == MAGIC && fields.u32()? == crc(0, slot.get(8..)?) && fields.u32()? == VERSION;
    fields.u32()?;
    let found = (fields.u64()?, fields.u64()?, fields.u64()?);
    valid.then_some(found)
}
