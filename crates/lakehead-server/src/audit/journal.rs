//! Whether the store agrees with itself: states, sums and journals.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use lakehead_meta::{Entry, FlowKey, FlowState, Head, Ledger, Store, Totals};
use lakehead_model::{PipelineId, Position, StreamId};

use super::findings::Findings;
use super::{DifferenceKind as Kind, Halt};

/// What the journals come to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By statement, of its current flow: what lies before its oldest entry.
    pub(super) unlisted: BTreeMap<u32, Totals>,
    /// Of past versions: what lies before their oldest entries.
    pub(super) past_unlisted: Totals,
    /// All that past versions have done and that was ever in a journal.
    past: Totals,
    /// What each version handled of each stream.
    spans: BTreeMap<(StreamId, u64), Range<Position>>,
    /// Hashes of the names of files: two of ten million are the same by chance once in 400,000 audits.
    files: HashSet<u64>,
}

/// Reads all journals of `ledger`.
pub(super) fn tally(
    store: &Store,
    pipeline: PipelineId,
    ledger: &Ledger,
    findings: &mut Findings,
) -> Result<Tally, Halt> {
    let mut tally = Tally::default();
    for (&statement, head) in &ledger.heads {
        let key = FlowKey { pipeline, statement };
        let state = ledger.flows.iter().find(|(k, _)| *k == key).map(|(_, record)| &record.state);
        Statement { key, head, state }.tally(store, &mut tally, findings)?;
    }
    for (key, record) in &ledger.flows {
        check_state(key.statement, &record.state, findings);
        if !ledger.heads.contains_key(&key.statement) {
            let mut unlisted = Totals::default();
            unlisted.add(&record.state);
            tally.unlisted.insert(key.statement, unlisted);
        }
        if let Some(stream) = record.state.stream {
            tally.span(stream, record.state.version, record.state.start..record.state.committed);
        }
    }
    check_past(ledger, &mut tally, findings);
    tally.check_spans(findings);
    Ok(tally)
}

/// `delivered + filtered + dead_lettered + lost`
fn handled(t: &Totals) -> u64 {
    t.delivered + t.filtered + t.dead_lettered + t.lost
}

fn check_state(statement: u32, state: &FlowState, findings: &mut Findings) {
    let mut totals = Totals::default();
    totals.add(state);
    if totals.accepted != handled(&totals) || state.committed < state.start {
        let text = format!(
            "statement {statement} has passed {} positions ({} to {}), and its counts come to {}: {}",
            totals.accepted,
            state.start,
            state.committed,
            handled(&totals),
            counts(&totals)
        );
        findings.differ(Kind::Ledger, statement, state.start, text);
    }
}

fn check_past(ledger: &Ledger, tally: &mut Tally, findings: &mut Findings) {
    let retired = &ledger.retired;
    let all = &retired.totals;
    if all.accepted != handled(all) {
        let text = format!(
            "past versions have passed {} positions, and their counts are {}",
            all.accepted,
            counts(all)
        );
        findings.differ(Kind::Ledger, None, None, text);
    }
    if tally.past != retired.journaled {
        let text = format!(
            "past versions have done {}, and their journals come to {}",
            counts(&retired.journaled),
            counts(&tally.past)
        );
        findings.differ(Kind::JournalSums, None, None, text);
    }
    match without(all, &retired.journaled) {
        Some(before) => tally.past_unlisted.join(&before),
        None => {
            let text = format!(
                "of past versions more is in journals ({}) than they have done",
                counts(&retired.journaled)
            );
            findings.differ(Kind::JournalSums, None, None, text);
        }
    }
}

/// A statement's journal and its current flow, if it has one.
struct Statement<'a> {
    key: FlowKey,
    head: &'a Head,
    state: Option<&'a FlowState>,
}

impl Statement<'_> {
    fn is_current(&self, version: u64) -> bool {
        self.state.is_some_and(|state| state.version == version)
    }

    fn tally(&self, store: &Store, tally: &mut Tally, findings: &mut Findings) -> Result<(), Halt> {
        let Statement { key, head, state } = self;
        let statement = key.statement;
        let mut current = Totals::default();
        tally.past.join(&head.past);
        tally.past_unlisted.join(&head.past);
        let before = &head.before;
        if self.is_current(before.version) {
            current.join(&before.totals);
            tally.unlisted.insert(statement, before.totals);
        } else {
            tally.past.join(&before.totals);
            tally.past_unlisted.join(&before.totals);
        }
        let mut end = (before.version, before.until);
        for number in head.first..head.next {
            let Some(entry) = store.journal_entry(*key, number)? else {
                if self.was_overtaken(store, number)? {
                    return Err(Halt::Overtaken);
                }
                let text = format!("entry {number} of the journal of statement {statement} is not there");
                findings.differ(Kind::JournalGap, statement, end.1, text);
                continue;
            };
            self.check_order(&entry, end, findings);
            self.check_counts(&entry, findings);
            tally.check_files(statement, &entry, findings);
            let sums = if self.is_current(entry.version) { &mut current } else { &mut tally.past };
            sums.join(&entry.totals);
            end = (entry.version, entry.until);
        }
        if let Some(state) = state {
            let ends = if end.0 == state.version { end.1 } else { state.start };
            if ends != state.committed {
                let text = format!(
                    "statement {statement} has committed {} and its journal ends at {ends}",
                    state.committed
                );
                findings.differ(Kind::JournalGap, statement, ends.min(state.committed), text);
            }
            let mut totals = Totals::default();
            totals.add(state);
            if totals != current {
                let text = format!(
                    "statement {statement} says {}, and its journal comes to {}",
                    counts(&totals),
                    counts(&current)
                );
                findings.differ(Kind::JournalSums, statement, None, text);
            }
        }
        Ok(())
    }

    /// Whether the entry went because there were too many.
    fn was_overtaken(&self, store: &Store, number: u64) -> Result<bool, Halt> {
        let now = store.ledger(self.key.pipeline)?;
        Ok(now.heads.get(&self.key.statement).is_none_or(|head| head.first > number))
    }

    fn check_order(&self, entry: &Entry, end: (u64, Position), findings: &mut Findings) {
        let statement = self.key.statement;
        let begins = match self.state {
            _ if entry.version == end.0 => end.1,
            Some(state) if state.version == entry.version => state.start,
            // Where a past version began is not remembered; that it did not begin too early, the spans tell.
            _ if entry.version > end.0 => return,
            _ => end.1,
        };
        let text = |what| {
            format!(
                "statement {statement}: a commit of version {} begins at {}, {what} {begins}, where the one before ends",
                entry.version, entry.from
            )
        };
        if entry.from < begins || entry.version < end.0 {
            findings.differ(Kind::JournalOverlap, statement, entry.from, text("before"));
        } else if entry.from > begins {
            findings.differ(Kind::JournalGap, statement, begins, text("behind"));
        }
    }

    fn check_counts(&self, entry: &Entry, findings: &mut Findings) {
        let (statement, totals) = (self.key.statement, &entry.totals);
        let positions = entry.until.since(entry.from);
        if totals.accepted != positions || handled(totals) != positions || entry.until < entry.from {
            let text = format!(
                "statement {statement}: the commit of {} to {} has {positions} positions, and its counts are {}",
                entry.from,
                entry.until,
                counts(totals)
            );
            findings.differ(Kind::CommitCounts, statement, entry.from, text);
        }
        let letters = entry.made.letters.as_ref().map_or(0, |letters| letters.records);
        if positions > 0 && letters != totals.dead_lettered {
            let text = format!(
                "statement {statement}: the commit of {} to {} has {} dead letters, and its file {letters}",
                entry.from, entry.until, totals.dead_lettered
            );
            findings.differ(Kind::CommitFiles, statement, entry.from, text);
        }
        let files = &entry.made.files;
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        let recorded = (totals.files, totals.rows, totals.file_bytes);
        // A record that was delivered has a row at least, and rows come of records.
        let plausible = totals.rows >= totals.delivered && (totals.rows > 0) == (totals.delivered > 0);
        if recorded != (files.len() as u64, rows, bytes) || !plausible {
            let text = format!(
                "statement {statement}: the commit of {} to {} has {}, and its {} files have {rows} rows and {bytes} bytes",
                entry.from,
                entry.until,
                counts(totals),
                files.len()
            );
            findings.differ(Kind::CommitFiles, statement, entry.from, text);
        }
    }
}

impl Tally {
    fn check_files(&mut self, statement: u32, entry: &Entry, findings: &mut Findings) {
        if let Some(stream) = entry.stream {
            self.span(stream, entry.version, entry.from..entry.until);
        }
        for file in &entry.made.files {
            let mut hasher = DefaultHasher::new();
            (&entry.made.bucket, &file.key).hash(&mut hasher);
            if !self.files.insert(hasher.finish()) {
                let text = format!("{:?} is named by two commits", file.key);
                findings.differ(Kind::FileTwice, statement, entry.from, text);
            }
        }
    }

    fn span(&mut self, stream: StreamId, version: u64, positions: Range<Position>) {
        let span = self.spans.entry((stream, version)).or_insert_with(|| positions.clone());
        *span = span.start.min(positions.start)..span.end.max(positions.end);
    }

    /// Of two versions the later begins where the earlier has ended, or behind.
    fn check_spans(&self, findings: &mut Findings) {
        for (((stream, earlier), one), ((other, later), two)) in
            self.spans.iter().zip(self.spans.iter().skip(1))
        {
            if stream == other && two.start < one.end {
                let text = format!(
                    "version {later} handled stream {stream} from {}, and version {earlier} had handled it up to {}",
                    two.start, one.end
                );
                findings.differ(Kind::JournalOverlap, None, two.start, text);
            }
        }
    }
}

/// `all` without `part`; `None` if there is more of the part.
fn without(all: &Totals, part: &Totals) -> Option<Totals> {
    Some(Totals {
        accepted: all.accepted.checked_sub(part.accepted)?,
        delivered: all.delivered.checked_sub(part.delivered)?,
        filtered: all.filtered.checked_sub(part.filtered)?,
        dead_lettered: all.dead_lettered.checked_sub(part.dead_lettered)?,
        lost: all.lost.checked_sub(part.lost)?,
        rows: all.rows.checked_sub(part.rows)?,
        files: all.files.checked_sub(part.files)?,
        file_bytes: all.file_bytes.checked_sub(part.file_bytes)?,
    })
}

fn counts(t: &Totals) -> String {
    format!(
        "{} delivered, {} filtered, {} dead letters, {} lost; {} rows, {} files, {} bytes",
        t.delivered, t.filtered, t.dead_lettered, t.lost, t.rows, t.files, t.file_bytes
    )
}
