//! The checks can fail: machines with a planted bug, each of which must be caught, and for the right reason. The bugs are in the
//! disk and the store of the test; the product is as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lakehead_disk::sim::Keep;

use super::crash::{calls, recover_and_check};
use super::disk::Lie;
use super::machine::World;
use super::script::{self, live};

const LENGTH: usize = 40;
/// Crashes tried before a bug counts as not caught.
const TRIES_MAX: u64 = 100;

/// Crashes machines with a bug until a check fails; what it says.
fn caught(keep: Keep, plant: impl Fn(&mut World), after: impl Fn(&World)) -> String {
    let mut tries = 0;
    for seed in 7000.. {
        let whole = calls(seed, LENGTH);
        for call in (1..whole).rev().step_by(7) {
            let mut world = World::new(seed);
            plant(&mut world);
            world.disk.crash_at(call, 0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                live(&mut world, &mut script::draw(seed, LENGTH));
                world.disk.crash();
                let mut left = world.after(keep);
                after(&left);
                recover_and_check(&mut left, false);
            }));
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned();
                return text
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                    .unwrap_or_default();
            }
            tries += 1;
            if tries == TRIES_MAX {
                return "nothing was caught".to_owned();
            }
        }
    }
    unreachable!("seeds do not end")
}

fn lies(lie: Lie) -> String {
    caught(Keep::Synced, |world| world.lie = lie, |_| {})
}

#[test]
fn a_machine_without_a_bug_passes() {
    assert_eq!(lies(Lie::None), "nothing was caught");
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    // Segments are made under this name, and written through the same handle later.
    let said = lies(Lie::FileSyncs("prepare.tmp"));
    assert!(said.contains("acknowledged records are gone") || said.contains("the log "), "{said}");
}

#[test]
fn a_commit_of_staged_files_that_were_not_synced_is_caught() {
    let said = lies(Lie::FileSyncs("/staging/"));
    assert!(said.contains("visible and not whole") || said.contains("rows are missing"), "{said}");
}

#[test]
fn a_commit_before_the_names_in_the_bucket_are_synced_is_caught() {
    let said = lies(Lie::FolderSyncs("/buckets/"));
    assert!(said.contains("rows are missing") || said.contains("in the ledger"), "{said}");
}

#[test]
fn a_commit_of_dead_letters_that_were_not_synced_is_caught() {
    let said = lies(Lie::FileSyncs("/dead_letters/"));
    assert!(said.contains("visible and not whole") || said.contains("dead letters"), "{said}");
    let said = lies(Lie::FolderSyncs("/dead_letters/"));
    assert!(said.contains("dead letters") || said.contains("begins again"), "{said}");
}

/// Records came twice, or would have, had their files not the names of those that are there.
fn is_repeated(said: &str) -> bool {
    said.contains("is in") || said.contains("is taken by another object")
}

#[test]
fn files_without_their_position_are_caught() {
    let said = caught(Keep::All, |_| {}, |left| left.records.forget_last_commit());
    assert!(is_repeated(&said), "{said}");
}

#[test]
fn publishing_without_an_intent_is_caught() {
    let said = caught(Keep::All, |world| world.records.drop_intents(), |_| {});
    assert!(is_repeated(&said), "{said}");
}
