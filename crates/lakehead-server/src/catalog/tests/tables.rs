use super::*;

#[tokio::test]
async fn the_configuration_says_prefix_and_endpoints_in_both_shapes() {
    let server = server();
    let account = server.world.identity.account_id().to_owned();
    for path in [
        "/catalog/v1/config?warehouse=lake".to_owned(),
        format!("/catalog/v1/config?warehouse={account}_lake"),
        format!("/catalog/{account}/lake/v1/config?warehouse={account}_lake"),
        format!("/catalog/{account}/lake/v1/config"),
    ] {
        let request =
            Request::builder().uri(&path).header("authorization", format!("Bearer {}", server.token));
        let config = server.send(request.body(Body::empty()).unwrap()).await.ok();
        assert_eq!(
            (&config["overrides"], &config["defaults"]),
            (&json!({ "prefix": "lake" }), &json!({})),
            "{path}"
        );
        assert_eq!(config["idempotency-key-lifetime"], "PT30M");
        let endpoints = config["endpoints"].as_array().unwrap();
        assert!(endpoints.contains(&json!("POST /v1/{prefix}/transactions/commit")), "{endpoints:?}");
    }
    for warehouse in ["other", "another_lake", "lake/../x", "", "LAKE"] {
        let reply = server.get(&format!("config?warehouse={warehouse}")).await;
        assert!(matches!(reply.status.as_u16(), 400 | 404), "{warehouse}: {}", reply.status);
    }
    server.world.control.disable_catalog("lake").unwrap();
    let off = server.get("config?warehouse=lake").await;
    off.refused(404, "NoSuchWarehouseException", "wrangler r2 bucket catalog enable lake");
    server.get("lake/namespaces").await.refused(404, "NoSuchWarehouseException", "enable");
}

#[tokio::test]
async fn every_endpoint_that_is_listed_is_served_and_views_are_not() {
    let server = server();
    server.with_table().await;
    for endpoint in super::super::route::ENDPOINTS {
        let (method, path) = endpoint.split_once(" /v1/").unwrap();
        let path = path.replace("{prefix}", "lake").replace("{namespace}", "x").replace("{table}", "y");
        let method: Method = method.parse().unwrap();
        let reply = server.call(method, &path, &[], &json!({ "report-type": "x" })).await;
        let name = reply.body["error"]["type"].clone();
        assert!(
            name != "NotFoundException" && reply.status != 405 && reply.status != 501,
            "{endpoint}: {name}"
        );
    }
    server.get("lake/namespaces/n/views").await.refused(501, "UnsupportedOperationException", "tables only");
    server.get("lake/nonsense").await.refused(404, "NotFoundException", "no such path");
    server.delete("lake/namespaces").await.refused(405, "BadRequestException", "method");
}

#[tokio::test]
async fn namespaces_nest_with_the_separator_of_the_protocol() {
    let server = server();
    let made =
        server.post("lake/namespaces", json!({ "namespace": ["a", "b c"], "properties": { "k": "v" } }));
    assert_eq!(made.await.ok(), json!({ "namespace": ["a", "b c"], "properties": { "k": "v" } }));
    let below = server.get("lake/namespaces?parent=a").await.ok();
    assert_eq!(below, json!({ "namespaces": [["a", "b c"]], "next-page-token": null }));
    let nested = server.get("lake/namespaces?parent=a%1Fb%20c").await.ok();
    assert_eq!(nested["namespaces"], json!([]));
    let loaded = server.get("lake/namespaces/a%1Fb%20c").await.ok();
    assert_eq!(loaded["properties"], json!({ "k": "v" }));
    let changes = json!({ "removals": ["k", "x"], "updates": { "l": "w" } });
    let changed = server.post("lake/namespaces/a%1Fb%20c/properties", changes).await.ok();
    assert_eq!(changed, json!({ "updated": ["l"], "removed": ["k"], "missing": ["x"] }));
    server.get("lake/namespaces?parent=x").await.refused(404, "NoSuchNamespaceException", "x");
    let not_empty = server.delete("lake/namespaces/a").await;
    not_empty.refused(409, "NamespaceNotEmptyException", "1 namespaces");
    let head = |path: &'static str| server.call(Method::HEAD, path, &[], &Value::Null);
    assert_eq!(head("lake/namespaces/a").await.status, 204);
    assert_eq!(head("lake/namespaces/z").await.status, 404);
    assert_eq!(server.delete("lake/namespaces/a%1Fb%20c").await.status, 204);
    server.get("lake/namespaces/a%1Fb%20c").await.refused(404, "NoSuchNamespaceException", "a.b c");
    let page = server.get("lake/namespaces?pageSize=1&pageToken=").await.ok();
    assert_eq!(page, json!({ "namespaces": [["a"]], "next-page-token": null }));
    server.get("lake/namespaces?pageSize=0").await.refused(400, "BadRequestException", "pageSize");
    server.get("lake/namespaces?pageToken=!").await.refused(400, "BadRequestException", "pageToken");
}

#[tokio::test]
async fn a_table_is_made_loaded_changed_renamed_and_dropped() {
    let server = server();
    let made = server.with_table().await;
    let location = made["metadata-location"].as_str().unwrap();
    let root = format!("file://{}", server.world.dir.path().join("buckets/lake").display());
    assert!(location.starts_with(&format!("{root}/__r2_data_catalog/n/t-")), "{location}");
    assert_eq!((&made["config"], made.get("storage-credentials")), (&json!({}), None));
    assert_eq!(made["metadata"]["properties"]["owner"], "me");
    let table = "lake/namespaces/n/tables/t";
    let loaded = server.get(table).await;
    let tag = loaded.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(loaded.ok(), made);
    let known = server.call(Method::GET, table, &[("if-none-match", &tag)], &Value::Null).await;
    assert_eq!((known.status, known.headers["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*tag));
    let changed = server.post(table, set("k", "v")).await.ok();
    assert_eq!(changed["metadata"]["properties"]["k"], "v");
    let fresh = server.call(Method::GET, table, &[("if-none-match", &tag)], &Value::Null).await;
    assert_eq!(fresh.ok(), changed);
    let uuid = "00000000-0000-4000-8000-000000000000";
    let stale = json!({ "requirements": [{ "type": "assert-table-uuid", "uuid": uuid }], "updates": [] });
    server.post(table, stale).await.refused(409, "CommitFailedException", "requirements[0] of n.t");
    let unknown = json!({ "requirements": [], "updates": [{ "action": "fly" }] });
    server.post(table, unknown).await.refused(400, "BadRequestException", "updates[0].action: \"fly\"");
    server.post(table, json!({ "updates": [] })).await.refused(
        400,
        "BadRequestException",
        "requirements: is missing",
    );
    let both = json!({ "table-changes": [
        { "identifier": { "namespace": ["n"], "name": "t" }, "requirements": [], "updates": set("k", "w")["updates"] },
    ] });
    assert_eq!(server.post("lake/transactions/commit", both).await.status, 204);
    assert_eq!(server.get(table).await.ok()["metadata"]["properties"]["k"], "w");
    let again = server.post("lake/namespaces/n/tables", table_body("t")).await;
    again.refused(409, "AlreadyExistsException", "n.t");
    let nowhere = server.post("lake/namespaces/x/tables", table_body("t")).await;
    nowhere.refused(404, "NoSuchNamespaceException", "x");
    let listed = server.get("lake/namespaces/n/tables").await.ok();
    assert_eq!(listed["identifiers"], json!([{ "namespace": ["n"], "name": "t" }]));
    let rename = json!({
        "source": { "namespace": ["n"], "name": "t" }, "destination": { "namespace": ["n"], "name": "u v" },
    });
    assert_eq!(server.post("lake/tables/rename", rename.clone()).await.status, 204);
    server.post("lake/tables/rename", rename).await.refused(404, "NoSuchTableException", "n.t");
    let head = |path: &'static str| server.call(Method::HEAD, path, &[], &Value::Null);
    assert_eq!(head("lake/namespaces/n/tables/u%20v").await.status, 204);
    assert_eq!(head("lake/namespaces/n/tables/t").await.status, 404);
    let metrics =
        server.post("lake/namespaces/n/tables/u%20v/metrics", json!({ "report-type": "scan-report" }));
    assert_eq!(metrics.await.status, 204);
    let dropped = server.delete("lake/namespaces/n/tables/u%20v?purgeRequested=False").await;
    assert_eq!(dropped.status, 204);
    let register = json!({ "name": "back", "metadata-location": changed["metadata-location"] });
    let back = server.post("lake/namespaces/n/register", register).await.ok();
    assert_eq!(back["metadata"]["table-uuid"], made["metadata"]["table-uuid"]);
}

#[tokio::test]
async fn only_the_snapshots_that_are_referred_to_can_be_asked_for() {
    let server = server();
    let made = server.with_table().await;
    let at = made["metadata"]["last-updated-ms"].clone();
    let snapshot = |id: i64, parent: Value| {
        json!({ "action": "add-snapshot", "snapshot": {
            "snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": id, "timestamp-ms": at,
            "manifest-list": "file:///m", "summary": { "operation": "append" }, "schema-id": 0,
        } })
    };
    let main = |id: i64| json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id });
    let table = "lake/namespaces/n/tables/t";
    for (id, parent) in [(1, Value::Null), (2, json!(1))] {
        let change = json!({ "requirements": [], "updates": [snapshot(id, parent), main(id)] });
        server.post(table, change).await.ok();
    }
    let shown = |body: Value| body["metadata"]["snapshots"].as_array().unwrap().len();
    assert_eq!(shown(server.get(table).await.ok()), 2);
    let refs = server.get(&format!("{table}?snapshots=refs")).await;
    assert!(refs.headers["etag"].to_str().unwrap().ends_with("-refs\""));
    assert_eq!(shown(refs.ok()), 1);
    server.get(&format!("{table}?snapshots=some")).await.refused(400, "BadRequestException", "snapshots");
}

#[tokio::test]
async fn bodies_that_cannot_be_are_refused_by_field() {
    let server = server();
    server.with_table().await;
    let tables = "lake/namespaces/n/tables";
    for (body, text) in [
        (json!({}), "name: is missing"),
        (json!({ "name": 5 }), "name: invalid type"),
        (json!({ "name": "x" }), "schema: is missing"),
        (json!({ "name": "x", "schema": { "type": "struct" } }), "schema"),
        (json!([]), "body: is an array"),
    ] {
        server.post(tables, body).await.refused(400, "BadRequestException", text);
    }
    let mut outside = table_body("x");
    outside["location"] = json!("s3://elsewhere/x");
    server.post(tables, outside).await.refused(
        400,
        "BadRequestException",
        "location: \"s3://elsewhere/x\" is not below",
    );
    let large = json!({ "name": "x".repeat(17 << 20) });
    assert_eq!(server.post(tables, large).await.status, 413);
}
