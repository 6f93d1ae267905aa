//! What an answer means: what the caller may conclude, and whether the same may be asked again.
//!
//! ```text
//!                                read                        write
//!   not connected                again                       again: nothing was sent
//!   429, 425                     again                       again: it was turned away
//!   503 with Retry-After         again                       not applied, but no second try: whoever answered may be a proxy
//!   401, 419                     once more with a new token  once more with a new token
//!   other 3xx, 4xx, 501, 505     definite                    definite
//!   408, other 5xx, lost         again                       unknown
//! ```
//! A write of which one try has an unknown outcome is never sent again: the caller loads and looks.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::CatalogErrorKind;

/// Whether a request changes something that must not be changed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// May be sent any number of times: reading, fetching a token, making a namespace that may be there.
    Read,
    /// Making a table; 409 says that the name is taken.
    Create,
    /// Changing a table; 409 says that a requirement does not hold.
    Commit,
}

/// What an answer other than success, or none, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: CatalogErrorKind,
    /// The same request may be sent once more.
    pub(super) again: bool,
}

use CatalogErrorKind as Kind;

fn definite(kind: Kind) -> Verdict {
    Verdict { kind, again: false }
}

/// Of a status. `is_catalogs`: the body is an error as the protocol has it.
pub(super) fn of_status(
    purpose: Purpose,
    status: StatusCode,
    has_retry_after: bool,
    is_catalogs: bool,
) -> Verdict {
    let again = Verdict { kind: Kind::Unavailable, again: true };
    match status.as_u16() {
        401 | 403 | 419 => definite(Kind::Unauthorized),
        // Whatever is at a wrong address answers 404 too: that says nothing of a table.
        404 if is_catalogs => definite(Kind::NotFound),
        409 => definite(match purpose {
            Purpose::Commit => Kind::Conflict,
            Purpose::Read | Purpose::Create => Kind::AlreadyExists,
        }),
        425 | 429 => again,
        503 if purpose != Purpose::Read && has_retry_after => definite(Kind::Unavailable),
        501 | 505 => definite(Kind::Refused),
        408 | 500.. => of_lost(purpose),
        _ => definite(Kind::Refused),
    }
}

/// Of an answer that did not come, or not whole.
pub(super) fn of_lost(purpose: Purpose) -> Verdict {
    match purpose {
        Purpose::Read => Verdict { kind: Kind::Unavailable, again: true },
        Purpose::Create | Purpose::Commit => definite(Kind::Unknown),
    }
}

/// Of a success whose body nobody can read.
pub(super) fn of_unreadable(purpose: Purpose) -> Kind {
    match purpose {
        Purpose::Read => Kind::Refused,
        Purpose::Create | Purpose::Commit => Kind::Unknown,
    }
}

/// An error as the protocol has it (`ErrorModel`), or as OAuth2 does (RFC 6749, section 5.2).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `NoSuchTableException`, `invalid_client`.
    pub(super) error_type: String,
    pub(super) message: String,
}

/// As much of a message as is repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// `None` for a body that is not of a catalog.
pub(super) fn said(body: &[u8]) -> Option<Said> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Value,
        #[serde(default)]
        error_description: Option<String>,
    }
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let text = |value: Option<&Value>| shortened(value.and_then(Value::as_str).unwrap_or_default());
    match &envelope.error {
        Value::Object(error) => {
            Some(Said { error_type: text(error.get("type")), message: text(error.get("message")) })
        }
        Value::String(code) => Some(Said {
            error_type: shortened(code),
            message: shortened(envelope.error_description.as_deref().unwrap_or_default()),
        }),
        _ => None,
    }
}

/// In one line that shows no control characters.
fn shortened(text: &str) -> String {
    let mut out: String =
        text.chars().take(MESSAGE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(purpose: Purpose, status: u16, has_retry_after: bool) -> Verdict {
        of_status(purpose, StatusCode::from_u16(status).unwrap(), has_retry_after, true)
    }

    #[test]
    fn every_status_of_a_write_is_definite_or_unknown_and_only_refusals_at_the_door_are_tried_again() {
        let unknown = [408, 500, 502, 503, 504, 506, 507, 520, 522, 524, 529, 599];
        for status in (300..600).filter(|s| !matches!(s, 425 | 429)) {
            for purpose in [Purpose::Create, Purpose::Commit] {
                let verdict = kind(purpose, status, false);
                assert!(!verdict.again, "{status}");
                let is_unknown = verdict.kind == Kind::Unknown;
                if status < 500 || unknown.contains(&status) {
                    assert_eq!(is_unknown, unknown.contains(&status), "{status}");
                }
                assert_ne!(verdict.kind, Kind::Sync);
            }
        }
        for status in [425, 429] {
            assert_eq!(
                kind(Purpose::Commit, status, false),
                Verdict { kind: Kind::Unavailable, again: true }
            );
        }
        assert_eq!(kind(Purpose::Commit, 503, true), definite(Kind::Unavailable));
        assert_eq!(kind(Purpose::Commit, 500, true), definite(Kind::Unknown));
    }

    #[test]
    fn reads_are_tried_again_where_that_can_help() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(kind(Purpose::Read, status, false), Verdict { kind: Kind::Unavailable, again: true });
        }
        for (status, expected) in [
            (302, Kind::Refused),
            (400, Kind::Refused),
            (401, Kind::Unauthorized),
            (403, Kind::Unauthorized),
            (404, Kind::NotFound),
            (406, Kind::Refused),
            (419, Kind::Unauthorized),
            (422, Kind::Refused),
            (501, Kind::Refused),
        ] {
            assert_eq!(kind(Purpose::Read, status, false), definite(expected), "{status}");
        }
        let foreign = of_status(Purpose::Read, StatusCode::NOT_FOUND, false, false);
        assert_eq!(foreign, definite(Kind::Refused), "a 404 of something else is not a missing table");
    }

    #[test]
    fn messages_are_read_in_both_forms_and_kept_short() {
        let body = br#"{"error":{"message":"no\ntable","type":"NoSuchTableException","code":404}}"#;
        let expected = Said { error_type: "NoSuchTableException".into(), message: "no table".into() };
        assert_eq!(said(body), Some(expected));
        let expected = Said { error_type: "invalid_client".into(), message: "who?".into() };
        assert_eq!(said(br#"{"error":"invalid_client","error_description":"who?"}"#), Some(expected));
        for foreign in [&b"<html>404</html>"[..], b"{}", b"", b"{\"error\":null}", b"[]"] {
            assert_eq!(said(foreign), None);
        }
        assert_eq!(shortened(&"ä".repeat(1000)).chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}
