//! The commits of each flow, one entry each, so that what a flow says it has done can be recounted from what it made.
//!
//! ```text
//!   numbers   0 … 41 │ 42  43  44  45 …  10041 │ 10042        of a statement, rising across the versions of its pipeline
//!             gone   │ kept                     │ next
//!             └─► head: the sums of what has gone
//! ```
//! An entry is written in the transaction of its commit (see [`Store::record_commit_of`]), and so is the departure of the oldest.
//! So at any moment, in every count:
//!
//! - of each flow, [`FlowState`] = what has gone of its version + its entries;
//! - of each pipeline, [`Retired::journaled`] = what has gone of earlier versions + their entries.
//!
//! A flow that had committed before there was a journal begins its journal with the sums it had.
//!
//! **Bound:** [`JOURNAL_ENTRIES_MAX`] entries a statement of a pipeline, of some hundred bytes and about two hundred more a file.

use std::collections::BTreeMap;

use lakehead_model::limits::JOURNAL_ENTRIES_MAX;
use lakehead_model::{PipelineId, Position, SinkId, StreamId};
use serde::{Deserialize, Serialize};

use crate::flows::{FlowKey, FlowRecord, FlowState, Stored};
use crate::records::{Expect, Record, Space, Write};
use crate::resources::{json, parse};
use crate::versions::{Retired, Totals};
use crate::{Error, ErrorKind, Store};

/// Entries removed in one transaction.
const REMOVED_AT_ONCE: u64 = 1000;

/// What a commit made visible.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    /// Whose credentials open the bucket.
    pub sink: Option<SinkId>,
    /// The bucket of the files, by its name in the API.
    pub bucket: Option<String>,
    /// The table that the files were added to, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<MadeTable>,
    /// The files, whole.
    #[serde(default)]
    pub files: Vec<MadeFile>,
    /// The dead letters, if there are any.
    #[serde(default)]
    pub letters: Option<MadeLetters>,
}

/// A file in a bucket, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "said by their names")]
pub struct MadeFile {
    pub key: String,
    pub size_bytes: u64,
    pub rows: u64,
    /// Of the content.
    pub crc32c: u32,
}

/// A table, as it was when files were added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeTable {
    /// With dots between its parts.
    pub namespace: String,
    /// In the namespace.
    pub name: String,
    /// Upper and lower half.
    pub uuid: (u64, u64),
}

/// A file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeLetters {
    /// In the folder of the flow's dead letters.
    pub name: String,
    /// One a line.
    pub records: u64,
}

/// One commit. `totals.accepted = until - from = delivered + filtered + dead_lettered + lost`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the pipeline whose flow it was.
    pub version: u64,
    /// The stream of the positions.
    pub stream: Option<StreamId>,
    /// The positions `[from, until)`. Empty for the dead letters of a commit that was given up with its flow.
    pub from: Position,
    /// See `from`.
    pub until: Position,
    /// What this commit added to the flow's counts.
    pub totals: Totals,
    /// What it made visible.
    pub made: Made,
}

/// What is known of a statement's journal besides its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the oldest entry that is kept.
    pub first: u64,
    /// The number of the next entry.
    pub next: u64,
    /// The version of the flow that wrote last.
    pub version: u64,
    /// What lies before the oldest entry of the version that has gone last.
    pub before: Before,
    /// What lies before that: of earlier versions.
    pub past: Totals,
}

/// Commits of one flow that have no entries: the entries have gone, or were never made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in Entry")]
pub struct Before {
    pub version: u64,
    pub from: Position,
    pub until: Position,
    pub totals: Totals,
}

/// A pipeline's figures as of one moment. Entries numbered below their head's `next` belong to it; some may go any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// By statement.
    pub flows: Vec<(FlowKey, FlowRecord)>,
    /// What past versions have done.
    pub retired: Retired,
    /// By statement, current or not. None for a statement that has not committed since there are journals.
    pub heads: BTreeMap<u32, Head>,
}

impl Head {
    /// Of a flow that stands at `state` and has no entry yet.
    fn new(state: &FlowState) -> Self {
        let mut totals = Totals::default();
        totals.add(state);
        let before = Before { version: state.version, from: state.start, until: state.committed, totals };
        Head { first: 0, next: 0, version: state.version, before, past: Totals::default() }
    }

    /// `entry`, the oldest, is not kept any more.
    fn outlive(&mut self, entry: &Entry) {
        self.first += 1;
        if entry.version != self.before.version {
            self.past.join(&self.before.totals);
            let Entry { version, from, .. } = *entry;
            self.before = Before { version, from, until: from, totals: Totals::default() };
        }
        self.before.until = entry.until;
        self.before.totals.join(&entry.totals);
    }
}

impl Entry {
    /// From `old` to `new`. A count that goes back, which none does, stands as zero: the sums then show it.
    fn between(old: &FlowState, new: &FlowState, made: &Made) -> Self {
        let added = |of: fn(&FlowState) -> u64| of(new).saturating_sub(of(old));
        Entry {
            version: new.version,
            stream: new.stream,
            from: old.committed,
            until: new.committed,
            totals: Totals {
                accepted: new.committed.since(old.committed),
                delivered: added(|s| s.delivered),
                filtered: added(|s| s.filtered),
                dead_lettered: added(|s| s.dead_lettered),
                lost: added(|s| s.lost),
                rows: added(|s| s.rows),
                files: added(|s| s.files),
                file_bytes: added(|s| s.file_bytes),
            },
            made: made.clone(),
        }
    }
}

impl Store {
    /// A pipeline's figures as of one moment.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn ledger(&self, pipeline: PipelineId) -> Result<Ledger, Error> {
        let spaces = [Space::Flow, Space::Retired, Space::JournalHead];
        let (_, found) = self.records.list(&spaces, &pipeline.to_string())?;
        let mut ledger = Ledger { flows: Vec::new(), retired: Retired::default(), heads: BTreeMap::new() };
        for (space, record) in &found {
            match space {
                Space::Flow => {
                    let Stored { state, intent } = parse(*space, record)?;
                    let intent = intent.map(String::into_bytes);
                    ledger.flows.push((flow_key(*space, record)?, FlowRecord { state, intent }));
                }
                Space::JournalHead => {
                    ledger.heads.insert(flow_key(*space, record)?.statement, parse(*space, record)?);
                }
                _ => ledger.retired = parse(*space, record)?,
            }
        }
        ledger.flows.sort_by_key(|(key, _)| *key);
        Ok(ledger)
    }

    /// An entry by its number; `None` if it has gone or was not made yet.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn journal_entry(&self, key: FlowKey, number: u64) -> Result<Option<Entry>, Error> {
        let record = self.records.get(Space::Journal, &entry_key(key, number))?;
        record.map(|record| parse(Space::Journal, &record)).transpose()
    }

    /// Adds the entry of a commit from `old` to `new`.
    pub(crate) fn enter(
        &self,
        key: FlowKey,
        old: &FlowState,
        new: &FlowState,
        made: &Made,
        writes: &mut Vec<Write>,
    ) -> Result<(), Error> {
        let entry = Entry::between(old, new, made);
        if entry.from == entry.until && entry.made.letters.is_none() {
            return Ok(());
        }
        let mut head = self.head(key)?.unwrap_or_else(|| Head::new(old));
        head.version = new.version;
        if head.next - head.first >= JOURNAL_ENTRIES_MAX
            && let Some(oldest) = self.journal_entry(key, head.first)?
        {
            writes.push(removal(Space::Journal, entry_key(key, head.first)));
            head.outlive(&oldest);
        }
        writes.push(put(Space::Journal, entry_key(key, head.next), &entry)?);
        head.next += 1;
        writes.push(put(Space::JournalHead, key.to_string(), &head)?);
        Ok(())
    }

    /// Whether all that the flow has committed is in its journal, or in the sums at its head.
    pub(crate) fn is_journaled(&self, key: FlowKey, state: &FlowState) -> Result<bool, Error> {
        Ok(self.head(key)?.is_some_and(|head| head.version == state.version))
    }

    /// Removes the journals of a pipeline; fine if there are none.
    pub(crate) fn drop_journals(&self, pipeline: PipelineId) -> Result<(), Error> {
        let (_, heads) = self.records.list(&[Space::JournalHead], &format!("{pipeline}/"))?;
        for (space, record) in heads {
            let (key, head): (_, Head) = (flow_key(space, &record)?, parse(space, &record)?);
            let mut first = head.first;
            while first < head.next {
                let end = head.next.min(first + REMOVED_AT_ONCE);
                let gone = |number| removal(Space::Journal, entry_key(key, number));
                self.records.write(None, &(first..end).map(gone).collect::<Vec<_>>())?;
                first = end;
            }
            // Last: it says which entries there are, should this be cut short.
            self.records.write(None, &[removal(space, record.key)])?;
        }
        Ok(())
    }

    fn head(&self, key: FlowKey) -> Result<Option<Head>, Error> {
        let record = self.records.get(Space::JournalHead, &key.to_string())?;
        record.map(|record| parse(Space::JournalHead, &record)).transpose()
    }
}

fn put(space: Space, key: String, value: &impl Serialize) -> Result<Write, Error> {
    Ok(Write { space, key, expect: Expect::Any, value: Some(json(value)?) })
}

fn removal(space: Space, key: String) -> Write {
    Write { space, key, expect: Expect::Any, value: None }
}

fn entry_key(key: FlowKey, number: u64) -> String {
    format!("{key}/{number:020}")
}

fn flow_key(space: Space, record: &Record) -> Result<FlowKey, Error> {
    FlowKey::parse(&record.key).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("record {}/{}: no such key", space.name(), record.key))
    })
}
