//! The frames written last, kept in memory: readers at the tail take them from here and read neither the file nor the frames
//! of other partitions.
//!
//! First in, first out over all partitions, bounded by [`crate::Settings::recent_bytes_max`] of bodies and record ranges. A
//! body that came in a larger buffer keeps all of that buffer alive.

use std::collections::{HashMap, VecDeque};

use lakehead_model::{Partition, Position};
use parking_lot::Mutex;

use crate::frame::Frame;

#[derive(Debug, Default)]
struct State {
    /// Dense and in order, for each partition.
    frames: HashMap<Partition, VecDeque<Frame>>,
    /// Whose frame was kept when, oldest first.
    order: VecDeque<Partition>,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Recent {
    state: Mutex<State>,
    bytes_max: usize,
}

fn bytes(frame: &Frame) -> usize {
    frame.body.len() + frame.records.len() * 8 + 128
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Recent { state: Mutex::default(), bytes_max }
    }

    pub(crate) fn keeps_any(&self) -> bool {
        self.bytes_max > 0
    }

    /// Keeps frames that were just synced.
    pub(crate) fn keep(&self, frames: impl Iterator<Item = Frame>) {
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        for frame in frames {
            state.bytes += bytes(&frame);
            state.order.push_back(frame.partition);
            state.frames.entry(frame.partition).or_default().push_back(frame);
        }
        while state.bytes > self.bytes_max {
            let Some(partition) = state.order.pop_front() else { break };
            let Some(frames) = state.frames.get_mut(&partition) else { break };
            let frame = frames.pop_front();
            if frames.is_empty() {
                state.frames.remove(&partition);
            }
            state.bytes -= frame.as_ref().map_or(0, bytes);
            dropped.extend(frame);
        }
        drop(state);
        // Freed without holding up readers.
        drop(dropped);
    }

    /// Frames from the one that holds `from` on, until their bodies reach `max_bytes`, at least one; none if the one that
    /// holds `from` is not here.
    pub(crate) fn get(&self, partition: Partition, from: Position, max_bytes: usize) -> Vec<Frame> {
        let state = self.state.lock();
        let Some(frames) = state.frames.get(&partition) else { return Vec::new() };
        let at = frames.partition_point(|frame| frame.end() <= from);
        if frames.get(at).is_none_or(|frame| frame.first > from) {
            return Vec::new();
        }
        let mut left = max_bytes;
        let wanted = frames.range(at..).enumerate().take_while(|(i, frame)| {
            let go_on = *i == 0 || left > 0;
            left = left.saturating_sub(frame.body.len());
            go_on
        });
        wanted.map(|(_, frame)| frame.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
