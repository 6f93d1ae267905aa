//! Namespaces: nested names with properties.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::NamespaceIdent;
use serde_json::json;

use super::answers::{Answer, Attempt};
use super::names::{check_namespace, ident};
use super::records::{Expected, RecordKind, namespace_key, parse_key};
use super::refusal::{Refusal, RefusalKind};
use super::{EmbeddedCatalog, Listed, Page, no_namespace, paged};

/// Properties of a namespace.
pub(super) type Properties = BTreeMap<String, String>;

/// What became of a change of properties; names, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertyChanges {
    /// Set.
    pub updated: Vec<String>,
    /// Were there, and are not any more.
    pub removed: Vec<String>,
    /// Were to be removed, and were not there.
    pub missing: Vec<String>,
}

impl EmbeddedCatalog {
    /// Makes a namespace, and those above it that are not there.
    ///
    /// # Errors
    /// `AlreadyExists`, `BadRequest`, and those of the store.
    pub async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: Properties,
        attempt: Option<&Attempt>,
    ) -> Result<(), Refusal> {
        check_namespace("namespace", namespace)?;
        let _names = self.names.lock().await;
        let mut writes = Vec::new();
        for depth in 1..=namespace.len() {
            let key = namespace_key(&namespace[..depth]);
            let is_last = depth == namespace.len();
            match self.get(RecordKind::Namespace, &key).await? {
                Some(_) if is_last => {
                    let text = format!("Namespace already exists: {namespace}");
                    return Err(Refusal::new(RefusalKind::AlreadyExists, text));
                }
                Some(_) => {}
                None => {
                    let value = if is_last { self.json(&properties)? } else { b"{}".to_vec() };
                    writes.push(self.record(RecordKind::Namespace, &key, Expected::Absent, Some(value)));
                }
            }
        }
        let answer = json!({ "namespace": &**namespace, "properties": properties });
        writes.extend(self.answer_writes(attempt, Answer::Body(answer)).await?);
        self.write_alone(writes, attempt).await
    }

    /// The properties of a namespace.
    ///
    /// # Errors
    /// `NoSuchNamespace`, and those of the store.
    pub async fn namespace(&self, namespace: &NamespaceIdent) -> Result<Properties, Refusal> {
        let found = self.get(RecordKind::Namespace, &namespace_key(namespace)).await?;
        let record = found.ok_or_else(|| no_namespace(namespace))?;
        self.parsed(&record.value, &record.key)
    }

    /// The namespaces directly below `parent`, or at the top, by name.
    ///
    /// # Errors
    /// `NoSuchNamespace` of the parent, and those of the store.
    pub async fn list_namespaces(
        &self,
        parent: Option<&NamespaceIdent>,
        page: &Page,
    ) -> Result<Listed<NamespaceIdent>, Refusal> {
        let prefix = match parent {
            None => String::new(),
            Some(parent) => {
                self.namespace(parent).await?;
                namespace_key(parent)
            }
        };
        let mut found = Vec::new();
        for record in self.list(RecordKind::Namespace, &prefix).await? {
            let key = record.key.strip_prefix(&self.prefix).unwrap_or(&record.key);
            let below = key.strip_prefix(&prefix).unwrap_or_default();
            if below.find('/').is_some_and(|at| at + 1 == below.len())
                && let Some((levels, None)) = parse_key(key)
            {
                found.push((key.to_owned(), ident(levels)?));
            }
        }
        paged(&prefix, found, page)
    }

    /// Sets and removes properties of a namespace.
    ///
    /// # Errors
    /// `NoSuchNamespace`; `Unprocessable` if a name is to be set and removed; those of the store.
    pub async fn update_properties(
        &self,
        namespace: &NamespaceIdent,
        removals: &BTreeSet<String>,
        updates: &Properties,
        attempt: Option<&Attempt>,
    ) -> Result<PropertyChanges, Refusal> {
        if let Some(both) = removals.iter().find(|key| updates.contains_key(*key)) {
            let text = format!("removals: names {both:?}, which is in updates too");
            return Err(Refusal::new(RefusalKind::Unprocessable, text));
        }
        let _names = self.names.lock().await;
        let key = namespace_key(namespace);
        let record = self.get(RecordKind::Namespace, &key).await?.ok_or_else(|| no_namespace(namespace))?;
        let mut properties: Properties = self.parsed(&record.value, &record.key)?;
        let mut changes =
            PropertyChanges { updated: updates.keys().cloned().collect(), ..Default::default() };
        for name in removals {
            let list =
                if properties.remove(name).is_some() { &mut changes.removed } else { &mut changes.missing };
            list.push(name.clone());
        }
        properties.extend(updates.clone());
        let value = Some(self.json(&properties)?);
        let mut writes =
            vec![self.record(RecordKind::Namespace, &key, Expected::Version(record.version), value)];
        let answer = Answer::Body(changes.to_json());
        writes.extend(self.answer_writes(attempt, answer).await?);
        self.write_alone(writes, attempt).await?;
        Ok(changes)
    }

    /// Removes a namespace that holds nothing.
    ///
    /// # Errors
    /// `NoSuchNamespace`, `NamespaceNotEmpty`, and those of the store.
    pub async fn drop_namespace(
        &self,
        namespace: &NamespaceIdent,
        attempt: Option<&Attempt>,
    ) -> Result<(), Refusal> {
        let _names = self.names.lock().await;
        let key = namespace_key(namespace);
        let record = self.get(RecordKind::Namespace, &key).await?.ok_or_else(|| no_namespace(namespace))?;
        let tables = self.list(RecordKind::Table, &key).await?.len();
        let namespaces = self.list(RecordKind::Namespace, &key).await?.len() - 1;
        if tables + namespaces > 0 {
            let text = format!(
                "Namespace is not empty: {namespace} holds {tables} tables and {namespaces} namespaces; drop them first"
            );
            return Err(Refusal::new(RefusalKind::NamespaceNotEmpty, text));
        }
        let mut writes =
            vec![self.record(RecordKind::Namespace, &key, Expected::Version(record.version), None)];
        writes.extend(self.answer_writes(attempt, Answer::Nothing).await?);
        self.write_alone(writes, attempt).await
    }
}

impl PropertyChanges {
    /// As the protocol writes it.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "updated": self.updated, "removed": self.removed, "missing": self.missing })
    }
}
