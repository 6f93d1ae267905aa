//! Where a file lies in its bucket.
//!
//! ```text
//!   [path/][time partition/][prefix-]<name>.<suffix>
//!   analytics/year=2025/month=09/day=18/web-01997d3c-….parquet
//! ```
//! **Invariant:** a key starts with the configured path and prefix of its folder, has no empty, `.` or `..` segment, no
//! control character and no backslash, and at most 1,024 bytes. Configuration that could break this is refused when a sink
//! is created ([`validate`]); what a time pattern renders is checked again when it is rendered.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use lakehead_model::limits::ROLL_INTERVAL_SECONDS_MIN;
use lakehead_model::resource::{DEFAULT_TIME_PATTERN, FilesConfig, JsonCompression, SinkFormat};
use lakehead_model::{Invalid, Timestamp};

use crate::{Error, ErrorKind};

const PATH_BYTES_MAX: usize = 512;
const PARTITION_BYTES_MAX: usize = 256;
const PREFIX_BYTES_MAX: usize = 128;
const SUFFIX_BYTES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 36;
const SEGMENT_BYTES_MAX: usize = 255;

const _: () = assert!(
    PATH_BYTES_MAX + PARTITION_BYTES_MAX + PREFIX_BYTES_MAX + NAME_BYTES_MAX + SUFFIX_BYTES_MAX + 4 <= 1024,
    "a key fits into S3's limit"
);
const _: () = assert!(
    PREFIX_BYTES_MAX + NAME_BYTES_MAX + SUFFIX_BYTES_MAX + 2 <= SEGMENT_BYTES_MAX,
    "a file name fits into a file system's limit"
);

/// Refuses a configuration that cannot work, naming the field as the API spells it.
///
/// # Errors
/// [`Invalid`] with `config.path`, `config.partitioning.time_pattern`, `config.file_naming.prefix`,
/// `config.file_naming.suffix`, `config.rolling_policy.interval_seconds`, `config.rolling_policy.inactivity_seconds` or
/// `format.row_group_bytes`.
pub fn validate(config: &FilesConfig, format: &SinkFormat) -> Result<(), Invalid> {
    Keys::new(config, format)?;
    let policy = &config.rolling_policy;
    if let Some(seconds) = policy.interval_seconds.filter(|s| *s < ROLL_INTERVAL_SECONDS_MIN) {
        return Err(Invalid::new(
            "config.rolling_policy.interval_seconds",
            format!("is {seconds}; at least {ROLL_INTERVAL_SECONDS_MIN} is needed"),
        ));
    }
    if policy.inactivity_seconds == Some(0) {
        return Err(Invalid::new("config.rolling_policy.inactivity_seconds", "is 0; at least 1 is needed"));
    }
    if let SinkFormat::Parquet(parquet) = format
        && let Some(bytes) = parquet.row_group_bytes.filter(|b| i64::try_from(*b).is_err())
    {
        return Err(Invalid::new(
            "format.row_group_bytes",
            format!("is {bytes}; at most {} is possible", i64::MAX),
        ));
    }
    Ok(())
}

/// The keys of one sink.
#[derive(Debug)]
pub(crate) struct Keys {
    /// With the slash behind it, or empty.
    path: String,
    /// With the dash behind it, or empty.
    prefix: String,
    /// With the dot before it.
    suffix: String,
    pattern: TimePattern,
}

impl Keys {
    pub(crate) fn new(config: &FilesConfig, format: &SinkFormat) -> Result<Keys, Invalid> {
        let path = config.path.as_str();
        if !path.is_empty() {
            check_text(path, PATH_BYTES_MAX)
                .and_then(|()| check_segments(path))
                .map_err(|reason| Invalid::new("config.path", reason))?;
        }
        let prefix = given(config.file_naming.prefix.as_deref());
        if let Some(prefix) = prefix {
            check_text(prefix, PREFIX_BYTES_MAX)
                .and_then(|()| check_no_slash(prefix))
                .map_err(|reason| Invalid::new("config.file_naming.prefix", reason))?;
        }
        let suffix = given(config.file_naming.suffix.as_deref());
        if let Some(suffix) = suffix {
            check_text(suffix, SUFFIX_BYTES_MAX)
                .and_then(|()| check_no_slash(suffix))
                .and_then(|()| match suffix {
                    "." => Err("is a dot alone".to_owned()),
                    _ => Ok(()),
                })
                .map_err(|reason| Invalid::new("config.file_naming.suffix", reason))?;
        }
        let suffix = suffix.unwrap_or_else(|| extension(format));
        let pattern = TimePattern::new(config.time_pattern.as_deref().unwrap_or(DEFAULT_TIME_PATTERN))
            .map_err(|reason| Invalid::new("config.partitioning.time_pattern", reason))?;
        Ok(Keys {
            path: if path.is_empty() { String::new() } else { format!("{path}/") },
            prefix: prefix.map_or_else(String::new, |p| format!("{p}-")),
            suffix: format!(".{}", suffix.strip_prefix('.').unwrap_or(suffix)),
            pattern,
        })
    }

    /// The partition of rows that arrived at `time`, without slashes at its ends; empty if the sink has none.
    pub(crate) fn partition(&mut self, time: Timestamp) -> Result<Arc<str>, Error> {
        self.pattern.render(time)
    }

    pub(crate) fn key(&self, partition: &str, name: &str) -> String {
        let Keys { path, prefix, suffix, .. } = self;
        let slash = if partition.is_empty() { "" } else { "/" };
        format!("{path}{partition}{slash}{prefix}{name}{suffix}")
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|t| !t.is_empty())
}

fn extension(format: &SinkFormat) -> &'static str {
    match format {
        SinkFormat::Parquet(_) => "parquet",
        SinkFormat::Json(json) => match json.compression.unwrap_or_default() {
            JsonCompression::Uncompressed => "json",
            JsonCompression::Gzip => "json.gz",
            JsonCompression::Deflate => "json.deflate",
        },
    }
}

/// What no part of a key may have.
fn check_text(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!("has {} bytes; at most {bytes_max} are possible", text.len()));
    }
    if text.contains('%') {
        return Err("has a percent sign; time patterns belong into config.partitioning.time_pattern".into());
    }
    check_chars(text)
}

fn check_chars(text: &str) -> Result<(), String> {
    for c in text.chars() {
        match c {
            '\\' => return Err("has a backslash; `/` separates folders".into()),
            c if c.is_control() => return Err(format!("has the control character {}", c.escape_unicode())),
            // Dots and slashes of other widths: some file systems and stores fold them into the plain ones.
            '\u{2024}'..='\u{2026}'
            | '\u{2044}'
            | '\u{2215}'
            | '\u{FE52}'
            | '\u{FF0E}'
            | '\u{FF0F}'
            | '\u{FF3C}' => {
                return Err(format!("has {} ({c}), which looks like a dot or a slash", c.escape_unicode()));
            }
            _ => {}
        }
    }
    if text.contains("..") {
        return Err("has two dots in a row".into());
    }
    Ok(())
}

fn check_no_slash(text: &str) -> Result<(), String> {
    match text.contains('/') {
        true => Err("has a slash; folders belong into config.path".into()),
        false => Ok(()),
    }
}

fn check_segments(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Err("starts with a slash; it is relative to the bucket".into());
    }
    if text.ends_with('/') {
        return Err("ends with a slash; leave it off".into());
    }
    for segment in text.split('/') {
        if segment.trim().is_empty() {
            return Err("has an empty folder name".into());
        }
        if segment == "." {
            return Err("has the folder name `.`".into());
        }
        if segment.len() > SEGMENT_BYTES_MAX {
            return Err(format!(
                "has a folder name of {} bytes; at most {SEGMENT_BYTES_MAX} are possible",
                segment.len()
            ));
        }
        if is_device(segment) {
            return Err(format!("has the folder name {segment:?}, which some systems reserve for a device"));
        }
    }
    Ok(())
}

/// Names that Windows keeps for devices, with any extension.
fn is_device(segment: &str) -> bool {
    let base = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    match base.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            let digit = base.strip_prefix("com").or_else(|| base.strip_prefix("lpt"));
            digit.is_some_and(|d| matches!(d.as_bytes(), [b'1'..=b'9']))
        }
    }
}

/// A strftime pattern, rendered once for each stretch of time in which its text cannot change.
#[derive(Debug)]
struct TimePattern {
    items: Vec<Item<'static>>,
    /// Length of the shortest stretch with one text; `None`: the text never changes.
    grain_micros: Option<i64>,
    cached: Option<(Range<i64>, Arc<str>)>,
}

/// Moments every pattern is tried with: the epoch, a one-digit day and hour, the last of a year, the last four-digit year.
const SAMPLES: [Timestamp; 4] = [
    Timestamp(0),
    Timestamp(1_754_211_845_006_007),
    Timestamp(1_798_761_599_999_999),
    Timestamp(253_402_300_799_999_999),
];

impl TimePattern {
    fn new(pattern: &str) -> Result<TimePattern, String> {
        if pattern.len() > PARTITION_BYTES_MAX {
            return Err(format!("has {} bytes; at most {PARTITION_BYTES_MAX} are possible", pattern.len()));
        }
        let items = StrftimeItems::new(pattern)
            .parse_to_owned()
            .map_err(|_| "has a `%` sequence that strftime does not know".to_owned())?;
        let grain_micros = items.iter().filter_map(grain).min();
        let pattern = TimePattern { items, grain_micros, cached: None };
        for time in SAMPLES {
            pattern.format(time)?;
        }
        Ok(pattern)
    }

    fn render(&mut self, time: Timestamp) -> Result<Arc<str>, Error> {
        if let Some((range, text)) = &self.cached
            && range.contains(&time.as_micros())
        {
            return Ok(text.clone());
        }
        let text: Arc<str> = self
            .format(time)
            .map_err(|reason| {
                Error::new(ErrorKind::Settings, format!("the time pattern, rendered for {time:?}, {reason}"))
            })?
            .into();
        let range = match self.grain_micros {
            None => i64::MIN..i64::MAX,
            Some(grain) => {
                let start = time.as_micros().div_euclid(grain).saturating_mul(grain);
                start..start.saturating_add(grain)
            }
        };
        self.cached = Some((range, text.clone()));
        Ok(text)
    }

    fn format(&self, time: Timestamp) -> Result<String, String> {
        let mut text = String::new();
        write!(text, "{}", time.to_utc().format_with_items(self.items.iter()))
            .map_err(|_| "has a `%` sequence that cannot be written".to_owned())?;
        if text.is_empty() && self.items.is_empty() {
            return Ok(text);
        }
        if text.len() > PARTITION_BYTES_MAX {
            return Err(format!("renders {} bytes; at most {PARTITION_BYTES_MAX} are possible", text.len()));
        }
        check_chars(&text).and_then(|()| check_segments(&text))?;
        Ok(text)
    }
}

/// For how long the text of `item` is sure to stay the same, in UTC; `None`: for ever.
fn grain(item: &Item<'_>) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match item {
        Item::Literal(_) | Item::OwnedLiteral(_) | Item::Space(_) | Item::OwnedSpace(_) | Item::Error => None,
        Item::Numeric(numeric, _) => Some(match numeric {
            Numeric::Hour | Numeric::Hour12 => HOUR,
            Numeric::Minute => MINUTE,
            Numeric::Second | Numeric::Timestamp => SECOND,
            Numeric::Nanosecond | Numeric::Internal(_) => 1,
            _ => DAY,
        }),
        Item::Fixed(fixed) => match fixed {
            Fixed::ShortMonthName
            | Fixed::LongMonthName
            | Fixed::ShortWeekdayName
            | Fixed::LongWeekdayName => Some(DAY),
            Fixed::LowerAmPm | Fixed::UpperAmPm => Some(HOUR),
            Fixed::TimezoneName
            | Fixed::TimezoneOffset
            | Fixed::TimezoneOffsetColon
            | Fixed::TimezoneOffsetDoubleColon
            | Fixed::TimezoneOffsetTripleColon
            | Fixed::TimezoneOffsetColonZ
            | Fixed::TimezoneOffsetZ => None,
            // Fractions of a second, and the long forms that may hold them.
            _ => Some(1),
        },
    }
}

#[cfg(test)]
mod tests;
