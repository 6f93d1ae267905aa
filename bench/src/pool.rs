//! Request bodies made before the clock starts, so that sending costs the generator next to nothing.

use crate::events::Events;

/// How many events a request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Events(usize),
    Bytes(usize),
}

/// Bodies one after the other in one buffer; each a JSON array.
#[derive(Debug)]
pub(crate) struct Pool {
    bytes: Vec<u8>,
    bodies: Vec<Body>,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    start: usize,
    end: usize,
    events: usize,
}

impl Pool {
    /// Makes about `bytes` of bodies; at least one.
    pub(crate) fn new(width: Width, bytes: usize, seed: u64) -> Self {
        let mut events = Events::new(seed);
        let mut pool = Pool { bytes: Vec::with_capacity(bytes + (2 << 20)), bodies: Vec::new() };
        while pool.bodies.is_empty() || pool.bytes.len() < bytes {
            let start = pool.bytes.len();
            let mut count = 0;
            pool.bytes.push(b'[');
            loop {
                events.append(&mut pool.bytes);
                count += 1;
                let full = match width {
                    Width::Events(limit) => count == limit,
                    Width::Bytes(limit) => pool.bytes.len() - start >= limit,
                };
                if full {
                    break;
                }
                pool.bytes.push(b',');
            }
            pool.bytes.push(b']');
            pool.bodies.push(Body { start, end: pool.bytes.len(), events: count });
        }
        pool
    }

    /// The body of request number `index`; the pool repeats when it is through.
    pub(crate) fn body(&self, index: usize) -> &[u8] {
        let body = self.bodies[index % self.bodies.len()];
        &self.bytes[body.start..body.end]
    }

    pub(crate) fn events(&self, index: usize) -> usize {
        self.bodies[index % self.bodies.len()].events
    }
}
