//! What is in flight: every record between a flow's position and the end of its stream must be in the log, and readable.

use std::collections::BTreeMap;
use std::ops::Range;

use lakehead_log::{ErrorKind, LocalLog};
use lakehead_meta::{Catalog, FlowKey, Ledger};
use lakehead_model::{Partition, Position, StreamId};

use super::findings::Findings;
use super::{DifferenceKind as Kind, Parts, left};
use crate::control::Error;

/// Bytes asked of the log at once.
const READ_BYTES: usize = 1 << 20;

/// Of one flow, in records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    /// Between its position and the end of the log.
    pub(super) recorded: u64,
    /// Read in the log, or handled since.
    pub(super) found: u64,
}

/// Reads, once for each stream, what its flows have before them.
pub(super) fn count(
    parts: &Parts,
    catalog: &Catalog,
    ledger: &Ledger,
    go_on: &dyn Fn() -> bool,
    findings: &mut Findings,
) -> Result<BTreeMap<FlowKey, Waiting>, Error> {
    let mut streams: BTreeMap<StreamId, Vec<(FlowKey, Position)>> = BTreeMap::new();
    for (key, record) in &ledger.flows {
        // A stream that was deleted has nothing in flight.
        if let Some(stream) = record.state.stream.filter(|id| catalog.any_stream(*id).is_some()) {
            streams.entry(stream).or_default().push((*key, record.state.committed));
        }
    }
    let mut waiting = BTreeMap::new();
    for (stream, flows) in streams {
        let partition = Partition::first(stream);
        let mut pass = Pass { parts, partition, tail: parts.log.tail(partition), flows, findings };
        pass.check_ends();
        for (key, position) in pass.flows.clone() {
            let recorded = pass.tail.since(position);
            waiting.insert(key, Waiting { recorded, found: 0 });
        }
        pass.read(&mut waiting, go_on)?;
    }
    Ok(waiting)
}

/// One reading of a stream.
struct Pass<'a> {
    parts: &'a Parts,
    partition: Partition,
    tail: Position,
    /// With what each has committed.
    flows: Vec<(FlowKey, Position)>,
    findings: &'a mut Findings,
}

impl Pass<'_> {
    fn log(&self) -> &LocalLog {
        &self.parts.log
    }

    fn check_ends(&mut self) {
        for (key, committed) in &self.flows {
            if *committed > self.tail {
                let text = format!(
                    "statement {} has committed {committed}, and the log of its stream ends at {}",
                    key.statement, self.tail
                );
                self.findings.differ(Kind::LogEnd, key.statement, self.tail, text);
            }
        }
    }

    fn read(
        &mut self,
        waiting: &mut BTreeMap<FlowKey, Waiting>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let Some(mut cursor) = self.flows.iter().map(|(_, committed)| *committed).min() else {
            return Ok(());
        };
        let mut reader = self.log().reader(self.partition, cursor);
        while cursor < self.tail {
            if !go_on() {
                return Err(left());
            }
            let read = match reader.read(READ_BYTES) {
                Ok(read) => read,
                Err(e) if e.kind == ErrorKind::Trimmed => {
                    let oldest = self.log().oldest(self.partition).min(self.tail);
                    self.pass_trimmed(cursor..oldest, waiting)?;
                    cursor = oldest.max(cursor);
                    reader = self.log().reader(self.partition, cursor);
                    continue;
                }
                Err(e) => return Err(Error::Unavailable(format!("audit: log: {e}"))),
            };
            if read.frames.is_empty() && read.lost.is_empty() {
                self.lack(Kind::LogGap, cursor..self.tail, "are not in the log");
                break;
            }
            let there = read.frames.iter().map(|frame| (frame.first..frame.end(), true));
            let mut ranges: Vec<_> = there.chain(read.lost.into_iter().map(|lost| (lost, false))).collect();
            ranges.sort_by_key(|(range, _)| range.start);
            for (range, is_there) in ranges {
                // What has come since the end of the log was looked up is not looked at.
                if cursor >= self.tail {
                    break;
                }
                if range.start > cursor {
                    self.lack(Kind::LogGap, cursor..range.start.min(self.tail), "are not in the log");
                }
                let range = range.start.max(cursor)..range.end.min(self.tail);
                match is_there {
                    true => self.find(&range, waiting),
                    false => self.lack(Kind::LogUnreadable, range.clone(), "cannot be read any more"),
                }
                cursor = cursor.max(range.end);
            }
        }
        Ok(())
    }

    fn find(&self, range: &Range<Position>, waiting: &mut BTreeMap<FlowKey, Waiting>) {
        for (key, committed) in &self.flows {
            if let Some(waiting) = waiting.get_mut(key) {
                waiting.found += range.end.since(range.start.max(*committed));
            }
        }
    }

    /// A difference for every flow that has these records before it.
    fn lack(&mut self, kind: Kind, range: Range<Position>, what: &str) {
        for (key, committed) in &self.flows {
            let first = range.start.max(*committed);
            if first < range.end {
                let text = format!(
                    "statement {}: {} records from {first} on {what}",
                    key.statement,
                    range.end.since(first)
                );
                self.findings.differ(kind, key.statement, first, text);
            }
        }
    }

    /// The log has let go of records. Right if they were handled meanwhile.
    fn pass_trimmed(
        &mut self,
        range: Range<Position>,
        waiting: &mut BTreeMap<FlowKey, Waiting>,
    ) -> Result<(), Error> {
        for (key, committed) in &self.flows {
            let first = range.start.max(*committed);
            // A flow that is gone was taken leave of, and nothing waits for it.
            let now = self.parts.store.flow(*key)?;
            let handled = now.map_or(range.end, |record| record.state.committed.max(record.state.start));
            if let Some(waiting) = waiting.get_mut(key) {
                waiting.found += handled.min(range.end).since(first);
            }
            let first = first.max(handled);
            if first < range.end {
                let text = format!(
                    "statement {}: {} records from {first} on have left the log before they were handled",
                    key.statement,
                    range.end.since(first)
                );
                self.findings.differ(Kind::LogTrimmed, key.statement, first, text);
            }
        }
        Ok(())
    }
}
