//! Which origins may be allowed.

use lakehead_model::Invalid;
use lakehead_model::resource::Cors;

/// Origins a stream may allow.
const ORIGINS_MAX: usize = 100;

/// An origin is what a browser sends: scheme, host and port without a path; or `*` for all of them.
///
/// # Errors
/// [`Invalid`] naming `field`, or an entry of it.
pub(super) fn check(field: &str, cors: Option<&Cors>) -> Result<(), Invalid> {
    let Some(Cors { origins }) = cors else { return Ok(()) };
    if origins.len() > ORIGINS_MAX {
        let reason = format!("has {} entries; the limit is {ORIGINS_MAX}", origins.len());
        return Err(Invalid::new(field, reason));
    }
    for (i, origin) in origins.iter().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain =
            |h: &str| !h.is_empty() && h.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if origin != "*" && !host.is_some_and(plain) {
            let reason =
                format!("{origin:?} is not an origin; `*` or `https://host[:port]` without a path is needed");
            return Err(Invalid::new(format!("{field}[{i}]"), reason));
        }
    }
    Ok(())
}
