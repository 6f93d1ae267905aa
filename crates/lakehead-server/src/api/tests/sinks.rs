use serde_json::{Value, json};

use super::{SINKS, server, sink_body};

#[tokio::test]
async fn a_sink_shows_what_applies_where_nothing_was_given() {
    let server = server();
    let reply =
        server.post(SINKS, json!({ "name": "files", "type": "r2", "config": { "bucket": "lake" } })).await;
    let sink = reply.result();
    assert_eq!(sink["type"], "r2");
    assert_eq!(
        sink["format"],
        json!({ "type": "parquet", "compression": "zstd", "row_group_bytes": 134_217_728 })
    );
    assert_eq!(sink["schema"], Value::Null);
    let config = json!({
        "account_id": server.world.identity.account_id(), "bucket": "lake", "path": "",
        "partitioning": { "time_pattern": "year=%Y/month=%m/day=%d" },
        "file_naming": { "strategy": "uuid_v7" }, "rolling_policy": { "interval_seconds": 300 },
    });
    assert_eq!(sink["config"], config);
    let path = format!("{SINKS}/{}", sink["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.result(), sink);
    assert_eq!(server.get(SINKS).await.result()[0], *sink);
    assert!(server.world.dir.path().join("buckets/lake").is_dir(), "the bucket was made on demand");
    assert_eq!(server.get("/r2/buckets/lake").await.result()["name"], "lake");
}

#[tokio::test]
async fn a_sink_with_everything_comes_back_without_its_secrets() {
    let server = server();
    let config = json!({
        "account_id": server.world.identity.account_id(), "bucket": "lake", "path": "events",
        "partitioning": { "time_pattern": "%Y/%m" }, "jurisdiction": "eu",
        "file_naming": { "prefix": "p", "suffix": "json", "strategy": "ulid" },
        "rolling_policy": { "file_size_bytes": 0, "interval_seconds": 60, "inactivity_seconds": 1 },
    });
    let mut body = json!({
        "name": "files", "type": "r2", "config": config,
        "format": { "type": "json", "compression": "gzip", "timestamp_format": "unix_millis" },
        "schema": { "fields": [] },
    });
    body["config"]["path"] = json!("events/");
    body["config"]["credentials"] = json!({ "access_key_id": "a", "secret_access_key": "b" });
    let reply = server.post(SINKS, body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.result()["config"], config);
    let format = json!({ "type": "json", "compression": "gzip", "timestamp_format": "unix_millis" });
    assert_eq!(reply.result()["format"], format);
    assert_eq!(reply.result()["schema"], json!({ "fields": [] }));
}

#[tokio::test]
async fn what_cannot_work_is_refused_naming_the_field() {
    let server = server();
    let with = |pointer: &str, value: Value| {
        let mut body = sink_body("files");
        let mut at = &mut body;
        for key in pointer.split('.') {
            at = &mut at[key];
        }
        *at = value;
        body
    };
    let cases = [
        (json!({ "name": "a" }), "type: is missing"),
        (
            with("type", json!("s3")),
            "type: \"s3\" is unknown; one of r2, r2_data_catalog, basin_catalog is needed",
        ),
        (with("config.bucket", Value::Null), "config.bucket: is missing"),
        (with("config.bucket", json!("Lake")), "config.bucket: \"Lake\" is not a bucket name"),
        (with("config.account_id", json!("f".repeat(32))), "config.account_id: is not this account"),
        (with("config.path", json!("../up")), "config.path: has two dots in a row"),
        (with("config.path", json!(7)), "config.path: is a number; a string is needed"),
        (with("config.partitioning", json!("year")), "config.partitioning: is a string; an object is needed"),
        (
            with("config.partitioning.time_pattern", json!("%Q")),
            "config.partitioning.time_pattern: has a `%` sequence",
        ),
        (with("config.file_naming.prefix", json!("a/b")), "config.file_naming.prefix: has a slash"),
        (
            with("config.file_naming.strategy", json!("uuidv7")),
            "config.file_naming.strategy: \"uuidv7\" is unknown",
        ),
        (
            with("config.rolling_policy.interval_seconds", json!(9)),
            "config.rolling_policy.interval_seconds: is 9; at least 10",
        ),
        (
            with("config.rolling_policy.interval_seconds", json!("60")),
            "config.rolling_policy.interval_seconds: is a string",
        ),
        (
            with("config.rolling_policy.interval_seconds", json!(-60)),
            "config.rolling_policy.interval_seconds: is -60",
        ),
        (
            with("config.rolling_policy.inactivity_seconds", json!(0)),
            "config.rolling_policy.inactivity_seconds: is 0; at least 1",
        ),
        (
            with("config.rolling_policy.file_size_bytes", json!(1.5)),
            "config.rolling_policy.file_size_bytes: is 1.5",
        ),
        (with("config.credentials", json!("key")), "config.credentials: is a string; an object is needed"),
        (
            with("config.credentials", json!({ "access_key_id": "a" })),
            "config.credentials.secret_access_key: is missing",
        ),
        (with("format.type", json!("csv")), "format.type: \"csv\" is unknown; one of parquet, json"),
        (with("format.type", Value::Null), "format.type: is missing"),
        (
            with("format.compression", json!("brotli")),
            "format.compression: \"brotli\" is unknown; one of uncompressed",
        ),
        (
            with("format", json!({ "type": "json", "compression": "zstd" })),
            "format.compression: \"zstd\" is unknown",
        ),
        (with("format.row_group_bytes", json!(-1)), "format.row_group_bytes: is -1"),
        (with("schema", json!({ "fields": [{}] })), "schema.fields[0].name: is missing"),
        (with("schema", json!(true)), "schema: is a boolean"),
    ];
    for (body, message) in cases {
        server.post(SINKS, body).await.refused(400, 1001, message);
    }
    assert_eq!(server.get(SINKS).await.result(), &json!([]));
    let buckets = server.get("/r2/buckets").await;
    assert_eq!(buckets.result()["buckets"][1], Value::Null, "no bucket was made on the way");
}

#[tokio::test]
async fn sinks_have_names_and_limits() {
    let server = server();
    for i in 0..20 {
        server.make(SINKS, sink_body(&format!("s{i}"))).await;
    }
    server.post(SINKS, sink_body("s3")).await.refused(400, 1003, "a sink named \"s3\" already exists");
    server.post(SINKS, sink_body("s20")).await.refused(400, 1006, "the account has 20 sinks");
}

#[tokio::test]
async fn a_table_is_kept_under_either_name_of_its_type() {
    let server = server();
    server.post(super::STREAMS, json!({ "name": "events" })).await;
    for (name, spelling) in [("one", "r2_data_catalog"), ("two", "basin_catalog")] {
        let body = json!({
            "name": name, "type": spelling, "format": { "type": "parquet" },
            "config": { "bucket": "lake", "table_name": "clicks", "token": "secret" },
        });
        let reply = server.post(SINKS, body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.result()["type"], "r2_data_catalog");
        let config = json!({
            "account_id": server.world.identity.account_id(), "bucket": "lake", "namespace": "default",
            "table_name": "clicks", "rolling_policy": { "interval_seconds": 300 },
        });
        assert_eq!(reply.result()["config"], config);
        let sql = format!("INSERT INTO {name} SELECT * FROM events");
        assert_eq!(server.post("/pipelines/v1/validate_sql", json!({ "sql": sql })).await.status, 200);
    }
    let wrong = [
        ("token", Value::Null, "config.token: is missing"),
        ("table_name", json!("a b"), "config.table_name: holds ' '"),
        ("namespace", json!("a..b"), "config.namespace: is empty"),
        (
            "rolling_policy",
            json!({ "interval_seconds": 59 }),
            "config.rolling_policy.interval_seconds: is 59",
        ),
    ];
    for (key, value, message) in wrong {
        let mut body = json!({
            "name": "bad", "type": "basin_catalog", "format": { "type": "parquet" },
            "config": { "bucket": "lake", "table_name": "clicks", "token": "secret" },
        });
        body["config"][key] = value;
        server.post(SINKS, body).await.refused(400, 1001, message);
    }
    assert_eq!(server.get(SINKS).await.body["result_info"]["total_count"], 2);
}

#[tokio::test]
async fn a_sink_of_which_only_the_name_is_said_has_a_bucket_of_that_name() {
    let server = server();
    let reply = server.post(SINKS, json!({ "name": "my_Sink", "type": "r2" })).await;
    assert_eq!(reply.result()["config"]["bucket"], "my-sink", "{}", reply.body);
    assert_eq!(reply.result()["format"]["type"], "parquet");
    for (name, spelling) in [("s", "r2"), ("_x_", "r2"), ("my_table", "basin_catalog")] {
        let refused = server.post(SINKS, json!({ "name": name, "type": spelling })).await;
        refused.refused(400, 1001, "config: is missing");
    }
}

#[tokio::test]
async fn a_sink_takes_other_credentials_and_shows_none() {
    let server = server();
    let files = json!({ "name": "files", "type": "r2", "config": { "bucket": "lake" } });
    let files = server.post(SINKS, files).await.result()["id"].as_str().unwrap().to_owned();
    let table = json!({
        "name": "clicks", "type": "r2_data_catalog",
        "config": { "bucket": "lake", "table_name": "clicks", "token": "first" },
    });
    let table = server.post(SINKS, table).await.result()["id"].as_str().unwrap().to_owned();
    let keys = json!({ "config": { "credentials": { "access_key_id": "canary-id", "secret_access_key": "canary" } } });
    let reply = server.patch(&format!("{SINKS}/{files}"), keys.clone()).await;
    assert_eq!(reply.result()["version"], 2, "{}", reply.body);
    assert!(!reply.body.to_string().contains("canary"), "{}", reply.body);
    let reply = server.patch(&format!("{SINKS}/{table}"), json!({ "config": { "token": "canary" } })).await;
    assert_eq!(reply.result()["version"], 2, "{}", reply.body);
    let wrong = [
        (&files, json!({}), "config: is missing"),
        (&files, json!({ "config": { "token": "t" } }), "config.credentials: is missing; a sink of files"),
        (&files, json!({ "config": {} }), "config.token: is missing"),
        (&files, json!({ "name": "x", "config": {} }), "name: cannot be changed"),
        (&files, json!({ "config": { "path": "x" } }), "config.path: cannot be changed"),
        (
            &files,
            json!({ "config": { "credentials": { "access_key_id": "a" } } }),
            "config.credentials.secret_access_key: is missing",
        ),
        (&table, keys, "config.token: is missing; a table"),
    ];
    for (sink, body, message) in wrong {
        server.patch(&format!("{SINKS}/{sink}"), body).await.refused(400, 1001, message);
    }
    assert_eq!(server.get(&format!("{SINKS}/{files}")).await.result()["version"], 2);
}
