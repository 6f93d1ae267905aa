//! How far each flow has come: one INSERT of a pipeline, from a stream to a sink.
//!
//! ```text
//!   committed 1000 ──record_intent(1000, "files A,B up to 1500")──►  1000 + intent
//!                                                                     │ the sink makes A and B visible
//!   committed 1500 ◄─record_commit(1000, state with 1500)─────────────┘ intent dropped in the same transaction
//! ```
//!
//! A crash between the two leaves the intent; the sink completes it at the next start and commits.

use std::fmt;
use std::str::FromStr;

use lakehead_model::{PipelineId, Position, SinkId, StreamId};
use serde::{Deserialize, Serialize};

use crate::journal::Made;
use crate::records::{Expect, Record, Space, Write};
use crate::resources::{json, parse};
use crate::{Error, ErrorKind, Store};

/// A flow: the pipeline, and the index of the INSERT in its SQL, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "said above")]
pub struct FlowKey {
    pub pipeline: PipelineId,
    pub statement: u32,
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pipeline, self.statement)
    }
}

impl FlowKey {
    pub(crate) fn parse(text: &str) -> Option<FlowKey> {
        let (pipeline, statement) = text.split_once('/')?;
        Some(FlowKey { pipeline: PipelineId::from_str(pipeline).ok()?, statement: statement.parse().ok()? })
    }
}

/// What a flow has done. `committed - start = delivered + filtered + dead_lettered + lost`, counted in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowState {
    /// The version of the pipeline whose INSERT this is.
    #[serde(default = "first_version")]
    pub version: u64,
    /// The stream whose positions these are. `None` in records of old.
    #[serde(default)]
    pub stream: Option<StreamId>,
    /// The first position that is not yet in the sink.
    pub committed: Position,
    /// Where the flow began to read.
    pub start: Position,
    /// Counts what the sink numbers, such as files named by strategy `serial`.
    pub serial: u64,
    /// Records whose rows are in the sink.
    pub delivered: u64,
    /// Records the SQL left out.
    pub filtered: u64,
    /// Records kept apart because they do not fit.
    pub dead_lettered: u64,
    /// Records that the disk lost before the sink had them.
    #[serde(default)]
    pub lost: u64,
    /// Rows in the sink; other than `delivered` where one record makes several rows.
    #[serde(default)]
    pub rows: u64,
    /// Files the sink has made visible.
    #[serde(default)]
    pub files: u64,
    /// Bytes of these files.
    #[serde(default)]
    pub file_bytes: u64,
    /// The last commit into the sink's table, if it writes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableMark>,
}

/// What is known of a flow's last commit into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMark {
    /// The sink whose table it is.
    pub sink: SinkId,
    /// The table's UUID, upper and lower half.
    pub uuid: (u64, u64),
    /// The first position that is not in it.
    pub position: Position,
}

fn first_version() -> u64 {
    1
}

impl Default for FlowState {
    fn default() -> Self {
        FlowState {
            version: first_version(),
            stream: None,
            committed: Position::ZERO,
            start: Position::ZERO,
            serial: 0,
            delivered: 0,
            filtered: 0,
            dead_lettered: 0,
            lost: 0,
            rows: 0,
            files: 0,
            file_bytes: 0,
            table: None,
        }
    }
}

/// A flow as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRecord {
    /// What has been committed.
    pub state: FlowState,
    /// What the sink was about to make visible when it last wrote: its own JSON.
    pub intent: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) state: FlowState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<String>,
}

impl Store {
    /// The flow, if it was created.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn flow(&self, key: FlowKey) -> Result<Option<FlowRecord>, Error> {
        Ok(self.stored(key)?.map(|(_, stored)| FlowRecord {
            state: stored.state,
            intent: stored.intent.map(String::into_bytes),
        }))
    }

    /// The flows of all pipelines, deleted pipelines whose flows were not removed yet included.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn flow_keys(&self) -> Result<Vec<FlowKey>, Error> {
        let (_, found) = self.records.list(&[Space::Flow], "")?;
        let key = |record: &Record| {
            FlowKey::parse(&record.key).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("record flow/{}: no such key", record.key))
            })
        };
        found.iter().map(|(_, record)| key(record)).collect()
    }

    /// The flows of a pipeline, by statement.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn flows(&self, pipeline: PipelineId) -> Result<Vec<(FlowKey, FlowRecord)>, Error> {
        let mut flows = Vec::new();
        for (key, _, stored) in self.stored_flows(pipeline)? {
            let intent = stored.intent.map(String::into_bytes);
            flows.push((key, FlowRecord { state: stored.state, intent }));
        }
        Ok(flows)
    }

    pub(crate) fn stored_flows(&self, pipeline: PipelineId) -> Result<Vec<(FlowKey, u64, Stored)>, Error> {
        let (_, found) = self.records.list(&[Space::Flow], &format!("{pipeline}/"))?;
        let mut flows = Vec::with_capacity(found.len());
        for (space, record) in found {
            let key = FlowKey::parse(&record.key).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("record flow/{}: no such key", record.key))
            })?;
            flows.push((key, record.version, parse(space, &record)?));
        }
        flows.sort_by_key(|(key, ..)| *key);
        Ok(flows)
    }

    /// Begins flows, all or none. Durable when it returns, as are all below.
    ///
    /// # Errors
    /// `Conflict` if one of them exists, `Storage`.
    pub fn create_flows(&self, flows: &[(FlowKey, FlowState)]) -> Result<(), Error> {
        let writes = flows.iter().map(|(key, state)| flow_write(*key, Expect::Absent, state));
        self.records.write(None, &writes.collect::<Result<Vec<_>, _>>()?).map(|_| ())
    }

    /// Writes down what the sink is about to make visible: JSON of the sink's own, opaque here.
    ///
    /// # Errors
    /// `Conflict` unless the flow has committed exactly `expected_committed` and has no other intent; `Storage`.
    pub fn record_intent(
        &self,
        key: FlowKey,
        expected_committed: Position,
        intent: &[u8],
    ) -> Result<(), Error> {
        let (version, stored) = self.expect_flow(key, expected_committed)?;
        if stored.intent.is_some() {
            let text = format!("flow {key} already has an intent at {expected_committed}");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let intent = String::from_utf8(intent.to_vec())
            .map_err(|_| Error::new(ErrorKind::Storage, format!("flow {key}: an intent is JSON text")))?;
        self.put_flow(key, Expect::Version(version), &Stored { intent: Some(intent), ..stored })
    }

    /// [`Store::record_commit_of`] a commit that made nothing visible.
    ///
    /// # Errors
    /// As there.
    pub fn record_commit(
        &self,
        key: FlowKey,
        expected_committed: Position,
        new: &FlowState,
    ) -> Result<(), Error> {
        self.record_commit_of(key, expected_committed, new, &Made::default())
    }

    /// Replaces the state, drops the intent and enters the commit in the flow's journal, in one transaction.
    ///
    /// # Errors
    /// `Conflict` unless the flow has committed exactly `expected_committed`, or if `new` would go back; `Corrupt`, `Storage`.
    pub fn record_commit_of(
        &self,
        key: FlowKey,
        expected_committed: Position,
        new: &FlowState,
        made: &Made,
    ) -> Result<(), Error> {
        let (version, stored) = self.expect_flow(key, expected_committed)?;
        if new.committed < expected_committed {
            let text =
                format!("flow {key} cannot go back from position {expected_committed} to {}", new.committed);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let mut writes = vec![flow_write(key, Expect::Version(version), new)?];
        self.enter(key, &stored.state, new, made, &mut writes)?;
        self.records.write(None, &writes).map(|_| ())
    }

    /// Drops the intent, of which it is certain that nothing of it is or becomes visible. The records are still to be read.
    ///
    /// # Errors
    /// `Conflict` unless the flow has committed exactly `expected_committed`; `Storage`.
    pub fn drop_intent(&self, key: FlowKey, expected_committed: Position) -> Result<(), Error> {
        let (version, stored) = self.expect_flow(key, expected_committed)?;
        self.put_flow(key, Expect::Version(version), &Stored { intent: None, ..stored })
    }

    /// Forgets the flow's table, and an intent to commit into it: the next commit is the first into whatever table there is. Only
    /// if that one does not have the intent's rows.
    ///
    /// # Errors
    /// As [`Store::drop_intent`].
    pub fn forget_table(&self, key: FlowKey, expected_committed: Position) -> Result<(), Error> {
        let (version, stored) = self.expect_flow(key, expected_committed)?;
        let state = FlowState { table: None, ..stored.state };
        self.put_flow(key, Expect::Version(version), &Stored { state, intent: None })
    }

    /// Forgets a pipeline's flows and their journals; fine if there are none.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn delete_flows(&self, pipeline: PipelineId) -> Result<(), Error> {
        self.drop_journals(pipeline)?;
        let (_, mut found) = self.records.list(&[Space::Flow], &format!("{pipeline}/"))?;
        found.extend(self.records.list(&[Space::Retired], &pipeline.to_string())?.1);
        let writes: Vec<_> = found
            .into_iter()
            .map(|(space, record)| Write { space, key: record.key, expect: Expect::Any, value: None })
            .collect();
        if writes.is_empty() {
            return Ok(());
        }
        self.records.write(None, &writes).map(|_| ())
    }

    fn stored(&self, key: FlowKey) -> Result<Option<(u64, Stored)>, Error> {
        let record = self.records.get(Space::Flow, &key.to_string())?;
        record.map(|r| Ok((r.version, parse(Space::Flow, &r)?))).transpose()
    }

    fn expect_flow(&self, key: FlowKey, committed: Position) -> Result<(u64, Stored), Error> {
        let conflict = |text| Err(Error::new(ErrorKind::Conflict, text));
        match self.stored(key)? {
            None => conflict(format!("flow {key} does not exist")),
            Some((_, stored)) if stored.state.committed != committed => conflict(format!(
                "flow {key} has committed {}, {committed} was expected",
                stored.state.committed
            )),
            Some(found) => Ok(found),
        }
    }

    fn put_flow(&self, key: FlowKey, expect: Expect, stored: &Stored) -> Result<(), Error> {
        let write = Write { space: Space::Flow, key: key.to_string(), expect, value: Some(json(stored)?) };
        self.records.write(None, &[write]).map(|_| ())
    }
}

/// A write of a flow without an intent.
pub(crate) fn flow_write(key: FlowKey, expect: Expect, state: &FlowState) -> Result<Write, Error> {
    let value = json(&Stored { state: *state, intent: None })?;
    Ok(Write { space: Space::Flow, key: key.to_string(), expect, value: Some(value) })
}
