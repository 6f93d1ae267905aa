//! The power goes at any call to the disk, and inside writes.

use lakehead_disk::sim::Keep;

use super::check::{Image, check_at_rest};
use super::machine::World;
use super::script::{self, End, Script, go_through, live};

/// The seeds to go through: `count` from `first`, times `LAKEHEAD_SIM_ROUNDS`, or the one of `LAKEHEAD_SIM_SEED`.
pub(super) fn seeds(first: u64, count: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("LAKEHEAD_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (first..first + count * number("LAKEHEAD_SIM_ROUNDS").unwrap_or(1)).collect(),
    }
}

/// Prints where a test was when it panics.
pub(super) struct Where(pub(super) String);

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("sim: {}", self.0);
        }
    }
}

/// From what a crash left: it comes to rest, and everything is as it must be; after another crash nothing changes; then it goes
/// on.
pub(super) fn recover_and_check(world: &mut World, goes_on: bool) {
    Image::of(&world.disk).check_whole();
    let (first, records) = rest_and_check(world, Script::new());
    *world = world.after(Keep::Synced);
    let (second, records_then) = rest_and_check(world, Script::new());
    assert_eq!(first.paths(), second.paths(), "a second start changed what is visible");
    assert_eq!(first, second, "a second start changed what is visible");
    assert_eq!(records, records_then, "a second start changed the metadata");
    if goes_on {
        let more = [
            script::Step::Append { stream: 0, count: 12 },
            script::Step::Append { stream: 1, count: 5 },
            script::Step::Turn,
            script::Step::Settle,
        ];
        rest_and_check(world, more.into());
    }
}

type Records = Vec<(lakehead_meta::records::Space, lakehead_meta::records::Record)>;

fn rest_and_check(world: &mut World, mut script: Script) -> (Image, Records) {
    let machine = world.boot().expect("nothing keeps it from starting");
    assert_eq!(go_through(world, &machine, &mut script), End::Rest);
    let image = check_at_rest(world, &machine);
    machine.end(world);
    (image, world.records.all())
}

/// Calls that change the disk in the whole of a script.
fn calls(seed: u64, length: usize) -> u64 {
    let mut world = World::new(seed);
    assert!(live(&mut world, &mut script::draw(seed, length)));
    world.disk.calls()
}

#[test]
fn without_a_crash_everything_arrives() {
    let mut files = 0;
    for seed in seeds(0, 40) {
        let _where = Where(format!("LAKEHEAD_SIM_SEED={seed}, no crash"));
        let mut world = World::new(seed);
        assert!(live(&mut world, &mut script::draw(seed, 60)));
        recover_and_check(&mut world, true);
        files += Image::of(&world.disk).paths().len();
    }
    assert!(files > 300, "{files} files");
}

#[test]
fn a_crash_at_any_call_loses_and_repeats_nothing() {
    for seed in seeds(1, 2) {
        let calls = calls(seed, 50);
        for call in 1..=calls {
            let mut world = World::new(seed);
            let bytes = [0, 1, 79, 512, 4096][(call % 5) as usize];
            world.disk.crash_at(call, bytes);
            live(&mut world, &mut script::draw(seed, 50));
            world.disk.crash();
            let often = if call % 2 == 0 { Keep::All } else { Keep::Process };
            for keep in [Keep::Synced, Keep::Random(call), often] {
                let _where = Where(format!(
                    "LAKEHEAD_SIM_SEED={seed}, crash at call {call} of {calls}, {bytes} bytes of it, keeping {keep:?}"
                ));
                recover_and_check(&mut world.after(keep), call % 8 == 0);
            }
        }
    }
}
