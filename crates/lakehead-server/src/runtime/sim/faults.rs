//! Calls that fail while the machine goes on: to the disk, to the metadata store.

use lakehead_disk::sim::Keep;

use super::crash::{Where, recover_and_check, seeds};
use super::disk::Fault;
use super::machine::World;
use super::records::Draw;
use super::script::{self, Step, live};

const LENGTH: usize = 40;

/// Calls of a whole script: that can fail, syncs, and writes of the store.
fn calls(seed: u64) -> (u64, u64, u64) {
    let mut world = World::new(seed);
    assert!(live(&mut world, &mut script::draw(seed, LENGTH)));
    (world.faults.calls(), world.disk.syncs(), world.records.writes())
}

#[test]
fn after_any_call_that_fails_once_the_flows_begin_again_and_are_exact() {
    let mut goes_on = 0;
    for seed in seeds(2000, 1) {
        let calls = calls(seed).0;
        for call in 1..=calls {
            let fault = if (call + seed) % 3 == 0 { Fault::Full } else { Fault::Broken };
            let mut world = World::new(seed);
            world.faults.fail_at(call, fault);
            let rests = live(&mut world, &mut script::draw(seed, LENGTH));
            let failed = world.faults.failed();
            let _where =
                Where(format!("LAKEHEAD_SIM_SEED={seed}, {fault:?} at call {call} of {calls}: {failed:?}"));
            // The log may give up, the flows may not.
            let excused = failed.as_ref().is_some_and(|failed| failed.contains("/log"));
            assert!(rests || excused, "the process ended");
            goes_on += u64::from(rests && failed.is_some());
            let keep = if rests { Keep::Process } else { Keep::Random(call) };
            recover_and_check(&mut world.after(keep), call % 8 == 0);
        }
    }
    assert!(goes_on > 150 || seeds(0, 2).len() == 1, "{goes_on} calls failed beside a process that went on");
}

#[test]
fn a_sync_that_fails_ends_the_process_and_nothing_is_acknowledged_that_is_not_kept() {
    for seed in seeds(3000, 1) {
        let syncs = calls(seed).1;
        for sync in 1..=syncs {
            let mut world = World::new(seed);
            world.disk.fail_sync_at(sync);
            let rests = live(&mut world, &mut script::draw(seed, LENGTH));
            let failed = world.disk.failed_syncs();
            for keep in [Keep::Synced, Keep::Process, Keep::Random(sync)] {
                let _where = Where(format!(
                    "LAKEHEAD_SIM_SEED={seed}, sync {sync} of {syncs} fails, of {failed:?}, keeping {keep:?}"
                ));
                assert_eq!(world.exits, 1, "the process goes on (came to rest: {rests})");
                assert_eq!(world.disk.syncs_after_failure(), 0, "a sync was tried again");
                recover_and_check(&mut world.after(keep), sync % 8 == 0);
            }
        }
    }
}

#[test]
fn a_write_of_the_store_that_fails_or_seems_to_ends_the_process_and_is_exact_after_the_next_start() {
    for seed in seeds(4000, 3) {
        let writes = calls(seed).2;
        for write in 2..=writes {
            for done in [false, true] {
                let mut world = World::new(seed);
                world.records.fail_write_at(write, done);
                let rests = live(&mut world, &mut script::draw(seed, LENGTH));
                let _where = Where(format!(
                    "LAKEHEAD_SIM_SEED={seed}, write {write} of {writes} to the store fails, done: {done}"
                ));
                assert!(!rests && world.exits == 1, "the process goes on");
                recover_and_check(&mut world.after(Keep::Process), false);
                recover_and_check(&mut world.after(Keep::Random(write)), write % 8 == 0);
            }
        }
    }
}

#[test]
fn while_the_disk_is_full_nothing_is_lost_and_afterwards_everything_arrives() {
    let mut waits = 0;
    for seed in seeds(8000, 40) {
        let mut draw = Draw(seed);
        let mut script = script::draw(seed, LENGTH);
        for at in [25, 5] {
            script.insert(at + 12, Step::Free);
            script.insert(at + draw.below(3) as usize, Step::Fill([0, 100, 3000][draw.below(3) as usize]));
        }
        let _where = Where(format!("LAKEHEAD_SIM_SEED={seed}, {script:?}"));
        let mut world = World::new(seed);
        assert!(live(&mut world, &mut script), "the process ended");
        waits += world.waits;
        world.free();
        recover_and_check(&mut world.after(Keep::Random(seed)), true);
    }
    assert!(waits > 10 || seeds(0, 2).len() == 1, "flows met a full disk {waits} times");
}
