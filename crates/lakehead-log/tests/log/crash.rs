//! A fixed run of appends over three streams and several segments, with the power cut at every call to the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_log::{Append, Appended, LocalLog};
use lakehead_model::Position;

use crate::bed::{SimBed, append, expected, keyed, partition, read_all, store, submit};

const STREAMS: u128 = 3;

/// What was asked of the log, and what it promised.
#[derive(Default)]
struct Ledger {
    /// By stream: every append in the order it was submitted.
    submitted: BTreeMap<u128, Vec<Append>>,
    /// By stream: how many of them were answered, from the front.
    answered: BTreeMap<u128, usize>,
    /// By stream: the position up to which readers are done.
    committed: BTreeMap<u128, u64>,
}

impl Ledger {
    /// All records of a stream, and at how many of them an append ends.
    fn sequence(&self, n: u128) -> (Vec<(u64, Bytes)>, Vec<u64>) {
        let (mut all, mut ends) = (Vec::new(), vec![0]);
        for append in self.submitted.get(&n).into_iter().flatten() {
            all.extend(expected(all.len() as u64, append));
            ends.push(all.len() as u64);
        }
        (all, ends)
    }

    /// Every answered append is there, whole; of the others each is there whole or not at all; nothing else is.
    fn check(&self, log: &LocalLog, context: &str) {
        for n in 0..STREAMS {
            let (all, ends) = self.sequence(n);
            let (oldest, tail) = (log.oldest(partition(n)).0, log.tail(partition(n)).0);
            let answered = ends[self.answered.get(&n).copied().unwrap_or(0)];
            assert!(tail >= answered, "{context}: stream {n}: tail {tail}, answered {answered}");
            assert!(ends.contains(&tail), "{context}: stream {n}: tail {tail} is inside an append");
            let committed = self.committed.get(&n).copied().unwrap_or(0);
            assert!(oldest <= committed, "{context}: stream {n}: oldest {oldest}, committed {committed}");
            assert_eq!(
                read_all(log, n, 20_000),
                all[oldest as usize..tail as usize],
                "{context}: stream {n} from {oldest} to {tail}"
            );
        }
    }

    /// After a crash: what was not answered and did not survive was never submitted.
    fn settle(&mut self, log: &LocalLog) {
        for n in 0..STREAMS {
            let (_, ends) = self.sequence(n);
            let tail = log.tail(partition(n)).0;
            let kept = ends.iter().position(|&end| end == tail).expect("the tail is the end of an append");
            if let Some(submitted) = self.submitted.get_mut(&n) {
                submitted.truncate(kept);
            }
            self.answered.insert(n, kept);
        }
    }

    /// What is stored and came with a key is not stored again, not even when its segment is gone.
    fn repeat(&self, log: &LocalLog, context: &str) {
        for n in 0..STREAMS {
            let mut first = Position::ZERO;
            for append in self.submitted.get(&n).into_iter().flatten() {
                let end = first.plus(append.records.len() as u64);
                if append.key.is_some() {
                    let again = submit(log, append.clone());
                    let expected = Appended { positions: first..end, is_repeat: true };
                    assert_eq!(again, Ok(expected), "{context}: stream {n}");
                }
                first = end;
            }
            assert_eq!(log.tail(partition(n)), first, "{context}: stream {n}");
        }
    }

    fn submit(&mut self, n: u128, append: &Append) {
        self.submitted.entry(n).or_default().push(append.clone());
    }
}

/// Appends in groups of one to four, of 1 B to 60 KiB; trims now and then. Stops when the log fails.
fn script(log: &LocalLog, ledger: &mut Ledger) {
    let mut seed = 0;
    for group in 0..36_u64 {
        let mut waiting = Vec::new();
        for i in 0..=group % 4 {
            seed += 1;
            let n = u128::from((group * 7 + i * 5) % 3);
            let bytes = [1, 40, 700, 3000, 511, 20_000, 60 << 10][(seed % 7) as usize];
            let append = append(n, seed, 1 + (seed % 3) as usize % (1 + 40_000 / bytes), bytes);
            let append = if seed % 2 == 0 { keyed(seed.into(), append) } else { append };
            ledger.submit(n, &append);
            match log.submit(append) {
                Ok(answer) => waiting.push((n, answer)),
                Err(_) => return,
            }
        }
        for (n, answer) in waiting {
            match answer.blocking_recv() {
                Ok(Ok(_)) => *ledger.answered.entry(n).or_default() += 1,
                _ => return,
            }
        }
        if group % 9 == 8 {
            for n in 0..STREAMS {
                let tail = log.tail(partition(n)).0;
                log.trim(partition(n), Position(tail * 3 / 4));
                ledger.committed.insert(n, tail * 3 / 4);
            }
            log.tidy();
        }
    }
}

fn bed(disk: SimDisk) -> SimBed {
    let mut bed = SimBed::new(disk, 256);
    bed.settings.retention = Duration::ZERO;
    // Some of what is read comes from memory and some from the disk.
    bed.settings.recent_bytes_max = 50_000;
    bed
}

/// Runs the script with the power cut at `call`; then opens what is left, checks, appends, crashes again, checks.
fn crash_and_check(call: u64, bytes: usize, keeps: &[Keep]) {
    let first = bed(SimDisk::new());
    first.disk.crash_at(call, bytes);
    let mut ledger = Ledger::default();
    if let Ok((log, _)) = LocalLog::open(first.settings.clone(), first.seams.clone()) {
        script(&log, &mut ledger);
        log.close();
    }
    first.disk.crash();
    for keep in keeps {
        let context = format!("call {call}, {bytes} bytes of it, keeping {keep:?}");
        let mut ledger = Ledger {
            submitted: ledger.submitted.clone(),
            answered: ledger.answered.clone(),
            committed: ledger.committed.clone(),
        };
        let second = first.on(first.disk.after_crash(*keep));
        let (log, report) = LocalLog::open(second.settings.clone(), second.seams.clone())
            .unwrap_or_else(|error| panic!("{context}: {error}; {:?}", second.disk.paths()));
        assert_eq!(report.lost, vec![], "{context}");
        assert_eq!(report.damaged, vec![], "{context}");
        ledger.check(&log, &context);
        ledger.settle(&log);
        drop(log);
        let (log, _) = second.open();
        ledger.check(&log, &format!("{context}, opened again"));
        ledger.repeat(&log, &format!("{context}, repeated"));
        for i in 0..10 {
            let append = append(i % STREAMS, 1000 + i as u64, 2, 900);
            ledger.submit(i % STREAMS, &append);
            store(&log, append).expect("appends work again");
            *ledger.answered.entry(i % STREAMS).or_default() += 1;
        }
        ledger.check(&log, &format!("{context}, after ten more"));
        let third = second.on(second.disk.after_crash(Keep::Synced));
        let (log, _) = third.open();
        ledger.check(&log, &format!("{context}, crashed after ten more"));
    }
}

/// Calls of a whole run, about; the threads interleave a little differently each time.
fn calls() -> u64 {
    let bed = bed(SimDisk::new());
    let (log, _) = bed.open();
    let mut ledger = Ledger::default();
    script(&log, &mut ledger);
    ledger.check(&log, "without a crash");
    assert!(log.oldest(partition(0)).0 > 0, "the script trims");
    log.close();
    assert!(bed.disk.paths().len() > 4, "the script fills several segments");
    bed.disk.calls()
}

#[test]
fn a_crash_at_any_call_keeps_every_answered_append_and_no_part_of_another() {
    let calls = calls();
    for call in 1..=calls {
        let keep = if call % 2 == 0 { Keep::All } else { Keep::Process };
        let mut keeps = vec![Keep::Synced, Keep::Random(call), keep];
        if call < 40 {
            // Where the log begins, there is nothing before it to recover from.
            keeps.push(Keep::Process);
            keeps.extend((0..8).map(|seed| Keep::Random(1000 * call + seed)));
        }
        crash_and_check(call, 0, &keeps);
    }
}

#[test]
fn a_crash_inside_any_write_keeps_every_answered_append_and_no_part_of_another() {
    let calls = calls();
    for call in 1..=calls {
        let bytes = [1, 79, 80, 511, 512, 4096, 5000, 30_001][(call % 8) as usize];
        let keep = if call % 2 == 0 { Keep::All } else { Keep::Process };
        crash_and_check(call, bytes, &[Keep::Random(call * 31), keep]);
    }
}

#[test]
fn a_crash_around_the_first_append_never_keeps_the_log_from_opening() {
    let mut stored = 0;
    for call in 1..60 {
        let first = bed(SimDisk::new());
        first.disk.crash_at(call, 0);
        if let Ok((log, _)) = LocalLog::open(first.settings.clone(), first.seams.clone()) {
            stored += u64::from(store(&log, append(1, 1, 1, 40)).is_ok());
        }
        first.disk.crash();
        for seed in 0..40 {
            let context = format!("call {call}, seed {seed}");
            let second = first.on(first.disk.after_crash(Keep::Random(seed)));
            let (log, report) = LocalLog::open(second.settings.clone(), second.seams.clone())
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(report.lost, vec![], "{context}");
            assert!(log.tail(partition(1)) <= Position(1), "{context}");
        }
    }
    assert!(stored > 0, "some of the crashes came after the first append");
}

#[test]
fn a_name_that_only_a_killed_process_saw_is_synced_before_anything_is_stored_under_it() {
    let mut stored = 0;
    for call in 1..25 {
        let mut first = bed(SimDisk::new());
        first.settings.spare_segments = 1;
        first.disk.crash_at(call, 0);
        if let Ok((log, _)) = LocalLog::open(first.settings.clone(), first.seams.clone()) {
            log.tidy();
        }
        first.disk.crash();
        let second = first.on(first.disk.after_crash(Keep::Process));
        // No room for another segment, whose making would sync the names.
        let used = second.disk.paths().iter().map(|path| second.disk.content(path).len() as u64).sum();
        second.disk.set_capacity(used);
        let Ok((log, _)) = LocalLog::open(second.settings.clone(), second.seams.clone()) else { continue };
        if store(&log, append(1, 1, 1, 40)).is_ok() {
            stored += 1;
            let third = second.on(second.disk.after_crash(Keep::Synced));
            let tail = third.open().0.tail(partition(1));
            assert_eq!(tail, Position(1), "call {call}: the answered append is gone");
        }
    }
    assert!(stored > 0, "some process left a segment behind");
}
