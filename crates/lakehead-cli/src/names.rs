//! Names and ids of what an account has, for whoever must list them.

use std::path::Path;

use serde_json::Value;

use crate::Error;
use crate::api::Api;
use crate::endpoint::Where;

/// What can be reached under a host name of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of buckets.
    pub buckets: Vec<String>,
    /// Ids of streams.
    pub stream_ids: Vec<String>,
    /// Ids of legacy pipelines.
    pub legacy_ids: Vec<String>,
}

impl Names {
    /// Asks the server that runs on the data folder. Blocks.
    ///
    /// # Errors
    /// A text for a person: the server cannot be found or does not run, or what its API answered.
    pub fn of_server(data_dir: &Path) -> Result<Names, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new(format!("cannot start: {error}")))?;
        let endpoint = Where { data_dir: Some(data_dir.to_owned()) }.endpoint(&|_| None)?;
        runtime.block_on(Names::read(&Api::new(endpoint)?))
    }

    async fn read(api: &Api) -> Result<Names, Error> {
        let buckets = api.get(&["r2", "buckets"], &[]).await?;
        let none = Vec::new();
        let buckets = buckets.get("buckets").and_then(Value::as_array).unwrap_or(&none);
        Ok(Names {
            buckets: texts(buckets, "name"),
            stream_ids: texts(&api.list(&["pipelines", "v1", "streams"], &[]).await?, "id"),
            legacy_ids: texts(&api.list(&["pipelines"], &[]).await?, "id"),
        })
    }
}

fn texts(items: &[Value], key: &str) -> Vec<String> {
    items.iter().filter_map(|item| item.get(key)?.as_str().map(str::to_owned)).collect()
}
