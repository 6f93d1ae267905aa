//! Audits: a pipeline's ledger is held against its journal of commits, the journal against the files and dead letters that are
//! really there, and what is in flight against the log.
//!
//! ```text
//!   FlowState, Retired ◄──sums──► journal ◄──size, CRC, rows──► files in buckets
//!                                         ◄──lines────────────► dead letters
//!   committed … tail   ◄──records, dense────────────────────────► log
//! ```
//! A pipeline may run meanwhile: what is looked at is the store as of one moment. Later commits are not; whatever the store
//! names at that moment must be there, because it was before.
//!
//! **Bounds:** one audit at a time. It holds one journal entry and one piece of a file or of the log, the names of the dead
//! letters of one statement, and eight bytes for each file. It goes on for as long as somebody waits for it.

mod findings;
mod in_flight;
mod journal;
mod letters;
mod output;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lakehead_disk::Disk;
use lakehead_log::LocalLog;
use lakehead_meta::{FlowKey, Ledger, Store, Totals};
use lakehead_model::resource::Pipeline;
use lakehead_model::{Clock, Random};
use lakehead_sink::Uploads;
use tokio::runtime::Handle;

use self::findings::Findings;
use self::journal::Tally;
use self::letters::Listings;
use crate::catalogs::Catalogs;
use crate::control::{Audit, Auditor, DifferenceKind, Error, PastAudit, Recount, StatementAudit};
use crate::runtime::turnstile::Turnstile;
use crate::storage::Storage;

/// Audits that run at one time.
const AT_ONCE: usize = 1;
/// So often commits may overtake the reading of the journals.
const OVERTAKEN_MAX: usize = 8;

/// What audits look at.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) log: LocalLog,
    pub(crate) storage: Arc<Storage>,
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) uploads: Uploads,
    pub(crate) data_dir: PathBuf,
    pub(crate) async_runtime: Handle,
}

/// Does audits, one at a time.
pub(crate) struct Audits {
    parts: Parts,
    running: Turnstile,
}

/// The journals of one moment.
struct View {
    /// Read before the ledger: every file that was there then is in the ledger, or its commit is under way.
    letters: Listings,
    ledger: Ledger,
    tally: Tally,
    findings: Findings,
}

/// Why an audit ends early.
enum Halt {
    Failed(Error),
    /// Entries went while they were read.
    Overtaken,
}

impl From<lakehead_meta::Error> for Halt {
    fn from(error: lakehead_meta::Error) -> Self {
        Halt::Failed(error.into())
    }
}

impl Audits {
    pub(crate) fn new(parts: Parts) -> Self {
        Audits { parts, running: Turnstile::new(AT_ONCE) }
    }

    /// What the store says, and whether it agrees with itself.
    fn view(&self, pipeline: &Pipeline) -> Result<View, Error> {
        for _ in 0..OVERTAKEN_MAX {
            match self.try_view(pipeline) {
                Ok(view) => return Ok(view),
                Err(Halt::Overtaken) => {}
                Err(Halt::Failed(error)) => return Err(error),
            }
        }
        Err(Error::Busy("the pipeline commits faster than its journals can be read; try again".to_owned()))
    }

    fn try_view(&self, pipeline: &Pipeline) -> Result<View, Halt> {
        let Parts { store, disk, data_dir, .. } = &self.parts;
        let before = store.ledger(pipeline.id)?;
        let statements = before.heads.keys().copied().chain(before.flows.iter().map(|(k, _)| k.statement));
        let letters = Listings::read(&**disk, data_dir, pipeline.id, statements).map_err(Halt::Failed)?;
        let ledger = store.ledger(pipeline.id)?;
        let mut findings = Findings::default();
        let tally = journal::tally(store, pipeline.id, &ledger, &mut findings)?;
        Ok(View { letters, ledger, tally, findings })
    }

    fn run(&self, pipeline: &Arc<Pipeline>, go_on: &dyn Fn() -> bool) -> Result<Audit, Error> {
        let View { letters, ledger, tally, mut findings } = self.view(pipeline)?;
        let mut recounts: BTreeMap<u32, Recount> = BTreeMap::new();
        let mut past = Recount { unlisted: tally.past_unlisted, ..Recount::default() };
        let mut output = output::Output::new(&self.parts, go_on);
        for (&statement, head) in &ledger.heads {
            let key = FlowKey { pipeline: pipeline.id, statement };
            let flow = ledger.flows.iter().find(|(k, _)| *k == key).map(|(_, record)| record);
            let recount = recounts.entry(statement).or_default();
            let mut known = letters::Known::new(head, flow)?;
            for number in head.first..head.next {
                // One that went after the sums were made has become too old to be looked at.
                let Some(entry) = self.parts.store.journal_entry(key, number)? else { continue };
                let is_current = flow.is_some_and(|flow| flow.state.version == entry.version);
                let into = if is_current { &mut *recount } else { &mut past };
                known.add(&entry);
                output.check(key, &entry, into, &mut findings)?;
            }
            letters.check(statement, &known, &mut findings);
        }
        let catalog = self.parts.store.catalog();
        let waiting = in_flight::count(&self.parts, &catalog, &ledger, go_on, &mut findings)?;
        let statements = ledger.flows.iter().map(|(key, record)| {
            let state = &record.state;
            let mut recount = recounts.remove(&key.statement).unwrap_or_default();
            recount.unlisted = tally.unlisted.get(&key.statement).copied().unwrap_or_default();
            let waiting = waiting.get(key).copied().unwrap_or_default();
            let mut totals = Totals::default();
            totals.add(state);
            let name = |stream| catalog.any_stream(stream).map(|s| s.name.clone());
            StatementAudit {
                statement: key.statement,
                version: state.version,
                stream: state.stream.map(|stream| (stream, name(stream))),
                start: state.start,
                committed: state.committed,
                totals,
                in_flight: waiting.recorded,
                in_flight_found: waiting.found,
                is_committing: record.intent.is_some(),
                recount,
            }
        });
        let statements = statements.collect();
        let past = PastAudit { totals: ledger.retired.totals, recount: past };
        let Findings { differences, differences_count, unread, unread_count } = findings;
        let pipeline = Arc::clone(pipeline);
        Ok(Audit { pipeline, statements, past, differences, differences_count, unread, unread_count })
    }
}

impl Auditor for Audits {
    fn audit(&self, pipeline: &Arc<Pipeline>, go_on: &dyn Fn() -> bool) -> Result<Audit, Error> {
        let _turn = self.running.try_enter().ok_or_else(|| {
            Error::Busy(format!("{AT_ONCE} audit is running, as many as may; try again when it has ended"))
        })?;
        self.run(pipeline, go_on)
    }
}

/// Nobody waits for the audit any more.
fn left() -> Error {
    Error::Unavailable("the audit was ended: nobody waits for it".to_owned())
}

#[cfg(test)]
mod tests;
