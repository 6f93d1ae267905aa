//! Names of streams, sinks and pipelines, of legacy pipelines, and of buckets.

use crate::Invalid;
use crate::limits::{LEGACY_NAME_CHARS_MAX, NAME_CHARS_MAX};

/// Checks a stream's, sink's or pipeline's name: `^[a-zA-Z0-9_]+$`, 1 to 128 characters. Names are SQL table names.
///
/// # Errors
/// [`Invalid`] naming `field`.
pub fn check(field: &str, name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new(field, "is empty; a name has 1 to 128 letters, digits and underscores"));
    }
    if name.len() > NAME_CHARS_MAX {
        return Err(Invalid::new(
            field,
            format!("has {} characters; the limit is {NAME_CHARS_MAX}", name.chars().count()),
        ));
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_') {
        Some(c) => {
            Err(Invalid::new(field, format!("holds {c:?}; only letters, digits and underscores are allowed")))
        }
        None => Ok(()),
    }
}

/// Checks a legacy pipeline's name: 1 to 63 letters, digits and inner dashes.
///
/// # Errors
/// [`Invalid`] naming `field`.
pub fn check_legacy(field: &str, name: &str) -> Result<(), Invalid> {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let bytes = name.as_bytes();
    if bytes.len() <= LEGACY_NAME_CHARS_MAX && edge(bytes.first()) && edge(bytes.last()) && inner {
        return Ok(());
    }
    let shown: String = name.chars().take(LEGACY_NAME_CHARS_MAX + 1).collect();
    let reason = format!(
        "{shown:?} is not a pipeline name; it has 1 to {LEGACY_NAME_CHARS_MAX} letters, digits and inner dashes"
    );
    Err(Invalid::new(field, reason))
}

/// Checks a bucket name: `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`.
///
/// # Errors
/// [`Invalid`] naming `field`.
pub fn check_bucket(field: &str, name: &str) -> Result<(), Invalid> {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let bytes = name.as_bytes();
    if (3..=63).contains(&bytes.len()) && edge(bytes.first()) && edge(bytes.last()) && inner {
        return Ok(());
    }
    Err(Invalid::new(
        field,
        format!("{name:?} is not a bucket name; it has 3 to 63 lower-case letters, digits and inner dashes"),
    ))
}
