//! Which snapshots of a table go. Decided from its metadata alone.
//!
//! ```text
//!   branch ──► head ── parent ── parent ── … ── root
//!              └ kept: the first `snapshots_min`; then while young enough and fewer than `snapshots_max`; from there on all go
//!   tag    ──► its snapshot
//!   none   ──► a snapshot that no reference leads to: kept while young
//! ```
//! What a reference says of itself wins over the table's properties (`history.expire.*`), and these over [`Retention`].
//! **Invariant:** what a reference that stays points at, stays.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{FormatVersion, MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};

/// How long snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Older snapshots go. `None`: age is no reason.
    pub age_milliseconds_max: Option<u64>,
    /// This many of a branch stay whatever their age and whatever `snapshots_max` says.
    pub snapshots_min: usize,
    /// More than this many of a branch do not stay: each costs some 800 bytes in a file that every commit writes anew.
    pub snapshots_max: usize,
    /// Fewer than this many do not go by themselves, for that costs a commit; unless one is a tenth older than it may be.
    pub snapshots_together: usize,
}

/// What goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expired {
    /// Ids.
    pub(crate) snapshots: Vec<i64>,
    /// Branches and tags whose own time is over.
    pub(crate) references: Vec<String>,
}

/// Branches and tags by name, as the library shows them in serialized metadata alone. `None` for a table of format 1, which does
/// not show them.
pub(crate) fn references(table: &TableMetadata) -> Option<HashMap<String, SnapshotReference>> {
    if table.format_version() == FormatVersion::V1 {
        return None;
    }
    let mut metadata = serde_json::to_value(table).ok()?;
    match metadata.get_mut("refs") {
        Some(references) => serde_json::from_value(references.take()).ok(),
        None => Some(HashMap::new()),
    }
}

/// What of the table goes at `now_milliseconds`; `None` if that is too little to be worth a commit.
pub(crate) fn expired(
    table: &TableMetadata,
    references: &HashMap<String, SnapshotReference>,
    retention: &Retention,
    now_milliseconds: i64,
) -> Option<Expired> {
    let rules = Rules::of(table, retention, now_milliseconds);
    let (over, staying): (Vec<_>, Vec<_>) =
        references.iter().partition(|(name, reference)| rules.is_over(table, name, reference));
    let (mut kept, mut known) = (HashSet::new(), HashSet::new());
    for (_, reference) in &staying {
        rules.keep(table, reference, &mut kept);
    }
    for reference in references.values() {
        known.extend(ancestors(table, reference.snapshot_id).map(|snapshot| snapshot.snapshot_id()));
    }
    let mut going: Vec<_> = table
        .snapshots()
        .filter(|s| !kept.contains(&s.snapshot_id()))
        .filter(|s| known.contains(&s.snapshot_id()) || rules.too_old(s.timestamp_ms(), rules.age))
        .collect();
    going.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
    // A tenth beyond its age: few snapshots are no excuse any more.
    let late = rules.age.map(|age| age.saturating_add(age / 10));
    let overdue = going.first().is_some_and(|first| rules.too_old(first.timestamp_ms(), late));
    if over.is_empty() && !overdue && (going.is_empty() || going.len() < retention.snapshots_together) {
        return None;
    }
    Some(Expired {
        snapshots: going.iter().map(|snapshot| snapshot.snapshot_id()).collect(),
        references: over.iter().map(|(name, _)| (*name).clone()).collect(),
    })
}

/// The snapshot and those before it, newest first.
pub(crate) fn ancestors(table: &TableMetadata, id: i64) -> impl Iterator<Item = &iceberg::spec::SnapshotRef> {
    let mut left = table.snapshots().len();
    let mut next = table.snapshot_by_id(id);
    std::iter::from_fn(move || {
        let snapshot = next?;
        // Metadata of somebody else might go round in a circle.
        left = left.checked_sub(1)?;
        next = snapshot.parent_snapshot_id().and_then(|parent| table.snapshot_by_id(parent));
        Some(snapshot)
    })
}

/// [`Retention`] after the table's properties.
struct Rules {
    now: i64,
    age: Option<i64>,
    reference_age: Option<i64>,
    min: usize,
    max: usize,
}

impl Rules {
    fn of(table: &TableMetadata, retention: &Retention, now: i64) -> Self {
        let property = |name: &str| table.properties().get(name).and_then(|n| n.trim().parse::<i64>().ok());
        let age = retention.age_milliseconds_max.map(|age| i64::try_from(age).unwrap_or(i64::MAX));
        let positive = |n: i64| usize::try_from(n).ok().filter(|n| *n > 0);
        Rules {
            now,
            age: age.map(|age| property("history.expire.max-snapshot-age-ms").unwrap_or(age)),
            reference_age: property("history.expire.max-ref-age-ms"),
            min: property("history.expire.min-snapshots-to-keep")
                .and_then(positive)
                .unwrap_or(retention.snapshots_min),
            max: retention.snapshots_max,
        }
    }

    fn too_old(&self, timestamp: i64, age: Option<i64>) -> bool {
        age.is_some_and(|age| timestamp < self.now.saturating_sub(age))
    }

    /// Whether a branch or tag goes. The main branch never does.
    fn is_over(&self, table: &TableMetadata, name: &str, reference: &SnapshotReference) -> bool {
        let own = match reference.retention {
            SnapshotRetention::Branch { max_ref_age_ms, .. } | SnapshotRetention::Tag { max_ref_age_ms } => {
                max_ref_age_ms
            }
        };
        let snapshot = table.snapshot_by_id(reference.snapshot_id);
        // By age alone, and so only where age is a reason at all.
        name != MAIN_BRANCH
            && self.age.is_some()
            && snapshot.is_some_and(|s| self.too_old(s.timestamp_ms(), own.or(self.reference_age)))
    }

    fn keep(&self, table: &TableMetadata, reference: &SnapshotReference, kept: &mut HashSet<i64>) {
        kept.insert(reference.snapshot_id);
        let SnapshotRetention::Branch { min_snapshots_to_keep, max_snapshot_age_ms, .. } =
            reference.retention
        else {
            return;
        };
        let min = min_snapshots_to_keep.and_then(|n| usize::try_from(n).ok()).unwrap_or(self.min);
        let age = self.age.map(|age| max_snapshot_age_ms.unwrap_or(age));
        let stays = |place: usize, timestamp: i64| {
            place < min.max(1) || (place < self.max && !self.too_old(timestamp, age))
        };
        let staying = ancestors(table, reference.snapshot_id)
            .enumerate()
            .take_while(|(place, snapshot)| stays(*place, snapshot.timestamp_ms()));
        kept.extend(staying.map(|(_, snapshot)| snapshot.snapshot_id()));
    }
}
