//! What the configuration of a file sink must satisfy, so that every key it will ever produce stays below its prefix and
//! every file can be written.

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use lakehead_model::limits::ROLL_INTERVAL_SECONDS_MIN;
use lakehead_model::resource::{FilesConfig, SinkFormat};
use lakehead_model::{Invalid, Timestamp, name};

/// Bytes of `path`; with pattern and name, a key stays below the 1,024 bytes of S3.
const PATH_BYTES_MAX: usize = 512;
/// Bytes of `file_naming.prefix` and `.suffix`, each.
const NAME_PART_BYTES_MAX: usize = 100;
/// Bytes of the strftime pattern, and of the folders it makes.
const PATTERN_BYTES_MAX: usize = 256;
/// Largest row group; it is buffered in memory.
const ROW_GROUP_BYTES_MAX: u64 = 4 << 30;
/// Longest time a file may stay open: a year.
const ROLL_SECONDS_MAX: u64 = 366 * 24 * 3600;

/// Checks everything that does not depend on other resources.
///
/// # Errors
/// [`Invalid`] with the path of the field in the request body.
pub fn check(config: &FilesConfig, format: &SinkFormat) -> Result<(), Invalid> {
    name::check_bucket("config.bucket", &config.bucket)?;
    check_folders("config.path", &config.path, PATH_BYTES_MAX)?;
    if let Some(pattern) = &config.time_pattern {
        check_pattern("config.partitioning.time_pattern", pattern)?;
    }
    if let Some(prefix) = &config.file_naming.prefix {
        check_name_part("config.file_naming.prefix", prefix)?;
    }
    if let Some(suffix) = &config.file_naming.suffix {
        check_name_part("config.file_naming.suffix", suffix)?;
    }
    let policy = &config.rolling_policy;
    check_seconds(
        "config.rolling_policy.interval_seconds",
        policy.interval_seconds,
        ROLL_INTERVAL_SECONDS_MIN,
    )?;
    check_seconds("config.rolling_policy.inactivity_seconds", policy.inactivity_seconds, 1)?;
    if let SinkFormat::Parquet(parquet) = format
        && parquet.row_group_bytes.is_some_and(|n| n > ROW_GROUP_BYTES_MAX)
    {
        let reason = format!("is above the limit of {ROW_GROUP_BYTES_MAX}");
        return Err(Invalid::new("format.row_group_bytes", reason));
    }
    Ok(())
}

fn check_seconds(field: &str, seconds: Option<u64>, min: u64) -> Result<(), Invalid> {
    match seconds {
        Some(n) if !(min..=ROLL_SECONDS_MAX).contains(&n) => {
            Err(Invalid::new(field, format!("is {n}; {min} to {ROLL_SECONDS_MAX} seconds are possible")))
        }
        _ => Ok(()),
    }
}

fn check_pattern(field: &str, pattern: &str) -> Result<(), Invalid> {
    if pattern.len() > PATTERN_BYTES_MAX {
        let reason = format!("has {} bytes; the limit is {PATTERN_BYTES_MAX}", pattern.len());
        return Err(Invalid::new(field, reason));
    }
    let items: Vec<Item<'_>> = StrftimeItems::new(pattern).collect();
    if items.contains(&Item::Error) {
        let reason =
            format!("{pattern:?} is not a strftime pattern; an example is `year=%Y/month=%m/day=%d`");
        return Err(Invalid::new(field, reason));
    }
    // One moment is enough: what the fields of a time print differs in digits and letters only.
    let mut folders = String::new();
    let moment = Timestamp(1_790_000_000_123_456).to_utc();
    write!(folders, "{}", moment.format_with_items(items.iter()))
        .map_err(|_| Invalid::new(field, format!("{pattern:?} cannot be printed for a time in UTC")))?;
    check_folders(field, folders.trim_matches('/'), PATTERN_BYTES_MAX)
}

/// Folders separated by single slashes, none at either end; nothing that could lead out of them.
fn check_folders(field: &str, folders: &str, bytes_max: usize) -> Result<(), Invalid> {
    let refuse = |reason: String| Err(Invalid::new(field, reason));
    if folders.is_empty() {
        return Ok(());
    }
    if folders.len() > bytes_max {
        return refuse(format!("has {} bytes; the limit is {bytes_max}", folders.len()));
    }
    if folders.starts_with('/') {
        return refuse("begins with a slash; it is relative to the bucket".to_owned());
    }
    check_characters(field, folders)?;
    folders.split('/').try_for_each(|part| check_segment(field, part))
}

fn check_name_part(field: &str, part: &str) -> Result<(), Invalid> {
    if part.len() > NAME_PART_BYTES_MAX {
        let reason = format!("has {} bytes; the limit is {NAME_PART_BYTES_MAX}", part.len());
        return Err(Invalid::new(field, reason));
    }
    if part.contains('/') {
        return Err(Invalid::new(field, "holds a slash; folders belong into `config.path`"));
    }
    if part.contains("..") {
        return Err(Invalid::new(field, "holds `..`"));
    }
    check_characters(field, part)
}

fn check_characters(field: &str, text: &str) -> Result<(), Invalid> {
    if let Some(c) = text.chars().find(|c| c.is_control() || is_invisible(*c) || *c == '\\') {
        return Err(Invalid::new(field, format!("holds {c:?}, which cannot be part of a key")));
    }
    let lower = text.to_ascii_lowercase();
    match ["%2e", "%2f", "%5c", "%00"].into_iter().find(|code| lower.contains(code)) {
        Some(code) => Err(Invalid::new(field, format!("holds {code:?}, an encoded separator or dot"))),
        None => Ok(()),
    }
}

/// Characters that change how text is shown: direction marks, zero-width ones, line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn check_segment(field: &str, part: &str) -> Result<(), Invalid> {
    // Look-alikes of the dot too: a reader or a tool that folds them would see `..`.
    let dots = |c: char| matches!(c, '.' | '\u{2024}' | '\u{2025}' | '\u{2026}' | '\u{3002}' | '\u{FF0E}');
    if part.is_empty() {
        return Err(Invalid::new(field, "holds an empty folder name (`//`)"));
    }
    if part.chars().all(dots) {
        return Err(Invalid::new(
            field,
            format!("holds the folder {part:?}, which could lead out of the prefix"),
        ));
    }
    let stem = part.split('.').next().unwrap_or(part).to_ascii_lowercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    if ["con", "prn", "aux", "nul"].contains(&stem.as_str()) || numbered("com") || numbered("lpt") {
        return Err(Invalid::new(field, format!("holds the folder {part:?}, a device name on some systems")));
    }
    Ok(())
}
