use proptest::prelude::*;

use super::*;

/// Bodies with records somewhere in them: gaps and lengths.
fn bodies() -> impl Strategy<Value = Vec<(Records, u32)>> {
    let body =
        (prop::collection::vec((0_u32..300, 0_u32..100_000), 1..20), 0_u32..300).prop_map(|(parts, rest)| {
            let mut at = 0;
            let ranges = parts.into_iter().map(|(gap, length)| {
                let start = at + gap;
                at = start + length;
                (start, at)
            });
            let ranges: Vec<_> = ranges.collect();
            (Records::new(ranges), at + rest)
        });
    prop::collection::vec(body, 1..5)
}

proptest! {
    #[test]
    fn bounds_of_joined_bodies_are_read_back_shifted(bodies in bodies()) {
        let (mut writer, mut bytes, mut expected, mut base) = (BoundsWriter::default(), Vec::new(), Vec::new(), 0);
        for (records, body_bytes) in &bodies {
            prop_assert!(records.fit(*body_bytes as usize));
            writer.body(&mut bytes, records, *body_bytes);
            expected.extend(records.iter().map(|(start, end)| (base + start, base + end)));
            base += body_bytes;
        }
        prop_assert!(bytes.len() <= bounds_bytes_max(expected.len()));
        let count = expected.len() as u32;
        prop_assert_eq!(read_bounds(&bytes, count, base), Some(Records::new(expected)));
        prop_assert_eq!(read_bounds(&bytes[..bytes.len() - 1], count, base), None);
        bytes.push(0);
        prop_assert_eq!(read_bounds(&bytes, count, base), None);
    }

    #[test]
    fn any_bytes_are_bounds_inside_the_body_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0_u32..60, body_bytes: u32) {
        if let Some(records) = read_bounds(&bytes, count, body_bytes) {
            prop_assert!(records.fit(body_bytes as usize));
        }
    }
}

#[test]
fn a_record_count_that_the_bytes_cannot_hold_reserves_no_memory() {
    assert_eq!(read_bounds(&[0; 10], u32::MAX, 100), None);
}
