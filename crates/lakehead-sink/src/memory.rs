//! The memory that all writers of a process share for rows that are encoded but not yet on disk (Parquet row groups in
//! progress; JSON files hold a fixed small buffer and are not counted).
//!
//! ```text
//!   held by all   0 ──────────── soft: ¾ of the total ──────── total
//!                   write freely │ over its fair share: flush │ everybody flushes, down to the floor
//! ```
//!
//! **Bound:** after every write, all writers together hold at most the total plus, for each, 4 MiB and what one
//! batch adds; also when some of them went idle while holding much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Total when none is given.
pub const MEMORY_BYTES_DEFAULT: usize = 192 << 20;

/// A row group this small is kept in memory whatever the others hold.
pub(crate) const FLOOR_BYTES: usize = 4 << 20;

/// The shared account. One per process.
#[derive(Debug)]
pub struct MemoryBudget {
    total: usize,
    held: AtomicUsize,
    writers: AtomicUsize,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        MemoryBudget::new(MEMORY_BYTES_DEFAULT)
    }
}

impl MemoryBudget {
    pub fn new(total_bytes: usize) -> Self {
        MemoryBudget { total: total_bytes, held: AtomicUsize::new(0), writers: AtomicUsize::new(0) }
    }

    /// Bytes all writers hold now, for metrics.
    pub fn held_bytes(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn soft(&self) -> usize {
        self.total / 4 * 3
    }
}

/// One writer's account with the budget. Dropping it gives everything back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<MemoryBudget>,
    held: usize,
}

impl Share {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Self {
        budget.writers.fetch_add(1, Relaxed);
        Share { budget, held: 0 }
    }

    /// Says what the writer holds now.
    pub(crate) fn hold(&mut self, bytes: usize) {
        if bytes >= self.held {
            self.budget.held.fetch_add(bytes - self.held, Relaxed);
        } else {
            self.budget.held.fetch_sub(self.held - bytes, Relaxed);
        }
        self.held = bytes;
    }

    /// Whether the writer should put a row group on disk.
    pub(crate) fn exceeded(&self) -> bool {
        let all = self.budget.held.load(Relaxed);
        if all > self.budget.total {
            return self.held > FLOOR_BYTES.min(self.budget.total / 4);
        }
        let writers = self.budget.writers.load(Relaxed).max(1);
        all > self.budget.soft() && self.held > self.budget.soft() / writers
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
        self.budget.writers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
