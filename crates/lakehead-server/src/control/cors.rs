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
        if origin != "*" && !is_origin(origin) {
            let reason = format!(
                "{origin:?} is not an origin as browsers send it; `*` or `https://host[:port]` is needed, in lower case, \
                 without a path and without the scheme's own port"
            );
            return Err(Invalid::new(format!("{field}[{i}]"), reason));
        }
    }
    Ok(())
}

/// As the URL standard serializes it: anything else would never match what a browser sends.
fn is_origin(text: &str) -> bool {
    let (rest, own_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (_, Some(rest)) => (rest, "80"),
        _ => return false,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_name = |h: &str| {
        !h.is_empty()
            && h.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
    };
    let is_address = |h: &str| {
        let inner = h.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok_and(|a| a.to_string() == inner))
    };
    let is_port = |p: &str| p != own_port && p.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == p);
    (is_name(host) || is_address(host)) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_spelled_as_browsers_spell_them() {
        for good in [
            "https://a.example",
            "http://localhost:8787",
            "https://xn--bcher-kva.example:444",
            "http://[::1]:3000",
            "http://127.0.0.1",
            "https://a_b.example",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "https://GOOD.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:99999",
            "https://a.example:0",
            "https://a.example:+1",
            "https://",
            "https://:",
            "https://a:b:c",
            "https://a.example/",
            "ftp://a.example",
            "a.example",
            "null",
            "https://[::1",
            "https://[0:0::1]",
            "https://ü.example",
            "",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
