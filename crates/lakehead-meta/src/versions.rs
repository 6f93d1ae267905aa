//! Versions of a pipeline's SQL: which there were, and how one hands over to the next.
//!
//! ```text
//!   pipeline: version 2        ──PutPipeline──►  pipeline: version 3, past versions: 2
//!   flows of 2, at 700 and 700                   flows of 2 go on until they stand at one position of each stream, here 900
//!                              ──cut_over─────►  flows of 3, at 900 and 900; version 2: "up to 900"
//! ```
//!
//! **Invariant:** flows of two versions never stand side by side, so each position is handled by exactly one version.

use std::collections::BTreeMap;

use lakehead_model::resource::{Pipeline, Stream, Table, TableRef};
use lakehead_model::{PipelineId, Position, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::flows::{FlowKey, FlowState, flow_write};
use crate::journal::{Made, MadeLetters};
use crate::records::{Expect, Space, Write};
use crate::resources::{json, parse};
use crate::{Error, ErrorKind, Store};

/// Past versions of a pipeline that are kept; older ones go, unless they still run.
const PAST_VERSIONS_MAX: usize = 100;

/// A version of a pipeline's SQL that is not the current one any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastVersion {
    /// Its number, from 1.
    pub version: u64,
    /// Its text.
    pub sql: String,
    /// The resources it names.
    pub tables: Vec<TableRef>,
    /// When it became the current one.
    pub created_at: Timestamp,
    /// The streams it reads, as they were: they may be deleted before it has ended.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// What it handled. Empty while it has not handed over, and if it never ran.
    #[serde(default)]
    pub spans: Vec<Span>,
}

/// The records of a stream in `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "said above")]
pub struct Span {
    pub stream: StreamId,
    pub from: Position,
    pub until: Position,
}

/// What the flows of a pipeline's past versions have done, summed: as in [`FlowState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in FlowState")]
pub struct Totals {
    /// Positions passed.
    pub accepted: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
    pub lost: u64,
    pub rows: u64,
    pub files: u64,
    pub file_bytes: u64,
}

/// What is left of the flows of past versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retired {
    /// What they have done.
    #[serde(default)]
    pub totals: Totals,
    /// How far each stream was handled. A later version that reads one of them again begins there.
    #[serde(default)]
    pub ends: BTreeMap<StreamId, Position>,
    /// The highest serial number that may have been given away.
    #[serde(default)]
    pub serial: u64,
    /// What of the totals stands in journals. The rest was done before there were any.
    #[serde(default)]
    pub journaled: Totals,
}

impl Retired {
    fn add(&mut self, state: &FlowState, is_journaled: bool) {
        self.totals.add(state);
        if is_journaled {
            self.journaled.add(state);
        }
        self.serial = self.serial.max(state.serial);
        if let Some(stream) = state.stream {
            let end = self.ends.entry(stream).or_insert(state.committed);
            *end = (*end).max(state.committed);
        }
    }
}

impl Totals {
    /// Adds what a flow has done.
    pub fn add(&mut self, state: &FlowState) {
        self.accepted += state.committed.since(state.start);
        self.delivered += state.delivered;
        self.filtered += state.filtered;
        self.dead_lettered += state.dead_lettered;
        self.lost += state.lost;
        self.rows += state.rows;
        self.files += state.files;
        self.file_bytes += state.file_bytes;
    }

    /// Adds other sums.
    pub fn join(&mut self, other: &Totals) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        self.dead_lettered += other.dead_lettered;
        self.lost += other.lost;
        self.rows += other.rows;
        self.files += other.files;
        self.file_bytes += other.file_bytes;
    }
}

impl Store {
    /// The past versions of a pipeline that are kept, by number.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn past_versions(&self, pipeline: PipelineId) -> Result<Vec<PastVersion>, Error> {
        let (_, found) = self.records.list(&[Space::Version], &format!("{pipeline}/"))?;
        found.iter().map(|(space, record)| parse(*space, record)).collect()
    }

    /// One past version.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn past_version(&self, pipeline: PipelineId, version: u64) -> Result<Option<PastVersion>, Error> {
        let record = self.records.get(Space::Version, &version_key(pipeline, version))?;
        record.map(|record| parse(Space::Version, &record)).transpose()
    }

    /// What is left of the past versions of a pipeline.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn retired(&self, pipeline: PipelineId) -> Result<Retired, Error> {
        let record = self.records.get(Space::Retired, &pipeline.to_string())?;
        record.map_or(Ok(Retired::default()), |record| parse(Space::Retired, &record))
    }

    /// Gives up flows whose stream or sink is gone: what they have done is kept in the sums, they are not. With each the dead
    /// letters that stay of a commit it had under way.
    ///
    /// # Errors
    /// `Conflict` if one of them changes meanwhile; `Corrupt`, `Storage`.
    pub fn retire_flows(
        &self,
        pipeline: PipelineId,
        given_up: &[(FlowKey, Option<MadeLetters>)],
    ) -> Result<(), Error> {
        let mut retired = self.retired(pipeline)?;
        let mut writes = Vec::new();
        for (key, version, stored) in self.stored_flows(pipeline)? {
            if let Some((_, letters)) = given_up.iter().find(|(k, _)| *k == key) {
                let made = Made { letters: letters.clone(), ..Made::default() };
                self.enter(key, &stored.state, &stored.state, &made, &mut writes)?;
                let is_journaled = letters.is_some() || self.is_journaled(key, &stored.state)?;
                retired.add(&stored.state, is_journaled);
                let expect = Expect::Version(version);
                writes.push(Write { space: Space::Flow, key: key.to_string(), expect, value: None });
            }
        }
        let (key, value) = (pipeline.to_string(), Some(json(&retired)?));
        writes.push(Write { space: Space::Retired, key, expect: Expect::Any, value });
        self.records.write(None, &writes).map(|_| ())
    }

    /// Replaces the flows of a pipeline by `next`, those of another version, in one transaction. Durable when it returns.
    ///
    /// # Errors
    /// `Conflict` if a flow has an intent, if flows of one stream stand at different positions, or if `next` begins a stream
    /// elsewhere than where it ends; `Corrupt`, `Storage`.
    pub fn cut_over(&self, pipeline: PipelineId, next: &[(FlowKey, FlowState)]) -> Result<(), Error> {
        let conflict =
            |text: String| Err(Error::new(ErrorKind::Conflict, format!("pipeline {pipeline}: {text}")));
        let old = self.stored_flows(pipeline)?;
        let mut spans: Vec<Span> = Vec::new();
        let mut retired = self.retired(pipeline)?;
        let before = retired.ends.clone();
        for (key, _, stored) in &old {
            let state = &stored.state;
            if stored.intent.is_some() {
                return conflict(format!("flow {key} has a commit under way"));
            }
            retired.add(state, self.is_journaled(*key, state)?);
            let Some(stream) = state.stream else {
                return conflict(format!("flow {key} does not say what it reads"));
            };
            let span = Span { stream, from: state.start, until: state.committed };
            match spans.iter_mut().find(|s| s.stream == stream) {
                None => spans.push(span),
                Some(known) if known.until != span.until => {
                    return conflict(format!("its flows stand at {} and {}", known.until, span.until));
                }
                Some(known) => known.from = known.from.min(span.from),
            }
        }
        for (key, state) in next {
            let ends = spans.iter().find(|s| Some(s.stream) == state.stream).map(|s| s.until);
            if ends.is_some_and(|ends| ends != state.committed || ends != state.start) {
                return conflict(format!("flow {key} would not begin where the one before ends"));
            }
            let handled = state.stream.and_then(|stream| before.get(&stream));
            if handled.is_some_and(|handled| state.start < *handled) {
                return conflict(format!("flow {key} would handle records again"));
            }
        }
        let mut writes = Vec::new();
        for (key, version, _) in &old {
            let expect = Expect::Version(*version);
            match next.iter().find(|(k, _)| k == key) {
                Some((_, state)) => writes.push(flow_write(*key, expect, state)?),
                None => writes.push(Write { space: Space::Flow, key: key.to_string(), expect, value: None }),
            }
        }
        for (key, state) in next.iter().filter(|(key, _)| !old.iter().any(|(k, ..)| k == key)) {
            writes.push(flow_write(*key, Expect::Absent, state)?);
        }
        let mut put =
            |space, key, value| writes.push(Write { space, key, expect: Expect::Any, value: Some(value) });
        put(Space::Retired, pipeline.to_string(), json(&retired)?);
        let ended = old.first().map(|(_, _, stored)| stored.state.version);
        if let Some(mut past) = ended.map_or(Ok(None), |version| self.past_version(pipeline, version))? {
            past.spans = spans;
            put(Space::Version, version_key(pipeline, past.version), json(&past)?);
        }
        self.records.write(None, &writes).map(|_| ())
    }

    /// What `next` replaces becomes a past version; the oldest of too many go.
    pub(crate) fn keep_version(
        &self,
        next: &Pipeline,
        write: &mut impl FnMut(Space, String, Option<Vec<u8>>),
    ) -> Result<(), Error> {
        let catalog = self.catalog();
        let Some(old) = catalog.pipelines.get(&next.id).filter(|old| old.version < next.version) else {
            return Ok(());
        };
        let past = PastVersion {
            version: old.version,
            sql: old.sql.clone(),
            tables: old.tables.clone(),
            created_at: old.modified_at,
            streams: old
                .tables
                .iter()
                .filter_map(|named| match named.table {
                    Table::Stream(id) => catalog.streams.get(&id).map(|stream| Stream::clone(stream)),
                    Table::Sink(_) => None,
                })
                .collect(),
            spans: Vec::new(),
        };
        write(Space::Version, version_key(old.id, old.version), Some(json(&past)?));
        let running: Vec<_> =
            self.stored_flows(old.id)?.iter().map(|(_, _, stored)| stored.state.version).collect();
        let versions: Vec<_> = self.past_versions(old.id)?.iter().map(|past| past.version).collect();
        let too_many = (versions.len() + 1).saturating_sub(PAST_VERSIONS_MAX);
        for version in versions.iter().take(too_many).filter(|v| !running.contains(v)) {
            write(Space::Version, version_key(old.id, *version), None);
        }
        Ok(())
    }

    pub(crate) fn drop_versions(
        &self,
        pipeline: PipelineId,
        write: &mut impl FnMut(Space, String, Option<Vec<u8>>),
    ) -> Result<(), Error> {
        let (_, found) = self.records.list(&[Space::Version], &format!("{pipeline}/"))?;
        for (space, record) in found {
            write(space, record.key, None);
        }
        Ok(())
    }
}

/// Sorts by number.
fn version_key(pipeline: PipelineId, version: u64) -> String {
    format!("{pipeline}/{version:020}")
}
