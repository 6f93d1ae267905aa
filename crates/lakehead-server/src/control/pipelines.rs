//! Pipelines: SQL over streams and sinks that exist.

use std::sync::Arc;

use lakehead_meta::{Catalog, Change};
use lakehead_model::PipelineId;
use lakehead_model::limits::SQL_BYTES_MAX;
use lakehead_model::resource::{Pipeline, Sink, Stream, Table, TableRef};

use super::{
    Control, Error, Filter, Kind, PipelineStatus, SqlRefusal, StatementRef, check_new, invalid, name_matches,
    parse_id, sink_columns,
};

/// A pipeline with what is known about it now.
#[derive(Debug, Clone)]
pub struct PipelineView {
    /// As stored.
    pub pipeline: Arc<Pipeline>,
    /// How it is doing.
    pub status: PipelineStatus,
    /// What it reads, then what it writes.
    pub tables: Vec<TableView>,
}

/// A resource that SQL refers to.
#[derive(Debug, Clone)]
pub struct TableView {
    /// With the version the SQL was checked against.
    pub table: TableRef,
    /// The version the resource has now.
    pub latest: u64,
}

impl Control {
    /// The INSERTs of `sql` and the resources they refer to, streams first; makes nothing.
    ///
    /// # Errors
    /// `Invalid`, `Sql`.
    pub fn validate_sql(&self, sql: &str) -> Result<(Vec<StatementRef>, Vec<TableRef>), Error> {
        self.check_sql(&self.catalog(), sql)
    }

    /// Makes a pipeline.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `TooMany`, `Sql`, `Conflict`, `Unavailable`.
    pub fn create_pipeline(&self, name: &str, sql: &str) -> Result<PipelineView, Error> {
        let (_guard, catalog) = self.begin();
        check_new(Kind::Pipeline, name, catalog.pipelines.values().map(|p| p.name.as_str()))?;
        let (_, tables) = self.check_sql(&catalog, sql)?;
        let now = self.parts.clock.now();
        let pipeline = Pipeline {
            id: PipelineId::random(&*self.parts.random),
            name: name.to_owned(),
            version: 1,
            sql: sql.to_owned(),
            tables,
            created_at: now,
            modified_at: now,
        };
        self.commit(&catalog, &[Change::PutPipeline(pipeline.clone())])?;
        tracing::info!(pipeline = %pipeline.id, name = pipeline.name, "pipeline created");
        Ok(self.view(&catalog, &Arc::new(pipeline)))
    }

    /// The pipeline with this id.
    ///
    /// # Errors
    /// `Missing`.
    pub fn pipeline(&self, id: &str) -> Result<PipelineView, Error> {
        let catalog = self.catalog();
        Ok(self.view(&catalog, &find(&catalog, id)?))
    }

    /// Pipelines that match, in order of creation.
    pub fn pipelines(&self, filter: &Filter) -> Vec<PipelineView> {
        let catalog = self.catalog();
        let mut found: Vec<_> =
            catalog.pipelines.values().filter(|p| name_matches(filter, &p.name)).collect();
        found.sort_by_key(|p| (p.created_at, p.id));
        found.into_iter().map(|p| self.view(&catalog, p)).collect()
    }

    /// Deletes a pipeline; its stream and sink stay.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `Unavailable`.
    pub fn delete_pipeline(&self, id: &str) -> Result<(), Error> {
        let (_guard, catalog) = self.begin();
        let pipeline = find(&catalog, id)?;
        self.commit(&catalog, &[Change::DeletePipeline(pipeline.id)])?;
        tracing::info!(pipeline = %pipeline.id, name = pipeline.name, "pipeline deleted");
        Ok(())
    }

    pub(super) fn view(&self, catalog: &Catalog, pipeline: &Arc<Pipeline>) -> PipelineView {
        let latest = |t: &TableRef| match t.table {
            Table::Stream(id) => catalog.streams.get(&id).map_or(t.version, |s| s.version),
            Table::Sink(id) => catalog.sinks.get(&id).map_or(t.version, |s| s.version),
        };
        PipelineView {
            pipeline: Arc::clone(pipeline),
            status: self.parts.statuses.status(pipeline.id),
            tables: pipeline
                .tables
                .iter()
                .map(|t| TableView { table: t.clone(), latest: latest(t) })
                .collect(),
        }
    }

    pub(super) fn check_sql(
        &self,
        catalog: &Catalog,
        sql: &str,
    ) -> Result<(Vec<StatementRef>, Vec<TableRef>), Error> {
        check_text(sql)?;
        let streams: Vec<Stream> = catalog.streams.values().map(|s| Stream::clone(s)).collect();
        let sinks: Vec<Sink> = catalog.sinks.values().map(|s| Sink::clone(s)).collect();
        let statements = self.parts.sql.check(sql, &streams, &sinks).map_err(Error::Sql)?;
        let tables = tables_of(&statements, &streams, &sinks).map_err(Error::Sql)?;
        for statement in &statements {
            if let Some(sink) = sinks.iter().find(|sink| sink.name == statement.sink) {
                sink_columns::check(&statement.columns, sink).map_err(Error::Sql)?;
            }
        }
        Ok((statements, tables))
    }
}

/// What holds for every SQL, before anybody reads it.
pub(super) fn check_text(sql: &str) -> Result<(), Error> {
    if sql.trim().is_empty() {
        return Err(invalid("sql", "is empty; `INSERT INTO sink SELECT … FROM stream` is needed"));
    }
    if sql.len() > SQL_BYTES_MAX {
        return Err(invalid("sql", format!("has {} bytes; the limit is {SQL_BYTES_MAX}", sql.len())));
    }
    Ok(())
}

pub(super) fn find(catalog: &Catalog, id: &str) -> Result<Arc<Pipeline>, Error> {
    let id: PipelineId = parse_id(Kind::Pipeline, id)?;
    catalog.pipelines.get(&id).cloned().ok_or(Error::Missing(Kind::Pipeline))
}

/// Each resource once: streams, then sinks, in the order in which the SQL names them.
fn tables_of(
    statements: &[StatementRef],
    streams: &[Stream],
    sinks: &[Sink],
) -> Result<Vec<TableRef>, SqlRefusal> {
    let unknown = |kind: Kind, name: &str| SqlRefusal::new(format!("there is no {kind} named {name:?}"));
    if statements.is_empty() {
        return Err(SqlRefusal::new("the SQL holds no INSERT"));
    }
    let mut tables: Vec<TableRef> = Vec::new();
    let mut add = |table: TableRef| {
        if !tables.iter().any(|t| t.table == table.table) {
            tables.push(table);
        }
    };
    for StatementRef { stream, .. } in statements {
        let s = streams.iter().find(|s| s.name == *stream).ok_or_else(|| unknown(Kind::Stream, stream))?;
        add(TableRef { table: Table::Stream(s.id), name: s.name.clone(), version: s.version });
    }
    for StatementRef { sink, .. } in statements {
        let s = sinks.iter().find(|s| s.name == *sink).ok_or_else(|| unknown(Kind::Sink, sink))?;
        add(TableRef { table: Table::Sink(s.id), name: s.name.clone(), version: s.version });
    }
    Ok(tables)
}
