use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::{STREAMS, Server, server};

const PREVIEW: &str = "/pipelines/v1/preview_sql";

async fn with_stream() -> Server {
    let server = server();
    let schema = json!({ "fields": [{ "name": "n", "type": "int64", "required": true }] });
    server.make(STREAMS, json!({ "name": "events", "schema": schema })).await;
    server
}

#[tokio::test]
async fn a_preview_shows_schema_rows_counts_and_rejects() {
    let server = with_stream().await;
    let reply = server.post(PREVIEW, json!({ "sql": "SELECT 1", "records_max": 3, "rows_max": 2 })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let expected = json!({
        "stream": "events",
        "sink": null,
        "schema": { "fields": [{ "name": "n", "type": "int64", "required": true, "sql_name": "BIGINT" }] },
        "rows": [{}, {}],
        "rows_made": 3,
        "read": { "from": 5, "to": 10, "records": 3, "lost": 2 },
        "counts": { "read": 3, "kept": 3, "filtered": 0, "rejected": 1 },
        "rejects": [{
            "position": 6, "stage": "transform", "reason": "transform_error", "path": "", "detail": "divide by zero",
        }],
        "truncated": true,
        "truncated_by": "time",
    });
    assert_eq!(reply.result(), &json!({ "statements": [expected] }));
}

#[tokio::test]
async fn what_is_not_said_is_a_thousand_records_and_a_hundred_rows() {
    let server = with_stream().await;
    let reply = server.post(PREVIEW, json!({ "sql": "SELECT 1" })).await;
    let made = &reply.result()["statements"][0];
    assert_eq!((&made["rows_made"], made["rows"].as_array().unwrap().len()), (&json!(1000), 100));
}

#[tokio::test]
async fn rows_and_given_records_keep_every_digit() {
    let server = with_stream().await;
    let record = r#"{"n":12345678901234567890.12345678901234567890,"a":1.50,"a":"é"}"#;
    let body = format!(r#"{{"sql":"SELECT 1","records":[ {record} , {{}} ]}}"#);
    let request = server.request(&Method::POST, &server.path(PREVIEW)).body(Body::from(body)).unwrap();
    let (status, _, bytes) = server.raw(request).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(&format!(r#""rows":[{record},{{}}]"#)), "{text}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_naming_the_field() {
    let server = with_stream().await;
    let cases = [
        (json!({}), 400, 1001, "sql: is missing"),
        (json!({ "sql": " " }), 400, 1001, "sql: is empty"),
        (json!({ "sql": "x".repeat(65537) }), 400, 1001, "sql: has 65537 bytes"),
        (json!({ "sql": "s", "records_max": 0 }), 400, 1001, "records_max: is 0; 1 to 10000 is needed"),
        (json!({ "sql": "s", "records_max": 10_001 }), 400, 1001, "records_max: is 10001"),
        (json!({ "sql": "s", "records_max": "many" }), 400, 1001, "records_max: is a string"),
        (json!({ "sql": "s", "rows_max": 1001 }), 400, 1001, "rows_max: is 1001; 0 to 1000 is needed"),
        (json!({ "sql": "s", "records": {} }), 400, 1001, "records: "),
        (json!({ "sql": "s", "records": [{}, 7] }), 400, 1001, "records: "),
        (
            json!({ "sql": "s", "records": vec![json!({}); 10_001] }),
            400,
            1001,
            "records: holds 10001 records",
        ),
        (json!({ "sql": "busy" }), 503, 1009, "2 previews are running"),
    ];
    for (body, status, code, message) in cases {
        server.post(PREVIEW, body).await.refused(status, code, message);
    }
    let busy = server.post(PREVIEW, json!({ "sql": "busy" })).await;
    assert_eq!(busy.headers["retry-after"], "1");
    let empty = super::server();
    empty.post(PREVIEW, json!({ "sql": "SELECT 1" })).await.refused(400, 1004, "there is no stream");
}

#[tokio::test]
async fn a_preview_is_not_a_get() {
    let server = with_stream().await;
    let reply = server.get(PREVIEW).await;
    reply.refused(405, 10405, "Method not allowed");
    assert_eq!(reply.result(), &Value::Null);
}
