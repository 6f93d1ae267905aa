//! The table that a sink writes: found or made, and checked against the columns of the query.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use iceberg::spec::TableMetadata;
use iceberg::{TableIdent, TableRequirement, TableUpdate};
use lakehead_sink::BucketFiles;
use uuid::Uuid;

use crate::columns::{day_of_ingest, fit, schema_of};
use crate::commit::CommitError;
use crate::manifests::TableFiles;
use crate::partitions::Partitions;
use crate::{Catalog, CatalogError, CatalogErrorKind, Layout, LoadedTable, NewTable, TableChange};

/// The property that says which sink has made a table.
pub const MADE_BY: &str = "lakehead.sink-id";

/// What a sink wants of its table.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its name.
    pub table: &'a TableIdent,
    /// The columns to be written, from [`table_columns`](crate::table_columns).
    pub columns: &'a ArrowSchema,
    /// The sink's id; the table must have been made by it.
    pub sink: &'a str,
    /// The table that was written before; no other will do.
    pub known: Option<Uuid>,
    /// More properties of a new table.
    pub properties: &'a HashMap<String, String>,
    /// Beyond that.
    pub extensions: &'a Extensions,
}

/// What Cloudflare's sinks do not do; off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// A table that others have made may be written.
    pub existing: bool,
    /// Columns that the table lacks are added to it, nullable.
    pub add_columns: bool,
    /// Of a table that is made.
    pub layout: Layout,
}

/// A table that can be written.
#[derive(Debug)]
pub struct Target {
    /// As it was loaded.
    pub loaded: LoadedTable,
    /// The columns of its files: the types and field ids of the table.
    pub columns: SchemaRef,
    /// Where its rows go.
    pub partitions: Partitions,
}

/// What is said of a table that was written and is not there.
pub fn gone(table: &TableIdent) -> String {
    format!("table {table} is gone. Saving the pipeline's SQL once more makes it go on with a new one")
}

impl Target {
    /// Finds the table, or makes it.
    ///
    /// # Errors
    /// [`CommitError::Later`], [`CommitError::Stop`] with what a person has to look at.
    pub async fn open(catalog: &dyn Catalog, wanted: &Wanted<'_>) -> Result<Target, CommitError> {
        let loaded = match catalog.load_table(wanted.table).await.map_err(CommitError::Later)? {
            Some(loaded) => loaded,
            None if wanted.known.is_some() => {
                return Err(CommitError::Stop(gone(wanted.table)));
            }
            None => make(catalog, wanted).await?,
        };
        let metadata = &loaded.metadata;
        if let Some(known) = wanted.known.filter(|known| *known != metadata.uuid()) {
            return Err(CommitError::Stop(format!(
                "table {} is not the one that this pipeline wrote: it was {known}, now it is {}. Was it dropped and made again? Saving \
                 the pipeline's SQL once more makes it go on with the table as it is",
                wanted.table,
                metadata.uuid()
            )));
        }
        let is_ours = metadata.properties().get(MADE_BY).is_some_and(|sink| sink == wanted.sink);
        if !is_ours && !wanted.extensions.existing {
            return Err(CommitError::Stop(format!("table {} was there before the sink", wanted.table)));
        }
        let loaded = match fit(metadata.current_schema(), wanted.columns) {
            Err(_) if wanted.extensions.add_columns => add_columns(catalog, wanted, loaded).await?,
            _ => loaded,
        };
        let stop = |e: CatalogError| CommitError::Stop(format!("table {}: {e}", wanted.table));
        let columns = fit(loaded.metadata.current_schema(), wanted.columns).map_err(stop)?;
        let partitions = Partitions::of(&loaded.metadata).map_err(stop)?;
        Ok(Target { loaded, columns, partitions })
    }

    /// The table's identity.
    pub fn uuid(&self) -> Uuid {
        self.loaded.metadata.uuid()
    }

    /// The folder of its data files in the bucket, without a slash at the end.
    ///
    /// # Errors
    /// `Refused` if they are elsewhere.
    pub fn data_key(&self, bucket: &BucketFiles) -> Result<String, CatalogError> {
        Ok(TableFiles::of(&self.loaded.metadata, bucket.clone())?.data_key)
    }
}

async fn make(catalog: &dyn Catalog, wanted: &Wanted<'_>) -> Result<LoadedTable, CommitError> {
    let later = CommitError::Later;
    catalog.ensure_namespace(wanted.table.namespace()).await.map_err(later)?;
    let schema = schema_of(wanted.columns).map_err(later)?;
    let stop = |e: CatalogError| CommitError::Stop(format!("table {}: {e}", wanted.table));
    let partition_spec = match wanted.extensions.layout.spec(&schema).map_err(stop)? {
        Some(spec) => spec,
        None => day_of_ingest(&schema).map_err(later)?,
    };
    let sort_order = wanted.extensions.layout.order(&schema).map_err(stop)?;
    let mut properties = wanted.properties.clone();
    properties.insert(MADE_BY.to_owned(), wanted.sink.to_owned());
    let new = NewTable { schema, partition_spec: Some(partition_spec), sort_order, properties };
    match catalog.create_table(wanted.table, new).await {
        Ok(loaded) => {
            tracing::info!(table = %wanted.table, "table made");
            Ok(loaded)
        }
        // Another statement of the pipeline was first, or the answer of an earlier try was lost.
        Err(e) if matches!(e.kind, CatalogErrorKind::AlreadyExists | CatalogErrorKind::Unknown) => {
            let loaded = catalog.load_table(wanted.table).await.map_err(later)?;
            loaded.ok_or(CommitError::Later(e))
        }
        Err(e) => Err(later(e)),
    }
}

/// Adds what the table lacks at its top level, nullable.
async fn add_columns(
    catalog: &dyn Catalog,
    wanted: &Wanted<'_>,
    loaded: LoadedTable,
) -> Result<LoadedTable, CommitError> {
    let Some(schema) = widened(&loaded.metadata, wanted.columns).map_err(CommitError::Later)? else {
        return Ok(loaded);
    };
    let change = TableChange {
        table: wanted.table.clone(),
        requirements: vec![
            TableRequirement::UuidMatch { uuid: loaded.metadata.uuid() },
            TableRequirement::CurrentSchemaIdMatch { current_schema_id: loaded.metadata.current_schema_id() },
            TableRequirement::LastAssignedFieldIdMatch {
                last_assigned_field_id: loaded.metadata.last_column_id(),
            },
        ],
        // -1: the one that was added last.
        updates: vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }],
    };
    let added = catalog.commit(change).await.map_err(CommitError::Later)?;
    tracing::info!(table = %wanted.table, "columns added to the table");
    Ok(LoadedTable { config: loaded.config, ..added })
}

/// The table's schema with the columns that it lacks; `None` if it lacks none.
fn widened(
    metadata: &TableMetadata,
    columns: &ArrowSchema,
) -> Result<Option<iceberg::spec::Schema>, CatalogError> {
    let refused = |e: iceberg::Error| {
        CatalogError::new(CatalogErrorKind::Refused, format!("columns of the table: {e}"))
    };
    let schema = metadata.current_schema();
    let lacking: Vec<_> = columns
        .fields()
        .iter()
        .filter(|column| schema.field_by_name(column.name()).is_none())
        .map(|column| Arc::new(column.as_ref().clone().with_nullable(true)))
        .collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    let mut last = metadata.last_column_id();
    let mut fields = schema.as_struct().fields().to_vec();
    for field in schema_of(&ArrowSchema::new(lacking))?.as_struct().fields() {
        fields.push(Arc::new(renumbered(field, &mut last)));
    }
    let widened = iceberg::spec::Schema::builder()
        .with_fields(fields)
        .with_identifier_field_ids(schema.identifier_field_ids())
        .build();
    widened.map(Some).map_err(refused)
}

/// The field with ids of its own from `last` on.
fn renumbered(field: &iceberg::spec::NestedField, last: &mut i32) -> iceberg::spec::NestedField {
    use iceberg::spec::{ListType, StructType, Type};
    let mut field = field.clone();
    *last += 1;
    field.id = *last;
    field.field_type = Box::new(match *field.field_type {
        Type::Struct(inner) => {
            let fields = inner.fields().iter().map(|f| Arc::new(renumbered(f, last)));
            Type::Struct(StructType::new(fields.collect()))
        }
        Type::List(inner) => {
            let element = Arc::new(renumbered(&inner.element_field, last));
            Type::List(ListType { element_field: element })
        }
        other => other,
    });
    field
}

#[cfg(test)]
mod tests;
