//! Commits on the wire.

use lakehead_table::embedded::{Refusal, wire};
use lakehead_table::{TableChange, TableIdent};
use serde_json::json;

use super::answer;
use super::body::{Object, namespace};
use super::calls::{Answered, Asked};

/// Tables that one transaction may change.
const CHANGES_MAX: usize = 1000;

impl Asked {
    pub(super) async fn commit_table(&self, ns: Vec<String>, name: String) -> Answered {
        let (table, body) = (TableIdent::new(namespace("namespace", ns)?, name), self.object()?);
        if body.get::<serde_json::Value>("identifier")?.is_some() && body.table("identifier")? != table {
            return Err(Refusal::bad("identifier: is not the table in the path"));
        }
        let current = self.catalog.commit_table(change(table, &body)?, self.attempt.as_ref()).await?;
        self.loaded(&current)
    }

    pub(super) async fn commit_transaction(&self) -> Answered {
        let changes = self.object()?.objects("table-changes")?;
        if changes.is_empty() || changes.len() > CHANGES_MAX {
            let text = format!("table-changes: has {} entries; 1 to {CHANGES_MAX} are needed", changes.len());
            return Err(Refusal::bad(text));
        }
        let changes = changes.iter().map(|one| change(one.table("identifier")?, one));
        let changes: Vec<_> = changes.collect::<Result<_, _>>()?;
        self.catalog.commit_all(changes, self.attempt.as_ref()).await?;
        Ok(answer::nothing())
    }
}

fn change(table: TableIdent, body: &Object) -> Result<TableChange, Refusal> {
    // Both must be there, be they empty: a body without them is not a commit.
    body.needed::<serde_json::Value>("requirements", "a list")?;
    body.needed::<serde_json::Value>("updates", "a list")?;
    let requirements = body.list("requirements")?;
    let requirements = requirements.iter().map(|(field, value)| wire::requirement(field, value));
    let updates = body.list("updates")?;
    let updates = updates.iter().map(|(field, value)| wire::update(field, value));
    Ok(TableChange {
        table,
        requirements: requirements.collect::<Result<_, _>>()?,
        updates: updates.collect::<Result<_, _>>()?,
    })
}

/// What a catalog says of itself.
pub(super) fn config(bucket: &str) -> serde_json::Value {
    json!({
        "overrides": { "prefix": bucket },
        "defaults": {},
        "endpoints": super::route::ENDPOINTS,
        "idempotency-key-lifetime": format!("PT{}M", lakehead_table::embedded::LIFETIME_SECONDS / 60),
    })
}
