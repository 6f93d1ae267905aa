//! A clock whose two hands are moved apart: wall time jumps, elapsed time only grows.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lakehead_model::{Clock, Timestamp};

#[derive(Debug)]
pub(super) struct SimClock {
    wall_micros: AtomicI64,
    elapsed_micros: AtomicU64,
}

impl SimClock {
    pub(super) fn at(wall: Timestamp) -> Self {
        SimClock { wall_micros: AtomicI64::new(wall.0), elapsed_micros: AtomicU64::new(0) }
    }

    /// Time goes by.
    pub(super) fn advance(&self, by: Duration) {
        self.wall_micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.pass(by);
    }

    /// Time goes by, and the wall clock stands still.
    pub(super) fn pass(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.elapsed_micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock.
    pub(super) fn jump(&self, by_seconds: i64) {
        self.wall_micros.fetch_add(by_seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_micros.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.elapsed_micros.load(Ordering::SeqCst))
    }
}
