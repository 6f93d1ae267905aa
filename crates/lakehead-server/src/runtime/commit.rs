//! The commit of a flow: files and dead letters of `[committed, cursor)` become visible, and the position moves, as one.
//!
//! ```text
//!   prepare            files and letters complete and synced         crash: dropped, read again
//!   record_intent      the next state, the files' names              crash: ↓ completed at the next start
//!   publish            each file under its name, whole               crash: ↓ again, finding what is there
//!   commit_table       of a table: the files are its, and the        crash: ↓ again, and the table says that it is done
//!                      position with them
//!   record_commit_of   state = next, intent gone, journal entry       crash: nothing left to do
//!   discard            staged files removed                          crash: removed at the next start
//! ```

use std::time::Duration;

use lakehead_meta::{FlowKey, FlowRecord, FlowState, Made, MadeFile, MadeLetters, MadeTable, TableMark};
use lakehead_model::{Position, SinkId};
use lakehead_sink::{Bucket, Publisher, StagedFile};
use lakehead_table::{CommitError, Uuid};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::dead_letters::{DeadLetters, StagedLetters};
use super::flow::{Flow, FlowError, Order, SHOWN_AFTER, Shared, Slow, Task, out_of_patience};
use super::table::{Named, Placed, TableEnd, TableIntent};

/// What a bucket that is in order takes at least.
const UPLOAD_BYTES_A_SECOND: u64 = 1 << 20;

/// What a commit is about to make visible, stored before it does.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    next: FlowState,
    /// Where the files go, whatever the sink says by the time the intent is completed. Intents of old do not say.
    #[serde(default)]
    bucket: Option<String>,
    files: Vec<StagedFile>,
    letters: Option<StagedLetters>,
    /// Set if the files go into a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<TableIntent>,
}

impl Intent {
    /// What the journal keeps of it.
    fn made(&self, task: &Task) -> Made {
        let file = |f: &StagedFile| MadeFile {
            key: f.key.clone(),
            size_bytes: f.size_bytes,
            rows: f.rows,
            crc32c: f.crc32c,
        };
        Made {
            sink: Some(task.sink.id),
            bucket: Some(self.bucket.clone().unwrap_or_else(|| task.files.bucket.clone())),
            table: self.table.as_ref().zip(task.table.as_ref()).map(|(intent, table)| MadeTable {
                namespace: table.namespace.clone(),
                name: table.table_name.clone(),
                uuid: intent.table().as_u64_pair(),
            }),
            files: self.files.iter().map(file).collect(),
            letters: self.letters.as_ref().map(StagedLetters::made),
        }
    }
}

/// What ends the wait for a bucket.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) patience: Option<Duration>,
    pub(super) order: &'a watch::Receiver<Order>,
}

/// A bucket, by its name or as it is known already.
pub(super) enum Place<'a> {
    Named(&'a str),
    Of(&'a Bucket),
}

/// Where a commit goes.
struct Ends<'a> {
    publisher: &'a Publisher,
    /// The table, if it is one.
    placed: Option<&'a Placed>,
    letters: &'a DeadLetters,
}

/// The letters that the intent `text` is about to make visible.
pub(super) fn letters_of(text: &[u8]) -> Result<Option<StagedLetters>, FlowError> {
    Ok(parse(text)?.letters)
}

/// As [`letters_of`], for whoever looks from outside.
pub(crate) fn letters_under_way(text: &[u8]) -> Result<Option<MadeLetters>, String> {
    letters_of(text).map(|letters| letters.as_ref().map(StagedLetters::made)).map_err(|e| e.reason)
}

/// The table that a flow has written, or is about to write, with its sink.
pub(super) fn table_of(record: &FlowRecord) -> Result<Option<(SinkId, Uuid)>, FlowError> {
    let intent = record.intent.as_deref().map(parse).transpose()?;
    let begun = intent.and_then(|intent| intent.table).map(|table| (table.sink, table.table()));
    let uuid = |mark: TableMark| Uuid::from_u64_pair(mark.uuid.0, mark.uuid.1);
    Ok(begun.or_else(|| record.state.table.map(|mark| (mark.sink, uuid(mark)))))
}

/// Where a flow will stand when the intent `text` is completed.
pub(super) fn next_state(text: &[u8]) -> Result<FlowState, FlowError> {
    Ok(parse(text)?.next)
}

fn parse(text: &[u8]) -> Result<Intent, FlowError> {
    serde_json::from_slice(text).map_err(|e| FlowError::new(format!("stored intent: {e}")))
}

impl Flow<'_> {
    /// Commits everything before `cursor`, to which the feed has read. The batch must have been handed on.
    pub(super) fn commit(&mut self, cursor: Position) -> Result<(), FlowError> {
        if cursor <= self.state.committed {
            return Ok(());
        }
        let began = self.shared.clock.monotonic();
        self.renew()?;
        let prepared = self.writer.prepare()?;
        let letters = self.letters.prepare(self.state.committed, cursor)?;
        let next = FlowState {
            committed: cursor,
            serial: prepared.next_serial,
            delivered: self.state.delivered + self.delivered,
            filtered: self.state.filtered + self.filtered,
            dead_lettered: self.state.dead_lettered + self.dead_lettered,
            lost: self.state.lost + self.lost,
            rows: self.state.rows + prepared.files.iter().map(|f| f.rows).sum::<u64>(),
            files: self.state.files + prepared.files.len() as u64,
            file_bytes: self.state.file_bytes + prepared.files.iter().map(|f| f.size_bytes).sum::<u64>(),
            ..self.state
        };
        let (shared, task) = (self.shared, self.task);
        let table = match &mut self.table {
            Some(table) if !prepared.files.is_empty() => {
                Some(table.intent(task, &*shared.sink_seams.random, &self.state, &prepared.partitions)?)
            }
            _ => None,
        };
        let next = match &table {
            Some(table) => FlowState { table: Some(table.mark(cursor)), ..next },
            None => next,
        };
        if prepared.files.is_empty() && letters.is_none() {
            shared.store.record_commit(task.key, self.state.committed, &next)?;
        } else {
            let bucket = Some(task.files.bucket.clone());
            let intent = Intent { next, bucket, files: prepared.files, letters, table };
            let text = serde_json::to_vec(&intent).map_err(|e| FlowError::new(format!("intent: {e}")))?;
            shared.store.record_intent(task.key, self.state.committed, &text)?;
            let waiting = Waiting { patience: self.patience, order: &self.order };
            let placed = self.table.as_ref().map(TableEnd::placed);
            let ends = Ends { publisher: &self.publisher, placed, letters: &self.letters };
            shared.complete(task, &self.state, &intent, &ends, waiting)?;
        }
        self.letters.reset()?;
        self.state = next;
        (self.delivered, self.filtered, self.dead_lettered, self.lost) = (0, 0, 0, 0);
        self.last_commit = shared.clock.monotonic();
        let labels = [task.pipeline.as_str(), task.sink.name.as_str()];
        shared
            .metrics
            .sink_commit_seconds
            .with_label_values(&labels)
            .observe((self.last_commit - began).as_secs_f64());
        shared.progress.committed(task.key, next);
        shared.statuses.running(task.key);
        tracing::debug!(flow = %task.key, committed = %next.committed, "committed");
        Ok(())
    }
}

impl Flow<'_> {
    /// Credentials of a table's storage that are about to end are replaced.
    fn renew(&mut self) -> Result<(), FlowError> {
        let (shared, task) = (self.shared, self.task);
        let waiting = Waiting { patience: self.patience, order: &self.order };
        let Some(table) = &mut self.table else { return Ok(()) };
        let Some(bucket) = shared.wait(task.key, waiting, shared.renew(task, table))? else { return Ok(()) };
        let staging_dir = shared.staging_dir(task.key);
        self.publisher =
            shared.publisher(task.key, (bucket.clone(), true), &staging_dir, self.patience, &self.order)?;
        Ok(())
    }
}

impl Shared {
    /// Waits for `work` with a catalog, and shows when it takes long.
    pub(super) fn wait<T>(
        &self,
        key: FlowKey,
        waiting: Waiting<'_>,
        work: impl Future<Output = Result<T, FlowError>>,
    ) -> Result<T, FlowError> {
        self.wait_for(key, (SHOWN_AFTER, Slow::Catalog), waiting, work)
    }

    fn wait_for<T>(
        &self,
        key: FlowKey,
        limit: (Duration, Slow),
        waiting: Waiting<'_>,
        work: impl Future<Output = Result<T, FlowError>>,
    ) -> Result<T, FlowError> {
        let mut order = waiting.order.clone();
        let work = self.shown(key, limit, work);
        self.async_runtime.block_on(async {
            tokio::select! {
                done = work => done,
                e = out_of_patience(waiting.patience) => Err(e),
                _ = order.wait_for(|order| *order == Order::Abandon) => Err(FlowError::new("stopped while publishing")),
            }
        })
    }

    /// The state to go on from: as stored, after completing what was decided before a stop or a failure.
    pub(super) fn resume(
        &self,
        task: &Task,
        named: Option<&Named>,
        publisher: impl Fn(Place<'_>) -> Result<Publisher, FlowError>,
        letters: &mut DeadLetters,
        patience: Option<Duration>,
        order: &watch::Receiver<Order>,
    ) -> Result<FlowState, FlowError> {
        let record = self
            .store
            .flow(task.key)?
            .ok_or_else(|| FlowError::new(format!("flow {} was not created", task.key)))?;
        let Some(text) = record.intent else {
            letters.reset()?;
            return Ok(record.state);
        };
        let intent = parse(&text)?;
        let waiting = Waiting { patience, order };
        let placed = match (&intent.table, named) {
            (Some(_), Some(named)) => Some(self.wait(task.key, waiting, self.placed(task, named))?),
            (Some(_), None) => {
                return Err(FlowError::new("a commit into a table is under way, and the sink is none"));
            }
            (None, _) => None,
        };
        let place = match &placed {
            Some(placed) => Place::Of(&placed.bucket),
            None => Place::Named(intent.bucket.as_deref().unwrap_or(&task.files.bucket)),
        };
        let ends = Ends { publisher: &publisher(place)?, placed: placed.as_ref(), letters };
        self.complete(task, &record.state, &intent, &ends, waiting)?;
        letters.reset()?;
        self.progress.committed(task.key, intent.next);
        tracing::info!(flow = %task.key, committed = %intent.next.committed, "completed a commit that was under way");
        Ok(intent.next)
    }

    /// From a stored intent to a recorded commit. May be repeated, whatever happened to it before.
    fn complete(
        &self,
        task: &Task,
        from: &FlowState,
        intent: &Intent,
        ends: &Ends<'_>,
        waiting: Waiting<'_>,
    ) -> Result<(), FlowError> {
        let publisher = ends.publisher;
        let labels = [task.pipeline.as_str(), task.sink.name.as_str()];
        let outcome = |outcome: &str| {
            self.metrics.sink_commits.with_label_values(&[labels[0], labels[1], outcome]).inc();
        };
        let bytes: u64 = intent.files.iter().map(|file| file.size_bytes).sum();
        let limit = SHOWN_AFTER + Duration::from_secs(bytes / UPLOAD_BYTES_A_SECOND);
        let publishing = async { publisher.publish(&intent.files).await.map_err(FlowError::from) };
        // When the wait ends first, the intent stays; the next start completes it.
        let published = self.wait_for(task.key, (limit, Slow::Bucket), waiting, publishing);
        if let Err(error) = published {
            outcome("rejected");
            return Err(error);
        }
        if let Some((table, placed)) = intent.table.as_ref().zip(ends.placed) {
            self.catalogs.check(&task.files.bucket).map_err(FlowError::new)?;
            let committing = self.commit_table(task, placed, table, &intent.files, intent.next.committed);
            let committed = self
                .wait_for(task.key, (SHOWN_AFTER, Slow::Catalog), waiting, async { Ok(committing.await) })?;
            if let Err(error) = committed {
                outcome("rejected");
                if let CommitError::Unfit(_) = error {
                    // The rows are read again, and written as the table has become.
                    self.store.drop_intent(task.key, from.committed)?;
                    self.async_runtime.block_on(publisher.discard(&intent.files))?;
                }
                return Err(error.into());
            }
        }
        if let Some(staged) = &intent.letters {
            ends.letters.publish(staged)?;
        }
        let made = intent.made(task);
        self.store.record_commit_of(task.key, from.committed, &intent.next, &made)?;
        outcome("ok");
        let sum = |of: fn(&StagedFile) -> u64| intent.files.iter().map(of).sum::<u64>();
        self.metrics.sink_files.with_label_values(&labels).inc_by(intent.files.len() as u64);
        self.metrics.sink_rows.with_label_values(&labels).inc_by(sum(|f| f.rows));
        self.metrics.sink_bytes.with_label_values(&labels).inc_by(sum(|f| f.size_bytes));
        self.async_runtime.block_on(publisher.discard(&intent.files))?;
        Ok(())
    }
}
