//! The first metadata of a table: from a request to create it, or from the commit that ends a staged creation.

use std::collections::HashMap;

use iceberg::spec::{
    FormatVersion, Schema, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec,
};
use iceberg::{TableCreation, TableUpdate};
use serde_json::{Value, json};
use uuid::Uuid;

use super::evolution::{self, refused};
use super::refusal::Refusal;

/// What a new table gets if its maker does not say: a table that is committed to every minute keeps the metadata files of the
/// last half an hour, for readers that hold on to one, instead of 1,440 a day for ever.
pub const DEFAULT_PROPERTIES: [(&str, &str); 2] =
    [("write.metadata.delete-after-commit.enabled", "true"), ("write.metadata.previous-versions-max", "30")];

/// The property by which a client chooses the version of the table format. It is obeyed and not kept.
pub(super) const FORMAT_VERSION: &str = "format-version";

/// A table to be made.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    pub(super) uuid: Uuid,
    pub(super) location: String,
    pub(super) schema: Schema,
    pub(super) partition_spec: Option<UnboundPartitionSpec>,
    pub(super) sort_order: Option<SortOrder>,
    pub(super) properties: HashMap<String, String>,
}

/// Metadata without a snapshot. Ids of schema, fields, spec and sort order are given anew.
pub(super) fn of_request(birth: Birth, now_ms: i64) -> Result<TableMetadata, Refusal> {
    let (format_version, properties) = kept_properties("properties", birth.properties)?;
    let creation = TableCreation {
        name: String::new(),
        location: Some(birth.location),
        schema: birth.schema,
        partition_spec: birth.partition_spec,
        sort_order: birth.sort_order,
        properties: with_defaults(properties),
        format_version: format_version.unwrap_or(FormatVersion::V2),
    };
    let built = TableMetadataBuilder::from_table_creation(creation)
        .and_then(|builder| builder.assign_uuid(birth.uuid).build())
        .map_err(|e| refused("the table cannot be made", &e))?;
    evolution::at_most(built.metadata, now_ms)
}

/// The metadata that the commit of a staged creation makes. Ids stay as they are: data files may have been written with them.
/// `default_location` is for a client that sends none.
pub(super) fn of_updates(
    updates: &[TableUpdate],
    uuid: Uuid,
    default_location: impl FnOnce(Uuid) -> String,
    now_ms: i64,
) -> Result<TableMetadata, Refusal> {
    let find = |pick: fn(&TableUpdate) -> bool| updates.iter().find(|update| pick(update));
    let Some(TableUpdate::AddSchema { schema }) = find(|u| matches!(u, TableUpdate::AddSchema { .. })) else {
        return Err(Refusal::bad("updates: has no add-schema; a table is made of one"));
    };
    let uuid = match find(|u| matches!(u, TableUpdate::AssignUuid { .. })) {
        Some(TableUpdate::AssignUuid { uuid }) => *uuid,
        _ => uuid,
    };
    let location = match find(|u| matches!(u, TableUpdate::SetLocation { .. })) {
        Some(TableUpdate::SetLocation { location }) => location.clone(),
        _ => default_location(uuid),
    };
    let version = match find(|u| matches!(u, TableUpdate::UpgradeFormatVersion { .. })) {
        Some(TableUpdate::UpgradeFormatVersion { format_version }) => *format_version,
        _ => FormatVersion::V2,
    };
    let spec = match find(|u| matches!(u, TableUpdate::AddSpec { .. })) {
        Some(TableUpdate::AddSpec { spec }) => numbered(spec)?,
        _ => json!({ "spec-id": 0, "fields": [] }),
    };
    let order = match find(|u| matches!(u, TableUpdate::AddSortOrder { .. })) {
        Some(TableUpdate::AddSortOrder { sort_order }) => to_json(sort_order)?,
        _ => json!({ "order-id": 0, "fields": [] }),
    };
    let empty = empty(version, uuid, &location, schema, &spec, &order, now_ms)?;
    let mut changed: Vec<_> = updates.to_vec();
    let given = changed.iter().filter_map(|update| match update {
        TableUpdate::SetProperties { updates } => Some(updates),
        _ => None,
    });
    let given: HashMap<_, _> = given.flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    changed.push(TableUpdate::SetProperties { updates: with_defaults(given) });
    Ok(evolution::apply(&empty, None, &changed, now_ms)?.metadata)
}

fn empty(
    version: FormatVersion,
    uuid: Uuid,
    location: &str,
    schema: &Schema,
    spec: &Value,
    order: &Value,
    now_ms: i64,
) -> Result<TableMetadata, Refusal> {
    let schema_json = to_json(schema)?;
    let field_ids = spec["fields"].as_array().into_iter().flatten().filter_map(|f| f["field-id"].as_i64());
    let mut metadata = json!({
        "format-version": version as u8,
        "table-uuid": uuid,
        "location": location,
        "last-sequence-number": 0,
        "last-updated-ms": now_ms,
        "last-column-id": schema.highest_field_id(),
        "schemas": [schema_json],
        "current-schema-id": schema.schema_id(),
        "partition-specs": [spec],
        "default-spec-id": spec["spec-id"],
        "last-partition-id": field_ids.max().unwrap_or(999),
        "sort-orders": [order],
        "default-sort-order-id": order["order-id"],
        "properties": {},
    });
    match version {
        FormatVersion::V1 => {
            metadata["schema"] = schema_json;
            metadata["partition-spec"] = spec["fields"].clone();
        }
        FormatVersion::V2 => {}
        FormatVersion::V3 => metadata["next-row-id"] = json!(0),
    }
    serde_json::from_value(metadata).map_err(|e| Refusal::bad(format!("updates: make no table: {e}")))
}

/// A spec whose fields all have ids.
fn numbered(spec: &UnboundPartitionSpec) -> Result<Value, Refusal> {
    let mut spec = to_json(spec)?;
    if spec["spec-id"].is_null() {
        spec["spec-id"] = json!(0);
    }
    for (i, field) in spec["fields"].as_array_mut().into_iter().flatten().enumerate() {
        if field["field-id"].is_null() {
            field["field-id"] = json!(1000 + i);
        }
    }
    Ok(spec)
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|e| Refusal::bad(format!("updates: cannot be written: {e}")))
}

fn with_defaults(mut properties: HashMap<String, String>) -> HashMap<String, String> {
    for (key, value) in DEFAULT_PROPERTIES {
        properties.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    properties
}

/// The properties without those that the format reserves, and the version of the format if one of these asks for it.
pub(super) fn kept_properties(
    field: &str,
    mut properties: HashMap<String, String>,
) -> Result<(Option<FormatVersion>, HashMap<String, String>), Refusal> {
    let version = match properties.remove(FORMAT_VERSION).as_deref() {
        None => None,
        Some("1") => Some(FormatVersion::V1),
        Some("2") => Some(FormatVersion::V2),
        Some("3") => Some(FormatVersion::V3),
        Some(other) => {
            let text =
                format!("{field}.{FORMAT_VERSION}: is {other:?}; one of \"1\", \"2\", \"3\" is needed");
            return Err(Refusal::bad(text));
        }
    };
    properties.retain(|key, _| !evolution::is_reserved(key));
    Ok((version, properties))
}
