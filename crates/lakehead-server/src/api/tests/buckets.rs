use axum::body::Body;
use http::Method;
use serde_json::json;

use super::{SINKS, server, sink_body};

#[tokio::test]
async fn buckets_are_made_listed_described_and_deleted() {
    let server = server();
    server.get("/r2/buckets/my-bucket").await.refused(404, 10006, "The specified bucket does not exist.");
    let body = json!({ "name": "my-bucket", "storageClass": "InfrequentAccess", "locationHint": "weur" });
    // wrangler declares this body to be plain text.
    let request = server.request(&Method::POST, &server.path("/r2/buckets"));
    let request =
        request.header("content-type", "text/plain;charset=UTF-8").header("cf-r2-jurisdiction", "eu");
    let made = server.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(made.status, 200);
    let info = server.get("/r2/buckets/my-bucket").await;
    let expected = json!({
        "name": "my-bucket", "creation_date": "2026-09-21T14:13:20.000000Z", "location": "weur",
        "storage_class": "InfrequentAccess", "jurisdiction": "eu",
    });
    assert_eq!(info.result(), &expected);
    let list = server.get("/r2/buckets").await;
    assert_eq!(list.result()["buckets"][1], expected);
    assert_eq!(server.get("/r2/buckets?name_contains=zzz").await.result()["buckets"], json!([]));
    let again = server.post("/r2/buckets", json!({ "name": "my-bucket" })).await;
    again.refused(409, 10004, "a bucket named");
    assert_eq!(again.headers["x-should-retry"], "false");
    assert_eq!(server.delete("/r2/buckets/my-bucket").await.status, 200);
    server.delete("/r2/buckets/my-bucket").await.refused(404, 10006, "");
}

#[tokio::test]
async fn bad_bucket_names_are_refused() {
    let server = server();
    for name in ["", "a", "Upper", "under_score", "../up", "-a-", "dot.dot", &"x".repeat(64)] {
        server.post("/r2/buckets", json!({ "name": name })).await.refused(400, 10005, "name: ");
    }
    server.post("/r2/buckets", json!({ "name": 7 })).await.refused(400, 1001, "name: is a number");
    server.get("/r2/buckets/..%2f..").await.refused(404, 10006, "");
}

#[tokio::test]
async fn a_bucket_with_objects_or_sinks_stays() {
    let server = server();
    let sink = server.make(SINKS, sink_body("files")).await;
    let file = server.world.dir.path().join("buckets/lake/a.json");
    std::fs::write(&file, "{}").unwrap();
    server.delete("/r2/buckets/lake").await.refused(400, 1007, "bucket \"lake\" is written to by files");
    server.delete(&format!("{SINKS}/{sink}")).await;
    server.delete("/r2/buckets/lake").await.refused(409, 10008, "bucket \"lake\" holds objects");
    assert!(file.exists());
}

#[tokio::test]
async fn an_object_comes_as_its_bytes() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    let folder = server.world.dir.path().join("buckets/lake/year=2026/a b");
    std::fs::create_dir_all(&folder).unwrap();
    let content: Vec<u8> = (0..700_001_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(folder.join("x.parquet"), &content).unwrap();
    for key in ["year=2026/a%20b/x.parquet", "year%3D2026%2Fa%20b%2Fx.parquet"] {
        let path = server.path(&format!("/r2/buckets/lake/objects/{key}"));
        let request = server.request(&Method::GET, &path).body(Body::empty()).unwrap();
        let (status, headers, bytes) = server.raw(request).await;
        assert_eq!((status.as_u16(), bytes == content), (200, true));
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert_eq!(headers["content-length"], "700001");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn no_key_leads_out_of_the_bucket() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    let outside = std::fs::read(server.world.dir.path().join("admin_token")).unwrap();
    assert!(!outside.is_empty());
    for key in [
        "../../admin_token",
        "..%2f..%2fadmin_token",
        "%2e%2e/%2e%2e/admin_token",
        "..%5c..%5cadmin_token",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "a%00b",
        "%ff",
        ".",
        "..",
        "a/../../../admin_token",
    ] {
        let reply = server.get(&format!("/r2/buckets/lake/objects/{key}")).await;
        assert_eq!(reply.status, 404, "{key}: {}", reply.body);
    }
    server.get("/r2/buckets/lake/objects/nope").await.refused(404, 10007, "");
    server.get("/r2/buckets/none/objects/nope").await.refused(404, 10006, "");
}

#[tokio::test]
async fn an_empty_object_has_an_empty_body() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "lake" })).await;
    std::fs::write(server.world.dir.path().join("buckets/lake/empty"), "").unwrap();
    let path = server.path("/r2/buckets/lake/objects/empty");
    let (status, _, bytes) =
        server.raw(server.request(&Method::GET, &path).body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), bytes.len()), (200, 0));
}

#[tokio::test]
async fn a_bucket_of_the_configuration_is_there_and_can_be_neither_made_nor_deleted() {
    let server = server();
    assert_eq!(server.get("/r2/buckets").await.result()["buckets"][0]["name"], "configured");
    assert_eq!(server.get("/r2/buckets/configured").await.result()["name"], "configured");
    server.post("/r2/buckets", json!({ "name": "configured" })).await.refused(409, 10004, "");
    let mut body = sink_body("files");
    body["config"]["bucket"] = json!("configured");
    server.make(SINKS, body).await;
    assert_eq!(server.get("/r2/buckets").await.result()["buckets"].as_array().unwrap().len(), 1);
    let refused = server.delete("/r2/buckets/configured").await;
    refused.refused(400, 1010, "bucket \"configured\" is part of the server's configuration");
}
