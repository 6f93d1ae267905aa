use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lakehead_model::Timestamp;
use lakehead_model::random::SeededRandom;

use super::*;

/// A wall clock that a test sets at will, backwards too.
#[derive(Debug, Default)]
struct WildClock(AtomicI64);

impl WildClock {
    fn set_millis(&self, millis: i64) {
        self.0.store(millis * 1000, Ordering::Relaxed);
    }
}

impl Clock for WildClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn names() -> (Arc<WildClock>, Names) {
    let clock = Arc::new(WildClock::default());
    clock.set_millis(0x0123_4567_89AB);
    (clock.clone(), Names::new(clock, Arc::new(SeededRandom::new(7))))
}

fn assert_rising(made: &[String]) {
    for pair in made.windows(2) {
        assert!(pair[0] < pair[1], "{} is not before {}", pair[0], pair[1]);
    }
}

#[test]
fn names_rise_while_the_clock_stands_still_jumps_back_a_day_and_forward_again() {
    for strategy in [NamingStrategy::UuidV7, NamingStrategy::Ulid] {
        let (clock, names) = names();
        let mut made = Vec::new();
        let start = 1_800_000_000_000;
        for millis in [start, start, start - 86_400_000, -5, start - 1, start + 10, start + 5] {
            clock.set_millis(millis);
            made.extend((0..2000).map(|_| names.next(strategy, 0, 0)));
        }
        assert_rising(&made);
    }
}

#[test]
fn a_counter_that_runs_over_borrows_from_the_next_millisecond() {
    let mut last = Rising::<74> { millis: 5, counter: (1 << 74) - 1 };
    let (millis, counter) = last.next(5, &SeededRandom::new(1));
    assert_eq!(millis, 6);
    assert!(counter < 1 << 73);
}

#[test]
fn a_uuid_v7_carries_time_version_and_variant_where_the_rfc_puts_them() {
    let (_, names) = names();
    let name = names.next(NamingStrategy::UuidV7, 0, 0);
    assert_eq!(&name[..13], "01234567-89ab", "{name}");
    assert_eq!(&name[14..15], "7", "{name}");
    assert!(matches!(&name[19..20], "8" | "9" | "a" | "b"), "{name}");
    assert_eq!(name.len(), 36);
}

#[test]
fn a_uuid_is_random_with_version_4_and_the_variant() {
    let (_, names) = names();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let name = names.next(NamingStrategy::Uuid, 0, 0);
        assert_eq!(&name[14..15], "4", "{name}");
        assert!(matches!(&name[19..20], "8" | "9" | "a" | "b"), "{name}");
        assert!(seen.insert(name));
    }
}

#[test]
fn a_ulid_has_26_digits_and_starts_with_the_time() {
    assert_eq!(ulid(0), "0".repeat(26));
    assert_eq!(ulid(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    // The example of the ULID specification: 1469918176385 ms is 01ARYZ6S41.
    assert!(ulid(1_469_918_176_385 << 80).starts_with("01ARYZ6S41"));
}

#[test]
fn a_serial_name_counts_files_then_writers() {
    let (_, names) = names();
    assert_eq!(names.next(NamingStrategy::Serial, 12, 0), "00012-000");
    assert_eq!(names.next(NamingStrategy::Serial, 123_456, 7), "123456-007");
}
