//! A thread that reads a stream once for the flows of a pipeline that follow it: read → decode → hand each batch to every flow.
//!
//! ```text
//!                                        ┌─► flow 0   filter, project, write … commits when its own sink wants to roll
//!   log ─► reader ─► decoder ─► batch ───┼─► flow 1
//!                    (all columns that   └─► flow 2   committed further on than the others: skips what it has had
//!                     any flow reads)
//! ```
//! The reader begins at the position of the flow that is furthest behind. Batches are cut where a flow joins in, so that a batch
//! is for a flow as a whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use lakehead_decode::Decoder;
use lakehead_log::{Frame, Reader};
use lakehead_model::resource::Stream;
use lakehead_model::{Partition, Position};
use lakehead_sink::{OPEN_FILES_MAX, Roll};
use tokio::sync::watch;

use super::batch::Batch;
use super::flow::{Flow, FlowError, Order, Shared, Task};

/// Bytes asked of the log at once.
pub(super) const READ_BYTES: usize = 1 << 20;
/// New records wait this long for company, so that a trickle makes batches and not single rows.
const LINGER: Duration = Duration::from_millis(200);
/// A stretch of which nothing reaches a sink is committed at least this often.
pub(super) const QUIET_COMMIT: Duration = Duration::from_secs(10);

/// How long a bucket may keep the flows beside it waiting; then its own flow goes on apart from them.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one feed is to do.
pub(super) struct FeedTask {
    pub(super) stream: Arc<Stream>,
    /// At least one.
    pub(super) flows: Vec<Task>,
    /// The position before which all flows end; `None`: they go on.
    pub(super) until: Option<Position>,
}

/// What a feed found when it took its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There may be more to read at once.
    MoreWaits,
    /// It has read all there is.
    CaughtUp,
    /// It was told to end, or has come to its end.
    Ended,
}

pub(super) struct Feed<'a> {
    shared: &'a Shared,
    flows: Vec<Flow<'a>>,
    order: watch::Receiver<Order>,
    /// The next record to read.
    cursor: Position,
    /// Where reading ends.
    until: Position,
    reader: Reader,
    tail: watch::Receiver<Position>,
    batch: Batch,
}

impl<'a> Feed<'a> {
    /// Begins, or begins again: completes what was decided before, drops what was not.
    pub(super) fn begin(
        shared: &'a Shared,
        task: &'a FeedTask,
        order: &watch::Receiver<Order>,
    ) -> Result<Self, FlowError> {
        let partition = Partition::first(task.stream.id);
        let mut projection: Vec<usize> =
            task.flows.iter().flat_map(|f| f.statement.projection.iter().copied()).collect();
        projection.sort_unstable();
        projection.dedup();
        let reads_ingest_time = task.flows.iter().any(|f| f.statement.reads_ingest_time);
        let width = projection.len() + usize::from(reads_ingest_time);
        let tail = shared.log.tail(partition);
        let mut flows = Vec::with_capacity(task.flows.len());
        for flow in &task.flows {
            let place = |i: &usize| projection.binary_search(i).unwrap_or_default();
            let mut columns: Vec<usize> = flow.statement.projection.iter().map(place).collect();
            columns.extend(flow.statement.reads_ingest_time.then_some(projection.len()));
            let columns = (columns.len() < width).then_some(columns);
            let patience = (task.flows.len() > 1).then_some(PATIENCE);
            let begun = Flow::begin(shared, flow, columns, tail, patience, order);
            flows.push(begun.map_err(|e| e.of(flow.key))?);
        }
        let hints = task.flows.iter().find_map(|f| f.files.rolling_policy.batch);
        let cursor = flows.iter().map(|f| f.state.committed).min().unwrap_or(tail);
        Ok(Feed {
            reader: shared.log.reader(partition, cursor),
            tail: shared.log.watch_tail(partition).ok_or_else(|| FlowError::new("log: too many streams"))?,
            batch: Batch::new(
                Decoder::new(task.stream.schema.as_ref(), &projection),
                reads_ingest_time,
                hints,
            ),
            until: task.until.unwrap_or(Position(u64::MAX)),
            order: order.clone(),
            shared,
            flows,
            cursor,
        })
    }

    /// Works until ordered to end, or until its end is reached.
    pub(super) fn run(mut self) -> Result<(), FlowError> {
        loop {
            match self.turn()? {
                Turn::MoreWaits => {}
                Turn::CaughtUp => self.wait(),
                Turn::Ended => return Ok(()),
            }
        }
    }

    /// Takes one helping from the log, if there is one, and commits what wants to be committed. Does not wait.
    pub(super) fn turn(&mut self) -> Result<Turn, FlowError> {
        let order = *self.order.borrow();
        match order {
            Order::Run if self.cursor < self.until => {}
            Order::Run | Order::Finish => {
                self.hand_on()?;
                return self.commit_all().map(|()| Turn::Ended);
            }
            Order::Abandon => return Ok(Turn::Ended),
        }
        let caught_up = self.read()?;
        for i in 0..self.flows.len() {
            let flow = &mut self.flows[i];
            // An idle writer gives memory back when others need it.
            flow.writer.relieve().map_err(|e| flow.blame(e))?;
            let nothing_waits = self.batch.rows() == 0;
            if flow.wants_commit() || (nothing_waits && flow.is_quietly_behind(self.cursor)) {
                self.hand_on()?;
                self.commit(i)?;
            }
        }
        if !caught_up {
            return Ok(Turn::MoreWaits);
        }
        if let [flow] = self.flows.as_slice() {
            self.shared.apart.is_well(flow.task.key, self.shared.clock.monotonic());
        }
        Ok(Turn::CaughtUp)
    }

    fn commit(&mut self, flow: usize) -> Result<(), FlowError> {
        let flow = &mut self.flows[flow];
        flow.commit(self.cursor).map_err(|e| e.of(flow.task.key))
    }

    /// Commits what can be: a flow that fails does not keep the others from it, unless the process must not go on.
    fn commit_all(&mut self) -> Result<(), FlowError> {
        let mut first = Ok(());
        for i in 0..self.flows.len() {
            let committed = self.commit(i);
            if committed.as_ref().is_err_and(|e| e.is_fatal) {
                return committed;
            }
            first = first.and(committed);
        }
        first
    }

    /// Takes one helping from the log. Returns whether that was all there is.
    fn read(&mut self) -> Result<bool, FlowError> {
        let read = self.reader.read(READ_BYTES)?;
        if read.frames.is_empty() && read.lost.is_empty() {
            self.hand_on()?;
            return Ok(true);
        }
        self.take(&read)?;
        Ok(false)
    }

    /// Takes what was read from the cursor on.
    pub(super) fn take(&mut self, read: &lakehead_log::Batch) -> Result<(), FlowError> {
        for frame in &read.frames {
            self.add(frame)?;
        }
        for lost in &read.lost {
            tracing::error!(stream = %self.reader.partition().stream, from = %lost.start, to = %lost.end, "records cannot be read any more");
        }
        // A loss before a frame was counted with the frame.
        match read.lost.last() {
            Some(lost) => self.pass_lost(lost.end),
            None => Ok(()),
        }
    }

    /// What lies before `end` and was not read cannot be read any more.
    fn pass_lost(&mut self, end: Position) -> Result<(), FlowError> {
        let end = end.min(self.until);
        if end <= self.cursor {
            return Ok(());
        }
        // A flow may join within what is lost: no batch may reach over that.
        self.hand_on()?;
        for flow in &mut self.flows {
            flow.lost += end.since(self.cursor.max(flow.joins_at));
        }
        self.cursor = end;
        Ok(())
    }

    fn add(&mut self, frame: &Frame) -> Result<(), FlowError> {
        if self.cursor >= self.until {
            return Ok(());
        }
        self.enter_partitions(frame)?;
        // Counted here, before anything behind it can be committed.
        self.pass_lost(frame.first)?;
        let length = frame.records.len();
        let index = |position: Position| {
            usize::try_from(position.since(frame.first)).map_or(length, |index| index.min(length))
        };
        let end = index(self.until);
        // A reader that begins inside a frame gets the whole frame.
        let mut next = index(self.cursor);
        while next < end {
            let joins = self.flows.iter().map(|flow| flow.joins_at).filter(|at| *at > self.cursor).min();
            let stop = joins.map_or(end, |at| index(at).min(end));
            next = {
                let _turn = self.shared.turnstile.enter();
                let flows = &mut self.flows;
                self.batch.push(frame, next..stop, |origin, reject| {
                    let mut following = flows.iter_mut().filter(|flow| flow.joins_at <= origin.position);
                    following.try_for_each(|flow| flow.reject(&origin, reject).map_err(|e| flow.blame(e)))
                })?
            };
            self.cursor = frame.first.plus(next as u64);
            if self.batch.is_full() || joins == Some(self.cursor) {
                self.hand_on()?;
                for i in 0..self.flows.len() {
                    if matches!(self.flows[i].writer.must_roll(), Some(Roll::Rows | Roll::Size)) {
                        self.commit(i)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Cuts the batch where any flow comes to another partition of its sink.
    fn enter_partitions(&mut self, frame: &Frame) -> Result<(), FlowError> {
        let mut next = Vec::new();
        for flow in &mut self.flows {
            let partition = flow.writer.partition(frame.ingest_time).map_err(|e| flow.blame(e))?;
            if frame.end() > flow.joins_at {
                self.shared.progress.reading(flow.task.key, frame.ingest_time);
            }
            if flow.partition.as_ref() != Some(&partition) {
                next.push((flow.task.key, partition));
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        self.hand_on()?;
        for i in 0..self.flows.len() {
            let Some((_, partition)) = next.iter().find(|(key, _)| *key == self.flows[i].task.key) else {
                continue;
            };
            self.flows[i].enter(partition, frame.ingest_time);
            // A read may span more partitions than may be open: here everything before the cursor has been handed on.
            if self.flows[i].writer.open_files() >= OPEN_FILES_MAX {
                self.commit(i)?;
            }
        }
        Ok(())
    }

    /// Gives the batch so far to the flows.
    fn hand_on(&mut self) -> Result<(), FlowError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut turn = Some(self.shared.turnstile.enter());
        let (rows, origins) = self.batch.take();
        for flow in self.flows.iter_mut().filter(|flow| flow.joins_at <= origins.first()) {
            flow.take(&rows, &origins, &mut turn).map_err(|e| e.of(flow.task.key))?;
        }
        Ok(())
    }

    /// Sleeps until there are new records (and a little longer, for their company), a file wants to roll, or an order comes.
    fn wait(&mut self) {
        let deadlines = self.flows.iter().filter_map(|flow| flow.writer.next_deadline());
        let deadline = deadlines.min().unwrap_or(QUIET_COMMIT).min(QUIET_COMMIT);
        let cursor = self.cursor;
        let (tail, order) = (&mut self.tail, &mut self.order);
        self.shared.async_runtime.block_on(async {
            let news = async {
                // An error means that the log is closed; an order to end follows.
                if tail.wait_for(|tail| *tail > cursor).await.is_ok() {
                    tokio::time::sleep(LINGER.min(deadline)).await;
                } else {
                    tokio::time::sleep(LINGER).await;
                }
            };
            tokio::select! {
                () = news => {}
                () = tokio::time::sleep(deadline) => {}
                _ = order.wait_for(|order| *order != Order::Run) => {}
            }
        });
    }
}
