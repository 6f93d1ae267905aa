use axum::body::Body;
use http::Method;
use serde_json::json;

use super::{SINKS, STREAMS, Server, server};

impl Server {
    /// As wrangler sends it: neither body nor type.
    async fn post_nothing(&self, below: &str) -> super::Reply {
        self.with_body(Method::POST, below, Body::empty()).await
    }
}

#[tokio::test]
async fn a_catalog_is_switched_on_and_off_under_both_names_of_the_product() {
    let server = server();
    server.get("/r2-catalog/lake").await.refused(404, 10006, "The specified bucket");
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    for call in ["/r2-catalog/lake", "/basin-catalog/lake", "/r2-catalog/lake/maintenance-configs"] {
        server.get(call).await.refused(404, 40401, "The bucket has no catalog");
    }
    server.post_nothing("/r2-catalog/lake/disable").await.refused(404, 40401, "");
    let enabled = server.post_nothing("/r2-catalog/lake/enable").await;
    let name = format!("{}_lake", server.world.identity.account_id());
    assert_eq!(enabled.result()["name"], json!(name));
    let id = enabled.result()["id"].clone();
    let expected = json!({
        "id": id, "name": name, "bucket": "lake", "status": "active", "credential_status": "absent",
        "maintenance_config": {},
    });
    assert_eq!(*server.get("/basin-catalog/lake").await.result(), expected);
    assert_eq!(*server.get("/r2-catalog").await.result(), json!({ "warehouses": [expected] }));
    assert_eq!(server.post_nothing("/r2-catalog/lake/enable").await.result()["id"], id, "it stays the same");
    assert_eq!(server.post_nothing("/basin-catalog/lake/disable").await.status, 200);
    assert_eq!(server.get("/r2-catalog/lake").await.result()["status"], "inactive");
    assert_eq!(server.get("/r2-catalog/lake/namespaces").await.result()["namespaces"], json!([]));
    let table = "/r2-catalog/lake/namespaces/n/tables/t/maintenance-configs";
    server.get(table).await.refused(404, 40403, "The catalog has no such table");
    server.get("/r2-catalog/lake/namespaces/n/tables").await.refused(
        404,
        40402,
        "The catalog has no such namespace",
    );
    assert_eq!(server.post_nothing("/r2-catalog/lake/delete?force=true").await.status, 200);
    server.get("/r2-catalog/lake").await.refused(404, 40401, "");
}

#[tokio::test]
async fn maintenance_is_kept_as_both_clients_spell_it() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    server.post_nothing("/r2-catalog/lake/enable").await;
    let configs = "/r2-catalog/lake/maintenance-configs";
    let wrangler = json!({ "compaction": { "state": "enabled", "targetSizeMb": 256 } });
    let compaction = json!({ "state": "enabled", "target_size_mb": "256" });
    assert_eq!(server.post(configs, wrangler).await.result()["compaction"], compaction);
    let sdk = json!({
        "snapshot_expiration": { "state": "enabled", "max_snapshot_age": "48h", "min_snapshots_to_keep": 5 },
    });
    server.post(configs, sdk).await;
    server.post(configs, json!({ "compaction": { "state": "disabled" } })).await;
    let expected = json!({
        "credential_status": "absent",
        "maintenance_config": {
            "compaction": { "state": "disabled", "target_size_mb": "256" },
            "snapshot_expiration": { "state": "enabled", "max_snapshot_age": "2d", "min_snapshots_to_keep": 5 },
        },
    });
    assert_eq!(*server.get(configs).await.result(), expected);
    for (body, message) in [
        (json!({ "compaction": { "target_size_mb": "100" } }), "compaction.target_size_mb: is not one of"),
        (json!({ "compaction": { "state": "on" } }), "compaction.state: \"on\" is unknown"),
        (
            json!({ "snapshot_expiration": { "max_snapshot_age": "1y" } }),
            "snapshot_expiration.max_snapshot_age",
        ),
        (
            json!({ "snapshot_expiration": { "max_snapshot_age": "-1d" } }),
            "snapshot_expiration.max_snapshot_age",
        ),
    ] {
        server.post(configs, body).await.refused(400, 1001, message);
    }
    assert_eq!(*server.get(configs).await.result(), expected);
}

#[tokio::test]
async fn only_a_token_of_this_server_that_may_write_is_a_credential() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    let credential = "/r2-catalog/lake/credential";
    server.post(credential, json!({ "token": server.token })).await.refused(404, 40401, "");
    server.post_nothing("/r2-catalog/lake/enable").await;
    let mut value = json!("nonsense");
    for permissions in [json!(["send"]), json!(["write"])] {
        let refused = server.post(credential, json!({ "token": value })).await;
        refused.refused(400, 1001, "token: is no token of this server that may write");
        let made = server.post("/tokens", json!({ "name": "t", "permissions": permissions })).await;
        value = made.result()["value"].clone();
    }
    assert_eq!(server.post(credential, json!({ "token": value })).await.status, 200);
    assert_eq!(server.get("/r2-catalog/lake").await.result()["credential_status"], "present");
}

#[tokio::test]
async fn a_catalog_that_a_sink_uses_stays() {
    let server = server();
    server.post(STREAMS, json!({ "name": "events" })).await;
    let config = json!({ "bucket": "lake", "table_name": "clicks", "token": "t" });
    let sink =
        json!({ "name": "rows", "type": "basin_catalog", "format": { "type": "parquet" }, "config": config });
    let id = server.make(SINKS, sink).await;
    server.post_nothing("/r2-catalog/lake/enable").await;
    let delete = "/r2-catalog/lake/delete";
    server.post_nothing(delete).await.refused(400, 1007, "the catalog of bucket \"lake\" is used by rows");
    server.delete(&format!("{SINKS}/{id}")).await;
    assert_eq!(server.post_nothing(delete).await.status, 200);
}
