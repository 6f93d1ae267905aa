//! How often an address may show a wrong token.
//!
//! ```text
//!   a bucket for each address      100 attempts, refilled at 100 a minute, one every 600 ms
//!   kept of it                     the moment at which it is full again
//!
//!     full ─► failure: full again in 0.6 s ─► … ─► the 100th at once: full again in 60 s ─► the next is one too many
//! ```
//!
//! Only failures ask: a valid token is let in whatever its address has done. Behind a proxy all clients have the proxy's address
//! and share a bucket; what they can do to each other is that a wrong token is answered 429 instead of 401.
//!
//! An IPv6 address counts as its /64, which is the least a host is given; an IPv4 address in IPv6's clothes as itself.
//!
//! **Memory:** [`ADDRESSES_MAX`] addresses of less than 200 bytes. A bucket that is full again is forgotten; when more fail at
//! one time, the one with the least to remember goes, so that who guesses most is remembered longest.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lakehead_model::Clock;
use parking_lot::Mutex;

/// What `Retry-After` is to say: there is room for one attempt again after 600 ms.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// Addresses remembered at one time.
const ADDRESSES_MAX: usize = 10_000;
/// Attempts of a full bucket.
const ATTEMPTS: u32 = 100;
/// In which an empty bucket is full again.
const REFILL: Duration = Duration::from_secs(60);
/// In which one attempt comes back.
const ATTEMPT: Duration = Duration::from_millis(600);

const _: () = assert!(ATTEMPT.as_millis() * ATTEMPTS as u128 == REFILL.as_millis());

/// Counts failed authentication by address.
#[derive(Debug)]
pub struct Guesses {
    clock: Arc<dyn Clock>,
    /// Failures are rare, or slowed down by everything before this: one lock serves them all.
    buckets: Mutex<Buckets>,
}

/// What shares a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Address {
    V4(u32),
    /// The upper half.
    V6(u64),
}

impl Address {
    fn of(peer: IpAddr) -> Address {
        match peer.to_canonical() {
            IpAddr::V4(address) => Address::V4(address.to_bits()),
            IpAddr::V6(address) => Address::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The buckets that are not full, by the clock's monotonic time.
#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<Address, Duration>,
    /// The same, the next one to be full first.
    order: BTreeSet<(Duration, Address)>,
}

impl Guesses {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Guesses { clock, buckets: Mutex::default() }
    }

    /// Counts a failed attempt. `true`: within the limit, to be refused for what it is; `false`: one too many, to be answered
    /// 429 with [`RETRY_AFTER_SECONDS`]; it is not counted, so that the limit stays a rate.
    pub fn failed(&self, peer: IpAddr) -> bool {
        self.buckets.lock().failed(Address::of(peer), self.clock.monotonic())
    }
}

impl Buckets {
    fn failed(&mut self, address: Address, now: Duration) -> bool {
        self.forget_full(now);
        let full_at = self.full_at.get(&address).copied();
        let next = full_at.unwrap_or(now) + ATTEMPT;
        if next > now + REFILL {
            return false;
        }
        match full_at {
            Some(full_at) => {
                self.order.remove(&(full_at, address));
            }
            None => self.make_room(),
        }
        self.full_at.insert(address, next);
        self.order.insert((next, address));
        true
    }

    fn forget_full(&mut self, now: Duration) {
        while self.order.first().is_some_and(|(full_at, _)| *full_at <= now) {
            self.forget_first();
        }
    }

    fn make_room(&mut self) {
        while self.full_at.len() >= ADDRESSES_MAX {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, address)) = self.order.pop_first() {
            self.full_at.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests;
