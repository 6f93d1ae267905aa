//! Metadata files that a commit has made superfluous, removed a moment later.
//!
//! Some clients remove such files themselves after their commit, and complain of those that are gone. So they are left a moment, and
//! a later commit removes them.
//!
//! **Bounds:** [`WAITING_MAX`] names. **Crash:** those that wait are left to the removal of orphans.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use super::EmbeddedCatalog;

/// How long a client has for it.
const MOMENT: Duration = Duration::from_secs(2);
/// Files that may wait.
const WAITING_MAX: usize = 1000;

/// Files that wait, and since when.
#[derive(Debug, Default)]
pub(super) struct Superseded(Mutex<VecDeque<(Duration, String)>>);

impl EmbeddedCatalog {
    /// Removes the files whose moment is over; `more` begin to wait.
    pub(super) async fn remove_superseded(&self, more: impl Iterator<Item = String>) {
        let now = self.clock.monotonic();
        let mut over = Vec::new();
        {
            let mut waiting = self.superseded.0.lock();
            waiting.extend(more.map(|location| (now, location)));
            while let Some((since, _)) = waiting.front() {
                if now.saturating_sub(*since) < MOMENT && waiting.len() <= WAITING_MAX {
                    break;
                }
                over.extend(waiting.pop_front().map(|(_, location)| location));
            }
        }
        for location in over {
            self.metadata.remove(&location).await;
        }
    }
}
