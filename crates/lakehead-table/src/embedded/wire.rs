//! Requirements and updates as they come over the wire.

use iceberg::{TableRequirement, TableUpdate};
use serde_json::Value;

use super::refusal::Refusal;

/// The updates that are understood.
const ACTIONS: [&str; 23] = [
    "assign-uuid",
    "upgrade-format-version",
    "add-schema",
    "set-current-schema",
    "add-spec",
    "set-default-spec",
    "add-sort-order",
    "set-default-sort-order",
    "add-snapshot",
    "set-snapshot-ref",
    "remove-snapshots",
    "remove-snapshot-ref",
    "set-location",
    "set-properties",
    "remove-properties",
    "set-statistics",
    "remove-statistics",
    "set-partition-statistics",
    "remove-partition-statistics",
    "remove-partition-specs",
    "remove-schemas",
    "add-encryption-key",
    "remove-encryption-key",
];
/// The requirements that are understood.
const REQUIREMENTS: [&str; 8] = [
    "assert-create",
    "assert-table-uuid",
    "assert-ref-snapshot-id",
    "assert-last-assigned-field-id",
    "assert-current-schema-id",
    "assert-last-assigned-partition-id",
    "assert-default-spec-id",
    "assert-default-sort-order-id",
];

/// An update; `field` is where it stands.
///
/// # Errors
/// `BadRequest`, naming an action that is unknown.
pub fn update(field: &str, value: &Value) -> Result<TableUpdate, Refusal> {
    let action = kind(field, "action", value, &ACTIONS)?;
    serde_json::from_value(value.clone()).map_err(|e| Refusal::bad(format!("{field} ({action}): {e}")))
}

/// A requirement; `field` is where it stands.
///
/// # Errors
/// `BadRequest`, naming a type that is unknown.
pub fn requirement(field: &str, value: &Value) -> Result<TableRequirement, Refusal> {
    let kind = kind(field, "type", value, &REQUIREMENTS)?;
    serde_json::from_value(value.clone()).map_err(|e| Refusal::bad(format!("{field} ({kind}): {e}")))
}

fn kind<'v>(field: &str, key: &str, value: &'v Value, known: &[&str]) -> Result<&'v str, Refusal> {
    match value.get(key).and_then(Value::as_str) {
        Some(kind) if known.contains(&kind) => Ok(kind),
        Some(other) => {
            let shown: String = other.chars().take(60).collect();
            Err(Refusal::bad(format!(
                "{field}.{key}: {shown:?} is not supported; supported are {}",
                known.join(", ")
            )))
        }
        None => {
            Err(Refusal::bad(format!("{field}.{key}: is missing; one of {} is needed", known.join(", "))))
        }
    }
}
