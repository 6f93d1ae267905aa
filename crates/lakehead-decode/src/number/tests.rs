use lakehead_model::Random;
use lakehead_model::random::SeededRandom;

use super::*;

#[test]
fn plainly_written_floats_are_the_nearest_whatever_their_length() {
    let random = SeededRandom::new(7);
    let mut plain = 0;
    for _ in 0..200_000 {
        let digits = 1 + random.u64() % 19;
        let value = random.u64() % 10_u64.pow(u32::try_from(digits).unwrap());
        let mut text = value.to_string();
        let point = usize::try_from(random.u64()).unwrap() % (text.len() + 1);
        if point > 0 && point < text.len() {
            text.insert(point, '.');
        }
        let sign = if random.u64().is_multiple_of(2) { "-" } else { "" };
        let text = format!("{sign}{text}");
        let wanted: f64 = text.parse().unwrap();
        assert_eq!(float64(text.as_bytes()).unwrap().to_bits(), wanted.to_bits(), "{text}");
        if let Some((value, end)) = plain_float64(format!("{text},").as_bytes(), 0) {
            assert_eq!((value.to_bits(), end), (wanted.to_bits(), text.len()), "{text}");
            plain += 1;
        }
    }
    assert!(plain > 100_000, "most are read the fast way");
}

#[test]
fn plainly_written_integers_are_read_as_the_exact_way_reads_them() {
    for text in [
        "0",
        "-0",
        "7",
        "-42",
        "999999999999999999",
        "-999999999999999999",
        "1000000000000000000",
        "9223372036854775808",
    ] {
        let exact = integer(text.as_bytes()).unwrap();
        match plain_integer(format!("{text}}}").as_bytes(), 0) {
            Some((value, end)) => assert_eq!((i128::from(value), end), (exact, text.len()), "{text}"),
            None => assert!(text.len() > 18, "{text}"),
        }
    }
    for text in ["-", "", "x", "1.0", "1e3", "1E3", "-.5"] {
        assert_eq!(plain_integer(text.as_bytes(), 0), None, "{text}");
    }
}
