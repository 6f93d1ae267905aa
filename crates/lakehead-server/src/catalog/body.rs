//! Bodies of requests: read whole under a limit, then taken apart so that a refusal names the field.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use lakehead_model::schema::kind;
use lakehead_table::embedded::Refusal;
use lakehead_table::{NamespaceIdent, TableIdent};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer;

/// The largest body. A commit names its snapshots, not its files.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// In which a whole body must arrive.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn read(body: Body) -> Result<Bytes, Response<crate::http::answer::Body>> {
    match tokio::time::timeout(TIMEOUT, Limited::new(body, BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            let text = format!("body: is larger than the limit of {BYTES_MAX} bytes");
            Err(answer::error(StatusCode::PAYLOAD_TOO_LARGE, "BadRequestException", text))
        }
        Ok(Err(_)) => {
            let text = "body: ended before its announced length";
            Err(answer::error(StatusCode::BAD_REQUEST, "BadRequestException", text))
        }
        Err(_) => {
            let text = "body: arrived too slowly";
            Err(answer::error(StatusCode::REQUEST_TIMEOUT, "BadRequestException", text))
        }
    }
}

/// A JSON object and where it stands in the body.
#[derive(Debug)]
pub(super) struct Object {
    path: String,
    fields: Map<String, Value>,
}

impl Object {
    pub(super) fn parse(body: &[u8]) -> Result<Object, Refusal> {
        match serde_json::from_slice(body) {
            Ok(value) => Object::of("", value),
            Err(e) => Err(Refusal::bad(format!("body: is not JSON: {e}"))),
        }
    }

    fn of(path: &str, value: Value) -> Result<Object, Refusal> {
        match value {
            Value::Object(fields) => Ok(Object { path: path.to_owned(), fields }),
            other => {
                let path = if path.is_empty() { "body" } else { path };
                Err(Refusal::bad(format!("{path}: is {}; an object is needed", kind(&other))))
            }
        }
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A field that may be absent. `null` counts as absent.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.fields.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        serde_path_to_error::deserialize(value.clone()).map(Some).map_err(|e| {
            let path = e.path().to_string();
            let inner = if path == "." { String::new() } else { format!(".{path}") };
            Refusal::bad(format!("{}{inner}: {}", self.at(key), e.into_inner()))
        })
    }

    /// A field that must be there; `what` says what it holds.
    pub(super) fn needed<T: DeserializeOwned>(&self, key: &str, what: &str) -> Result<T, Refusal> {
        self.get(key)?.ok_or_else(|| Refusal::bad(format!("{}: is missing; {what} is needed", self.at(key))))
    }

    pub(super) fn texts(&self, key: &str) -> Result<HashMap<String, String>, Refusal> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    pub(super) fn sorted_texts(&self, key: &str) -> Result<BTreeMap<String, String>, Refusal> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// The values of a list, each with where it stands.
    pub(super) fn list(&self, key: &str) -> Result<Vec<(String, Value)>, Refusal> {
        let values: Vec<Value> = self.get(key)?.unwrap_or_default();
        Ok(values
            .into_iter()
            .enumerate()
            .map(|(i, value)| (format!("{}[{i}]", self.at(key)), value))
            .collect())
    }

    /// The objects of a list.
    pub(super) fn objects(&self, key: &str) -> Result<Vec<Object>, Refusal> {
        self.list(key)?.into_iter().map(|(path, value)| Object::of(&path, value)).collect()
    }

    pub(super) fn namespace(&self, key: &str) -> Result<NamespaceIdent, Refusal> {
        let levels: Vec<String> = self.needed(key, "a list of names")?;
        namespace(&self.at(key), levels)
    }

    /// `{"namespace": [...], "name": "..."}`.
    pub(super) fn table(&self, key: &str) -> Result<TableIdent, Refusal> {
        let object = Object::of(&self.at(key), self.needed(key, "an object with namespace and name")?)?;
        Ok(TableIdent::new(object.namespace("namespace")?, object.needed("name", "a name")?))
    }
}

pub(super) fn namespace(field: &str, levels: Vec<String>) -> Result<NamespaceIdent, Refusal> {
    NamespaceIdent::from_vec(levels).map_err(|_| Refusal::bad(format!("{field}: is empty; a name is needed")))
}
