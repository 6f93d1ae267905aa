use serde_json::{Value, json};

use super::{STREAMS, server};

#[tokio::test]
async fn a_stream_made_with_only_a_name_gets_the_defaults() {
    let server = server();
    let reply = server.post(STREAMS, json!({ "name": "events", "unknown": 7 })).await;
    let stream = reply.result();
    let id = stream["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(stream["endpoint"], format!("http://127.0.0.1:7070/ingest/{id}"));
    assert_eq!(stream["http"], json!({ "enabled": true, "authentication": true }));
    assert_eq!(stream["worker_binding"], json!({ "enabled": true }));
    assert_eq!(stream["format"], json!({ "type": "json", "unstructured": true }));
    assert_eq!(stream["schema"], Value::Null);
    assert_eq!(stream["version"], 1);
    assert_eq!(stream["created_at"], "2026-09-21T14:13:20.000000Z");
    assert_eq!(server.get(&format!("{STREAMS}/{id}")).await.result(), stream);
}

#[tokio::test]
async fn a_stream_with_everything_comes_back_as_given() {
    let server = server();
    let http = json!({ "enabled": false, "authentication": false,
        "cors": { "origins": ["https://a.example", "http://localhost:3000", "*"] } });
    let reply = server
        .post(
            STREAMS,
            json!({
                "name": "events", "http": http, "worker_binding": { "enabled": false },
                "format": { "type": "json", "decimal_encoding": "string", "timestamp_format": "unix_millis",
                    "unstructured": true },
                "schema": { "fields": [
                    { "name": "id", "type": "int64", "required": true },
                    { "name": "raw", "type": "bytes" },
                    { "name": "tags", "type": "list", "items": { "type": "string" } },
                ], "inferred": false, "format": {} },
            }),
        )
        .await;
    let stream = reply.result();
    assert_eq!(stream["http"], http);
    assert_eq!(stream["worker_binding"], json!({ "enabled": false }));
    let format = json!({ "type": "json", "decimal_encoding": "string", "timestamp_format": "unix_millis" });
    assert_eq!(stream["format"], format, "with a schema it is not unstructured, whatever was said");
    assert_eq!(stream["schema"]["inferred"], false);
    assert_eq!(stream["schema"]["fields"][0]["sql_name"], "BIGINT");
    assert_eq!(stream["schema"]["fields"][1]["type"], "bytes");
}

#[tokio::test]
async fn what_cannot_work_is_refused_naming_the_field() {
    let server = server();
    let long = "x".repeat(129);
    let cases = [
        (json!({}), "name: is missing; a string is needed"),
        (json!({ "name": null }), "name: is missing"),
        (json!({ "name": 7 }), "name: is a number; a string is needed"),
        (json!({ "name": "" }), "name: is empty"),
        (json!({ "name": "my-stream" }), "name: holds '-'"),
        (json!({ "name": "a\r\nb" }), "name: holds '\\r'"),
        (json!({ "name": "strömung" }), "name: holds 'ö'"),
        (json!({ "name": long }), "name: has 129 characters; the limit is 128"),
        (json!({ "name": "a", "http": true }), "http: is a boolean; an object is needed"),
        (json!({ "name": "a", "http": {} }), "http.enabled: is missing; true or false is needed"),
        (json!({ "name": "a", "http": { "enabled": true } }), "http.authentication: is missing"),
        (
            json!({ "name": "a", "http": { "enabled": "yes", "authentication": true } }),
            "http.enabled: is a string; true or false is needed",
        ),
        (
            json!({ "name": "a", "http": { "enabled": true, "authentication": true, "cors": { "origins": "*" } } }),
            "http.cors.origins: is a string; a list of strings is needed",
        ),
        (
            json!({ "name": "a", "http": { "enabled": true, "authentication": true,
                "cors": { "origins": ["https://a.example", 7] } } }),
            "http.cors.origins[1]: is a number",
        ),
        (
            json!({ "name": "a", "http": { "enabled": true, "authentication": true,
                "cors": { "origins": ["https://a.example/"] } } }),
            "http.cors.origins[0]: \"https://a.example/\" is not an origin",
        ),
        (json!({ "name": "a", "worker_binding": [] }), "worker_binding: is an array"),
        (
            json!({ "name": "a", "format": { "type": "avro" } }),
            "format.type: \"avro\" is unknown; one of json",
        ),
        (
            json!({ "name": "a", "format": { "type": "json", "decimal_encoding": "hex" } }),
            "format.decimal_encoding: \"hex\" is unknown; one of number, string, bytes",
        ),
        (json!({ "name": "a", "schema": [] }), "schema: is an array; an object with `fields`"),
        (json!({ "name": "a", "schema": { "fields": [] } }), "schema.fields: is empty"),
        (
            json!({ "name": "a", "schema": { "fields": [{ "name": "x", "type": "int64" }, { "name": "y",
                "type": "list", "items": { "type": "varchar" } }] } }),
            "schema.fields[1].items.type: \"varchar\" is unknown",
        ),
    ];
    for (body, message) in cases {
        server.post(STREAMS, body).await.refused(400, 1001, message);
    }
    assert_eq!(server.get(STREAMS).await.result(), &json!([]), "nothing was made on the way");
}

#[tokio::test]
async fn a_name_is_taken_once_whatever_its_case() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    server.post(STREAMS, json!({ "name": "events" })).await.refused(400, 1003, "a stream named \"events\"");
    server.post(STREAMS, json!({ "name": "Events" })).await.refused(400, 1003, "a stream named \"events\"");
}

#[tokio::test]
async fn the_twenty_first_stream_is_refused() {
    let server = server();
    for i in 0..20 {
        server.make(STREAMS, json!({ "name": format!("s{i}") })).await;
    }
    let refused = server.post(STREAMS, json!({ "name": "s20" })).await;
    refused.refused(400, 1006, "the account has 20 streams, which is the limit");
}

#[tokio::test]
async fn pages_end_and_filters_narrow() {
    let server = server();
    let mut ids = Vec::new();
    for name in ["my_events", "other", "MY_clicks"] {
        server.world.clock.advance(std::time::Duration::from_secs(1));
        ids.push(server.make(STREAMS, json!({ "name": name })).await);
    }
    let names = |reply: &super::Reply| -> Vec<String> {
        let list = reply.result().as_array().expect("a list");
        list.iter().map(|s| s["name"].as_str().expect("a name").to_owned()).collect()
    };
    let all = server.get(STREAMS).await;
    assert_eq!(names(&all), ["my_events", "other", "MY_clicks"]);
    assert_eq!(all.body["result_info"], json!({ "page": 1, "per_page": 20, "count": 3, "total_count": 3 }));
    let second = server.get(&format!("{STREAMS}?page=2&per_page=2")).await;
    assert_eq!(names(&second), ["MY_clicks"]);
    assert_eq!(second.body["result_info"], json!({ "page": 2, "per_page": 2, "count": 1, "total_count": 3 }));
    for past in ["page=2", "page=3&per_page=2", "page=99999999999999999999", "page=1e300", "page=1.0e2"] {
        assert_eq!(names(&server.get(&format!("{STREAMS}?{past}")).await), [""; 0], "{past}");
    }
    let text = server.get(&format!("{STREAMS}?page=1.0&per_page=2.0&name=my_")).await;
    assert_eq!(names(&text), ["my_events", "MY_clicks"]);
    assert_eq!(names(&server.get(&format!("{STREAMS}?name=%20")).await), [""; 0]);
    assert_eq!(names(&server.get(&format!("{STREAMS}?pipeline_id={}", ids[0])).await), [""; 0]);
    for bad in ["page=0", "page=-1", "page=abc", "page=1.5", "page=NaN", "page=inf", "per_page=0"] {
        let field = bad.split('=').next().unwrap();
        server.get(&format!("{STREAMS}?{bad}")).await.refused(400, 1001, field);
    }
}

#[tokio::test]
async fn a_path_may_hold_any_text_where_an_id_belongs() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    let long = "a".repeat(5000);
    for text in
        ["events", "0123456789abcdef0123456789abcdef", "%2e%2e", "%00", "%ff", "a%20b", "%F0%9F%8C%80", &long]
    {
        for (kind, code) in [("streams", 1016), ("sinks", 1015), ("pipelines", 1000)] {
            let path = format!("/pipelines/v1/{kind}/{text}");
            server.get(&path).await.refused(404, code, "");
            server.delete(&path).await.refused(404, code, "");
        }
    }
}

#[tokio::test]
async fn a_patch_replaces_whole_objects_and_keeps_the_rest() {
    let server = server();
    let id = server.make(STREAMS, json!({ "name": "events" })).await;
    let path = format!("{STREAMS}/{id}");
    server.world.clock.advance(std::time::Duration::from_secs(5));
    let body = json!({ "http": { "enabled": true, "authentication": false, "cors": { "origins": ["*"] } } });
    let reply = server.patch(&path, body.clone()).await;
    assert_eq!(reply.result()["http"], body["http"]);
    assert_eq!(reply.result()["version"], 2);
    assert_eq!(reply.result()["modified_at"], "2026-09-21T14:13:25.000000Z");
    assert_eq!(reply.result()["created_at"], "2026-09-21T14:13:20.000000Z");
    let body = json!({ "http": { "enabled": false, "authentication": false }, "worker_binding": { "enabled": false } });
    let reply = server.patch(&path, body.clone()).await;
    assert_eq!(reply.result()["http"], body["http"], "the origins went with the object they were in");
    assert_eq!(reply.result()["worker_binding"], body["worker_binding"]);
    assert_eq!(server.patch(&path, json!({})).await.result()["version"], 3);
    assert_eq!(server.get(&path).await.result()["version"], 3);
}

#[tokio::test]
async fn a_patch_of_what_is_fixed_is_refused_unless_it_changes_nothing() {
    let server = server();
    let id = server.make(STREAMS, json!({ "name": "events" })).await;
    let path = format!("{STREAMS}/{id}");
    server.patch(&path, json!({ "name": "other" })).await.refused(400, 1001, "name: cannot be changed");
    let schema = json!({ "schema": { "fields": [{ "name": "a", "type": "json" }] } });
    server.patch(&path, schema).await.refused(400, 1001, "schema: cannot be changed");
    let format = json!({ "format": { "type": "json", "timestamp_format": "unix_millis" } });
    server.patch(&path, format).await.refused(400, 1001, "format: cannot be changed");
    server.patch(&path, json!({ "http": { "enabled": true } })).await.refused(
        400,
        1001,
        "http.authentication",
    );
    let same = json!({ "name": "events", "schema": null, "format": { "type": "json" } });
    assert_eq!(server.patch(&path, same).await.result()["version"], 1);
    server.patch(&format!("{STREAMS}/events"), json!({})).await.refused(404, 1016, "");
}

#[tokio::test]
async fn a_deletion_answers_200_with_an_envelope() {
    let server = server();
    let id = server.make(STREAMS, json!({ "name": "events" })).await;
    let reply = server.delete(&format!("{STREAMS}/{id}?force=true")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, json!({ "success": true, "errors": [], "messages": [], "result": null }));
    server.delete(&format!("{STREAMS}/{id}")).await.refused(404, 1016, "Stream does not exist");
    let again = server.make(STREAMS, json!({ "name": "events" })).await;
    assert_ne!(again, id, "a stream made again under its name has another id");
}
