//! How a log is set up, and the seams it runs on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::{Disk, SystemDisk};
use lakehead_model::{Clock, Random, SystemClock, SystemRandom};

use crate::error::{Error, ErrorKind, Fatal};

/// Smallest segment.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest segment; offsets inside a segment are 32 bits wide.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// A quota holds at least this many segments: one being written, two prepared, one to trim.
pub const QUOTA_SEGMENTS_MIN: u64 = 4;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the log lives; made if missing. Nothing else may live there.
    pub dir: PathBuf,
    pub segment_bytes: u64,
    /// Disk space the log may use, prepared segments included. Appends are refused before it is passed.
    pub quota_bytes: u64,
    /// The part of the quota above which committed records go before their retention is over.
    pub high_water: f64,
    /// Free space on the file system that the log leaves to others.
    pub free_bytes_min: u64,
    /// How long records stay at least, while there is room.
    pub retention: Duration,
    /// Bytes of appends that may wait for the disk, those being written included.
    pub queue_bytes_max: usize,
    /// Opens the log even if segments are missing or not what their names say: their records count as lost.
    pub accept_loss: bool,
    /// Segments prepared ahead, while the quota allows.
    pub spare_segments: usize,
    /// Bytes of the frames written last that stay in memory, for readers at the tail. 0: none.
    pub recent_bytes_max: usize,
    /// Keys of appends that are remembered, over all partitions; younger ones displace older ones. 0: none.
    pub keys_max: usize,
    /// Most bytes written by one write and sync, unless a single append is larger.
    pub group_bytes_max: usize,
}

impl Settings {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Settings {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            quota_bytes: 16 << 30,
            high_water: 0.9,
            free_bytes_min: 64 << 20,
            retention: Duration::from_secs(24 * 3600),
            queue_bytes_max: 64 << 20,
            accept_loss: false,
            spare_segments: 2,
            recent_bytes_max: 32 << 20,
            keys_max: 500_000,
            group_bytes_max: 8 << 20,
        }
    }

    /// # Errors
    /// [`ErrorKind::Invalid`] naming the setting and both numbers.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(4096)
        {
            return refuse(format!(
                "segment_bytes is {}; a multiple of 4096 from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} is needed",
                self.segment_bytes
            ));
        }
        let quota_min = self.segment_bytes * QUOTA_SEGMENTS_MIN;
        if self.quota_bytes < quota_min {
            return refuse(format!(
                "quota_bytes is {}; at least {QUOTA_SEGMENTS_MIN} segments, {quota_min}, are needed",
                self.quota_bytes
            ));
        }
        if self.spare_segments == 0 {
            return refuse("spare_segments is 0; at least 1 is needed".into());
        }
        if !(self.high_water > 0.0 && self.high_water <= 1.0) {
            return refuse(format!("high_water is {}; it lies above 0 and up to 1", self.high_water));
        }
        Ok(())
    }
}

/// What the log takes from outside, so that tests own it.
#[derive(Clone)]
pub struct Seams {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub disk: Arc<dyn Disk>,
    /// Called once, from a thread of the log, when a write or sync failed. The server exits; it must not try again.
    pub on_fatal: Arc<dyn Fn(&Fatal) + Send + Sync>,
    /// Called after every sync of a group with its duration.
    pub on_sync: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl Seams {
    /// The machine's clock, randomness and file system.
    pub fn system(on_fatal: impl Fn(&Fatal) + Send + Sync + 'static) -> Self {
        Seams {
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(SystemRandom),
            disk: Arc::new(SystemDisk),
            on_fatal: Arc::new(on_fatal),
            on_sync: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Seams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seams").field("clock", &self.clock).field("disk", &self.disk).finish_non_exhaustive()
    }
}
