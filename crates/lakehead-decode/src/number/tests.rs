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

#[test]
fn a_float_is_what_its_digits_and_its_exponent_say_together() {
    let zeros = "0".repeat(900_000);
    let ones = "1".repeat(900_000);
    for (text, value) in [
        (format!("0.{zeros}1e900001"), 1.0),
        (format!("-0.{zeros}25e900002"), -25.0),
        (format!("{ones}e-899999"), 1.111_111_111_111_111_2),
        (format!("1{zeros}e-900000"), 1.0),
        (format!("0.{zeros}e99999999999999999999"), 0.0),
        ("1e-99999999999999999999".to_owned(), 0.0),
    ] {
        assert_eq!(float64(text.as_bytes()), Ok(value), "{}…", &text[..8]);
    }
    assert!(float64(b"-0e99999").unwrap().is_sign_negative());
    for text in ["1e10001", "1e99999999999999999999", "-1e400"] {
        assert_eq!(float64(text.as_bytes()), Err(NumberFault::OutOfRange), "{text}");
    }
    // Where the standard library reads rightly, the rewritten text means the same.
    for text in ["1.7976931348623157e308", "4.9e-324", "123456789.125", "0.000001", "9007199254740993"] {
        let parts = Parts::of(text.as_bytes()).unwrap();
        assert_eq!(parts.normal().parse::<f64>().unwrap(), text.parse::<f64>().unwrap(), "{text}");
    }
}
