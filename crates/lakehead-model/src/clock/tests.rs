use super::*;

#[test]
fn rfc_3339_is_read_in_any_zone_and_written_in_utc() {
    for (text, written) in [
        ("2026-11-22T09:15:00Z", "2026-11-22T09:15:00.000000Z"),
        ("2026-11-22T10:15:00.123456789+01:00", "2026-11-22T09:15:00.123456Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"),
    ] {
        let moment = Timestamp::from_rfc3339(text).unwrap();
        assert_eq!(moment.to_rfc3339(), written);
        assert_eq!(Timestamp::from_rfc3339(written), Some(moment));
    }
    for wrong in ["", "2026-11-22", "2026-11-22T09:15:00", "2026-02-30T00:00:00Z", "30d", "1763802900"] {
        assert_eq!(Timestamp::from_rfc3339(wrong), None, "{wrong:?}");
    }
}
