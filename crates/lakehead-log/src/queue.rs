//! The appends that wait for the writer.
//!
//! Bounded by the bytes of their bodies plus what they take themselves; those of the group being written still count, so
//! the bound is on everything the log holds in memory for appends.

use std::collections::VecDeque;

use bytes::Bytes;
use lakehead_model::Position;
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::partition::PartitionState;
use crate::records::Records;

/// How long a small group waits for company.
const COMPANY: Duration = Duration::from_micros(500);
/// Appends in the last group from which on company is expected. A few clients are answered at once.
const CROWD_MIN: usize = 8;
/// A group with this much to write does not wait.
const COMPANY_BYTES_MAX: usize = 128 << 10;

/// What became of an append, once it is durable.
pub type Outcome = Result<Appended, AppendError>;

/// Where an append is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub positions: Range<Position>,
    /// It was stored before, under the same key, and not again now.
    pub is_repeat: bool,
}

/// An append's key, unique across partitions, and the checksum that tells whether it came with the same body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    pub(crate) key: u128,
    pub(crate) body_crc: u32,
}

/// An append that waits, and whom to tell.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) state: Arc<PartitionState>,
    pub(crate) body: Bytes,
    pub(crate) records: Records,
    pub(crate) keyed: Option<Keyed>,
    pub(crate) done: oneshot::Sender<Outcome>,
}

impl Pending {
    /// Memory it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len() + self.records.len() * 8 + 256
    }

    pub(crate) fn finish(self, outcome: Outcome) {
        // Nobody may wait any more: a client that hung up.
        let _ = self.done.send(outcome);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    Closed,
    Failed,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Pending>,
    bytes: usize,
    status: Status,
    writer_sleeps: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, status: Status::Open, writer_sleeps: false };
        Queue { state: Mutex::new(state), arrived: Condvar::new(), bytes_max }
    }

    /// Takes an append in. One larger than the whole queue still goes in when nothing else waits.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let bytes = pending.bytes();
        let mut state = self.state.lock();
        match state.status {
            Status::Open => {}
            Status::Closed => return Err(AppendError::Closed),
            Status::Failed => return Err(AppendError::Failed),
        }
        if state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            return Err(AppendError::Backlogged);
        }
        state.bytes += bytes;
        state.items.push_back(pending);
        let wake = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Moves everything that waits behind `backlog`; waits for something if `backlog` is empty. `false`: the queue is closed,
    /// and both are empty. `crowd` is how many appends the last group had: where many small ones come, a group waits
    /// [`COMPANY`] for as many, because each write and sync costs the same however little it carries.
    pub(crate) fn take(&self, backlog: &mut VecDeque<Pending>, crowd: usize) -> bool {
        let mut state = self.state.lock();
        while backlog.is_empty() && state.items.is_empty() {
            if state.status != Status::Open {
                return false;
            }
            state.writer_sleeps = true;
            self.arrived.wait(&mut state);
        }
        let waiting = backlog.len() + state.items.len();
        if crowd >= CROWD_MIN
            && waiting < crowd
            && state.bytes < COMPANY_BYTES_MAX
            && state.status == Status::Open
        {
            // Only closing wakes it early: pushes see that the writer does not sleep for them.
            self.arrived.wait_for(&mut state, COMPANY);
        }
        if backlog.is_empty() {
            std::mem::swap(backlog, &mut state.items);
        } else {
            backlog.append(&mut state.items);
        }
        true
    }

    /// Gives back the room of appends that were taken and are done.
    pub(crate) fn release(&self, bytes: usize) {
        self.state.lock().bytes -= bytes;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    pub(crate) fn close(&self) {
        self.stop(Status::Closed);
    }

    /// Refuses everything from now on, and fails what waits.
    pub(crate) fn fail(&self) {
        self.stop(Status::Failed);
        let items = std::mem::take(&mut self.state.lock().items);
        for pending in items {
            pending.finish(Err(AppendError::Failed));
        }
    }

    fn stop(&self, status: Status) {
        let mut state = self.state.lock();
        if state.status != Status::Failed {
            state.status = status;
        }
        state.writer_sleeps = false;
        drop(state);
        self.arrived.notify_all();
    }
}
