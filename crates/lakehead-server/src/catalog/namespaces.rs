//! Namespaces on the wire.

use std::collections::BTreeSet;

use lakehead_table::NamespaceIdent;
use serde_json::{Value, json};

use super::answer;
use super::body::namespace;
use super::calls::{Answered, Asked};
use super::route::levels;

impl Asked {
    pub(super) async fn list_namespaces(&self) -> Answered {
        let parent = match self.param("parent") {
            None | Some("") => None,
            Some(text) => Some(namespace("parent", levels(text))?),
        };
        let listed = self.catalog.list_namespaces(parent.as_ref(), &self.page()?).await?;
        let names: Vec<&Vec<String>> = listed.items.iter().map(|namespace| namespace.as_ref()).collect();
        Ok(answer::json(&json!({ "namespaces": names, "next-page-token": listed.next_page_token })))
    }

    pub(super) async fn create_namespace(&self) -> Answered {
        let body = self.object()?;
        let namespace = body.namespace("namespace")?;
        let properties = body.sorted_texts("properties")?;
        self.catalog.create_namespace(&namespace, properties.clone(), self.attempt.as_ref()).await?;
        Ok(answer::json(&to_json(&namespace, &json!(properties))))
    }

    pub(super) async fn load_namespace(&self, ns: Vec<String>) -> Answered {
        let namespace = namespace("namespace", ns)?;
        let properties = self.catalog.namespace(&namespace).await?;
        Ok(answer::json(&to_json(&namespace, &json!(properties))))
    }

    pub(super) async fn namespace_exists(&self, ns: Vec<String>) -> Answered {
        self.catalog.namespace(&namespace("namespace", ns)?).await?;
        Ok(answer::nothing())
    }

    pub(super) async fn drop_namespace(&self, ns: Vec<String>) -> Answered {
        self.catalog.drop_namespace(&namespace("namespace", ns)?, self.attempt.as_ref()).await?;
        Ok(answer::nothing())
    }

    pub(super) async fn update_properties(&self, ns: Vec<String>) -> Answered {
        let (namespace, body) = (namespace("namespace", ns)?, self.object()?);
        let removals: BTreeSet<String> = body.get("removals")?.unwrap_or_default();
        let updates = body.sorted_texts("updates")?;
        let attempt = self.attempt.as_ref();
        let changes = self.catalog.update_properties(&namespace, &removals, &updates, attempt).await?;
        Ok(answer::json(&changes.to_json()))
    }
}

fn to_json(namespace: &NamespaceIdent, properties: &Value) -> Value {
    json!({ "namespace": namespace.as_ref(), "properties": properties })
}
