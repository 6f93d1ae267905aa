//! A server that reads requests, throws them away and answers 200: what the load generator itself can do, and its counterpart
//! in tests. One thread, one epoll set.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 42\r\n\r\n{\"success\":true,\"result\":{\"committed\":1}} \n";
const LISTENER: u64 = u64::MAX;

/// What came in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub requests: u64,
    pub body_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Discard {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

impl Discard {
    /// Serves on a free port of the loopback, pinned to a core if one is given. `delays`: request numbers (from 1) whose
    /// answer is held back; everything behind it waits too.
    pub(crate) fn start(core: Option<usize>, delays: Vec<(u64, Duration)>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            if let Some(core) = core {
                crate::server::pin(core)?;
            }
            serve(&listener, &stopped, &delays)
        });
        Ok(Discard { address, stop, thread })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic").expect("loopback sockets work")
    }
}

#[derive(Debug)]
struct Peer {
    socket: TcpStream,
    head: Vec<u8>,
    body_left: usize,
}

fn serve(listener: &TcpListener, stop: &AtomicBool, delays: &[(u64, Duration)]) -> io::Result<Seen> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; 256 << 10];
    let mut seen = Seen::default();
    let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(Ordering::Relaxed) {
        match epoll::wait(&poll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let token = event.data.u64();
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    let data = epoll::EventData::new_u64(peers.len() as u64);
                    epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
                    peers.push(Some(Peer { socket, head: Vec::new(), body_left: 0 }));
                }
                continue;
            }
            let slot = &mut peers[token as usize];
            let Some(peer) = slot else { continue };
            match peer.socket.read(&mut buffer) {
                Ok(0) => *slot = None,
                Ok(count) => take(peer, &buffer[..count], &mut seen, delays)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => *slot = None,
            }
        }
    }
    Ok(seen)
}

fn take(peer: &mut Peer, mut bytes: &[u8], seen: &mut Seen, delays: &[(u64, Duration)]) -> io::Result<()> {
    while !bytes.is_empty() {
        if peer.body_left == 0 {
            let before = peer.head.len();
            peer.head.extend_from_slice(bytes);
            let Some(end) = peer.head.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(()) };
            let head = String::from_utf8_lossy(&peer.head[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).map(str::trim);
            peer.body_left = length.and_then(|l| l.parse().ok()).unwrap_or(0);
            peer.head.clear();
            bytes = &bytes[end + 4 - before..];
        }
        let count = peer.body_left.min(bytes.len());
        peer.body_left -= count;
        seen.body_bytes += count as u64;
        bytes = &bytes[count..];
        if peer.body_left == 0 {
            seen.requests += 1;
            if let Some((_, delay)) = delays.iter().find(|(request, _)| *request == seen.requests) {
                #[expect(clippy::disallowed_methods, reason = "the stall is what the test is about")]
                std::thread::sleep(*delay);
            }
            peer.socket.write_all(ANSWER)?;
        }
    }
    Ok(())
}
