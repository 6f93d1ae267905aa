//! The handle to an open log.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use lakehead_disk::Lock;
use lakehead_model::{Partition, Position};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::error::{AppendError, Error};
use crate::frame::{Frame, POSITION_MAX};
use crate::group::append_bytes_max;
use crate::header::copy_bytes;
use crate::keeper::KeeperThread;
use crate::keys::AppendKey;
use crate::queue::{Keyed, Outcome, Pending};
use crate::reader::{self, Reader};
use crate::records::Records;
use crate::recovery::{self, RecoveryReport};
use crate::settings::{Seams, Settings};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::writer::Writer;

/// Records to store: all of them or none.
#[derive(Debug, Clone)]
pub struct Append {
    pub partition: Partition,
    pub body: Bytes,
    /// Where the records lie in `body`; at least one.
    pub records: Records,
    /// If an append of the partition is stored under this key, with the same body, it is not stored again.
    pub key: Option<AppendKey>,
}

/// An open log. Cheap to clone; closes when the last clone goes.
#[derive(Debug, Clone)]
pub struct LocalLog {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    lock: Box<dyn Lock>,
}

impl LocalLog {
    /// Opens the log in `settings.dir`, or begins one. Blocking: reads what was not sealed when the log was last in use.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Locked`] if another process has it open, `Invalid` for a setting that cannot work, `Corrupt` if
    /// files are missing or swapped, `Io` if the file system refuses.
    pub fn open(settings: Settings, seams: Seams) -> Result<(LocalLog, RecoveryReport), Error> {
        settings.check()?;
        let opened_at = seams.clock.now();
        let opened = seams.clock.monotonic();
        let recovered = recovery::recover(&settings, &seams)?;
        let shared = Arc::new(Shared::new(
            settings,
            seams,
            recovered.floor.log_id,
            recovered.partitions,
            recovered.segments,
            recovered.keys,
            recovered.keeper,
        ));
        for lost in &recovered.report.lost {
            shared.count_lost(lost);
        }
        let keeper = KeeperThread {
            shared: shared.clone(),
            floor: recovered.floor,
            key_files: recovered.key_files,
            opened_at,
            opened,
        };
        let writer = Writer::new(shared.clone(), recovered.previous);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            Builder::new().name(name.into()).spawn(run).map_err(|e| Error::io(format!("starting {name}"), e))
        };
        let keeper = spawn("log-keeper", Box::new(|| keeper.run()))?;
        let writer = match spawn("log-writer", Box::new(|| writer.run())) {
            Ok(writer) => writer,
            Err(error) => {
                shared.keeper.stop();
                let _ = keeper.join();
                return Err(error);
            }
        };
        let running = Running { writer, keeper, lock: recovered.lock };
        let log = LocalLog { handle: Arc::new(Handle { shared, running: Mutex::new(Some(running)) }) };
        Ok((log, recovered.report))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Stores records; resolves when they are synced, with the positions they got. They are queued when this is called, not
    /// when the future is polled. Dropping the future takes them back, unless the writer has begun with them.
    pub fn append(&self, append: Append) -> impl Future<Output = Outcome> + Send + 'static {
        let submitted = self.submit(append);
        async move { submitted?.await.unwrap_or(Err(AppendError::Failed)) }
    }

    /// Like [`LocalLog::append`], for callers that wait for many at once. Never blocks.
    ///
    /// # Errors
    /// What can be said before anything is queued: every kind of [`AppendError`].
    pub fn submit(&self, append: Append) -> Result<oneshot::Receiver<Outcome>, AppendError> {
        let shared = self.shared();
        let Append { partition, body, records, key } = append;
        if records.is_empty() || !records.fit(body.len()) {
            return Err(AppendError::Invalid);
        }
        let bytes = append_bytes_max(records.len(), body.len());
        let known = shared.partitions.get_or_add(partition).ok_or(AppendError::TooLarge)?;
        if bytes + 2 * copy_bytes(shared.partitions_max) > shared.settings.segment_bytes
            || known.next().0 >= POSITION_MAX
        {
            return Err(AppendError::TooLarge);
        }
        let keyed = key.map(|key| Keyed { key: key.within(partition), body_crc: crc32c::crc32c(&body) });
        let (done, outcome) = oneshot::channel();
        // Also when there is no room for more: what is stored is stored.
        if let Some(known) = keyed.and_then(|keyed| shared.known(keyed, records.len())) {
            let _ = done.send(known);
            return Ok(outcome);
        }
        if shared.active_room.load(Ordering::Relaxed) < bytes && shared.keeper.blocked() {
            shared.counters.refused_full.fetch_add(1, Ordering::Relaxed);
            return Err(AppendError::Full);
        }
        known.set_forgotten(false);
        match shared.queue.push(Pending { state: known, body, records, keyed, done }) {
            Ok(()) => Ok(outcome),
            Err(error) => {
                if error == AppendError::Backlogged {
                    shared.counters.refused_backlogged.fetch_add(1, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }

    /// The first unwritten position: everything before it is durable. 0 for a partition never heard of.
    pub fn tail(&self, partition: Partition) -> Position {
        self.shared().partitions.get(partition).map_or(Position::ZERO, |state| state.tail())
    }

    /// The trim point: the oldest position that can still be read, or the tail if there is none.
    pub fn oldest(&self, partition: Partition) -> Position {
        self.shared().partitions.get(partition).map_or(Position::ZERO, |state| state.oldest())
    }

    /// Follows the tail of a partition, so that a reader need not poll. `None` when there are too many partitions.
    pub fn watch_tail(&self, partition: Partition) -> Option<watch::Receiver<Position>> {
        Some(self.shared().partitions.get_or_add(partition)?.watch())
    }

    /// Every partition the log knows, with its oldest kept position and its tail.
    pub fn partitions(&self) -> Vec<(Partition, Range<Position>)> {
        self.shared()
            .partitions
            .all()
            .into_iter()
            .filter(|state| !state.forgotten())
            .map(|state| (state.partition, state.oldest()..state.tail()))
            .collect()
    }

    /// Reads the frames from `from` on, until their bodies reach `max_bytes`; none at the tail. Blocking.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read(&self, partition: Partition, from: Position, max_bytes: usize) -> Result<Vec<Frame>, Error> {
        reader::read_once(self.shared(), partition, from, max_bytes)
    }

    /// A reader that starts at `from` and remembers where it is.
    pub fn reader(&self, partition: Partition, from: Position) -> Reader {
        Reader::new(self.shared().clone(), partition, from)
    }

    /// Says that every pipeline of the partition has committed everything before `to`. What may be removed is decided by
    /// retention and quota.
    pub fn trim(&self, partition: Partition, to: Position) {
        if let Some(state) = self.shared().partitions.get(partition) {
            state.commit(to);
            if self.shared().keeper.blocked() {
                self.shared().keeper.kick();
            }
        }
    }

    /// Whether the partition has pipelines. Without any, its records are kept by age alone. Until told otherwise, the log
    /// takes it that there are some, and that they have committed nothing.
    pub fn set_readers(&self, partition: Partition, some: bool) {
        if let Some(state) = self.shared().partitions.get_or_add(partition) {
            state.set_readers(some);
        }
    }

    /// The stream is deleted: its records hold nothing back any more.
    pub fn forget(&self, partition: Partition) {
        if let Some(state) = self.shared().partitions.get(partition) {
            state.set_forgotten(true);
            self.shared().keeper.kick();
        }
    }

    /// Trims and prepares what is due, and waits until that is done. The log does so by itself every second.
    pub fn tidy(&self) {
        self.shared().keeper.wait_for_round();
    }

    pub fn stats(&self) -> Stats {
        Stats::of(self.shared())
    }

    /// Writes and syncs what waits, seals the segment, releases the lock. Appends from now on get
    /// [`AppendError::Closed`]. Blocking; calling it again does nothing.
    pub fn close(&self) {
        self.handle.close();
    }
}

impl Handle {
    fn close(&self) {
        self.shared.queue.close();
        let Some(running) = self.running.lock().take() else { return };
        let _ = running.writer.join();
        self.shared.keeper.finish();
        let _ = running.keeper.join();
        drop(running.lock);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
