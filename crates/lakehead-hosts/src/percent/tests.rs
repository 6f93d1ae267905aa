use super::*;

#[test]
fn decoding_gives_back_what_was_encoded() {
    let bytes: Vec<u8> = (0..=255).collect();
    for keep_slash in [true, false] {
        assert_eq!(decode(&encode(&bytes, keep_slash)).unwrap(), bytes);
    }
    assert_eq!(encode("a b/ü".as_bytes(), true), "a%20b/%C3%BC");
    assert_eq!(encode(b"/", false), "%2F");
    assert_eq!(from_hex(&to_hex(&bytes)).unwrap(), bytes);
}

#[test]
fn what_is_not_encoded_right_is_refused() {
    for bad in ["%", "%4", "%zz", "a%+1b"] {
        assert_eq!(decode(bad), None, "{bad}");
    }
    assert_eq!(parameters("a=%ff", false), None);
    for bad in ["a", "zz", "0g", "é"] {
        assert_eq!(from_hex(bad), None, "{bad}");
    }
}

#[test]
fn parameters_come_decoded_and_in_order() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let expected = vec![pair("b", "1=2"), pair("a", ""), pair("b", " x+")];
    assert_eq!(parameters("b=1=2&a&&b=%20x%2B", false).unwrap(), expected);
    assert_eq!(parameters("a=1+2", false).unwrap(), vec![pair("a", "1+2")]);
    assert_eq!(parameters("a=1+2", true).unwrap(), vec![pair("a", "1 2")]);
    assert!(parameters("", false).unwrap().is_empty());
}
