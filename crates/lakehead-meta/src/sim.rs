//! A metadata store in memory, for tests that crash the machine around it.
//!
//! It is trusted: a write that returned is durable, one that did not happened or did not, whole. What SQLite makes of a power
//! cut is SQLite's to test. So the records survive every simulated crash, and what they may do wrong is asked for by name:
//! refuse ([`SimRecords::fail_write_at`]), forget ([`SimRecords::forget_last_commit`]), never hear of intents
//! ([`SimRecords::drop_intents`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lakehead_disk::sim::SimDisk;
use lakehead_model::Random;
use parking_lot::Mutex;

use crate::flows::Stored;
use crate::records::{Record, Records, Space, Write};
use crate::resources::{json, parse};
use crate::tokens::Tokens;
use crate::vault::Vault;
use crate::{Error, ErrorKind, Store};

/// Says whether the machine is off: then nothing is read or written any more.
type IsOff = Arc<dyn Fn() -> bool + Send + Sync>;

/// Records in memory. Clones share them.
#[derive(Clone, Default)]
pub struct SimRecords {
    state: Arc<Mutex<State>>,
    /// Where the key of the vault lies.
    key_disk: SimDisk,
}

#[derive(Clone, Default)]
struct State {
    now: Moment,
    /// Before the last write that moved a flow's position.
    before_commit: Option<Moment>,
    writes: u64,
    /// The write that fails, and whether it is done all the same.
    fail_at: Option<(u64, bool)>,
    poisoned: bool,
    drops_intents: bool,
    is_off: Option<IsOff>,
}

#[derive(Clone, Default)]
struct Moment {
    records: BTreeMap<(Space, String), Record>,
    revision: u64,
}

impl fmt::Debug for SimRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRecords")
    }
}

fn refused(text: &str) -> Error {
    Error::new(ErrorKind::Storage, text)
}

impl SimRecords {
    /// Records of a machine that was never started.
    pub fn new() -> Self {
        SimRecords::default()
    }

    /// A store over the records, for a process that starts now.
    ///
    /// # Errors
    /// `Corrupt`, `Storage`.
    pub fn open(&self, random: Arc<dyn Random>) -> Result<Store, Error> {
        self.state.lock().poisoned = false;
        let vault = Vault::open(Path::new("/meta"), &self.key_disk, Arc::clone(&random), true)?;
        let tokens = Tokens::open(self, &vault, random)?;
        Store::over(Arc::new(self.clone()), vault, tokens)
    }

    /// The same records, which go their own way from here.
    pub fn fork(&self) -> SimRecords {
        let state = self.state.lock().clone();
        SimRecords {
            state: Arc::new(Mutex::new(State { is_off: None, fail_at: None, ..state })),
            key_disk: self.key_disk.clone(),
        }
    }

    /// From now on nothing is read or written while `is_off` says so.
    pub fn off_while(&self, is_off: impl Fn() -> bool + Send + Sync + 'static) {
        self.state.lock().is_off = Some(Arc::new(is_off));
    }

    /// Writes so far.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// The write of this number, counted as [`SimRecords::writes`] does, fails; `done`: and has happened. As after such an error
    /// of the real store, all later ones are refused until it is opened again.
    pub fn fail_write_at(&self, write: u64, done: bool) {
        self.state.lock().fail_at = Some((write, done));
    }

    /// Goes back to before the last commit and its intent, as no store may.
    pub fn forget_last_commit(&self) {
        let mut state = self.state.lock();
        if let Some(before) = state.before_commit.take() {
            state.now = before;
            let _ = state.now.drop_intents();
        }
    }

    /// From now on intents are not kept, as no store may.
    pub fn drop_intents(&self) {
        self.state.lock().drops_intents = true;
    }

    /// Every record, for comparing.
    pub fn all(&self) -> Vec<(Space, Record)> {
        let state = self.state.lock();
        state.now.records.iter().map(|((space, _), record)| (*space, record.clone())).collect()
    }
}

impl State {
    fn check_on(&self) -> Result<(), Error> {
        match &self.is_off {
            Some(is_off) if is_off() => Err(refused("the machine is off")),
            _ => Ok(()),
        }
    }
}

impl Moment {
    fn write(&mut self, at_revision: Option<u64>, writes: &[Write]) -> Result<(), Error> {
        if let Some(expected) = at_revision {
            if self.revision != expected {
                let text = format!("revision is {}, {expected} was expected", self.revision);
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            self.revision += 1;
        }
        for write in writes {
            let Write { space, key, value, .. } = write;
            let place = (*space, key.clone());
            let version = self.records.get(&place).map(|r| r.version);
            write.check(version)?;
            match value {
                None => self.records.remove(&place),
                Some(value) => {
                    let version = version.unwrap_or(0) + 1;
                    let record = Record { key: key.clone(), version, value: value.clone() };
                    self.records.insert(place, record)
                }
            };
        }
        Ok(())
    }

    /// Whether a flow stands elsewhere in `self` than in `before`.
    fn moved(&self, before: &Moment) -> bool {
        let committed = |moment: &Moment, place: &(Space, String)| {
            let record = moment.records.get(place)?;
            parse::<Stored>(Space::Flow, record).ok().map(|stored| stored.state.committed)
        };
        self.records.keys().filter(|(space, _)| *space == Space::Flow).any(|place| {
            let was = committed(before, place);
            was.is_some() && was != committed(self, place)
        })
    }

    fn drop_intents(&mut self) -> Result<(), Error> {
        for ((space, _), record) in &mut self.records {
            if *space == Space::Flow {
                let stored: Stored = parse(*space, record)?;
                record.value = json(&Stored { intent: None, ..stored })?;
            }
        }
        Ok(())
    }
}

impl Records for SimRecords {
    fn get(&self, space: Space, key: &str) -> Result<Option<Record>, Error> {
        let state = self.state.lock();
        state.check_on()?;
        Ok(state.now.records.get(&(space, key.to_owned())).cloned())
    }

    fn list(&self, spaces: &[Space], prefix: &str) -> Result<(u64, Vec<(Space, Record)>), Error> {
        let state = self.state.lock();
        state.check_on()?;
        let of = |wanted: &Space| {
            let records = state.now.records.iter();
            let found = records.filter(|((space, key), _)| space == wanted && key.starts_with(prefix));
            found.map(|((space, _), record)| (*space, record.clone())).collect::<Vec<_>>()
        };
        Ok((state.now.revision, spaces.iter().flat_map(of).collect()))
    }

    fn write(&self, at_revision: Option<u64>, writes: &[Write]) -> Result<u64, Error> {
        let mut state = self.state.lock();
        state.check_on()?;
        if state.poisoned {
            return Err(refused("an earlier write failed at the disk; restart the server"));
        }
        state.writes += 1;
        let fails = state.fail_at.filter(|(at, _)| *at == state.writes);
        state.poisoned = fails.is_some();
        if let Some((_, false)) = fails {
            return Err(refused("a write failed at the disk"));
        }
        let mut next = state.now.clone();
        next.write(at_revision, writes)?;
        if state.drops_intents {
            next.drop_intents()?;
        }
        if next.moved(&state.now) {
            state.before_commit = Some(state.now.clone());
        }
        state.now = next;
        if fails.is_some() {
            return Err(refused("a write failed at the disk, or so it seems"));
        }
        Ok(state.now.revision)
    }
}
