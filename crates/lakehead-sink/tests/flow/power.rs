//! The power goes at every call to the disk; what was not synced is there whole, in part, or not at all.

use std::sync::Arc;

use lakehead_disk::sim::{Keep, SimDisk};

use crate::crash::{LAST, Store, live};
use crate::rows::{Place, read};

/// The numbers in all published files, sorted.
fn numbers(place: &Place, disk: &SimDisk) -> Vec<i64> {
    let published = disk.paths().into_iter().filter(|path| path.starts_with(place.bucket()));
    let mut all: Vec<i64> =
        published.flat_map(|path| read(path.to_str().unwrap(), &disk.content(&path))).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_power_cut_at_any_call_loses_and_repeats_nothing() {
    let mut cuts = 0;
    for at in 1.. {
        let place = Place::new();
        let mut store = Store::default();
        let first = SimDisk::new();
        first.crash_at(at, 7);
        let lived = live(&place, &place.with_disk(Arc::new(first.clone())), &mut store, at % 2 == 0).await;
        if !first.crashed() {
            lived.unwrap();
            break;
        }
        cuts += 1;
        for keep in [Keep::Synced, Keep::All, Keep::Process, Keep::Random(at), Keep::Random(at + 1000)] {
            let mut store = store.clone();
            let second = first.after_crash(keep);
            let lived =
                live(&place, &place.with_disk(Arc::new(second.clone())), &mut store, at % 2 == 0).await;
            lived.unwrap_or_else(|e| panic!("power cut at call {at}, {keep:?}: {e}"));
            assert_eq!(
                numbers(&place, &second),
                (0..LAST).collect::<Vec<_>>(),
                "power cut at call {at}, {keep:?}"
            );
            // What was committed before or after is safe from a further cut.
            let third = second.after_crash(Keep::Synced);
            assert_eq!(
                numbers(&place, &third),
                (0..LAST).collect::<Vec<_>>(),
                "twice at call {at}, {keep:?}"
            );
        }
    }
    assert!(cuts > 20, "{cuts} cuts");
}
