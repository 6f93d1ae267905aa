//! When a token is to expire, as a person writes it.

use lakehead_model::Timestamp;

/// Seconds of each unit.
const UNITS: [(char, i64); 4] = [('m', 60), ('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];
/// Further away than anybody plans, and within four digits of a year.
const SECONDS_MAX: i64 = 1000 * 365 * 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A time from now, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Seconds from now, more than 0.
    In(i64),
    /// A moment, which may lie in the past.
    At(Timestamp),
}

impl Expiry {
    /// `30d`, `12h` (minutes `m`, hours `h`, days `d`, weeks `w`), or RFC 3339.
    pub(crate) fn parse(text: &str) -> Result<Expiry, String> {
        if let Some(moment) = Timestamp::from_rfc3339(text) {
            return Ok(Expiry::At(moment));
        }
        let wrong = || {
            "is neither a time from now (90m, 12h, 30d, 4w) nor RFC 3339 (2027-01-31T12:00:00Z)".to_owned()
        };
        let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
        let (count, seconds) = unit.ok_or_else(wrong)?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        match count.parse().ok().and_then(|count: i64| count.checked_mul(seconds)) {
            Some(0) => Err("is no time at all; a token that is to last for ever has no --expires".into()),
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Expiry::In(seconds)),
            _ => {
                Err("is more than a thousand years; a token that is to last for ever has no --expires".into())
            }
        }
    }

    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Expiry::In(seconds) => Timestamp(now.0.saturating_add(seconds.saturating_mul(MICROS_PER_SECOND))),
            Expiry::At(moment) => moment,
        }
    }
}

#[cfg(test)]
mod tests;
