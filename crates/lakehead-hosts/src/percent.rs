//! Percent-encoding (RFC 3986) as request signatures and forms need it.

/// Everything but letters, digits and `-._~` as `%XX`; `/` too, unless it is kept.
pub(crate) fn encode(bytes: &[u8], keep_slash: bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len());
    for &b in bytes {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') || (keep_slash && b == b'/') {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(b >> 4)]));
            out.push(char::from(DIGITS[usize::from(b & 15)]));
        }
    }
    out
}

/// Nothing if a `%` is not followed by two hex digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b == b'%' {
            let ([high, low], after) = rest.split_first_chunk::<2>()?;
            out.push(digit(*high)? << 4 | digit(*low)?);
            rest = after;
        } else {
            out.push(b);
        }
    }
    Some(out)
}

/// Bytes written as pairs of hex digits; nothing if they are not.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// The parameters of a query or of a form, decoded, in their order. `+` is a space in a form alone.
///
/// Nothing if one of them is not percent-encoded UTF-8.
pub(crate) fn parameters(text: &str, form: bool) -> Option<Vec<(String, String)>> {
    let decoded = |part: &str| {
        let bytes = if form { decode(&part.replace('+', " ")) } else { decode(part) };
        String::from_utf8(bytes?).ok()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests;
