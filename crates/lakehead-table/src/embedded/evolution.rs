//! From a table's metadata and a list of updates to its next metadata.
//!
//! `iceberg` does the work; what it leaves open is decided here:
//!
//! | update | here |
//! |---|---|
//! | `assign-uuid` of another uuid | refused: whoever knows the table knows it by its uuid |
//! | properties that the format reserves | not kept; `format-version` upgrades the format |
//! | a snapshot with a sequence number or row ids that have been given out | a conflict: loading again helps |
//! | `remove-snapshots` of the current one | the table has no current snapshot then |
//! | a snapshot from the future or from before the table's last change | stamped with the nearest moment that fits |
//!
//! **Time:** the format orders a table's history by wall clocks, and refuses what is a minute behind. A clock that was wrong for
//! a while would close the table until that moment comes again. Therefore moments that lie in the future are brought back to now.

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, TableMetadata, TableMetadataBuilder, TableProperties};
use serde_json::{Value, json};

use super::birth::kept_properties;
use super::refusal::Refusal;

/// Clocks of machines may differ by this much; the format itself tolerates it.
const TOLERANCE_MS: i64 = 60_000;
/// Asks for the deletion of metadata files that leave the log.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// What updates made.
#[derive(Debug)]
pub(super) struct Evolved {
    pub(super) metadata: TableMetadata,
    /// Metadata files that nothing refers to any more and that are to be deleted.
    pub(super) expired: Vec<String>,
    /// Whether there is anything to write.
    pub(super) has_changed: bool,
}

/// Applies `updates` in order. `location` is where `base` is kept, `None` if nowhere.
pub(super) fn apply(
    base: &TableMetadata,
    location: Option<&str>,
    updates: &[TableUpdate],
    now_ms: i64,
) -> Result<Evolved, Refusal> {
    let base = at_most(base.clone(), now_ms)?;
    let mut progress = Progress::of(&base, now_ms);
    let mut builder = base.into_builder(location.map(str::to_owned));
    for (i, update) in updates.iter().enumerate() {
        let field = format!("updates[{i}]");
        for update in progress.prepared(&field, update)? {
            builder = update.apply(builder).map_err(|e| refused(&field, &e))?;
        }
        builder = progress.mended(builder, update);
    }
    let built = builder.build().map_err(|e| refused("updates", &e))?;
    let has_changed = !built.changes.is_empty();
    let deletes =
        built.metadata.properties().get(DELETE_AFTER_COMMIT).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let expired = match deletes {
        true => built.expired_metadata_logs.into_iter().map(|log| log.metadata_file).collect(),
        false => Vec::new(),
    };
    Ok(Evolved { metadata: at_most(built.metadata, now_ms)?, expired, has_changed })
}

/// What has to be known of the metadata on the way, which the builder does not show.
struct Progress {
    uuid: uuid::Uuid,
    format_version: FormatVersion,
    last_sequence_number: i64,
    next_row_id: u64,
    current_snapshot: Option<i64>,
    /// No snapshot may be older.
    floor_ms: i64,
    now_ms: i64,
}

impl Progress {
    fn of(base: &TableMetadata, now_ms: i64) -> Progress {
        let last_log = base.history().last().map_or(i64::MIN, |entry| entry.timestamp_ms);
        Progress {
            uuid: base.uuid(),
            format_version: base.format_version(),
            last_sequence_number: base.last_sequence_number(),
            next_row_id: base.next_row_id(),
            current_snapshot: base.current_snapshot_id(),
            floor_ms: base.last_updated_ms().max(last_log),
            now_ms,
        }
    }

    /// The updates that are applied for this one.
    fn prepared(&mut self, field: &str, update: &TableUpdate) -> Result<Vec<TableUpdate>, Refusal> {
        match update {
            TableUpdate::AssignUuid { uuid } if *uuid != self.uuid => {
                let text = format!("{field}.uuid: the table has the uuid {}, which never changes", self.uuid);
                Err(Refusal::bad(text))
            }
            TableUpdate::UpgradeFormatVersion { format_version } => {
                self.format_version = self.format_version.max(*format_version);
                Ok(vec![update.clone()])
            }
            TableUpdate::SetProperties { updates } => {
                let (version, kept) = kept_properties(&format!("{field}.updates"), updates.clone())?;
                let version = version.map(|format_version| {
                    self.format_version = self.format_version.max(format_version);
                    TableUpdate::UpgradeFormatVersion { format_version }
                });
                Ok(version.into_iter().chain([TableUpdate::SetProperties { updates: kept }]).collect())
            }
            TableUpdate::RemoveProperties { removals } => {
                let removals = removals.iter().filter(|key| !is_reserved(key)).cloned().collect();
                Ok(vec![TableUpdate::RemoveProperties { removals }])
            }
            TableUpdate::AddSnapshot { .. } => Ok(vec![self.snapshot(field, update)?]),
            TableUpdate::SetSnapshotRef { ref_name, reference } if ref_name == "main" => {
                self.current_snapshot = Some(reference.snapshot_id);
                Ok(vec![update.clone()])
            }
            other => Ok(vec![other.clone()]),
        }
    }

    fn snapshot(&mut self, field: &str, update: &TableUpdate) -> Result<TableUpdate, Refusal> {
        let TableUpdate::AddSnapshot { snapshot } = update else { return Ok(update.clone()) };
        let (given, last) = (snapshot.sequence_number(), self.last_sequence_number);
        if self.format_version >= FormatVersion::V2
            && given <= last
            && snapshot.parent_snapshot_id().is_some()
        {
            let text =
                format!("{field}.snapshot.sequence-number: is {given}, the table is at {last} already");
            return Err(Refusal::conflict(text));
        }
        self.last_sequence_number = given;
        if let (FormatVersion::V3, Some((first, added))) = (self.format_version, snapshot.row_range()) {
            if first < self.next_row_id {
                let next = self.next_row_id;
                let text =
                    format!("{field}.snapshot.first-row-id: is {first}, the table is at {next} already");
                return Err(Refusal::conflict(text));
            }
            self.next_row_id = self.next_row_id.saturating_add(added);
        }
        let stamped = snapshot.timestamp_ms();
        let fitting = match stamped {
            early if early < self.floor_ms - TOLERANCE_MS => self.floor_ms,
            late if late > self.now_ms + TOLERANCE_MS => self.now_ms.max(self.floor_ms),
            fitting => fitting,
        };
        self.floor_ms = self.floor_ms.max(fitting);
        if fitting == stamped {
            return Ok(update.clone());
        }
        let broken = |e: serde_json::Error| Refusal::bad(format!("{field}.snapshot: {e}"));
        let mut json = serde_json::to_value(update).map_err(broken)?;
        json["snapshot"]["timestamp-ms"] = json!(fitting);
        serde_json::from_value(json).map_err(broken)
    }

    /// The builder takes references to removed snapshots away, but not the table's current snapshot.
    fn mended(&mut self, builder: TableMetadataBuilder, update: &TableUpdate) -> TableMetadataBuilder {
        match (update, self.current_snapshot) {
            (TableUpdate::RemoveSnapshots { snapshot_ids }, Some(current))
                if snapshot_ids.contains(&current) =>
            {
                self.current_snapshot = None;
                builder.remove_ref("main")
            }
            _ => builder,
        }
    }
}

/// Whether the format reserves the name of a property: it is said elsewhere in the metadata.
pub(super) fn is_reserved(key: &str) -> bool {
    TableProperties::RESERVED_PROPERTIES.contains(&key)
}

/// The refusal of an update, or of what it leads to.
pub(super) fn refused(field: &str, error: &iceberg::Error) -> Refusal {
    Refusal::bad(format!("{field}: {}", error.message()))
}

/// The metadata with every moment that lies in the future brought back to `now_ms`. Without one, as it is.
pub(super) fn at_most(metadata: TableMetadata, now_ms: i64) -> Result<TableMetadata, Refusal> {
    let is_future = |at_ms: i64| at_ms > now_ms.saturating_add(TOLERANCE_MS);
    let logged = metadata.history().last().is_some_and(|entry| is_future(entry.timestamp_ms))
        || metadata.metadata_log().last().is_some_and(|entry| is_future(entry.timestamp_ms));
    if !logged && !is_future(metadata.last_updated_ms()) {
        return Ok(metadata);
    }
    let broken = |e: serde_json::Error| Refusal::bad(format!("the table's metadata: {e}"));
    let mut json = serde_json::to_value(&metadata).map_err(broken)?;
    let bring_back = |holder: &mut Value, key: &str| {
        if holder[key].as_i64().is_some_and(|at_ms| at_ms > now_ms) {
            holder[key] = json!(now_ms);
        }
    };
    bring_back(&mut json, "last-updated-ms");
    for list in ["snapshots", "snapshot-log", "metadata-log"] {
        let entries = json.get_mut(list).and_then(Value::as_array_mut);
        entries.into_iter().flatten().for_each(|entry| bring_back(entry, "timestamp-ms"));
    }
    serde_json::from_value(json).map_err(broken)
}
