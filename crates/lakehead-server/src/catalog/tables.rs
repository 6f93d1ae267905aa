//! Tables on the wire, but for commits.

use http::{HeaderValue, Response, StatusCode, header};
use lakehead_table::TableIdent;
use lakehead_table::embedded::{CurrentTable, NewTableRequest, Refusal, RefusalKind, Registration};
use lakehead_table::spec::TableMetadata;
use serde_json::{Value, json};

use super::answer;
use super::body::namespace;
use super::calls::{Answered, Asked};
use crate::http::answer::Body;

/// Which snapshots an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshots {
    All,
    /// Those that branches and tags refer to.
    Refs,
}

impl Asked {
    pub(super) async fn list_tables(&self, ns: Vec<String>) -> Answered {
        let listed = self.catalog.list_tables(&namespace("namespace", ns)?, &self.page()?).await?;
        Ok(answer::json(&json!({ "identifiers": listed.items, "next-page-token": listed.next_page_token })))
    }

    pub(super) async fn create_table(&self, ns: Vec<String>) -> Answered {
        let (namespace, body) = (namespace("namespace", ns)?, self.object()?);
        let table = TableIdent::new(namespace, body.needed("name", "a name")?);
        let request = NewTableRequest {
            schema: body.needed("schema", "a schema")?,
            partition_spec: body.get("partition-spec")?,
            sort_order: body.get("write-order")?,
            properties: body.texts("properties")?,
            location: body.get("location")?,
        };
        if body.get("stage-create")?.unwrap_or(false) {
            let staged = self.catalog.stage(&table, request).await?;
            return Ok(answer::json(&self.result(None, &staged, Snapshots::All)?));
        }
        self.loaded(&self.catalog.create(&table, request, self.attempt.as_ref()).await?)
    }

    pub(super) async fn register_table(&self, ns: Vec<String>) -> Answered {
        let (namespace, body) = (namespace("namespace", ns)?, self.object()?);
        let table = TableIdent::new(namespace, body.needed("name", "a name")?);
        let registration = Registration {
            metadata_location: body.needed("metadata-location", "the URI of a metadata file")?,
            overwrite: body.get("overwrite")?.unwrap_or(false),
        };
        self.loaded(&self.catalog.register(&table, &registration, self.attempt.as_ref()).await?)
    }

    pub(super) async fn load_table(&self, ns: Vec<String>, name: String) -> Answered {
        let table = TableIdent::new(namespace("namespace", ns)?, name);
        let snapshots = match self.param("snapshots").map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "all") => Snapshots::All,
            Some("refs") => Snapshots::Refs,
            Some(other) => {
                return Err(Refusal::bad(format!("snapshots: is {other:?}; all or refs is needed")));
            }
        };
        if let Some(known) = self.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) {
            let tag = tag(&self.catalog.metadata_location(&table).await?, snapshots);
            if known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag) {
                let mut response = answer::empty(StatusCode::NOT_MODIFIED);
                put_tag(&mut response, &tag);
                return Ok(response);
            }
        }
        self.shown(&self.catalog.table(&table).await?, snapshots)
    }

    pub(super) async fn table_exists(&self, ns: Vec<String>, name: String) -> Answered {
        self.catalog.metadata_location(&TableIdent::new(namespace("namespace", ns)?, name)).await?;
        Ok(answer::nothing())
    }

    pub(super) async fn drop_table(&self, ns: Vec<String>, name: String) -> Answered {
        let table = TableIdent::new(namespace("namespace", ns)?, name);
        let purge = self.flag("purgeRequested")?;
        self.catalog.drop_table(&table, purge, self.attempt.as_ref()).await?;
        Ok(answer::nothing())
    }

    pub(super) async fn rename_table(&self) -> Answered {
        let body = self.object()?;
        let (from, to) = (body.table("source")?, body.table("destination")?);
        self.catalog.rename(&from, &to, self.attempt.as_ref()).await?;
        Ok(answer::nothing())
    }

    pub(super) async fn load_credentials(&self, ns: Vec<String>, name: String) -> Answered {
        let table = TableIdent::new(namespace("namespace", ns)?, name);
        self.catalog.metadata_location(&table).await?;
        let credentials = self.file_access(true).credentials;
        Ok(answer::json(&json!({ "storage-credentials": credentials })))
    }

    /// A table as it is answered by whatever makes, changes or shows it.
    pub(super) fn loaded(&self, current: &CurrentTable) -> Answered {
        self.shown(current, Snapshots::All)
    }

    fn shown(&self, current: &CurrentTable, snapshots: Snapshots) -> Answered {
        let location = &current.metadata_location;
        let mut response = answer::json(&self.result(Some(location), &current.metadata, snapshots)?);
        put_tag(&mut response, &tag(location, snapshots));
        Ok(response)
    }

    fn result(
        &self,
        location: Option<&str>,
        metadata: &TableMetadata,
        snapshots: Snapshots,
    ) -> Result<Value, Refusal> {
        let mut metadata = serde_json::to_value(metadata)
            .map_err(|e| Refusal::new(RefusalKind::Damaged, format!("metadata cannot be written: {e}")))?;
        if snapshots == Snapshots::Refs {
            keep_referenced(&mut metadata);
        }
        let access = self.file_access(false);
        let mut result = json!({ "metadata": metadata, "config": access.config });
        if let Some(location) = location {
            result["metadata-location"] = json!(location);
        }
        if !access.credentials.is_empty() {
            result["storage-credentials"] = json!(access.credentials);
        }
        Ok(result)
    }
}

fn keep_referenced(metadata: &mut Value) {
    let mut kept: Vec<i64> = metadata["current-snapshot-id"].as_i64().into_iter().collect();
    let refs = metadata["refs"].as_object().into_iter().flat_map(|refs| refs.values());
    kept.extend(refs.filter_map(|one| one["snapshot-id"].as_i64()));
    if let Some(snapshots) = metadata.get_mut("snapshots").and_then(Value::as_array_mut) {
        snapshots.retain(|one| one["snapshot-id"].as_i64().is_some_and(|id| kept.contains(&id)));
    }
}

/// A metadata file never changes, so its name stands for its content.
fn tag(metadata_location: &str, snapshots: Snapshots) -> String {
    let name = metadata_location.rsplit('/').next().unwrap_or_default();
    let plain = name.split('.').next().unwrap_or_default();
    match snapshots {
        Snapshots::All => format!("\"{plain}\""),
        Snapshots::Refs => format!("\"{plain}-refs\""),
    }
}

fn put_tag(response: &mut Response<Body>, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
}
