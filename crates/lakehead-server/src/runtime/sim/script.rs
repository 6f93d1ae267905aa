//! What happens to a machine, drawn from a seed, and how the machine goes through it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::watch;

use super::machine::{Machine, World};
use super::records::{Draw, PIPELINE};
use crate::runtime::feed::{Feed, FeedTask, Turn};
use crate::runtime::flow::{FlowError, Order};
use crate::runtime::plan::Plan;

/// A flow that fails more often than this for one failing call does not recover.
const FAILURES_MAX: usize = 8;
/// Turns until everything rests, at most.
const TURNS_MAX: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Append {
        stream: usize,
        count: u64,
    },
    /// Every feed reads once.
    Turn,
    Advance(Duration),
    /// Time goes by on the monotonic clock alone.
    Freeze(Duration),
    /// Somebody sets the wall clock by so many seconds.
    Jump(i64),
    /// The disk has room for so many bytes more.
    Fill(u64),
    /// There is room again.
    Free,
    /// The log may trim.
    Settle,
    /// The pipeline gets its next version.
    Edit,
    /// The process ends in order and starts again.
    Restart,
}

pub(super) type Script = VecDeque<Step>;

/// A script of about `length` steps.
pub(super) fn draw(seed: u64, length: usize) -> Script {
    let mut draw = Draw(seed ^ 0x5C21);
    let mut script = Script::new();
    while script.len() < length {
        let step = match draw.below(40) {
            0..=13 => {
                let most = 1 + draw.below(60);
                Step::Append { stream: draw.below(2) as usize, count: 1 + draw.below(most) }
            }
            14..=27 => Step::Turn,
            28..=32 => Step::Advance(Duration::from_secs(1 + draw.below(70))),
            33..=35 => Step::Settle,
            36..=37 => Step::Edit,
            _ => Step::Restart,
        };
        script.push_back(step);
    }
    script
}

/// Why the machine stopped working through its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing is left to do, and everything is committed.
    Rest,
    Restart,
    /// The power went, or the process ended by itself.
    Died,
}

enum Pass {
    Plan,
    End(End),
}

/// Starts process after process until the script is done and everything rests, or one dies. Whether it came to rest.
pub(super) fn live(world: &mut World, script: &mut Script) -> bool {
    loop {
        let Some(machine) = world.boot() else { return false };
        let end = go_through(world, &machine, script);
        machine.end(world);
        match end {
            End::Rest => return true,
            End::Restart if world.exits == 0 => {}
            End::Restart | End::Died => return false,
        }
    }
}

/// Lets the process that runs on `machine` go through the script.
pub(super) fn go_through(world: &mut World, machine: &Machine, script: &mut Script) -> End {
    let mut failures = 0;
    for _ in 0..1000 {
        if machine.is_over() {
            return End::Died;
        }
        let catalog = machine.shared.store.catalog();
        let plan = machine.shared.plan(&catalog, &catalog.pipelines[&PIPELINE], &BTreeSet::new());
        let passed = match plan {
            Ok(Some(Plan { feeds, .. })) => work(world, machine, &feeds, script),
            Ok(None) => panic!("nothing runs, and the plan waits for something"),
            Err(error) => Err(error),
        };
        match passed {
            Ok(Pass::Plan) => {}
            Ok(Pass::End(end)) => return end,
            Err(error) if error.is_fatal => {
                machine.exit();
                return End::Died;
            }
            Err(_) if machine.is_over() => return End::Died,
            Err(_) if world.is_full => wait_for_room(world, machine, script),
            Err(error) => {
                failures += 1;
                assert!(world.faults.failed().is_some(), "a flow failed without cause: {}", error.reason);
                assert!(failures <= FAILURES_MAX, "does not recover: {}", error.reason);
            }
        }
    }
    panic!("planned a thousand times and never came to rest")
}

/// Flows that meet a full disk begin again and again until there is room. Meanwhile producers go on, and time goes by.
fn wait_for_room(world: &mut World, machine: &Machine, script: &mut Script) {
    world.waits += 1;
    while world.is_full {
        match script.pop_front().unwrap_or(Step::Free) {
            Step::Append { stream, count } => world.append(machine, stream, count),
            Step::Advance(by) => machine.clock.advance(by),
            Step::Free => world.free(),
            _ => {}
        }
    }
}

/// The feeds of one plan at work, until something makes another plan due.
fn work(
    world: &mut World,
    machine: &Machine,
    tasks: &[FeedTask],
    script: &mut Script,
) -> Result<Pass, FlowError> {
    let (order, orders) = watch::channel(Order::Run);
    let noted = |task: &FeedTask, e: FlowError| {
        machine.shared.note_failure(task, &e);
        e
    };
    let mut feeds = Vec::new();
    for task in tasks {
        let feed = Feed::begin(&machine.shared, task, &orders).map_err(|e| noted(task, e))?;
        feeds.push((task, Some(feed)));
    }
    let mut turns = 0;
    loop {
        // With its script at the end a machine works on until everything rests.
        let step = match script.pop_front() {
            Some(step) => step,
            None if machine.is_at_rest() => return Ok(Pass::End(End::Rest)),
            None if turns % 3 == 2 => Step::Advance(Duration::from_secs(61)),
            None => Step::Turn,
        };
        turns += 1;
        assert!(turns < TURNS_MAX, "does not come to rest");
        match step {
            Step::Append { stream, count } => world.append(machine, stream, count),
            Step::Advance(by) => machine.clock.advance(by),
            Step::Freeze(by) => machine.clock.pass(by),
            Step::Jump(by) => machine.clock.jump(by),
            Step::Settle => machine.settle(),
            Step::Fill(room) => world.fill(room),
            Step::Free => world.free(),
            Step::Turn => turn(&mut feeds).map_err(|(task, e)| noted(task, e))?,
            Step::Edit | Step::Restart => {
                if step == Step::Edit {
                    machine.edit();
                }
                let _ = order.send(Order::Finish);
                // What does not get to an end in order is abandoned; the log keeps what is missing.
                let ended = turn(&mut feeds);
                if let Err((_, error)) = ended
                    && (error.is_fatal || machine.is_over())
                {
                    return Err(error);
                }
                return Ok(if step == Step::Edit { Pass::Plan } else { Pass::End(End::Restart) });
            }
        }
        if machine.is_over() {
            return Ok(Pass::End(End::Died));
        }
        if feeds.iter().all(|(_, feed)| feed.is_none()) {
            return Ok(Pass::Plan);
        }
    }
}

type Failed<'a> = (&'a FeedTask, FlowError);

/// Every feed takes a turn; those that have ended go.
fn turn<'a>(feeds: &mut [(&'a FeedTask, Option<Feed<'a>>)]) -> Result<(), Failed<'a>> {
    for (task, slot) in feeds {
        if let Some(feed) = slot
            && feed.turn().map_err(|e| (*task, e))? == Turn::Ended
        {
            *slot = None;
        }
    }
    Ok(())
}
