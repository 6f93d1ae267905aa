//! What is done to a table, from the operator's configuration and from what the API was told.
//!
//! | told by the API | snapshots by age | snapshots by number | small files |
//! |---|---|---|---|
//! | nothing | stay | `snapshots_max` | stay |
//! | expiration on | go from `max_snapshot_age` on, but for the least number | ten times `snapshots_max` | |
//! | expiration off | stay | ten times `snapshots_max` | |
//! | compaction on | | | become files of the target size |
//!
//! A bound on the number is always there, because every commit writes the metadata of all snapshots anew; where somebody has said
//! something about snapshots, it is one that only protects commits from growing without end.

use std::time::Duration;

use lakehead_model::resource::Maintenance;
use lakehead_table::{Compacting, Merging, Orphans, Retention, UpkeepSettings};

use crate::config::Tables;

/// How much more snapshots stay where somebody has said what is to be done with them.
const SAID_FACTOR: usize = 10;
/// Snapshots that go together, so that an expiry costs no more than one commit in 25.
const TOGETHER: usize = 25;
const DAY: Duration = Duration::from_secs(24 * 3600);
const MEBIBYTE: u64 = 1 << 20;

pub(super) fn of(tables: &Tables, maintenance: &Maintenance) -> UpkeepSettings {
    let said = maintenance.snapshot_expiration.as_ref();
    let by_age = said.filter(|expiration| expiration.enabled);
    let snapshots_max = match said {
        Some(_) => tables.snapshots_max.saturating_mul(SAID_FACTOR),
        None => tables.snapshots_max,
    };
    let compaction = maintenance.compaction.as_ref().filter(|compaction| compaction.enabled);
    let orphans = Some(Duration::from_secs(tables.orphans_after_seconds)).filter(|grace| !grace.is_zero());
    UpkeepSettings {
        retention: Retention {
            age_milliseconds_max: by_age.map(|expiration| expiration.max_age_seconds.saturating_mul(1000)),
            snapshots_min: by_age.map_or(1, |e| usize::try_from(e.snapshots_min).unwrap_or(usize::MAX)),
            snapshots_max,
            snapshots_together: TOGETHER.min(snapshots_max.div_ceil(4)),
        },
        readers_grace: Duration::from_secs(tables.readers_grace_seconds),
        merging: Some(Merging { manifests_max: tables.manifests_max, ..Merging::default() }),
        compacting: compaction.map(|c| Compacting { target_bytes: u64::from(c.target_size_mb) * MEBIBYTE }),
        orphans: orphans.map(|grace| Orphans { grace, every: DAY }),
    }
}
