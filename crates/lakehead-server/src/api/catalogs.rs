//! The catalogs of buckets on the wire: on, off, and what is done to their tables. Cloudflare calls them R2 Data Catalog, and
//! Basin Catalog since; both spell their paths after themselves.

use axum::extract::State;
use lakehead_model::Invalid;
use lakehead_model::resource::Maintenance;
use serde_json::{Value, json};

use super::Api;
use super::body::{JsonBody, Object};
use super::envelope::{Answer, done, ok};
use super::path::PathParts;
use super::query::Params;
use crate::access::Caller;
use crate::control::{CatalogView, MaintenancePatch};

const STATES: [(&str, bool); 2] = [("enabled", true), ("disabled", false)];
const TARGET_SIZES_MB: [u32; 4] = [64, 128, 256, 512];

pub(super) async fn list(State(api): State<Api>) -> Answer {
    let all: Vec<_> = api.control.bucket_catalogs().iter().map(|c| to_json(&api, c)).collect();
    ok(json!({ "warehouses": all }))
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_json(&api, &api.control.catalog_of(&path.take(0))?))
}

pub(super) async fn enable(State(api): State<Api>, mut path: PathParts) -> Answer {
    let bucket = path.take(0);
    let enabled = api.run(move |c| c.enable_catalog(&bucket)).await?;
    ok(json!({ "id": enabled.catalog.id, "name": name(&api, &enabled) }))
}

pub(super) async fn disable(State(api): State<Api>, mut path: PathParts) -> Answer {
    let bucket = path.take(0);
    api.run(move |c| c.disable_catalog(&bucket)).await?;
    done(Vec::new())
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts, params: Params) -> Answer {
    let (bucket, force) = (path.take(0), params.text("force") == Some("true"));
    api.run(move |c| c.delete_catalog(&bucket, force)).await?;
    done(Vec::new())
}

/// The token must be one of this server's that may write; it is not kept, for maintenance needs none here.
pub(super) async fn credential(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let bucket = path.take(0);
    api.control.catalog_of(&bucket)?;
    let token = body.root().needed_secret("token")?;
    let is_good = match api.access.caller(Some(token.reveal().as_bytes())) {
        Caller::Admin => true,
        Caller::Holder(token) => token.permissions.write,
        Caller::Stranger | Caller::Nobody => false,
    };
    if !is_good {
        return Err(Invalid::new("token", "is no token of this server that may write").into());
    }
    api.run(move |c| c.note_catalog_credential(&bucket)).await?;
    done(Vec::new())
}

pub(super) async fn maintenance(State(api): State<Api>, mut path: PathParts) -> Answer {
    let found = api.control.catalog_of(&path.take(0))?;
    ok(json!({
        "credential_status": credential_status(&found),
        "maintenance_config": maintenance_to_json(&found.catalog.maintenance),
    }))
}

pub(super) async fn patch_maintenance(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let (bucket, patch) = (path.take(0), maintenance_patch(&body.root())?);
    let changed = api.run(move |c| c.patch_maintenance(&bucket, &patch)).await?;
    ok(maintenance_to_json(&changed.catalog.maintenance))
}

pub(super) async fn namespaces(State(api): State<Api>, mut path: PathParts) -> Answer {
    let bucket = path.take(0);
    let all = api.run(move |c| c.namespaces_of(&bucket)).await?;
    ok(json!({ "namespaces": all }))
}

pub(super) async fn tables(State(api): State<Api>, mut path: PathParts) -> Answer {
    let (bucket, namespace) = (path.take(0), levels(&path.take(1)));
    let asked = namespace.clone();
    let names = api.run(move |c| c.tables_of(&bucket, &asked)).await?;
    let identifiers: Vec<_> =
        names.into_iter().map(|name| json!({ "namespace": namespace, "name": name })).collect();
    ok(json!({ "identifiers": identifiers }))
}

pub(super) async fn table_maintenance(State(api): State<Api>, mut path: PathParts) -> Answer {
    let (bucket, namespace, table) = (path.take(0), levels(&path.take(1)), path.take(2));
    let found = api.run(move |c| c.table_maintenance(&bucket, &namespace, &table)).await?;
    ok(json!({ "maintenance_config": maintenance_to_json(&found) }))
}

pub(super) async fn patch_table_maintenance(
    State(api): State<Api>,
    mut path: PathParts,
    body: JsonBody,
) -> Answer {
    let (bucket, namespace, table) = (path.take(0), levels(&path.take(1)), path.take(2));
    let patch = maintenance_patch(&body.root())?;
    let changed = api.run(move |c| c.patch_table_maintenance(&bucket, &namespace, &table, &patch)).await?;
    ok(maintenance_to_json(&changed))
}

/// The levels of a namespace in a path: parted by the byte that the Iceberg protocol parts them with.
fn levels(text: &str) -> Vec<String> {
    text.split('\u{1f}').map(str::to_owned).collect()
}

fn name(api: &Api, view: &CatalogView) -> String {
    format!("{}_{}", api.control.account_id(), view.bucket.name)
}

fn credential_status(view: &CatalogView) -> &'static str {
    if view.catalog.has_credential { "present" } else { "absent" }
}

fn to_json(api: &Api, view: &CatalogView) -> Value {
    json!({
        "id": view.catalog.id,
        "name": name(api, view),
        "bucket": view.bucket.name,
        "status": if view.catalog.is_active { "active" } else { "inactive" },
        "credential_status": credential_status(view),
        "maintenance_config": maintenance_to_json(&view.catalog.maintenance),
    })
}

fn state(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

fn maintenance_to_json(maintenance: &Maintenance) -> Value {
    let mut out = json!({});
    if let Some(compaction) = &maintenance.compaction {
        out["compaction"] = json!({
            "state": state(compaction.enabled), "target_size_mb": compaction.target_size_mb.to_string(),
        });
    }
    if let Some(expiration) = &maintenance.snapshot_expiration {
        out["snapshot_expiration"] = json!({
            "state": state(expiration.enabled),
            "max_snapshot_age": age(expiration.max_age_seconds),
            "min_snapshots_to_keep": expiration.snapshots_min,
        });
    }
    out
}

/// Seconds in the largest unit that is whole.
fn age(seconds: u64) -> String {
    let (unit, letter) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

fn maintenance_patch(body: &Object<'_>) -> Result<MaintenancePatch, Invalid> {
    let mut patch = MaintenancePatch::default();
    if let Some(compaction) = body.object("compaction")? {
        patch.compaction = Some((compaction.choice("state", &STATES)?, target_size_mb(&compaction)?));
    }
    if let Some(expiration) = body.object("snapshot_expiration")? {
        let max_age = expiration.text("max_snapshot_age")?;
        patch.snapshot_expiration = Some((
            expiration.choice("state", &STATES)?,
            max_age.map(|text| age_seconds(&expiration, text)).transpose()?,
            expiration.count("min_snapshots_to_keep")?,
        ));
    }
    Ok(patch)
}

/// The SDKs write a text and wrangler, for one of its two commands, a number under another name.
fn target_size_mb(compaction: &Object<'_>) -> Result<Option<u32>, Invalid> {
    for key in ["target_size_mb", "targetSizeMb"] {
        let given = match compaction.value(key) {
            None => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(n)) => n.to_string(),
            Some(_) => String::new(),
        };
        let size = TARGET_SIZES_MB.into_iter().find(|size| size.to_string() == given);
        return match size {
            Some(size) => Ok(Some(size)),
            None => Err(compaction.refuse(key, "is not one of \"64\", \"128\", \"256\", \"512\"")),
        };
    }
    Ok(None)
}

/// `7d`, `48h`, `2880m`, `172800s`.
fn age_seconds(object: &Object<'_>, text: &str) -> Result<u64, Invalid> {
    let unit = match text.chars().last() {
        Some('d') => 86_400,
        Some('h') => 3_600,
        Some('m') => 60,
        _ => 1,
    };
    let digits = text.strip_suffix(['d', 'h', 'm', 's']);
    let count = digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse::<u64>().ok());
    count
        .and_then(|n| n.checked_mul(unit))
        .filter(|seconds| (1..=100 * 366 * 86_400).contains(seconds))
        .ok_or_else(|| object.refuse("max_snapshot_age", "is not an age; `7d`, `48h`, `2880m` would be one"))
}
