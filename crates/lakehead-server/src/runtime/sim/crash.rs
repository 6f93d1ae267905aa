//! The power goes at any call to the disk, and inside writes; once, or again while the machine recovers.

use std::collections::VecDeque;

use lakehead_disk::sim::Keep;
use lakehead_meta::records::{Record, Space};

use super::check::{Image, check_at_rest};
use super::machine::World;
use super::records::Draw;
use super::script::{self, End, Script, Step, go_through, live};

/// Steps of a script.
const LENGTH: usize = 50;

/// The seeds to go through: `count` from `first` times `LAKEHEAD_SIM_ROUNDS`, or the one of `LAKEHEAD_SIM_SEED`.
pub(super) fn seeds(first: u64, count: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("LAKEHEAD_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (first..first + count * number("LAKEHEAD_SIM_ROUNDS").unwrap_or(1)).collect(),
    }
}

/// Says where a test was when it panics.
pub(super) struct Where(pub(super) String);

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the simulation: {}", self.0);
        }
    }
}

/// From what a crash left: it comes to rest, and everything is as it must be; after another crash nothing changes; then it goes
/// on.
pub(super) fn recover_and_check(world: &mut World, goes_on: bool) {
    Image::of(&world.disk).check_whole();
    let (first, records) = rest_and_check(world, Script::new());
    *world = world.after(Keep::Synced);
    rest(world, &mut Script::new());
    let second = Image::of(&world.disk);
    assert_eq!(first.paths(), second.paths(), "a second start changed what is visible");
    assert_eq!(first, second, "a second start changed what is visible");
    assert_eq!(records, world.records.all(), "a second start changed the metadata");
    if goes_on {
        let more = [
            Step::Append { stream: 0, count: 12 },
            Step::Append { stream: 1, count: 5 },
            Step::Turn,
            Step::Settle,
        ];
        rest_and_check(world, more.into());
    }
}

/// Starts a process that nothing keeps from coming to rest.
fn rest(world: &mut World, script: &mut Script) {
    let machine = world.boot().expect("nothing keeps it from starting");
    assert_eq!(go_through(world, &machine, script), End::Rest);
    machine.end(world);
}

fn rest_and_check(world: &mut World, mut script: Script) -> (Image, Vec<(Space, Record)>) {
    let machine = world.boot().expect("nothing keeps it from starting");
    assert_eq!(go_through(world, &machine, &mut script), End::Rest);
    let image = check_at_rest(world, &machine);
    machine.end(world);
    (image, world.records.all())
}

/// Calls that change the disk in the whole of a script.
pub(super) fn calls(seed: u64, length: usize) -> u64 {
    let mut world = World::new(seed);
    assert!(live(&mut world, &mut script::draw(seed, length)));
    world.disk.calls()
}

#[test]
fn without_a_crash_everything_arrives() {
    let mut files = 0;
    for seed in seeds(0, 20) {
        let _where = Where(format!("LAKEHEAD_SIM_SEED={seed}, no crash"));
        let mut world = World::new(seed);
        assert!(live(&mut world, &mut script::draw(seed, LENGTH)));
        recover_and_check(&mut world, true);
        files += Image::of(&world.disk).paths().len();
    }
    assert!(files > 150 || seeds(0, 2).len() == 1, "{files} files");
}

#[test]
fn the_same_seed_makes_the_same_calls() {
    for seed in 0..5 {
        let run = || {
            let mut world = World::new(seed);
            assert!(live(&mut world, &mut script::draw(seed, LENGTH)));
            (world.disk.calls(), world.faults.calls(), Image::of(&world.disk))
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn a_crash_at_any_call_loses_and_repeats_nothing() {
    for seed in seeds(1, 1) {
        let calls = calls(seed, LENGTH);
        for call in 1..=calls {
            let mut world = World::new(seed);
            let bytes = [0, 1, 79, 512, 4096][(call % 5) as usize];
            world.disk.crash_at(call, bytes);
            live(&mut world, &mut script::draw(seed, LENGTH));
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

#[test]
fn crashes_while_it_recovers_lose_and_repeat_nothing() {
    let mut crashes = 0;
    for seed in seeds(1000, 120) {
        let mut draw = Draw(seed);
        let mut world = World::new(seed);
        let mut script = script::draw(seed, LENGTH);
        let mut place = format!("LAKEHEAD_SIM_SEED={seed}");
        for life in 0..2 + draw.below(3) {
            // The first one anywhere in the script, the others soon after the start.
            let call = 1 + draw.below(if life == 0 { 350 } else { 40 });
            let bytes = draw.below(5000) as usize;
            let keep = [Keep::Synced, Keep::All, Keep::Process, Keep::Random(draw.0), Keep::Random(!draw.0)];
            let keep = keep[draw.below(5) as usize];
            place += &format!(", crash at call {call}, {bytes} bytes of it, keeping {keep:?}");
            let _where = Where(place.clone());
            world.disk.crash_at(call, bytes);
            live(&mut world, &mut script);
            crashes += u64::from(world.disk.crashed());
            world.disk.crash();
            world = world.after(keep);
            Image::of(&world.disk).check_whole();
            script =
                VecDeque::from([Step::Append { stream: draw.below(2) as usize, count: 1 + draw.below(30) }]);
            script.extend(script::draw(seed ^ life, 10));
        }
        let _where = Where(place);
        recover_and_check(&mut world, seed % 4 == 0);
    }
    assert!(crashes > 150 || seeds(0, 2).len() == 1, "{crashes} crashes");
}
