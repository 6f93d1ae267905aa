//! From what a person calls a stream or a pipeline to its id.

use lakehead_model::StreamId;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::api::{Api, Failure};

/// What is looked for. A legacy pipeline is found beside either.
pub(crate) struct Kind {
    /// As in the API's paths.
    collection: &'static str,
    /// As in messages.
    word: &'static str,
    /// The argument that names it, if it has a name.
    argument: &'static str,
}

pub(crate) const STREAM: Kind = Kind { collection: "streams", word: "stream", argument: "--stream " };
pub(crate) const PIPELINE: Kind = Kind { collection: "pipelines", word: "pipeline", argument: "" };

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

impl Kind {
    /// The id of one of the kind, or of a legacy pipeline, by its id or its exact name. As everywhere in this API a text is an id
    /// first: a resource may be named like one.
    ///
    /// 32 hex digits that the API does not find are handed on as an id; it is the API that says what it thinks of them.
    pub(crate) async fn resolve(&self, api: &Api, called: &str) -> Result<String, Error> {
        let Kind { collection, word, argument } = self;
        if called.is_empty() || !called.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(Error::new(format!(
                "{argument}{called:?}: a name or id has letters, digits, underscores and dashes only"
            )));
        }
        // The ids of all kinds are written alike.
        let is_id = called.parse::<StreamId>().is_ok();
        if is_id && exists(api.get(&["pipelines", "v1", collection, called], &[]).await)?.is_some() {
            return Ok(called.to_owned());
        }
        // The filter finds parts of names as well, whatever their case.
        for found in api.list(&["pipelines", "v1", collection], &[("name", called)]).await? {
            let found = self.named(found)?;
            if found.name == called {
                return Ok(found.id);
            }
        }
        if let Some(pipeline) = exists(api.get(&["pipelines", called], &[]).await)? {
            return Ok(self.named(pipeline)?.id);
        }
        if is_id {
            return Ok(called.to_owned());
        }
        Err(Error::new(format!("{argument}{called}: there is no {word} and no legacy pipeline of this name")))
    }

    fn named(&self, value: Value) -> Result<Named, Error> {
        serde_json::from_value(value)
            .map_err(|_| Error::new(format!("the API described a {} without id or name", self.word)))
    }
}

fn exists(answer: Result<Value, Failure>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::NotFound(_)) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
