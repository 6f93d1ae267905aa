//! Names of files, unique and rising within the process also when the clock stands still or jumps back.
//!
//! ```text
//!   uuid_v7   | 48 bits: Unix milliseconds | 4: version 7 | 12: counter | 2: variant | 62: counter |   RFC 9562 §5.7, §6.2
//!   ulid      | 48 bits: Unix milliseconds | 80: counter |   written in Crockford's base 32
//!   uuid      random, version 4
//!   serial    00012-000: a counter of the sink, then the writer
//! ```
//! The counter starts at a random value with its highest bit clear for every new millisecond, and grows by a random step
//! for a name of the same or an earlier millisecond. If it runs over, the name borrows from the next millisecond.

use std::sync::Arc;

use lakehead_model::resource::NamingStrategy;
use lakehead_model::{Clock, Random};
use parking_lot::Mutex;

/// The source of file names. One per process: uniqueness in time order is a promise across all writers.
#[derive(Debug)]
pub struct Names {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    uuid: Rising<74>,
    ulid: Rising<80>,
}

/// The last name given out: milliseconds, then a counter of `BITS` bits.
#[derive(Debug, Default)]
struct Rising<const BITS: u32> {
    millis: u64,
    counter: u128,
}

impl<const BITS: u32> Rising<BITS> {
    fn next(&mut self, now_millis: u64, random: &dyn Random) -> (u64, u128) {
        let fresh = |random: &dyn Random| random.u128() >> (128 - BITS + 1);
        if now_millis > self.millis {
            self.millis = now_millis;
            self.counter = fresh(random);
        } else {
            self.counter += 1 + u128::from(random.u64() >> 32);
            if self.counter >> BITS != 0 {
                self.millis += 1;
                self.counter = fresh(random);
            }
        }
        (self.millis & 0xFFFF_FFFF_FFFF, self.counter)
    }
}

impl Names {
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Names { clock, random, last: Mutex::default() }
    }

    /// The next name. `serial` and `writer` are used by [`NamingStrategy::Serial`] alone.
    pub(crate) fn next(&self, strategy: NamingStrategy, serial: u64, writer: u32) -> String {
        match strategy {
            NamingStrategy::Serial => format!("{serial:05}-{writer:03}"),
            NamingStrategy::Uuid => uuid(self.random.u128(), 4),
            NamingStrategy::UuidV7 => {
                let (millis, counter) = self.last.lock().uuid.next(self.now_millis(), &*self.random);
                let high = counter >> 62;
                let low = counter & ((1 << 62) - 1);
                uuid(u128::from(millis) << 80 | high << 64 | low, 7)
            }
            NamingStrategy::Ulid => {
                let (millis, counter) = self.last.lock().ulid.next(self.now_millis(), &*self.random);
                ulid(u128::from(millis) << 80 | counter)
            }
        }
    }

    /// A name that no other file has, for staged files and probes.
    pub(crate) fn unique(&self) -> String {
        format!("{:032x}", self.random.u128())
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(0)
    }
}

/// The 36 characters of a UUID with version and variant set.
fn uuid(bits: u128, version: u128) -> String {
    let bits = bits & !(0xF << 76) | version << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn ulid(bits: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..26).rev().map(|i| char::from(DIGITS[(bits >> (i * 5) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests;
