//! Timestamps written as text.
//!
//! ```text
//!   2026-01-31                         date alone: midnight UTC
//!   2026-01-31T10:20                   no zone: UTC
//!   2026-01-31 10:20:30.123456789Z     `T`, `t` or a space; 1 to 9 digits of a second
//!   2026-01-31T10:20:30+02:00          zone: Z, z, ±hh, ±hhmm, ±hh:mm
//! ```
//!
//! Years are 0000 to 9999 of the proleptic Gregorian calendar. A leap second, `23:59:60`, is the second after. Digits finer
//! than the column's unit are cut off.

use lakehead_model::schema::TimeUnit;

use crate::number::NumberFault;

/// A moment: seconds since 1970-01-01T00:00:00Z and nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Moment {
    /// The moment in `unit`, cut towards the past; of what a text can say only nanoseconds can be out of range.
    pub(crate) fn in_unit(self, unit: TimeUnit) -> Result<i64, NumberFault> {
        let nanos = i64::from(self.nanos);
        let (factor, part) = match unit {
            TimeUnit::Second => (1, 0),
            TimeUnit::Millisecond => (1_000, nanos / 1_000_000),
            TimeUnit::Microsecond => (1_000_000, nanos / 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, nanos),
        };
        // Through 128 bits: the first second that fits in part has its whole seconds below the range.
        let value = i128::from(self.seconds) * factor + i128::from(part);
        i64::try_from(value).map_err(|_| NumberFault::OutOfRange)
    }
}

/// A timestamp that was written as a number of its unit. Seconds that milliseconds cannot hold are refused: Parquet and Iceberg
/// have no seconds, and a row must not lose its time on the way there.
pub(crate) fn counted(value: i64, unit: TimeUnit) -> Result<i64, NumberFault> {
    match unit {
        TimeUnit::Second if value.checked_mul(1_000).is_none() => Err(NumberFault::OutOfRange),
        _ => Ok(value),
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar; `None` if there is no such day.
#[inline]
fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that start in March have their leap day at the end.
    let shifted = i64::from(year) - i64::from(month <= 2);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let leap_days = shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(shifted * 365 + leap_days + day_of_year - 719_468)
}

/// Reads the form nearly every producer writes, `2026-01-31T10:20:30Z` with 0, 3 or 6 digits of a second; `None` if the text
/// has another form or is wrong.
#[inline]
pub(crate) fn usual_moment(text: &[u8]) -> Option<Moment> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let digit = |at: usize| u32::from(head[at].wrapping_sub(b'0'));
    let mut high = 0;
    let mut pair = |at: usize| {
        high |= (digit(at) + 0x76) | (digit(at + 1) + 0x76);
        digit(at) * 10 + digit(at + 1)
    };
    let (century, year, month, day) = (pair(0), pair(2), pair(5), pair(8));
    let (hour, minute, second) = (pair(11), pair(14), pair(17));
    // A digit above 9 has carried into the bits from 0x80 on.
    let separated = [head[4], head[7], head[10], head[13], head[16]] == *b"--T::";
    if high >= 0x80 || !separated || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = match tail {
        b"Z" => 0,
        [b'.', a, b, c, b'Z'] => thousandths([*a, *b, *c])? * 1_000_000,
        [b'.', a, b, c, d, e, f, b'Z'] => {
            thousandths([*a, *b, *c])? * 1_000_000 + thousandths([*d, *e, *f])? * 1_000
        }
        _ => return None,
    };
    let days = days(century * 100 + year, month, day)?;
    let seconds = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some(Moment { seconds, nanos })
}

#[inline(always)]
fn thousandths(digits: [u8; 3]) -> Option<u32> {
    let [a, b, c] = digits.map(|d| u32::from(d.wrapping_sub(b'0')));
    (a <= 9 && b <= 9 && c <= 9).then_some(a * 100 + b * 10 + c)
}

/// The number written in the two digits at `at`.
#[inline(always)]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (a, b) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (a <= 9 && b <= 9).then(|| u32::from(a) * 10 + u32::from(b))
}

/// Reads a timestamp; `None` if the text is none.
pub(crate) fn moment(text: &[u8]) -> Option<Moment> {
    let year = two(text, 0)? * 100 + two(text, 2)?;
    if *text.get(4)? != b'-' || *text.get(7)? != b'-' {
        return None;
    }
    let days = days(year, two(text, 5)?, two(text, 8)?)?;
    let Some(separator) = text.get(10) else {
        return Some(Moment { seconds: days * 86_400, nanos: 0 });
    };
    if !matches!(separator, b'T' | b't' | b' ') || *text.get(13)? != b':' {
        return None;
    }
    let (hour, minute) = (two(text, 11)?, two(text, 14)?);
    let mut second = 0;
    let mut nanos = 0;
    let mut at = 16;
    if text.get(at) == Some(&b':') {
        second = two(text, 17)?;
        at = 19;
        if text.get(at) == Some(&b'.') {
            (nanos, at) = fraction(text, at + 1)?;
        }
    }
    if hour > 23 || minute > 59 || second > 60 || (second == 60 && minute != 59) {
        return None;
    }
    let offset_minutes = zone(text.get(at..)?)?;
    let minutes = i64::from(hour * 60 + minute) - offset_minutes;
    Some(Moment { seconds: days * 86_400 + minutes * 60 + i64::from(second), nanos })
}

/// One to nine digits of a second from `at`: nanoseconds, and the place behind.
fn fraction(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut nanos = 0;
    let mut end = at;
    while let Some(d) = text.get(end).map(|b| b.wrapping_sub(b'0')).filter(|d| *d <= 9) {
        if end - at == 9 {
            return None;
        }
        nanos = nanos * 10 + u32::from(d);
        end += 1;
    }
    if end == at {
        return None;
    }
    for _ in end - at..9 {
        nanos *= 10;
    }
    Some((nanos, end))
}

/// Minutes east of UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let sign = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let hours = two(text, 1)?;
    let minutes = match text.len() {
        3 => 0,
        5 => two(text, 3)?,
        6 if text[3] == b':' => two(text, 4)?,
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 60 + minutes))
}

#[cfg(test)]
mod tests;
