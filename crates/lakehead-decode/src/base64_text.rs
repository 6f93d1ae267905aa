//! Base64 as producers write it: standard or URL-safe alphabet, padded or not.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// The bytes; `None` if the text is not base64. A text that mixes the two alphabets is none, nor is one with line breaks,
/// with too little padding or with bits behind the last byte.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let url_safe = text.iter().any(|b| matches!(b, b'-' | b'_'));
    let engine = match (url_safe, text.last() == Some(&b'=')) {
        (false, true) => STANDARD,
        (false, false) => STANDARD_NO_PAD,
        (true, true) => URL_SAFE,
        (true, false) => URL_SAFE_NO_PAD,
    };
    engine.decode(text).ok()
}
