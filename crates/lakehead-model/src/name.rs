//! Names of streams, sinks and pipelines, and of buckets.

use crate::{Invalid, limits::NAME_CHARS_MAX};

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
