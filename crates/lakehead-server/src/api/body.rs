//! Request bodies: read whole under a limit, whatever their content type, and walked with the path of each field at hand,
//! so that a refusal names the field, the kind of value it holds and what would be right. Unknown fields are ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lakehead_model::limits::API_BODY_BYTES_MAX;
use lakehead_model::schema::kind;
use lakehead_model::{Invalid, Secret};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::ApiError;

/// In which a whole body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The JSON object of a request.
#[derive(Debug)]
pub(super) struct JsonBody {
    fields: Map<String, Value>,
    text: Bytes,
}

impl JsonBody {
    /// The object, for reading its fields.
    pub(super) fn root(&self) -> Object<'_> {
        Object { path: String::new(), fields: &self.fields }
    }

    /// The text of a field as it was sent, with every digit of its numbers.
    pub(super) fn raw(&self, key: &str) -> Option<String> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&self.text).ok()?;
        fields.get(key).map(|value| value.get().to_owned())
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let declared =
            request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if declared.is_some_and(|n: usize| n > API_BODY_BYTES_MAX) {
            return Err(ApiError::too_large(API_BODY_BYTES_MAX));
        }
        let bytes = Limited::new(Body::new(request.into_body()), API_BODY_BYTES_MAX).collect();
        let Ok(bytes) = tokio::time::timeout(BODY_TIMEOUT, bytes).await else {
            return Err(ApiError::too_slow());
        };
        let bytes = match bytes {
            Ok(collected) => collected.to_bytes(),
            Err(e) if e.is::<LengthLimitError>() => return Err(ApiError::too_large(API_BODY_BYTES_MAX)),
            Err(_) => return Err(Invalid::new("body", "ended before its announced length").into()),
        };
        if bytes.trim_ascii().is_empty() {
            return Err(Invalid::new("body", "is empty; a JSON object is needed").into());
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(JsonBody { fields, text: bytes }),
            Ok(other) => {
                Err(Invalid::new("body", format!("is {}; an object is needed", kind(&other))).into())
            }
            Err(e) => Err(Invalid::new("body", format!("is not JSON: {e}")).into()),
        }
    }
}

/// An object inside a body, with the path that leads to it. `null` counts as absent everywhere.
#[derive(Debug)]
pub(super) struct Object<'b> {
    path: String,
    fields: &'b Map<String, Value>,
}

impl<'b> Object<'b> {
    /// `fields` as if they stood at `path`.
    pub(super) fn new(path: &str, fields: &'b Map<String, Value>) -> Self {
        Object { path: path.to_owned(), fields }
    }

    /// The path of a field of this object.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The refusal of a field.
    pub(super) fn refuse(&self, key: &str, reason: impl Into<String>) -> Invalid {
        Invalid::new(self.at(key), reason)
    }

    /// Any value.
    pub(super) fn value(&self, key: &str) -> Option<&'b Value> {
        self.fields.get(key).filter(|v| !v.is_null())
    }

    /// Whether the key stands there, be it with `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    fn wrong(&self, key: &str, value: &Value, needed: &str) -> Invalid {
        self.refuse(key, format!("is {}; {needed} is needed", kind(value)))
    }

    fn missing(&self, key: &str, needed: &str) -> Invalid {
        self.refuse(key, format!("is missing; {needed} is needed"))
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<Object<'b>>, Invalid> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Object { path: self.at(key), fields })),
            Some(other) => Err(self.wrong(key, other, "an object")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'b str>, Invalid> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a string")),
        }
    }

    pub(super) fn needed_text(&self, key: &str) -> Result<&'b str, Invalid> {
        self.text(key)?.ok_or_else(|| self.missing(key, "a string"))
    }

    /// A text that no message repeats.
    pub(super) fn needed_secret(&self, key: &str) -> Result<Secret, Invalid> {
        match self.needed_text(key)? {
            "" => Err(self.refuse(key, "is empty")),
            text => Ok(Secret::new(text)),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Invalid> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    pub(super) fn needed_flag(&self, key: &str) -> Result<bool, Invalid> {
        self.flag(key)?.ok_or_else(|| self.missing(key, "true or false"))
    }

    /// A whole number from 0, also written `60.0`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, Invalid> {
        const NEEDED: &str = "a whole number from 0";
        /// 2^53: whole numbers up to here are exact in a JSON number of any client.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match self.value(key) {
            None => Ok(None),
            Some(Value::Number(n)) => {
                let whole = |f: f64| (f.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&f)).then_some(f as u64);
                let count = n.as_u64().or_else(|| n.as_f64().and_then(whole));
                count.map(Some).ok_or_else(|| self.refuse(key, format!("is {n}; {NEEDED} is needed")))
            }
            Some(other) => Err(self.wrong(key, other, NEEDED)),
        }
    }

    /// A number of seconds, from 0, as whole milliseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; `as` saturates")]
    pub(super) fn milliseconds(&self, key: &str) -> Result<Option<u64>, Invalid> {
        const NEEDED: &str = "a number of seconds";
        match self.value(key) {
            None => Ok(None),
            Some(Value::Number(n)) => match n.as_f64().filter(|seconds| *seconds >= 0.0) {
                Some(seconds) => Ok(Some((seconds * 1000.0).round() as u64)),
                None => Err(self.refuse(key, format!("is {n}; {NEEDED} is needed"))),
            },
            Some(other) => Err(self.wrong(key, other, NEEDED)),
        }
    }

    pub(super) fn objects(&self, key: &str) -> Result<Option<Vec<Object<'b>>>, Invalid> {
        let items = match self.value(key) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong(key, other, "a list of objects")),
        };
        let object = |(i, item): (usize, &'b Value)| {
            let at = format!("{key}[{i}]");
            match item {
                Value::Object(fields) => Ok(Object { path: self.at(&at), fields }),
                other => Err(self.wrong(&at, other, "an object")),
            }
        };
        items.iter().enumerate().map(object).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Invalid> {
        let items = match self.value(key) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong(key, other, "a list of strings")),
        };
        let text = |(i, item): (usize, &Value)| match item {
            Value::String(text) => Ok(text.clone()),
            other => {
                Err(self.refuse(&format!("{key}[{i}]"), format!("is {}; a string is needed", kind(other))))
            }
        };
        items.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// One of the named values.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let shown: String = text.chars().take(40).collect();
                Err(self.refuse(key, format!("{shown:?} is unknown; one of {} is needed", names.join(", "))))
            }
        }
    }
}
