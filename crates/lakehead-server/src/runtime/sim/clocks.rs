//! The wall clock jumps and stands still.

use lakehead_disk::sim::Keep;

use super::crash::{Where, calls, recover_and_check, seeds};
use super::machine::World;
use super::records::mix;
use super::script::{self, Script, Step, live};

const DAY: i64 = 24 * 3600;
const LENGTH: usize = 40;

/// A script in which somebody plays with the wall clock.
fn draw(seed: u64) -> Script {
    let mut script = Script::new();
    for (i, step) in script::draw(seed, LENGTH).into_iter().enumerate() {
        let drawn = mix(seed ^ (i as u64) << 32);
        script.push_back(match step {
            // While the wall clock stands still files roll all the same.
            Step::Advance(by) if drawn.is_multiple_of(2) => Step::Freeze(by),
            step => step,
        });
        let jump = [-DAY, -1, 3653 * DAY, 3600, -3653 * DAY, 61][(drawn >> 8) as usize % 6];
        if drawn.is_multiple_of(5) {
            script.push_back(Step::Jump(jump));
        }
    }
    script
}

#[test]
fn jumps_of_the_wall_clock_lose_and_repeat_nothing() {
    for seed in seeds(5000, 30) {
        let mut world = World::new(seed);
        let whole = calls(seed, LENGTH);
        let call = 1 + mix(seed) % whole;
        let _where = Where(format!("LAKEHEAD_SIM_SEED={seed}, clock jumps, crash at call {call}"));
        world.disk.crash_at(call, 100);
        live(&mut world, &mut draw(seed));
        world.disk.crash();
        let mut world = world.after(Keep::Random(seed));
        assert!(live(&mut world, &mut draw(seed + 1)));
        recover_and_check(&mut world.after(Keep::Synced), true);
    }
}
