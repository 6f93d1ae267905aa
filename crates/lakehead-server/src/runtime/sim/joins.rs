//! What a feed gives to each of its flows, where they join at different positions, records are lost, and the feed has an end:
//! held against a model that knows positions only.

use std::ops::Range;

use lakehead_log::{Batch, Frame};
use lakehead_meta::{FlowKey, FlowState};
use lakehead_model::{Clock, Position, Timestamp};
use tokio::sync::watch;

use super::check::Image;
use super::crash::{Where, seeds};
use super::machine::{Machine, World};
use super::records::{Draw, EVENTS, Fate, PIPELINE, READS, append, fate, partition, stream_id};
use crate::runtime::feed::{Feed, Turn};
use crate::runtime::flow::Order;

/// The stream's records, cut into what can be read and what cannot.
struct Piece {
    positions: Range<u64>,
    is_lost: bool,
    time: Timestamp,
}

fn pieces(draw: &mut Draw, tail: u64, now: Timestamp) -> Vec<Piece> {
    let (mut pieces, mut at, mut time) = (Vec::new(), 0, now);
    while at < tail {
        let end = (at + 1 + draw.below(30)).min(tail);
        // Some frames are of another partition of the sink.
        time.0 += [0, 1_000_000, 3_600_000_000][draw.below(3) as usize];
        pieces.push(Piece { positions: at..end, is_lost: draw.below(3) == 0, time });
        at = end;
    }
    pieces
}

/// What a reader that stands at `from` would find, in reads of a few pieces.
fn reads(draw: &mut Draw, pieces: &[Piece], from: u64) -> Vec<Batch> {
    let mut reads = vec![Batch::default()];
    for piece in pieces.iter().filter(|piece| piece.positions.end > from) {
        if draw.below(3) == 0 {
            reads.push(Batch::default());
        }
        let Some(read) = reads.last_mut() else { continue };
        let Range { start, end } = piece.positions;
        if piece.is_lost {
            let (start, end) = (Position(start.max(from)), Position(end));
            match read.lost.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => read.lost.push(start..end),
            }
            continue;
        }
        // An id is its position here.
        let appended = append(EVENTS, &(start..end).collect::<Vec<_>>());
        read.frames.push(Frame {
            partition: partition(EVENTS),
            first: Position(start),
            ingest_time: piece.time,
            body: appended.body,
            records: appended.records,
        });
    }
    reads
}

/// What a flow that joins at `from` must have done of a stream whose feed ends at `until`.
fn expected(statement: usize, pieces: &[Piece], from: u64, until: u64) -> (FlowState, Vec<u64>) {
    let mut state = FlowState { committed: Position(until.max(from)), ..FlowState::default() };
    let mut rows = Vec::new();
    for piece in pieces {
        for position in piece.positions.clone().filter(|p| (from..until).contains(p)) {
            match fate(statement, 1, position) {
                _ if piece.is_lost => state.lost += 1,
                Fate::Row(_) => {
                    state.delivered += 1;
                    rows.push(position);
                }
                Fate::Filtered => state.filtered += 1,
                Fate::Letter(_) => state.dead_lettered += 1,
            }
        }
    }
    (state, rows)
}

/// Runs a feed over `pieces`.
fn run(machine: &Machine, draw: &mut Draw, pieces: &[Piece], until: Option<u64>) {
    let catalog = machine.shared.store.catalog();
    let plan = machine.shared.plan(&catalog, &catalog.pipelines[&PIPELINE], &Default::default());
    let mut feeds = plan.unwrap().unwrap().feeds;
    let mut task =
        feeds.swap_remove(feeds.iter().position(|feed| feed.stream.id == stream_id(EVENTS)).unwrap());
    task.until = until.map(Position);
    assert_eq!(task.flows.len(), 2);
    let (order, orders) = watch::channel(Order::Run);
    let mut feed = Feed::begin(&machine.shared, &task, &orders).unwrap();
    let from = task.flows.iter().map(|flow| flow.committed.0).min().unwrap();
    for read in reads(draw, pieces, from) {
        feed.take(&read).unwrap();
    }
    order.send(Order::Finish).unwrap();
    assert_eq!(feed.turn().unwrap(), Turn::Ended);
}

#[test]
fn every_flow_of_a_feed_gets_what_lies_between_its_joining_and_the_end_and_counts_what_is_lost() {
    let (mut all_lost, mut joined_apart) = (0, 0);
    for seed in seeds(6000, 150) {
        let mut draw = Draw(seed);
        let tail = 20 + draw.below(150);
        let mut world = World::new(seed);
        let machine = world.boot().unwrap();
        world.append(&machine, EVENTS, tail);
        let joins = [draw.below(tail + 1), 0, draw.below(tail + 1)];
        let until = [None, Some(draw.below(tail + 1))][draw.below(2) as usize];
        let pieces = pieces(&mut draw, tail, machine.clock.now());
        let _where = Where(format!("LAKEHEAD_SIM_SEED={seed}: joins {joins:?}, until {until:?}"));
        let begin = |statement: usize| {
            let at = Position(joins[statement]);
            let stream = Some(stream_id(READS[statement]));
            let state = FlowState { stream, committed: at, start: at, ..FlowState::default() };
            (FlowKey { pipeline: PIPELINE, statement: statement as u32 }, state)
        };
        machine.shared.store.create_flows(&[begin(0), begin(1), begin(2)]).unwrap();
        run(&machine, &mut draw, &pieces, until);
        for statement in [0, 2] {
            let from = joins[statement];
            let (wanted, rows) = expected(statement, &pieces, from, until.unwrap_or(tail));
            let key = FlowKey { pipeline: PIPELINE, statement: statement as u32 };
            let state = machine.shared.store.flow(key).unwrap().unwrap().state;
            let counts = |s: &FlowState| (s.committed, s.delivered, s.filtered, s.dead_lettered, s.lost);
            assert_eq!(counts(&state), counts(&wanted), "statement {statement}, from {from}");
            let mut found = Image::of(&world.disk).ids(statement);
            found.sort_unstable();
            assert_eq!(found, rows, "statement {statement}: its rows");
            all_lost += state.lost;
        }
        joined_apart += u64::from(joins[0] != joins[2]);
        machine.end(&mut world);
    }
    assert!((all_lost > 700 && joined_apart > 100) || seeds(0, 2).len() == 1, "{all_lost}, {joined_apart}");
}
