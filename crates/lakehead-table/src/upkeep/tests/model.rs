//! Any order of appends, upkeep, faults and late arrivals: every row of the newest snapshot can be read once, every snapshot is
//! whole, and what a commit under way needs is there when it lands.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

use iceberg::TableUpdate;
use iceberg::spec::{DataFile, SnapshotReference, SnapshotRetention};
use proptest::prelude::*;

use super::catalog::Fault;
use super::lake::{Lake, compact, keep, merge_at, orphans};
use crate::upkeep::UpkeepSettings;
use crate::{CatalogErrorKind, TableChange};

#[derive(Debug, Clone)]
enum Step {
    Append(i64, i64),
    /// A file is put and a commit of it drafted, but not sent yet.
    Begin(i64),
    /// The oldest draft is sent, made anew until it is applied.
    Land,
    /// A commit that was never sent: its files are nobody's.
    Stray(i64),
    Merge,
    Compact,
    Expire(usize),
    ExpireLater(usize),
    Orphans,
    Tag(u8),
    Fault(Fault),
    Late,
    BreakDisk(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Conflict),
        Just(Fault::LostAfter),
        Just(Fault::LostBefore),
        Just(Fault::Late),
        Just(Fault::Refused)
    ];
    prop_oneof![
        6 => (1..4_i64, 0..3_i64).prop_map(|(rows, day)| Step::Append(rows, day)),
        2 => (0..3_i64).prop_map(Step::Begin),
        2 => Just(Step::Land),
        1 => (0..3_i64).prop_map(Step::Stray),
        3 => Just(Step::Merge),
        3 => Just(Step::Compact),
        2 => (1..6_usize).prop_map(Step::Expire),
        2 => (1..6_usize).prop_map(Step::ExpireLater),
        2 => Just(Step::Orphans),
        1 => any::<u8>().prop_map(Step::Tag),
        2 => fault.prop_map(Step::Fault),
        1 => Just(Step::Late),
        1 => (0..40_i64).prop_map(Step::BreakDisk),
    ]
}

struct Run {
    lake: Lake,
    rows: BTreeSet<i64>,
    /// Files that are put, with their rows, the draft that may be sent, and the keys it wrote.
    begun: Vec<(BTreeSet<i64>, DataFile, TableChange, Vec<String>)>,
}

impl Run {
    async fn step(&mut self, step: &Step) {
        let lake = &self.lake;
        match step {
            Step::Append(rows, day) => self.rows.extend(lake.append(*rows, *day).await),
            Step::Begin(day) => {
                let (rows, file) = lake.file(2, *day).await;
                let key = lake.bucket.key(file.file_path()).unwrap().to_owned();
                lake.claims.0.lock().keys.insert(key);
                let (change, written) = lake.draft(file.clone()).await;
                self.begun.push((rows, file, change, written));
            }
            Step::Land => self.land().await,
            Step::Stray(day) => {
                let (_, file) = lake.file(2, *day).await;
                lake.draft(file).await;
            }
            Step::Merge => self.upkeep(&merge_at(3)).await,
            Step::Compact => self.upkeep(&compact()).await,
            Step::Expire(n) => self.upkeep(&keep(*n)).await,
            Step::ExpireLater(n) => {
                let readers_grace = std::time::Duration::from_secs(60);
                self.upkeep(&UpkeepSettings { readers_grace, ..keep(*n) }).await;
                lake.pass(30);
            }
            Step::Orphans => {
                let then = lake.passed_seconds.swap(0, Ordering::SeqCst);
                self.upkeep(&orphans()).await;
                lake.passed_seconds.store(then, Ordering::SeqCst);
            }
            Step::Tag(n) => {
                let metadata = lake.metadata().await;
                let mut ids: Vec<_> = metadata.snapshots().map(|s| s.snapshot_id()).collect();
                ids.sort_unstable();
                let Some(id) = ids.get(usize::from(*n) % ids.len().max(1)) else { return };
                let reference = SnapshotReference::new(*id, SnapshotRetention::Tag { max_ref_age_ms: None });
                let updates = vec![TableUpdate::SetSnapshotRef { ref_name: "t".into(), reference }];
                let change = TableChange { table: lake.table.clone(), requirements: vec![], updates };
                lake.catalog.apply(&change).unwrap();
            }
            Step::Fault(fault) => lake.catalog.fail_next(*fault),
            Step::Late => lake.catalog.land(),
            Step::BreakDisk(calls) => lake.disk.calls_left.store(*calls, Ordering::SeqCst),
        }
    }

    /// All files are old, but for what drafts wrote a moment ago.
    async fn upkeep(&self, settings: &UpkeepSettings) {
        let young: HashSet<_> = self.begun.iter().flat_map(|(.., written)| written.clone()).collect();
        self.lake.age(&young);
        self.lake.run(settings).await;
        self.lake.disk.calls_left.store(-1, Ordering::SeqCst);
        self.lake.catalog.forget_faults();
    }

    async fn land(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        let (rows, file, change, _) = self.begun.remove(0);
        match self.lake.catalog.apply(&change) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind, CatalogErrorKind::Conflict);
                let (change, _) = self.lake.draft(file.clone()).await;
                self.lake.catalog.apply(&change).unwrap();
            }
        }
        let key = self.lake.bucket.key(file.file_path()).unwrap().to_owned();
        self.lake.claims.0.lock().keys.remove(&key);
        self.rows.extend(rows);
    }
}

async fn run(steps: Vec<Step>) {
    let mut run = Run { lake: Lake::new().await, rows: BTreeSet::new(), begun: Vec::new() };
    for step in &steps {
        if !matches!(
            step,
            Step::Merge
                | Step::Compact
                | Step::Expire(_)
                | Step::ExpireLater(_)
                | Step::Orphans
                | Step::BreakDisk(_)
        ) {
            run.lake.disk.calls_left.store(-1, Ordering::SeqCst);
        }
        run.step(step).await;
        if !matches!(step, Step::BreakDisk(_)) {
            assert_eq!(run.lake.rows().await, run.rows, "after {step:?}");
        }
    }
    run.lake.disk.calls_left.store(-1, Ordering::SeqCst);
    while !run.begun.is_empty() {
        run.land().await;
    }
    run.lake.catalog.land();
    // At the end nothing is left that nobody needs, metadata files of the catalog and their log included.
    run.lake.catalog.forget_faults();
    run.lake.now_is_now();
    for settings in [merge_at(2), compact(), keep(1), orphans()] {
        run.lake.age(&HashSet::new());
        run.lake.run_well(&settings).await;
        assert_eq!(run.lake.rows().await, run.rows);
    }
    let visible: BTreeSet<_> = run.lake.keys().into_iter().filter(|key| !key.contains("/.")).collect();
    assert_eq!(visible, run.lake.needed().await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_row_stays_and_nothing_needed_goes_whatever_happens(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
