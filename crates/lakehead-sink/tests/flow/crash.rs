//! Death and single failures at every call to the disk, followed by what the runtime does at its next start.

use std::sync::Arc;

use lakehead_disk::{Disk, SystemDisk};
use lakehead_model::Timestamp;
use lakehead_sink::{Bucket, Error, Prepared, Publisher, Seams, Uploads, Writer, clean_staging};

use crate::disk::{Fault, FaultyDisk, Links};
use crate::rows::{Place, START, at, batch, json, parquet};

/// What the runtime keeps in its metadata store.
#[derive(Clone, Default)]
pub(crate) struct Store {
    committed: i64,
    intent: Option<(i64, Prepared)>,
}

pub(crate) const LAST: i64 = 40;

/// One life of the runtime: recover, then write up to [`LAST`] in two commits of two files each.
pub(crate) async fn live(
    place: &Place,
    seams: &Seams,
    store: &mut Store,
    format_is_json: bool,
) -> Result<(), Error> {
    let keep = store.intent.as_ref().map_or(&[][..], |(_, p)| &p.files);
    clean_staging(&*seams.disk, &place.staging(), keep)?;
    let bucket = Bucket::Local { root: place.bucket() };
    let publisher = Publisher::new(bucket, place.staging(), seams, Uploads::default()).await?;
    finish(&publisher, store).await?;
    let settings = place.settings(if format_is_json { json() } else { parquet() });
    let mut writer = Writer::new(settings, seams.clone(), Arc::default(), 0)?;
    while store.committed < LAST {
        let from = store.committed;
        for (numbers, day) in [(from..from + 5, 0), (from + 5..from + 20, 1)] {
            let partition = writer.partition(Timestamp(START.0 + day * 86_400_000_000))?;
            writer.write(&batch(numbers.clone()), &partition, at(numbers.start))?;
        }
        store.intent = Some((from + 20, writer.prepare()?));
        finish(&publisher, store).await?;
    }
    Ok(())
}

async fn finish(publisher: &Publisher, store: &mut Store) -> Result<(), Error> {
    let Some((hi, prepared)) = &store.intent else { return Ok(()) };
    publisher.publish(&prepared.files).await?;
    store.committed = *hi;
    let (_, prepared) = store.intent.take().expect("checked above");
    publisher.discard(&prepared.files).await
}

/// Breaks the first life at each of its calls, lets a second one recover, and checks that every row is there once.
async fn sweep(fault: Fault, links: Links, format_is_json: bool) {
    let mut broken = 0;
    for at in 0.. {
        let place = Place::new();
        let mut store = Store::default();
        let disk = FaultyDisk::new(at, fault, links);
        let first = live(&place, &place.with_disk(disk.clone()), &mut store, format_is_json).await;
        if disk.calls() <= at {
            first.unwrap();
            break;
        }
        broken += 1;
        // The second life has the same file systems.
        let healthy = FaultyDisk::new(usize::MAX, fault, links);
        let second = live(&place, &place.with_disk(healthy), &mut store, format_is_json).await;
        second.unwrap_or_else(|e| panic!("after {fault:?} at call {at} ({:?}): {e}", disk.trace().last()));
        let last = disk.trace();
        assert_eq!(
            place.numbers(),
            (0..LAST).collect::<Vec<_>>(),
            "after {fault:?} at call {at}: {:?}",
            last.last()
        );
        assert!(place.staged().is_empty(), "after {fault:?} at call {at}: {:?}", place.staged());
        for (key, _) in place.objects() {
            let name = key.rsplit('/').next().unwrap();
            assert!(!name.starts_with('.'), "after {fault:?} at call {at}: {key} is left");
        }
    }
    assert!(broken > 20, "{broken} calls were broken");
}

#[tokio::test]
async fn death_before_any_call_loses_and_repeats_nothing() {
    sweep(Fault::DieBefore, Links::Work, true).await;
    sweep(Fault::DieBefore, Links::Work, false).await;
}

#[tokio::test]
async fn death_after_any_call_loses_and_repeats_nothing() {
    sweep(Fault::DieAfter, Links::Work, true).await;
    sweep(Fault::DieAfter, Links::Work, false).await;
}

#[tokio::test]
async fn one_failing_call_loses_and_repeats_nothing() {
    sweep(Fault::FailOnce, Links::Work, true).await;
    sweep(Fault::FailOnce, Links::Work, false).await;
}

#[tokio::test]
async fn death_while_copying_to_another_file_system_loses_and_repeats_nothing() {
    for links in [Links::CrossDevices, Links::Unsupported] {
        sweep(Fault::DieBefore, links, true).await;
        sweep(Fault::DieAfter, links, true).await;
        sweep(Fault::FailOnce, links, true).await;
    }
}

/// While files are copied, a reader that globs the folder sees whole files only.
#[tokio::test]
async fn a_partial_copy_has_a_hidden_name_without_a_data_suffix() {
    let mut seen = 0;
    for at in 0.. {
        let place = Place::new();
        let disk = FaultyDisk::new(at, Fault::DieBefore, Links::CrossDevices);
        let first = live(&place, &place.with_disk(disk), &mut Store::default(), true).await;
        for (key, bytes) in place.objects() {
            let name = key.rsplit('/').next().unwrap();
            if name.ends_with(".json") {
                assert!(matches!(crate::rows::read(&key, &bytes).len(), 5 | 15), "{key} is not whole");
            } else {
                assert!(name.starts_with('.') && name.ends_with(".part"), "{key}");
                seen += 1;
            }
        }
        if first.is_ok() {
            break;
        }
    }
    assert!(seen > 0, "the sweep met no partial copy");
}

#[test]
fn an_abandoned_writer_after_a_failed_prepare_leaves_nothing_behind() {
    let place = Place::new();
    for call in 0..12 {
        let disk = FaultyDisk::new(call, Fault::FailOnce, Links::Work);
        let seams = place.with_disk(disk.clone() as Arc<dyn Disk>);
        let Ok(mut writer) = Writer::new(place.settings(parquet()), seams, Arc::default(), 0) else {
            continue;
        };
        let written = writer
            .write(&batch(0..10), &"a".into(), at(0))
            .and_then(|()| writer.write(&batch(0..10), &"b".into(), at(0)));
        let prepared = written.and_then(|()| writer.prepare());
        if prepared.is_err() {
            writer.abandon().unwrap();
            assert_eq!(
                SystemDisk.list(&place.staging()).unwrap(),
                Vec::<String>::new(),
                "{:?}",
                disk.trace()
            );
        } else {
            clean_staging(&SystemDisk, &place.staging(), &[]).unwrap();
        }
    }
}
