//! One flow's rows on their way into staged files.
//!
//! **Bounds:** at most [`OpenFiles::max`] files open, one for each partition; rows in memory by the shared [`MemoryBudget`].
//! **Invariant:** after an error other than [`ErrorKind::OpenFiles`] a writer holds an unknown part of the last batch: it
//! must be abandoned, and the flow starts again from its committed position.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use lakehead_disk::Disk;
use lakehead_model::limits::ROLL_INTERVAL_SECONDS_DEFAULT;
use lakehead_model::resource::{FilesConfig, NamingStrategy, RollingPolicy, SinkFormat};
use lakehead_model::{Clock, Random, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encode::Encoder;
use crate::key::Keys;
use crate::memory::Share;
use crate::naming::{FirstRecord, Names};
use crate::staged::{Output, STAGED_SUFFIX, remove};
use crate::{Error, ErrorKind, MemoryBudget, StagedFile};

/// Files a writer has open at most where time decides about partitions. Reaching it asks for a roll.
pub const OPEN_FILES_MAX: usize = 16;

/// How many files a writer may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// As many ask for a roll.
    pub roll_at: usize,
    /// More are refused.
    pub max: usize,
}

impl OpenFiles {
    /// Where time decides about partitions: a batch is of one.
    pub const BY_TIME: OpenFiles = OpenFiles { roll_at: OPEN_FILES_MAX, max: OPEN_FILES_MAX };
    /// Where values do: a batch may have as many as it has rows.
    pub const BY_VALUE: OpenFiles = OpenFiles { roll_at: 256, max: 2048 };
}

/// What a writer takes from the outside world.
#[derive(Debug, Clone)]
pub struct Seams {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub random: Arc<dyn Random>,
}

impl Seams {
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>, disk: Arc<dyn Disk>) -> Self {
        Seams { clock, disk, random }
    }
}

/// What a writer writes, and where it stages it.
#[derive(Debug, Clone)]
pub struct WriterSettings {
    pub config: FilesConfig,
    pub format: SinkFormat,
    /// A folder on local disk, shared with every writer and publisher that [`clean_staging`](crate::clean_staging) is called
    /// for. On the file system of a local bucket, publishing copies nothing.
    pub staging_dir: PathBuf,
    /// Says in the names of staged files whose they are, and tells the names of files apart from other flows'.
    pub flow: String,
    /// The stream whose positions the records have.
    pub stream: StreamId,
    /// Tells flows into one sink apart in serial names: `00012-000`, `00012-001`.
    pub writer_index: u32,
    pub open_files: OpenFiles,
    /// Keys and values for the footers of Parquet files; JSON files have no place for them.
    pub origin: Vec<(String, String)>,
}

/// Why files must be finished now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roll {
    /// A file has `file_size_bytes`, or the bytes of the batch hints.
    Size,
    /// A file has the rows of the batch hints.
    Rows,
    /// The first row is `interval_seconds` old.
    Age,
    /// No row came for `inactivity_seconds`.
    Inactivity,
    /// [`OpenFiles::roll_at`] files are open.
    OpenFiles,
}

/// The files of one commit, finished and synced, in the order of their partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    pub files: Vec<StagedFile>,
    /// The partition of each, as it was given to [`Writer::write`].
    pub partitions: Vec<String>,
    /// The serial number of the next file; goes into the commit and from there into [`Writer::new`].
    pub next_serial: u64,
}

/// What a writer has done since it was made. For metrics; they only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    pub rows: u64,
    /// Bytes of finished files.
    pub bytes: u64,
    pub files: u64,
    pub row_groups: u64,
}

#[derive(Debug)]
pub struct Writer {
    settings: WriterSettings,
    seams: Seams,
    keys: Keys,
    names: Names,
    rolling: Rolling,
    share: Share,
    open: BTreeMap<Arc<str>, OpenFile>,
    /// Columns of the open files.
    schema: Option<SchemaRef>,
    /// Staged files made since the last commit was prepared.
    uncommitted: Vec<String>,
    next_serial: u64,
    /// When the first and the last row of the open files came.
    first_row: Duration,
    last_row: Duration,
    written: Written,
}

#[derive(Debug)]
struct OpenFile {
    encoder: Encoder,
    key: String,
    staged: String,
    rows: u64,
}

#[derive(Debug)]
struct Rolling {
    size_bytes: Option<u64>,
    plain_bytes: Option<u64>,
    rows: Option<u64>,
    age: Duration,
    inactivity: Option<Duration>,
}

impl Rolling {
    fn new(policy: &RollingPolicy) -> Self {
        let age = policy.interval_seconds.unwrap_or(ROLL_INTERVAL_SECONDS_DEFAULT);
        Rolling {
            size_bytes: policy.file_size_bytes.filter(|b| *b > 0),
            plain_bytes: policy.batch.map(|hints| hints.bytes_max),
            rows: policy.batch.map(|hints| hints.rows_max),
            age: policy
                .batch
                .map_or(Duration::from_secs(age), |hints| Duration::from_millis(hints.age_milliseconds_max)),
            inactivity: policy.inactivity_seconds.map(Duration::from_secs),
        }
    }
}

impl Writer {
    /// `serial`: the number of the next file, from the last commit ([`Prepared::next_serial`]); 0 for a new flow.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] for a configuration that [`validate`](crate::validate) refuses; [`ErrorKind::Staging`].
    pub fn new(
        settings: WriterSettings,
        seams: Seams,
        memory: Arc<MemoryBudget>,
        serial: u64,
    ) -> Result<Writer, Error> {
        let keys = Keys::new(&settings.config, &settings.format)
            .map_err(|e| Error::new(ErrorKind::Settings, e.to_string()))?;
        let dir = &settings.staging_dir;
        seams.disk.create_dir_all(dir).map_err(|e| Error::staging("create", dir, e))?;
        Ok(Writer {
            rolling: Rolling::new(&settings.config.rolling_policy),
            keys,
            names: Names::new(
                format!("{} of {}", settings.flow, settings.stream),
                settings.writer_index,
                seams.random.clone(),
            ),
            share: Share::new(memory),
            open: BTreeMap::new(),
            schema: None,
            uncommitted: Vec::new(),
            next_serial: serial,
            first_row: Duration::ZERO,
            last_row: Duration::ZERO,
            written: Written::default(),
            settings,
            seams,
        })
    }

    /// The partition of rows that arrived at `ingest_time`: the time pattern's text in UTC, empty without one. Formatted
    /// only when the time leaves the stretch in which the text stays the same.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] for a moment whose text would break out of the sink's folder.
    pub fn partition(&mut self, ingest_time: Timestamp) -> Result<Arc<str>, Error> {
        self.keys.partition(ingest_time)
    }

    /// Encodes rows of one partition. They are on disk after [`Writer::prepare`], and not before. `first` is the record that
    /// made the first of them: it names the file if they begin one.
    ///
    /// # Errors
    /// [`ErrorKind::OpenFiles`]: nothing was written, roll first. [`ErrorKind::Encode`], [`ErrorKind::Staging`].
    pub fn write(
        &mut self,
        batch: &RecordBatch,
        partition: &Arc<str>,
        first: FirstRecord,
    ) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check_schema(batch)?;
        let now = self.seams.clock.monotonic();
        if self.open.is_empty() {
            self.first_row = now;
        }
        self.last_row = now;
        if !self.open.contains_key(partition) {
            let file = self.open_file(batch, partition, first)?;
            self.open.insert(partition.clone(), file);
        }
        let file = self.open.get_mut(partition).expect("it was opened above");
        file.encoder.write(batch)?;
        file.rows += batch.num_rows() as u64;
        self.written.rows += batch.num_rows() as u64;
        self.relieve()
    }

    /// Puts row groups on disk while memory is short. [`Writer::write`] does it by itself; a writer that is idle while
    /// others work may be asked from a timer.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`], [`ErrorKind::Staging`].
    pub fn relieve(&mut self) -> Result<(), Error> {
        loop {
            self.share.hold(self.open.values().map(|f| f.encoder.held_bytes()).sum());
            if !self.share.exceeded() {
                return Ok(());
            }
            let Some(largest) = self.open.values_mut().max_by_key(|f| f.encoder.held_bytes()) else {
                return Ok(());
            };
            largest.encoder.flush()?;
        }
    }

    /// Whether the open files must be finished now, and why. `None` while nothing is open.
    pub fn must_roll(&self) -> Option<Roll> {
        if self.open.is_empty() {
            return None;
        }
        if let Some(limit) = self.rolling.size_bytes
            && self.open.values().any(|f| f.encoder.produced_bytes() >= limit)
        {
            return Some(Roll::Size);
        }
        let reached = |limit: Option<u64>, of: fn(&OpenFile) -> u64| {
            limit.is_some_and(|limit| self.open.values().any(|file| of(file) >= limit))
        };
        if reached(self.rolling.plain_bytes, |file| file.encoder.plain_bytes()) {
            return Some(Roll::Size);
        }
        if reached(self.rolling.rows, |file| file.rows) {
            return Some(Roll::Rows);
        }
        if self.open.len() >= self.settings.open_files.roll_at {
            return Some(Roll::OpenFiles);
        }
        let now = self.seams.clock.monotonic();
        if now.saturating_sub(self.first_row) >= self.rolling.age {
            return Some(Roll::Age);
        }
        let idle = now.saturating_sub(self.last_row);
        self.rolling.inactivity.is_some_and(|limit| idle >= limit).then_some(Roll::Inactivity)
    }

    /// How long until age or inactivity asks for a roll if nothing is written until then; zero if it does already. `None`
    /// while nothing is open.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.open.is_empty() {
            return None;
        }
        let now = self.seams.clock.monotonic();
        let aged = self.first_row + self.rolling.age;
        let due = self.rolling.inactivity.map_or(aged, |limit| aged.min(self.last_row + limit));
        Some(due.saturating_sub(now))
    }

    /// Finishes all open files and makes them durable, with their names. Then the writer is empty and ready for the next
    /// rows, but what it returns is not committed before the caller has stored it.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`], [`ErrorKind::Staging`]; [`ErrorKind::Sync`]: the process must stop.
    pub fn prepare(&mut self) -> Result<Prepared, Error> {
        let mut files = Vec::with_capacity(self.open.len());
        let mut partitions = Vec::with_capacity(self.open.len());
        for (partition, open) in std::mem::take(&mut self.open) {
            partitions.push(partition.to_string());
            let before = open.encoder.row_groups() as u64;
            let rest = u64::from(open.encoder.held_bytes() > 0);
            let output = open.encoder.finish()?;
            output.sync()?;
            self.written.files += 1;
            self.written.bytes += output.written_bytes();
            self.written.row_groups += before + rest;
            files.push(StagedFile {
                key: open.key,
                staged: open.staged,
                size_bytes: output.written_bytes(),
                rows: open.rows,
                crc32c: output.crc32c(),
            });
        }
        if !files.is_empty() {
            let dir = &self.settings.staging_dir;
            self.seams.disk.sync_dir(dir).map_err(|e| Error::sync(dir, e))?;
        }
        self.share.hold(0);
        self.schema = None;
        self.uncommitted.clear();
        Ok(Prepared { files, partitions, next_serial: self.next_serial })
    }

    /// Gives up what was written since the last [`Writer::prepare`] and removes its staged files. The rows are in the log.
    ///
    /// # Errors
    /// [`ErrorKind::Staging`] if a file could not be removed; [`clean_staging`](crate::clean_staging) will.
    pub fn abandon(self) -> Result<(), Error> {
        let Writer { open, uncommitted, settings, seams, .. } = self;
        drop(open);
        for staged in uncommitted {
            remove(&*seams.disk, &settings.staging_dir.join(&staged))?;
        }
        Ok(())
    }

    /// Files open now.
    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Rows written since the last [`Writer::prepare`].
    pub fn open_rows(&self) -> u64 {
        self.open.values().map(|f| f.rows).sum()
    }

    /// Bytes the open files come to, on disk and in memory.
    pub fn open_bytes(&self) -> u64 {
        self.open.values().map(|f| f.encoder.produced_bytes()).sum()
    }

    pub fn written(&self) -> Written {
        self.written
    }

    fn check_schema(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let given = batch.schema_ref();
        match &self.schema {
            Some(schema) if Arc::ptr_eq(schema, given) || schema == given => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::Encode,
                "the batch has other columns than the open files; roll before a pipeline's columns change",
            )),
            None => {
                self.schema = Some(given.clone());
                Ok(())
            }
        }
    }

    fn open_file(
        &mut self,
        rows: &RecordBatch,
        partition: &str,
        first: FirstRecord,
    ) -> Result<OpenFile, Error> {
        let max = self.settings.open_files.max;
        if self.open.len() >= max {
            return Err(Error::new(
                ErrorKind::OpenFiles,
                format!("{max} files are open; a file for {partition:?} would be one too many"),
            ));
        }
        let disk = &self.seams.disk;
        let staged = format!("{}.{}{STAGED_SUFFIX}", tame(&self.settings.flow), self.names.unique());
        let output = Output::create(&**disk, &self.settings.staging_dir, &staged)?;
        self.uncommitted.push(staged.clone());
        let encoder = Encoder::new(output, &self.settings.format, &self.settings.origin, rows)?;
        let strategy = self.settings.config.file_naming.strategy.unwrap_or_default();
        let name = self.names.name(strategy, first, partition, self.next_serial);
        if strategy == NamingStrategy::Serial {
            self.next_serial += 1;
        }
        Ok(OpenFile { encoder, key: self.keys.key(partition, &name), staged, rows: 0 })
    }
}

/// What of a flow's name can stand in a file name.
fn tame(flow: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    flow.chars().take(64).map(tame).collect()
}
