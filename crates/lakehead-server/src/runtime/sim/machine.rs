//! A machine that runs the log and the runtime on a simulated disk, one process after the other.
//!
//! ```text
//!   World: what outlives a process     SimDisk · SimRecords (metadata) · wall clock · Ledger (what was sent, what was acknowledged)
//!   Machine: a process                 ProcessDisk ► LocalLog ► Shared ► plan ► feeds, stepped on the test's thread
//! ```
//! The log has its own two threads; an append is waited for, and then a round of the keeper, so that they never run beside
//! anything else. Everything else happens on the thread of the test, in the order of the seed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_log::{AppendError, LocalLog, Seams, Settings};
use lakehead_meta::sim::SimRecords;
use lakehead_meta::{Change, Store};
use lakehead_model::random::SeededRandom;
use lakehead_model::{Clock, Position, Random, Timestamp};
use lakehead_sink::{MemoryBudget, Uploads};

use super::clock::SimClock;
use super::disk::{Faults, Lie, ProcessDisk};
use super::records::{self, PIPELINE, append, mix, partition, pipeline, sink, stream};
use crate::metrics::Metrics;
use crate::runtime::flow::Shared;
use crate::runtime::status::Statuses;
use crate::runtime::supervisor::Runtime;
use crate::storage::Storage;

const SEGMENT_BYTES: u64 = 64 << 10;
pub(super) const DATA_DIR: &str = "/data";
/// A Sunday, a minute before the hour and the day change.
const BEGINNING: Timestamp = Timestamp(1_763_855_940_000_000);

static ASYNC: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// One append, and what was said to it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) ids: Vec<u64>,
    /// It was answered Ok, or the log has shown it since.
    pub(super) acknowledged: bool,
}

/// What was sent to each stream, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) streams: [Vec<Request>; 2],
    next_id: u64,
}

impl Ledger {
    /// The ids by position; of the last requests only those that were stored, once a process has come up.
    pub(super) fn ids(&self, stream: usize) -> Vec<u64> {
        self.streams[stream].iter().flat_map(|r| r.ids.iter().copied()).collect()
    }

    /// A log was opened: what it has is stored from now on, and what it has not never was. Nothing acknowledged may be missing,
    /// and no request may be there in part.
    fn settle(&mut self, stream: usize, tail: u64) {
        let (mut end, mut kept) = (0, 0);
        for request in &self.streams[stream] {
            if end >= tail {
                assert!(
                    !request.acknowledged,
                    "stream {stream} ends at {tail}: acknowledged records are gone"
                );
                break;
            }
            end += request.ids.len() as u64;
            kept += 1;
        }
        assert_eq!(end, tail, "stream {stream} ends inside a request, or holds what was never sent");
        self.streams[stream].truncate(kept);
        self.streams[stream].iter_mut().for_each(|r| r.acknowledged = true);
    }
}

/// What outlives a process.
#[derive(Clone)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) disk: SimDisk,
    pub(super) records: SimRecords,
    pub(super) ledger: Ledger,
    pub(super) wall: Timestamp,
    pub(super) lie: Lie,
    pub(super) faults: Arc<Faults>,
    /// Processes that ended by themselves.
    pub(super) exits: u64,
    pub(super) is_full: bool,
    /// How often flows had to begin again because the disk was full.
    pub(super) waits: u64,
    boots: u64,
}

impl World {
    /// A machine that was never started; its streams, sinks and pipeline are made.
    pub(super) fn new(seed: u64) -> World {
        let records = SimRecords::new();
        let store = records.open(Arc::new(SeededRandom::new(seed))).unwrap();
        let mut changes: Vec<_> = (0..2).map(|i| Change::PutStream(stream(i))).collect();
        changes.extend((0..3).map(|i| Change::PutSink { sink: sink(i, seed), credentials: None }));
        changes.push(Change::PutPipeline(pipeline(1)));
        store.change(0, &changes).unwrap();
        World {
            seed,
            disk: SimDisk::new(),
            records,
            ledger: Ledger::default(),
            wall: BEGINNING,
            lie: Lie::None,
            faults: Arc::default(),
            exits: 0,
            is_full: false,
            waits: 0,
            boots: 0,
        }
    }

    /// The world after the power went, or the process ended; this one stays as it is.
    pub(super) fn after(&self, keep: Keep) -> World {
        let (disk, records) = (self.disk.after_crash(keep), self.records.fork());
        World { disk, records, faults: Arc::default(), exits: 0, ..self.clone() }
    }

    /// Leaves room for `room` bytes more.
    pub(super) fn fill(&mut self, room: u64) {
        let used: usize = self.disk.paths().iter().map(|path| self.disk.content(path).len()).sum();
        self.disk.set_capacity(used as u64 + room);
        self.is_full = true;
    }

    pub(super) fn free(&mut self) {
        self.disk.set_capacity(u64::MAX);
        self.is_full = false;
    }

    /// Starts a process. `None`: it did not come up, as the power went or a call failed.
    pub(super) fn boot(&mut self) -> Option<Machine> {
        self.boots += 1;
        let disk = ProcessDisk::new(self.disk.clone(), Arc::clone(&self.faults), self.lie);
        let clock = Arc::new(SimClock::at(self.wall));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(mix(self.seed ^ self.boots << 48)));
        let off = disk.clone();
        self.records.off_while(move || off.is_over());
        let Some(log) = self.open_log(&disk, &clock, &random) else {
            self.exits += 1;
            return None;
        };
        log.tidy();
        if disk.is_over() {
            log.close();
            self.exits += 1;
            return None;
        }
        for stream in 0..2 {
            self.ledger.settle(stream, log.tail(partition(stream)).0);
        }
        let store = self.records.open(Arc::clone(&random)).ok()?;
        let machine = Machine::new(self.seed, disk, clock, random, log, Arc::new(store));
        machine.shared.remember(&machine.shared.store.catalog());
        Some(machine)
    }

    fn open_log(
        &self,
        disk: &ProcessDisk,
        clock: &Arc<SimClock>,
        random: &Arc<dyn Random>,
    ) -> Option<LocalLog> {
        let ends = disk.clone();
        let seams = Seams {
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            random: Arc::clone(random),
            disk: Arc::new(disk.clone()),
            // The server exits.
            on_fatal: Arc::new(move |_| ends.end_process()),
            on_sync: Arc::new(|_| {}),
        };
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            quota_bytes: SEGMENT_BYTES * 32,
            retention: Duration::ZERO,
            free_bytes_min: 0,
            // Some of what is read comes from memory and some from the disk.
            recent_bytes_max: [0, 4 << 10, 1 << 20][(mix(self.seed) % 3) as usize],
            spare_segments: 2,
            ..Settings::new(format!("{DATA_DIR}/log"))
        };
        match LocalLog::open(settings, seams) {
            Ok((log, report)) => {
                assert_eq!(report.lost, vec![], "the log lost records");
                assert_eq!(report.damaged, vec![], "the log found damage");
                Some(log)
            }
            Err(error) => {
                let excused =
                    disk.is_over() || self.faults.failed().is_some() || !self.disk.failed_syncs().is_empty();
                assert!(excused, "the log does not open: {error}");
                None
            }
        }
    }

    /// Sends records to a stream and waits for the answer.
    pub(super) fn append(&mut self, machine: &Machine, stream: usize, count: u64) {
        let first = self.ledger.next_id;
        self.ledger.next_id += count;
        let ids: Vec<u64> = (first..first + count).collect();
        let append = append(stream, &ids);
        let before = machine.log.tail(partition(stream));
        let answer = machine.disk.while_appending(|| match machine.log.submit(append) {
            Ok(outcome) => outcome.blocking_recv().unwrap_or(Err(AppendError::Failed)),
            Err(refused) => Err(refused),
        });
        machine.log.tidy();
        match answer {
            Ok(appended) => {
                assert_eq!(appended.positions, before..before.plus(count), "positions are dense");
                self.ledger.streams[stream].push(Request { ids, acknowledged: true });
            }
            // Nothing was written.
            Err(AppendError::Full) => {}
            Err(_) => {
                assert!(machine.ends(), "an append failed and the log goes on");
                self.ledger.streams[stream].push(Request { ids, acknowledged: false });
            }
        }
    }
}

/// A process.
pub(super) struct Machine {
    pub(super) disk: ProcessDisk,
    pub(super) clock: Arc<SimClock>,
    pub(super) log: LocalLog,
    pub(super) shared: Shared,
    died: AtomicBool,
}

impl Machine {
    fn new(
        seed: u64,
        disk: ProcessDisk,
        clock: Arc<SimClock>,
        random: Arc<dyn Random>,
        log: LocalLog,
        store: Arc<Store>,
    ) -> Machine {
        let data_dir = std::path::PathBuf::from(DATA_DIR);
        let memory = [64 << 20, 8 << 10][(mix(seed ^ 7) % 2) as usize];
        let storage = Arc::new(Storage::new(data_dir.join("buckets"), Default::default()));
        let none: crate::catalogs::Embedded = Arc::new(|_| Err("there are no tables here".to_owned()));
        let catalogs = crate::catalogs::Catalogs::new(
            &Default::default(),
            none,
            Arc::clone(&storage),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&random),
        );
        let runtime = Runtime {
            store,
            log: log.clone(),
            storage,
            catalogs: Arc::new(catalogs),
            memory: Arc::new(MemoryBudget::new(memory)),
            uploads: Uploads::default(),
            metrics: METRICS.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random,
            disk: Arc::new(disk.clone()),
            data_dir,
            async_runtime: ASYNC.handle().clone(),
        };
        let shared = Shared::new(runtime, Arc::new(Statuses::default()));
        Machine { disk, clock, log, shared, died: AtomicBool::new(false) }
    }

    /// The power is off, or the process has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.died.load(Ordering::SeqCst) || self.disk.is_over()
    }

    /// Whether the process ends, now or as soon as the thread that knows why has said so.
    fn ends(&self) -> bool {
        (0..1_000_000).any(|_| {
            std::thread::yield_now();
            self.is_over()
        })
    }

    /// As the server does after a failed sync: it exits.
    pub(super) fn exit(&self) {
        self.died.store(true, Ordering::SeqCst);
        self.disk.end_process();
    }

    /// Lets the log trim what is committed.
    pub(super) fn settle(&self) {
        self.shared.progress.settle(&self.shared.store.catalog(), |_| true);
        self.log.tidy();
    }

    /// The next version of the SQL.
    pub(super) fn edit(&self) {
        let catalog = self.shared.store.catalog();
        let version = catalog.pipelines[&PIPELINE].version + 1;
        let changed = self.shared.store.change(catalog.revision, &[Change::PutPipeline(pipeline(version))]);
        if changed.is_err() {
            self.exit();
        }
    }

    /// Whether all flows of the current version have committed all there is.
    pub(super) fn is_at_rest(&self) -> bool {
        let version = self.shared.store.catalog().pipelines[&PIPELINE].version;
        let Ok(flows) = self.shared.store.flows(PIPELINE) else { return false };
        let wanted: BTreeSet<u32> =
            (0..3).filter(|s| records::has_statement(version, *s)).map(|s| s as u32).collect();
        flows.iter().map(|(key, _)| key.statement).collect::<BTreeSet<_>>() == wanted
            && flows.iter().all(|(key, record)| {
                let tail: Position = self.log.tail(partition(records::READS[key.statement as usize]));
                record.intent.is_none() && record.state.version == version && record.state.committed == tail
            })
    }

    /// Ends the process in order, or what is left of it; the world goes on from there.
    pub(super) fn end(self, world: &mut World) {
        world.wall = self.clock.now();
        drop(self.shared);
        self.log.close();
        world.exits += u64::from(self.disk.is_over());
    }
}
