//! From what a person calls a pipeline to its id.

use lakehead_model::PipelineId;
use serde_json::Value;

use crate::Error;
use crate::api::{Api, Failure};

/// The id of a pipeline or legacy pipeline, by its id or its exact name. A text is an id first: a pipeline may be named like one.
///
/// 32 hex digits that are no name are handed on as an id; it is the API that says what it thinks of them.
pub(crate) async fn resolve(api: &Api, called: &str) -> Result<String, Error> {
    if called.is_empty() || !called.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Error::new(format!(
            "{called:?}: a name or id has letters, digits, underscores and dashes only"
        )));
    }
    let is_id = called.parse::<PipelineId>().is_ok();
    if is_id && exists(api.get(&["pipelines", "v1", "pipelines", called], &[]).await)?.is_some() {
        return Ok(called.to_owned());
    }
    // The filter finds parts of names as well, whatever their case.
    for pipeline in api.list(&["pipelines", "v1", "pipelines"], &[("name", called)]).await? {
        if pipeline["name"] == called {
            return id(&pipeline);
        }
    }
    if let Some(pipeline) = exists(api.get(&["pipelines", called], &[]).await)? {
        return id(&pipeline);
    }
    if is_id {
        return Ok(called.to_owned());
    }
    Err(Error::new(format!("{called}: there is no pipeline and no legacy pipeline of this name")))
}

fn exists(answer: Result<Value, Failure>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

fn id(pipeline: &Value) -> Result<String, Error> {
    let id = pipeline["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Error::new("the API described a pipeline without an id"))
}
