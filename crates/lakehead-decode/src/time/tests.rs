use chrono::{Datelike, NaiveDate};

use super::*;

#[test]
fn every_day_of_ten_thousand_years_is_where_the_calendar_has_it() {
    let mut day = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    while day.year() < 10_000 {
        let year = u32::try_from(day.year()).unwrap();
        assert_eq!(days(year, day.month(), day.day()), Some((day - epoch).num_days()), "{day}");
        day = day.succ_opt().unwrap();
    }
}

#[test]
fn days_the_calendar_does_not_have_are_refused() {
    for year in [0, 1900, 2000, 2023, 2024, 9999] {
        for month in 0..=13 {
            for day in 0..=32 {
                let wanted = NaiveDate::from_ymd_opt(i32::try_from(year).unwrap(), month, day);
                assert_eq!(days(year, month, day).is_some(), wanted.is_some(), "{year}-{month}-{day}");
            }
        }
    }
}

#[test]
fn the_usual_form_reads_as_the_general_one_or_not_at_all() {
    let forms = [
        "2026-01-31T10:20:30Z",
        "2026-01-31T10:20:30.123Z",
        "2026-01-31T10:20:30.123456Z",
        "2026-02-28T23:59:59.999Z",
    ];
    for form in forms {
        assert_eq!(usual_moment(form.as_bytes()), moment(form.as_bytes()), "{form}");
        assert!(usual_moment(form.as_bytes()).is_some());
        for at in 0..form.len() {
            for other in 0..=u8::MAX {
                let mut text = form.as_bytes().to_vec();
                text[at] = other;
                let usual = usual_moment(&text);
                assert!(usual.is_none() || usual == moment(&text), "{}", String::from_utf8_lossy(&text));
            }
            assert_eq!(usual_moment(&form.as_bytes()[..at]), None);
        }
    }
}
