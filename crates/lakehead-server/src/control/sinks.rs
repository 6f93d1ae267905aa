//! Sinks of type `r2`: files in a bucket. Once made, nothing of them can be changed but their credentials.

use std::sync::Arc;

use lakehead_meta::{Catalog, Change};
use lakehead_model::SinkId;
use lakehead_model::resource::{Credentials, Sink, SinkConfig, SinkFormat, Table, TableConfig};

use super::streams::used_by;
use super::{Control, Deleted, Error, Filter, Kind, check_new, invalid, name_matches, parse_id, sink_rules};

/// A sink to be made.
#[derive(Debug, Clone)]
pub struct NewSink {
    /// Unique among sinks.
    pub name: String,
    /// An empty `account_id` means this account's.
    pub config: SinkConfig,
    /// How files are written.
    pub format: SinkFormat,
    /// As given; the columns come from the query.
    pub schema: Option<serde_json::Value>,
    /// Keys for buckets that need them; a token for a table.
    pub credentials: Option<Credentials>,
}

impl Control {
    /// Makes a sink, and its bucket if there is none of that name.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `TooMany`, `TableExists`, `Conflict`, `Unavailable`.
    pub fn create_sink(&self, new: NewSink) -> Result<Arc<Sink>, Error> {
        let mut config = new.config;
        let account_id = match &mut config {
            SinkConfig::Files(files) => &mut files.account_id,
            SinkConfig::Table(table) => &mut table.account_id,
        };
        if account_id.is_empty() {
            account_id.clone_from(&self.parts.account_id);
        }
        if *account_id != self.parts.account_id {
            return Err(invalid(
                "config.account_id",
                "is not this account; leave it out or repeat the account's id",
            ));
        }
        let jurisdiction = match &config {
            SinkConfig::Files(files) => {
                sink_rules::check(files, &new.format)?;
                files.jurisdiction.as_deref()
            }
            SinkConfig::Table(table) => {
                sink_rules::check_table(table, &new.format, self.parts.table_roll_interval_seconds_min)?;
                None
            }
        };
        let (_guard, catalog) = self.begin();
        check_new(Kind::Sink, &new.name, catalog.sinks.values().map(|s| s.name.as_str()))?;
        if let SinkConfig::Table(table) = &config {
            self.check_no_table(table)?;
        }
        let now = self.parts.clock.now();
        let mut changes: Vec<_> =
            self.bucket_for(&catalog, config.bucket(), jurisdiction)?.into_iter().collect();
        let sink = Sink {
            id: SinkId::random(&*self.parts.random),
            name: new.name,
            version: 1,
            config,
            format: new.format,
            schema: new.schema,
            created_at: now,
            modified_at: now,
        };
        changes.push(Change::PutSink { sink: sink.clone(), credentials: new.credentials });
        self.commit(&catalog, &changes)?;
        tracing::info!(sink = %sink.id, name = sink.name, bucket = sink.config.bucket(), "sink created");
        Ok(Arc::new(sink))
    }

    /// A sink makes its table; one that is there already has columns and a history of its own.
    fn check_no_table(&self, table: &TableConfig) -> Result<(), Error> {
        let namespace: Vec<_> = table.namespace.split('.').map(str::to_owned).collect();
        if self.table_exists(&table.bucket, &namespace, &table.table_name)? {
            return Err(Error::TableExists(format!("{}.{}", table.namespace, table.table_name)));
        }
        Ok(())
    }

    /// Gives a sink other credentials. What runs goes on with them from where it stands.
    ///
    /// # Errors
    /// `Missing`; `Invalid` for credentials of another kind than the sink takes; `Conflict`, `Unavailable`.
    pub fn replace_credentials(&self, id: &str, credentials: Credentials) -> Result<Arc<Sink>, Error> {
        let (_guard, catalog) = self.begin();
        let old = find(&catalog, id)?;
        match (&old.config, &credentials) {
            (SinkConfig::Files(_), Credentials::Keys(_)) | (SinkConfig::Table(_), Credentials::Token(_)) => {}
            (SinkConfig::Files(_), Credentials::Token(_)) => {
                return Err(invalid("config.credentials", "is missing; a sink of files takes a key pair"));
            }
            (SinkConfig::Table(_), Credentials::Keys(_)) => {
                return Err(invalid("config.token", "is missing; a table takes a token"));
            }
        }
        let sink =
            Sink { version: old.version + 1, modified_at: self.parts.clock.now(), ..Sink::clone(&old) };
        self.commit(&catalog, &[Change::PutSink { sink: sink.clone(), credentials: Some(credentials) }])?;
        tracing::info!(sink = %sink.id, name = sink.name, version = sink.version, "sink got other credentials");
        Ok(Arc::new(sink))
    }

    /// The sink with this id.
    ///
    /// # Errors
    /// `Missing`.
    pub fn sink(&self, id: &str) -> Result<Arc<Sink>, Error> {
        find(&self.catalog(), id)
    }

    /// Sinks that match, in order of creation.
    pub fn sinks(&self, filter: &Filter) -> Vec<Arc<Sink>> {
        let catalog = self.catalog();
        let used = |s: &Sink| used_by(&catalog, filter, Table::Sink(s.id));
        let mut found: Vec<_> =
            catalog.sinks.values().filter(|s| name_matches(filter, &s.name) && used(s)).cloned().collect();
        found.sort_by_key(|s| (s.created_at, s.id));
        found
    }

    /// Deletes a sink and the pipelines that write to it. Files already written stay.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `Unavailable`.
    pub fn delete_sink(&self, id: &str) -> Result<Deleted, Error> {
        let (_guard, catalog) = self.begin();
        let sink = find(&catalog, id)?;
        let pipelines = catalog.pipelines_using(Table::Sink(sink.id));
        let deleted = self.delete_with(&catalog, Change::DeleteSink(sink.id), &pipelines)?;
        tracing::info!(sink = %sink.id, name = sink.name, ?deleted.pipelines, "sink deleted");
        Ok(deleted)
    }
}

fn find(catalog: &Catalog, id: &str) -> Result<Arc<Sink>, Error> {
    let id: SinkId = parse_id(Kind::Sink, id)?;
    catalog.sinks.get(&id).cloned().ok_or(Error::Missing(Kind::Sink))
}
