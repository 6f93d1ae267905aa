//! Commits: changes of one table or of several, all of them or none.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::TableMetadata;
use iceberg::{ErrorKind, TableIdent, TableRequirement, TableUpdate};

use super::answers::{Answer, Attempt};
use super::metadata_files::random_uuid;
use super::names::{check_table, default_location};
use super::records::{Expected, RecordWrite, RecordsErrorKind};
use super::refusal::{Refusal, RefusalKind};
use super::tables::answer;
use super::{CurrentTable, EmbeddedCatalog, TRIES_MAX, TableRecord, birth, evolution, no_table};
use crate::TableChange;

/// A table that is decided on and whose new metadata is written, if anything of it changes.
struct Decided {
    current: CurrentTable,
    record: TableRecord,
    write: Option<RecordWrite>,
    /// Files that the change makes superfluous.
    superseded: Vec<String>,
}

/// What is to become of a table.
struct Plan {
    metadata: Arc<TableMetadata>,
    /// `None`: it stays as it is.
    next: Option<Next>,
    record: TableRecord,
}

struct Next {
    expected: Expected,
    expired: Vec<String>,
}

impl EmbeddedCatalog {
    /// Applies a change if its requirements hold for the newest metadata; that they held for an older one does not matter. With
    /// `assert-create` it makes the table.
    ///
    /// # Errors
    /// `CommitFailed`, `NoSuchTable`, `BadRequest`, and those of the store and the bucket.
    pub async fn commit_table(
        &self,
        change: TableChange,
        attempt: Option<&Attempt>,
    ) -> Result<CurrentTable, Refusal> {
        let mut done = self.commit_all(vec![change], attempt).await?;
        done.pop().ok_or_else(|| Refusal::bad("table-changes: is empty"))
    }

    /// Applies changes of several tables in one step, or none of them. The tables as they are then, in the order of `changes`.
    ///
    /// # Errors
    /// As [`EmbeddedCatalog::commit_table`].
    pub async fn commit_all(
        &self,
        changes: Vec<TableChange>,
        attempt: Option<&Attempt>,
    ) -> Result<Vec<CurrentTable>, Refusal> {
        let mut seen = HashSet::new();
        if let Some(twice) = changes.iter().find(|change| !seen.insert(&change.table)) {
            return Err(Refusal::bad(format!(
                "table-changes: names {} twice; one change of it is needed",
                twice.table
            )));
        }
        // Locations are looked at over all tables, so whoever chooses one keeps others from doing so.
        let is_structural = |change: &TableChange| {
            change.requirements.contains(&TableRequirement::NotExist)
                || change.updates.iter().any(|update| matches!(update, TableUpdate::SetLocation { .. }))
        };
        let _names = match changes.iter().any(is_structural) {
            true => Some(self.names.lock().await),
            false => None,
        };
        let _tables = self.lock_tables(changes.iter().map(|change| &change.table)).await;
        for _ in 0..TRIES_MAX {
            if let Some(done) = self.try_commit(&changes, attempt).await? {
                return Ok(done);
            }
        }
        Err(Refusal::conflict("the tables keep changing; load them again"))
    }

    /// `None`: a record has changed meanwhile.
    async fn try_commit(
        &self,
        changes: &[TableChange],
        attempt: Option<&Attempt>,
    ) -> Result<Option<Vec<CurrentTable>>, Refusal> {
        let mut plans = Vec::with_capacity(changes.len());
        for change in changes {
            plans.push(self.plan(change).await?);
        }
        let mut decided: Vec<Decided> = Vec::with_capacity(changes.len());
        for (change, plan) in changes.iter().zip(plans) {
            match self.write_metadata(&change.table, plan).await {
                Ok(one) => decided.push(one),
                Err(refusal) => {
                    self.forget_files(&decided).await;
                    return Err(refusal);
                }
            }
        }
        match self.write_records(changes, &decided, attempt).await {
            Ok(true) => {}
            Ok(false) => {
                self.forget_files(&decided).await;
                return Ok(None);
            }
            Err(refusal) => {
                if refusal.kind != RefusalKind::Unknown {
                    self.forget_files(&decided).await;
                }
                return Err(refusal);
            }
        }
        self.remove_superseded(decided.iter().flat_map(|one| one.superseded.iter().cloned())).await;
        Ok(Some(decided.into_iter().map(|one| one.current).collect()))
    }

    /// `false`: a record has changed meanwhile, and nothing was written.
    async fn write_records(
        &self,
        changes: &[TableChange],
        decided: &[Decided],
        attempt: Option<&Attempt>,
    ) -> Result<bool, Refusal> {
        let mut writes: Vec<_> = decided.iter().filter_map(|one| one.write.clone()).collect();
        let kept = match (changes, decided) {
            ([change], [one]) => answer(&change.table, &one.record),
            _ => Answer::Nothing,
        };
        writes.extend(self.answer_writes(attempt, kept).await?);
        match self.write(writes).await {
            Ok(()) => Ok(true),
            Err(e) if e.kind == RecordsErrorKind::Conflict => {
                self.check_unanswered(attempt).await?;
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn plan(&self, change: &TableChange) -> Result<Plan, Refusal> {
        let TableChange { table, requirements, updates } = change;
        let Some((record, version)) = self.record_of(table).await? else {
            return self.plan_new(change).await;
        };
        let base = self.metadata.read(&record.metadata_location).await?;
        for (i, requirement) in requirements.iter().enumerate() {
            check(table, i, requirement, Some(&base))?;
        }
        let evolved = evolution::apply(&base, Some(&record.metadata_location), updates, self.now_ms())?;
        if !evolved.has_changed {
            return Ok(Plan { metadata: base, next: None, record });
        }
        if evolved.metadata.location() != base.location() {
            self.check_location("updates", evolved.metadata.location(), Some(table)).await?;
        }
        let next = Next { expected: Expected::Version(version), expired: evolved.expired };
        Ok(Plan { metadata: Arc::new(evolved.metadata), next: Some(next), record })
    }

    /// The end of a staged creation.
    async fn plan_new(&self, change: &TableChange) -> Result<Plan, Refusal> {
        let TableChange { table, requirements, updates } = change;
        if !requirements.contains(&TableRequirement::NotExist) {
            return Err(no_table(table));
        }
        check_table("identifier", table)?;
        self.check_free(table).await?;
        for (i, requirement) in requirements.iter().enumerate() {
            check(table, i, requirement, None)?;
        }
        let uuid = random_uuid(&*self.metadata.random);
        let location = |uuid| default_location(self.files(), table, uuid);
        let metadata = birth::of_updates(updates, uuid, location, self.now_ms())?;
        self.check_location("updates", metadata.location(), None).await?;
        let record = TableRecord {
            uuid: metadata.uuid(),
            location: String::new(),
            metadata_location: String::new(),
            number: 0,
        };
        let next = Next { expected: Expected::Absent, expired: Vec::new() };
        Ok(Plan { metadata: Arc::new(metadata), next: Some(next), record })
    }

    async fn write_metadata(&self, table: &TableIdent, plan: Plan) -> Result<Decided, Refusal> {
        let Plan { metadata, next, record } = plan;
        let Some(Next { expected, expired }) = next else {
            let current = CurrentTable { metadata, metadata_location: record.metadata_location.clone() };
            return Ok(Decided { current, record, write: None, superseded: Vec::new() });
        };
        let number = if expected == Expected::Absent { 0 } else { record.number + 1 };
        let metadata_location = self.metadata.write(&metadata, number).await?;
        let superseded =
            expired.into_iter().filter(|file| is_metadata_of(&metadata, &record, file)).collect();
        let record = TableRecord {
            uuid: record.uuid,
            location: metadata.location().to_owned(),
            metadata_location: metadata_location.clone(),
            number,
        };
        let write = Some(self.table_write(table, &record, expected)?);
        Ok(Decided { current: CurrentTable { metadata, metadata_location }, record, write, superseded })
    }

    /// Removes files that were written for nothing: nobody knows them.
    async fn forget_files(&self, decided: &[Decided]) {
        for one in decided.iter().filter(|one| one.write.is_some()) {
            self.metadata.remove(&one.current.metadata_location).await;
        }
    }
}

/// Whether an old metadata file lies where this table's lie or lay. A log may name others, of a table that was registered here.
fn is_metadata_of(metadata: &TableMetadata, record: &TableRecord, file: &str) -> bool {
    let below = |location: &str| {
        file.strip_prefix(location)
            .is_some_and(|rest| rest.starts_with("/metadata/") && rest.ends_with(".metadata.json"))
    };
    below(metadata.location()) || below(&record.location)
}

fn check(
    table: &TableIdent,
    i: usize,
    requirement: &TableRequirement,
    metadata: Option<&TableMetadata>,
) -> Result<(), Refusal> {
    requirement.check(metadata).map_err(|e| {
        if e.kind() == ErrorKind::TableNotFound {
            return no_table(table);
        }
        let text = format!("requirements[{i}] of {table}: {}", e.message());
        Refusal::conflict(text)
    })
}
