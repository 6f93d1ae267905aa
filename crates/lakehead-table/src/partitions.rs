//! Which partition of a table a row belongs to.
//!
//! ```text
//!   spec of __ingest_ts alone   known from the record's time: rows need not be looked at
//!   any other                   computed for each row with the spec's transforms; a batch is split
//! ```
//! A partition is known here by its folder, such as `__ingest_ts_day=2026-11-22`; its value goes into the manifest, as it was
//! computed and never as read from statistics.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg::arrow::RecordBatchPartitionSplitter;
use iceberg::spec::{Literal, PartitionSpecRef, SchemaRef, Struct, StructType, TableMetadata, Transform};
use lakehead_model::Timestamp;
use serde_json::Value;

use crate::columns::INGEST_TIME;
use crate::{CatalogError, CatalogErrorKind};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Partitions of one table's default spec.
pub struct Partitions {
    spec: PartitionSpecRef,
    schema: SchemaRef,
    types: StructType,
    splitter: Option<RecordBatchPartitionSplitter>,
    /// Values of the folders that rows were put into since the last commit.
    values: HashMap<Arc<str>, Struct>,
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitions").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Partitions {
    /// # Errors
    /// `Refused` for a spec that the library cannot compute.
    pub fn of(metadata: &TableMetadata) -> Result<Partitions, CatalogError> {
        let (spec, schema) = (metadata.default_partition_spec().clone(), metadata.current_schema().clone());
        let types = spec.partition_type(&schema).map_err(|e| refused(&e))?;
        let time = schema.field_id_by_name(INGEST_TIME);
        let by_time = spec.fields().iter().all(|field| {
            Some(field.source_id) == time
                && matches!(
                    field.transform,
                    Transform::Year | Transform::Month | Transform::Day | Transform::Hour
                )
        });
        let splitter = match by_time {
            true => None,
            false => Some(
                RecordBatchPartitionSplitter::try_new_with_computed_values(schema.clone(), spec.clone())
                    .map_err(|e| refused(&e))?,
            ),
        };
        Ok(Partitions { spec, schema, types, splitter, values: HashMap::new() })
    }

    /// The id of the spec.
    pub fn spec_id(&self) -> i32 {
        self.spec.spec_id()
    }

    /// Whether the time of a record says its partition.
    pub fn are_by_time(&self) -> bool {
        self.splitter.is_none()
    }

    /// The pattern of the folder of a record's time, for `strftime`; `None` if other columns decide. Empty for one folder.
    pub fn time_pattern(&self) -> Option<String> {
        if !self.are_by_time() {
            return None;
        }
        let folders = self.spec.fields().iter().map(|field| {
            let pattern = match field.transform {
                Transform::Year => "%Y",
                Transform::Month => "%Y-%m",
                Transform::Day => "%Y-%m-%d",
                _ => "%Y-%m-%d-%H",
            };
            format!("{}={pattern}", plain(&field.name).replace('%', "%%"))
        });
        Some(folders.collect::<Vec<_>>().join("/"))
    }

    /// Notes that rows of a record of `time` go into `folder`, which is named by [`Partitions::time_pattern`].
    pub fn by_time(&mut self, folder: &Arc<str>, time: Timestamp) {
        if !self.values.contains_key(folder) {
            let value =
                self.spec.fields().iter().map(|field| Some(Literal::int(unit_of(field.transform, time))));
            self.values.insert(folder.clone(), value.collect());
        }
    }

    /// Cuts rows, which have the table's columns, by partition, where columns decide.
    ///
    /// # Errors
    /// `Refused` if a value cannot be computed.
    pub fn split(&mut self, rows: &RecordBatch) -> Result<Vec<(Arc<str>, RecordBatch)>, CatalogError> {
        let Some(splitter) = &self.splitter else { return Ok(Vec::new()) };
        let mut parts = Vec::new();
        for (key, rows) in splitter.split(rows).map_err(|e| refused(&e))? {
            let folder = self.enter(key.data());
            parts.push((folder, rows));
        }
        // In an order that does not depend on hashes.
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(parts)
    }

    /// The folder of a value, which is that of no other value.
    fn enter(&mut self, value: &Struct) -> Arc<str> {
        let first = self.folder(value);
        let mut folder: Arc<str> = first.as_str().into();
        for n in 1.. {
            match self.values.get(&folder) {
                Some(there) if there == value => break,
                None => {
                    self.values.insert(folder.clone(), value.clone());
                    break;
                }
                // Texts can be found whose hashes meet.
                Some(_) => folder = format!("{first}~{n}").into(),
            }
        }
        folder
    }

    /// A folder for a value: what stands in keys is of plain characters, and ends in a hash where that says less than the value.
    fn folder(&self, value: &Struct) -> String {
        let path = self.spec.partition_to_path(value, self.schema.clone());
        let tame: String = path.split('/').map(plain).collect::<Vec<_>>().join("/");
        let depth = self.spec.fields().len();
        // What stands for NULL is also a text.
        let said = |(part, value): (&str, &Option<Literal>)| value.is_none() || !part.ends_with("=null");
        if tame == path && path.split('/').count() == depth && path.split('/').zip(value.fields()).all(said) {
            return tame;
        }
        let hash = fnv64(format!("{value:?}").as_bytes());
        let first = tame.split('/').next().unwrap_or_default();
        format!("{first}~{hash:016x}")
    }

    /// The value of a folder, as an intent can hold it.
    ///
    /// # Errors
    /// `Refused` for a folder that no row was put into.
    pub fn value(&self, folder: &str) -> Result<Value, CatalogError> {
        let unknown = || {
            CatalogError::new(
                CatalogErrorKind::Refused,
                format!("{folder:?} is no partition that was written"),
            )
        };
        let value = self.values.get(folder).ok_or_else(unknown)?.clone();
        Literal::Struct(value)
            .try_into_json(&iceberg::spec::Type::Struct(self.types.clone()))
            .map_err(|e| refused(&e))
    }

    /// Forgets the folders: their files are finished.
    pub fn reset(&mut self) {
        self.values.clear();
    }
}

/// A value from [`Partitions::value`], under the spec of that id.
///
/// # Errors
/// `Refused` if it is none.
pub(crate) fn value_of(
    metadata: &TableMetadata,
    spec_id: i32,
    value: &Value,
) -> Result<Struct, CatalogError> {
    let spec = metadata.partition_spec_by_id(spec_id);
    let spec = spec.ok_or_else(|| {
        CatalogError::new(
            CatalogErrorKind::Refused,
            format!("the table has no partition spec {spec_id} any more"),
        )
    })?;
    let types = spec.partition_type(metadata.current_schema()).map_err(|e| refused(&e))?;
    match Literal::try_from_json(value.clone(), &iceberg::spec::Type::Struct(types)) {
        Ok(Some(Literal::Struct(value))) => Ok(value),
        Ok(_) => Err(CatalogError::new(CatalogErrorKind::Refused, format!("{value} is no partition"))),
        Err(e) => Err(refused(&e)),
    }
}

/// The number of a unit of time since 1970.
fn unit_of(transform: Transform, time: Timestamp) -> i32 {
    use chrono::Datelike;
    let (years, months) = match transform {
        Transform::Year | Transform::Month => {
            let at = time.to_utc();
            (at.year() - 1970, i32::try_from(at.month0()).unwrap_or(0))
        }
        _ => (0, 0),
    };
    let units = |micros: i64| i32::try_from(time.0.div_euclid(micros)).unwrap_or(i32::MAX);
    match transform {
        Transform::Year => years,
        Transform::Month => years * 12 + months,
        Transform::Day => units(24 * HOUR_MICROS),
        _ => units(HOUR_MICROS),
    }
}

/// What of a text can stand in a key everywhere.
fn plain(text: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || "=-_.".contains(c) { c } else { '_' };
    text.chars().take(128).map(tame).collect()
}

/// 64 bits of a text, in which two partitions of one commit hardly ever meet.
fn fnv64(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn refused(e: &iceberg::Error) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, format!("the partitions of the table: {e}"))
}

#[cfg(test)]
mod tests;
