//! The load generator: one thread, one epoll set, keep-alive connections with one request in flight each.
//!
//! *Closed loop*: every connection sends its next request when the answer to the last one is in; a request's latency starts
//! at its first write. *Open loop*: requests are due at fixed times whatever the server does; latency counts from the time a
//! request was due, also while it waits for a free connection, so that a stall is seen by every request it delays.
//!
//! 429 and 503 are back-pressure: the request is sent again after 20 ms (its clock runs on) and counted as refused. Any
//! other status but 200 ends the run.
//!
//! ```text
//!   Idle ──start──► Writing ──all bytes out──► Reading ──answer whole──► Idle
//!                                                 └── 429, 503 ──► Waiting ──20 ms──► Writing
//! ```
//! Memory: the pool of bodies plus 4 KiB and a request head per connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lakehead_model::{Clock, SystemClock};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::histogram::Histogram;
use crate::pool::Pool;

const RETRY_AFTER: Duration = Duration::from_millis(20);
/// No answer at all for this long ends the run.
const SILENCE_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    Closed,
    Open { bytes_per_second: f64 },
}

/// What to send, where, how much of it.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub address: SocketAddr,
    pub pool: &'a Pool,
    /// Number of the pool's body that goes first.
    pub first_body: usize,
    /// Request paths; connections are dealt over them in turn.
    pub paths: &'a [String],
    pub token: &'a str,
    pub connections: usize,
    pub pace: Pace,
    /// Body bytes after which no further request is started.
    pub bytes: u64,
    /// Time after which no further request is started.
    pub limit: Duration,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub requests: u64,
    pub events: u64,
    /// Bytes of JSON in acknowledged bodies.
    pub bytes: u64,
    pub refused: u64,
    /// From the first request's start to the last answer.
    pub elapsed: Duration,
    pub latency: Histogram,
    /// Bodies taken from the pool; the next run goes on from here.
    pub next_body: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Idle,
    Writing { sent: usize },
    Reading,
    Waiting { until: Duration },
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    path: usize,
    state: State,
    head: Vec<u8>,
    body: usize,
    /// When the request was started (closed loop) or due (open loop).
    since: Duration,
    answer: Vec<u8>,
}

struct Run<'a> {
    load: &'a Load<'a>,
    clock: SystemClock,
    connections: Vec<Connection>,
    /// First in, first out: no connection stays unused so long that the server takes it for abandoned.
    idle: VecDeque<usize>,
    waiting: Vec<usize>,
    next_body: usize,
    started_bytes: u64,
    begun: Duration,
    last_answer: Duration,
    outcome: Outcome,
}

pub(crate) fn run(load: &Load<'_>) -> io::Result<Outcome> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::with_capacity(load.connections);
    for index in 0..load.connections {
        let socket = TcpStream::connect(load.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(index as u64), interest)?;
        connections.push(Connection {
            socket,
            path: index % load.paths.len(),
            state: State::Idle,
            head: Vec::with_capacity(256),
            body: 0,
            since: Duration::ZERO,
            answer: Vec::with_capacity(4096),
        });
    }
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    let mut run = Run {
        load,
        idle: (0..connections.len()).collect(),
        waiting: Vec::new(),
        connections,
        next_body: load.first_body,
        started_bytes: 0,
        begun,
        last_answer: begun,
        clock,
        outcome: Outcome {
            requests: 0,
            events: 0,
            bytes: 0,
            refused: 0,
            elapsed: Duration::ZERO,
            latency: Histogram::new(),
            next_body: load.first_body,
        },
    };
    let mut events = Vec::with_capacity(1024);
    loop {
        let timeout = run.start_what_is_due()?;
        if run.idle.len() == run.connections.len() && run.is_through() {
            break;
        }
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        match epoll::wait(&poll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            run.drive(event.data.u64() as usize)?;
        }
        let silence = run.clock.monotonic().saturating_sub(run.last_answer);
        if silence > SILENCE_MAX {
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("no answer for {} s", silence.as_secs()),
            ));
        }
    }
    run.outcome.elapsed = run.last_answer.saturating_sub(run.begun);
    run.outcome.next_body = run.next_body;
    Ok(run.outcome)
}

impl Run<'_> {
    /// All the load asked for has been started.
    fn is_through(&self) -> bool {
        self.started_bytes >= self.load.bytes
            || self.clock.monotonic().saturating_sub(self.begun) >= self.load.limit
    }

    /// Starts every request whose time has come and tells how long the next event may be waited for.
    fn start_what_is_due(&mut self) -> io::Result<Duration> {
        let mut timeout = Duration::from_millis(100);
        let now = self.clock.monotonic();
        let mut index = 0;
        while index < self.waiting.len() {
            let connection = self.waiting[index];
            match self.connections[connection].state {
                State::Waiting { until } if until > now => {
                    timeout = timeout.min(until - now);
                    index += 1;
                }
                _ => {
                    self.waiting.swap_remove(index);
                    self.connections[connection].state = State::Writing { sent: 0 };
                    self.drive(connection)?;
                }
            }
        }
        while !self.idle.is_empty() && !self.is_through() {
            let since = match self.load.pace {
                Pace::Closed => self.clock.monotonic(),
                Pace::Open { bytes_per_second } => {
                    let due =
                        self.begun + Duration::from_secs_f64(self.started_bytes as f64 / bytes_per_second);
                    let wait = due.saturating_sub(self.clock.monotonic());
                    if !wait.is_zero() {
                        // epoll is only good to a millisecond: the rest is spun away.
                        return Ok(timeout.min(wait.saturating_sub(Duration::from_millis(1))));
                    }
                    due
                }
            };
            let Some(connection) = self.idle.pop_front() else { break };
            self.prepare(connection, since);
            self.drive(connection)?;
        }
        Ok(timeout)
    }

    fn prepare(&mut self, index: usize, since: Duration) {
        let connection = &mut self.connections[index];
        connection.body = self.next_body;
        connection.since = since;
        let length = self.load.pool.body(self.next_body).len();
        self.next_body += 1;
        self.started_bytes += length as u64;
        connection.head.clear();
        write!(
            connection.head,
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            self.load.paths[connection.path], self.load.address, self.load.token
        )
        .expect("a vector takes any bytes");
        connection.state = State::Writing { sent: 0 };
    }

    /// Takes a connection as far as its socket lets it.
    fn drive(&mut self, index: usize) -> io::Result<()> {
        loop {
            let connection = &mut self.connections[index];
            match connection.state {
                State::Idle | State::Waiting { .. } => return Ok(()),
                State::Writing { sent } => match connection.write(self.load.pool, sent)? {
                    // The answer's arrival is an event of its own, unless it came early, while the request was still
                    // being written: that event has been spent.
                    true if sent == 0 => return Ok(()),
                    true => {}
                    false if matches!(connection.state, State::Writing { sent: now } if now > sent) => {}
                    false => return Ok(()),
                },
                State::Reading => {
                    let Some(status) = connection.read()? else { return Ok(()) };
                    self.answered(index, status)?;
                    if !matches!(self.load.pace, Pace::Closed) || self.connections[index].state != State::Idle
                    {
                        return Ok(());
                    }
                    if self.is_through() {
                        return Ok(());
                    }
                    self.idle.pop_back();
                    self.prepare(index, self.last_answer);
                }
            }
        }
    }

    fn answered(&mut self, index: usize, status: u16) -> io::Result<()> {
        let now = self.clock.monotonic();
        self.last_answer = now;
        let connection = &mut self.connections[index];
        match status {
            200 => {
                let body = connection.body;
                self.outcome.requests += 1;
                self.outcome.events += self.load.pool.events(body) as u64;
                self.outcome.bytes += self.load.pool.body(body).len() as u64;
                self.outcome.latency.record(now.saturating_sub(connection.since));
                connection.state = State::Idle;
                self.idle.push_back(index);
            }
            429 | 503 => {
                self.outcome.refused += 1;
                connection.state = State::Waiting { until: now + RETRY_AFTER };
                self.waiting.push(index);
            }
            _ => {
                let answer = String::from_utf8_lossy(&connection.answer).into_owned();
                return Err(io::Error::other(format!("the server answered {status}: {answer}")));
            }
        }
        connection.answer.clear();
        Ok(())
    }
}

impl Connection {
    /// True once the request is out.
    fn write(&mut self, pool: &Pool, sent: usize) -> io::Result<bool> {
        let body = pool.body(self.body);
        let total = self.head.len() + body.len();
        let result = if sent < self.head.len() {
            self.socket.write_vectored(&[IoSlice::new(&self.head[sent..]), IoSlice::new(body)])
        } else {
            self.socket.write(&body[sent - self.head.len()..])
        };
        match result {
            Ok(count) if sent + count == total => {
                self.state = State::Reading;
                Ok(true)
            }
            Ok(count) => {
                self.state = State::Writing { sent: sent + count };
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The status once the answer is whole.
    fn read(&mut self) -> io::Result<Option<u16>> {
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => {
                let answer = String::from_utf8_lossy(&self.answer).into_owned();
                Err(io::Error::new(ErrorKind::UnexpectedEof, format!("the server closed after {answer:?}")))
            }
            Ok(count) => {
                self.answer.extend_from_slice(&buffer[..count]);
                answer_status(&self.answer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The status of a whole HTTP/1.1 answer with a `Content-Length`; `None` while bytes are missing.
fn answer_status(bytes: &[u8]) -> io::Result<Option<u16>> {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let invalid =
        |what: &str| io::Error::new(ErrorKind::InvalidData, format!("the server's answer has no {what}"));
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| invalid("readable head"))?;
    let status = text.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| invalid("status"))?;
    let length: usize = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| invalid("content-length"))?;
    Ok((bytes.len() >= head + 4 + length).then_some(status))
}

#[cfg(test)]
mod tests;
