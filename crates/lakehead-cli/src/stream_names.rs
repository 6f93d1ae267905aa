//! From what a person calls a stream to its id.

use lakehead_model::StreamId;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::api::{Api, Failure};

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// The id of a stream or of a legacy pipeline, by its id or its exact name. As everywhere in this API a text is an id first:
/// a stream may be named like one.
///
/// 32 hex digits that the API does not find are handed on as an id; it is the API that says what it thinks of them.
pub(crate) async fn resolve(api: &Api, called: &str) -> Result<String, Error> {
    if called.is_empty() || !called.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Error::new(format!(
            "--stream {called:?}: a name or id has letters, digits, underscores and dashes only"
        )));
    }
    let is_id = called.parse::<StreamId>().is_ok();
    if is_id && exists(api.get(&["pipelines", "v1", "streams", called], &[]).await)?.is_some() {
        return Ok(called.to_owned());
    }
    // The filter finds parts of names as well, whatever their case.
    for stream in api.list(&["pipelines", "v1", "streams"], &[("name", called)]).await? {
        let stream = named(stream)?;
        if stream.name == called {
            return Ok(stream.id);
        }
    }
    if let Some(pipeline) = exists(api.get(&["pipelines", called], &[]).await)? {
        return Ok(named(pipeline)?.id);
    }
    if is_id {
        return Ok(called.to_owned());
    }
    Err(Error::new(format!("--stream {called}: there is no stream and no legacy pipeline of this name")))
}

fn exists(answer: Result<Value, Failure>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

fn named(value: Value) -> Result<Named, Error> {
    serde_json::from_value(value).map_err(|_| Error::new("the API described a stream without id or name"))
}
