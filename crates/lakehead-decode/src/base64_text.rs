//! Base64 as producers write it: standard or URL-safe alphabet, padded or not.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL_SAFE_ENGINE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// The bytes; `None` if the text is not base64. A text that mixes the two alphabets is none, nor is one with line breaks.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let url_safe = text.iter().any(|b| matches!(b, b'-' | b'_'));
    let engine = if url_safe { URL_SAFE_ENGINE } else { STANDARD_ENGINE };
    engine.decode(text).ok()
}
