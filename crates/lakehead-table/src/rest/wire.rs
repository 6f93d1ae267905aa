//! Bodies of the Iceberg REST protocol, as far as Lakehead reads and writes them.

use std::collections::HashMap;

use iceberg::spec::{Schema, SortOrder, UnboundPartitionSpec};
use iceberg::{TableIdent, TableRequirement, TableUpdate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::FileAccess;

/// `CatalogConfig`. Catalogs put numbers and nulls among the properties.
#[derive(Deserialize)]
pub(super) struct ConfigAnswer {
    #[serde(default)]
    pub(super) defaults: Option<HashMap<String, Value>>,
    #[serde(default)]
    pub(super) overrides: Option<HashMap<String, Value>>,
    #[serde(default)]
    pub(super) endpoints: Option<Vec<String>>,
    #[serde(default, rename = "idempotency-key-lifetime")]
    pub(super) idempotency_key_lifetime: Option<Value>,
}

impl ConfigAnswer {
    /// A property: what the server insists on, or else suggests.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let of = |map: &'_ Option<HashMap<String, Value>>| map.as_ref().and_then(|m| m.get(name)).is_some();
        let map = if of(&self.overrides) { &self.overrides } else { &self.defaults };
        map.as_ref()?.get(name)?.as_str()
    }
}

/// `OAuthTokenResponse`.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    /// Seconds; some servers write them as a text.
    #[serde(default)]
    expires_in: Value,
}

impl TokenAnswer {
    pub(super) fn expires_in_seconds(&self) -> Option<f64> {
        let seconds = match &self.expires_in {
            Value::String(text) => text.parse().ok()?,
            other => other.as_f64()?,
        };
        Some(seconds).filter(|s: &f64| s.is_finite() && *s >= 0.0)
    }
}

#[derive(Serialize)]
pub(super) struct CreateNamespace<'a> {
    pub(super) namespace: &'a [String],
    pub(super) properties: HashMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CreateTable<'a> {
    pub(super) name: &'a str,
    pub(super) schema: &'a Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition_spec: Option<&'a UnboundPartitionSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) write_order: Option<&'a SortOrder>,
    pub(super) stage_create: bool,
    pub(super) properties: &'a HashMap<String, String>,
}

/// `CommitTableRequest`.
#[derive(Serialize)]
pub(super) struct CommitTable<'a> {
    pub(super) identifier: &'a TableIdent,
    pub(super) requirements: &'a [TableRequirement],
    pub(super) updates: &'a [TableUpdate],
}

/// One page of a list.
pub(super) trait Page: for<'de> Deserialize<'de> {
    type Item;
    fn open(self) -> (Vec<Self::Item>, Option<String>);
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NamespacesPage {
    #[serde(default)]
    namespaces: Vec<Vec<String>>,
    #[serde(default)]
    next_page_token: Option<String>,
}

impl Page for NamespacesPage {
    type Item = Vec<String>;
    fn open(self) -> (Vec<Self::Item>, Option<String>) {
        (self.namespaces, self.next_page_token)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TablesPage {
    #[serde(default)]
    identifiers: Vec<TableIdent>,
    #[serde(default)]
    next_page_token: Option<String>,
}

impl Page for TablesPage {
    type Item = TableIdent;
    fn open(self) -> (Vec<Self::Item>, Option<String>) {
        (self.identifiers, self.next_page_token)
    }
}

/// `LoadTableResult` and `CommitTableResponse`. The metadata are read apart, for a text that says what is wrong with them.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TableAnswer<'a> {
    #[serde(default)]
    pub(super) metadata_location: Option<String>,
    #[serde(borrow)]
    pub(super) metadata: &'a RawValue,
    #[serde(default)]
    config: Option<HashMap<String, Value>>,
    #[serde(default)]
    storage_credentials: Option<Vec<StorageCredential>>,
}

/// Credentials for all that lies below a prefix.
#[derive(Deserialize)]
struct StorageCredential {
    prefix: String,
    #[serde(default)]
    config: HashMap<String, Value>,
}

impl TableAnswer<'_> {
    /// What is said of files at `location`: the config, and over it the credentials of the longest prefix that fits.
    pub(super) fn access(&mut self, location: &str) -> FileAccess {
        let mut all = self.config.take().unwrap_or_default();
        let fitting = self.storage_credentials.take().unwrap_or_default();
        let fitting = fitting.into_iter().filter(|c| location.starts_with(&c.prefix));
        if let Some(best) = fitting.max_by_key(|c| c.prefix.len()) {
            all.extend(best.config);
        }
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Null => None,
            other => Some((name, other.to_string())),
        };
        FileAccess(all.into_iter().filter_map(text).collect())
    }
}

/// The format version that a table's metadata say they have.
pub(super) fn format_version(metadata: &RawValue) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Version {
        format_version: i64,
    }
    serde_json::from_str::<Version>(metadata.get()).ok().map(|v| v.format_version)
}
