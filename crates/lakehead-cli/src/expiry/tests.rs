use super::*;

#[test]
fn times_from_now_and_moments_are_understood() {
    let now = Timestamp(1_000_000);
    for (text, seconds) in [("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("4w", 2_419_200)] {
        let expiry = Expiry::parse(text).unwrap();
        assert_eq!(expiry, Expiry::In(seconds), "{text}");
        assert_eq!(expiry.moment(now), Timestamp((1 + seconds) * 1_000_000));
    }
    let moment = Expiry::parse("2027-01-31T13:00:00+01:00").unwrap().moment(now);
    assert_eq!(moment.to_rfc3339(), "2027-01-31T12:00:00.000000Z");
}

#[test]
fn anything_else_is_refused_with_what_would_be_right() {
    for wrong in
        ["", "d", "30", "30 d", "+30d", "-1d", "1.5h", "30days", "1d12h", "tomorrow", "2027-01-31", "3ö"]
    {
        assert!(Expiry::parse(wrong).unwrap_err().contains("30d"), "{wrong:?}");
    }
    for none in ["0d", "0m"] {
        assert!(Expiry::parse(none).unwrap_err().contains("no time at all"), "{none:?}");
    }
    for long in ["1000001w", "9223372036854775807m", "99999999999999999999d"] {
        assert!(Expiry::parse(long).unwrap_err().contains("a thousand years"), "{long:?}");
    }
    assert!(Expiry::parse("52000w").is_ok());
}
