use lakehead_model::random::SeededRandom;

use super::*;

const MILLIS: i64 = 0x0123_4567_89AB;

fn names(of: &str) -> Names {
    Names::new(of.into(), 0, Arc::new(SeededRandom::new(7)))
}

fn at(millis: i64, position: u64) -> FirstRecord {
    FirstRecord { position: Position(position), ingest_time: Timestamp(millis * 1000) }
}

#[test]
fn the_same_record_gives_the_same_name_and_any_other_another() {
    for strategy in [NamingStrategy::UuidV7, NamingStrategy::Ulid, NamingStrategy::Uuid] {
        let name = |of, first, partition| names(of).name(strategy, first, partition, 0);
        let one = name("a/0 of s", at(MILLIS, 5), "p");
        assert_eq!(one, name("a/0 of s", at(MILLIS, 5), "p"));
        for other in [
            name("a/1 of s", at(MILLIS, 5), "p"),
            name("a/0 of t", at(MILLIS, 5), "p"),
            name("a/0 of s", at(MILLIS, 6), "p"),
            name("a/0 of s", at(MILLIS, 5), "q"),
            name("a/0 of s", at(MILLIS, 5 + (1 << 40)), "p"),
        ] {
            assert_ne!(one, other, "{strategy:?}");
        }
    }
}

#[test]
fn names_rise_with_the_records_also_while_the_clock_stands_still() {
    for strategy in [NamingStrategy::UuidV7, NamingStrategy::Ulid] {
        let names = names("a");
        let firsts = [(0, 1), (1, 2), (1, 3), (1, 1 << 28), (1, (1 << 28) + 1), (1, 1 << 39), (2, 1 << 39)];
        let made: Vec<_> = firsts.iter().map(|(t, p)| names.name(strategy, at(*t, *p), "p", 0)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]), "{made:?}");
    }
}

#[test]
fn a_uuid_v7_carries_time_version_variant_and_position_where_the_picture_puts_them() {
    let name = names("a").name(NamingStrategy::UuidV7, at(MILLIS, 0xAB_CDEF_0123), "p", 0);
    assert_eq!(&name[..13], "01234567-89ab", "{name}");
    let bits = u128::from_str_radix(&name.replace('-', ""), 16).unwrap();
    assert_eq!((bits >> 76 & 0xF, bits >> 62 & 0b11), (7, 0b10));
    assert_eq!((bits >> 64 & 0xFFF) << 28 | bits >> 34 & 0xFFF_FFFF, 0xAB_CDEF_0123);
    assert_eq!(name.len(), 36);
}

#[test]
fn a_uuid_has_version_4_and_the_variant() {
    let mut seen = std::collections::HashSet::new();
    for position in 0..1000 {
        let name = names("a").name(NamingStrategy::Uuid, at(MILLIS, position), "p", 0);
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
    let name = names("a").name(NamingStrategy::Ulid, at(1_469_918_176_385, 1), "p", 0);
    assert!(name.starts_with("01ARYZ6S41"), "{name}");
}

#[test]
fn a_serial_name_counts_files_then_writers() {
    let name = |serial, writer| {
        let names = Names::new("a".into(), writer, Arc::new(SeededRandom::new(7)));
        names.name(NamingStrategy::Serial, at(MILLIS, 1), "p", serial)
    };
    assert_eq!(name(12, 0), "00012-000");
    assert_eq!(name(123_456, 7), "123456-007");
}
