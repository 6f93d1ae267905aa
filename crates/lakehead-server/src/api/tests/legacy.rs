use http::Method;
use lakehead_model::resource::Credentials;
use serde_json::{Value, json};

use super::{STREAMS, Server, server};

const LEGACY: &str = "/pipelines";

/// As wrangler 4.36.0 sends it with its defaults.
fn body(name: &str) -> Value {
    json!({
        "name": name, "metadata": {}, "transforms": [],
        "source": [
            { "type": "http", "format": "json", "authentication": false }, { "type": "binding", "format": "json" },
        ],
        "destination": {
            "type": "r2", "format": "json", "compression": { "type": "gzip" }, "batch": {},
            "path": { "bucket": "lake" },
            "credentials": { "endpoint": "https://x.example", "access_key_id": "k", "secret_access_key": "s" },
        },
    })
}

impl Server {
    async fn put(&self, below: &str, body: &Value) -> super::Reply {
        {
            let request =
                self.request(&Method::PUT, &self.path(below)).body(axum::body::Body::from(body.to_string()));
            self.exchange(request.expect("a request"), Some(body)).await
        }
    }
}

#[tokio::test]
async fn what_is_made_shows_what_applies_and_no_credentials() {
    let server = server();
    let reply = server.post(LEGACY, body("my-clicks")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let made = reply.result().clone();
    let id = made["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "name": "my-clicks", "version": 1, "endpoint": format!("http://127.0.0.1:7070/ingest/{id}"),
        "metadata": {}, "transforms": [], "source": body("")["source"],
        "destination": {
            "type": "r2", "format": "json", "compression": { "type": "gzip" }, "path": { "bucket": "lake" },
            "batch": { "max_bytes": 100_000_000, "max_duration_s": 300, "max_rows": 10_000_000 },
        },
    });
    assert_eq!(made, expected);
    assert_eq!(*server.get("/pipelines/my-clicks").await.result(), expected);
    let listed = server.get(LEGACY).await;
    assert_eq!(listed.body["result"], json!([expected]));
    assert_eq!(listed.body["results"], json!([expected]));
    let info = json!({ "page": 1, "per_page": 20, "count": 1, "total_count": 1 });
    assert_eq!(listed.body["result_info"], info);
    // Its parts are nobody's business.
    for below in [STREAMS, "/pipelines/v1/sinks", "/pipelines/v1/pipelines"] {
        assert_eq!(*server.get(below).await.result(), json!([]), "{below}");
        assert_eq!(server.get(&format!("{below}/{id}")).await.status, 404, "{below}");
    }
    assert_eq!(server.get("/r2/buckets/lake").await.status, 200, "the bucket was made on demand");
    server.delete("/r2/buckets/lake").await.refused(400, 1007, "bucket \"lake\" is written to by");
}

#[tokio::test]
async fn a_change_keeps_id_endpoint_and_credentials() {
    let server = server();
    server.post(LEGACY, body("p")).await;
    let mut edited = server.get("/pipelines/p").await.result().clone();
    edited["destination"]["compression"]["type"] = json!("deflate");
    edited["destination"]["path"]["prefix"] = json!("a/b/");
    edited["destination"]["batch"] = json!({ "max_bytes": 1000, "max_duration_s": 1.5, "max_rows": 100.0 });
    edited["metadata"] = json!({ "shards": 3 });
    edited["source"] = json!([{
        "type": "http", "format": "json", "authentication": true, "cors": { "origins": ["https://a.example"] },
    }]);
    let reply = server.put("/pipelines/p", &edited).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    edited["version"] = json!(2);
    edited["destination"]["path"]["prefix"] = json!("a/b");
    edited["destination"]["batch"]["max_rows"] = json!(100);
    assert_eq!(*reply.result(), edited);
    let catalog = server.world.control.catalog();
    let sink = catalog.legacy_named("p").unwrap().sink.id;
    let stored = || {
        let given = server.world.store.sink_credentials(sink).unwrap().unwrap();
        let Credentials::Keys(keys) = given else { panic!("a token") };
        keys.secret_access_key.reveal().to_owned()
    };
    assert_eq!(stored(), "s");

    edited["source"][0]["cors"]["origins"] = json!([]);
    edited["destination"]["credentials"] = json!({ "access_key_id": "k2", "secret_access_key": "s2" });
    let reply = server.put("/pipelines/p", &edited).await;
    assert_eq!(reply.result()["source"][0].get("cors"), None, "an empty list takes it away");
    assert_eq!(reply.result()["destination"].get("credentials"), None);
    assert_eq!(stored(), "s2");
    edited["name"] = json!("q");
    server.put("/pipelines/p", &edited).await.refused(400, 1001, "name: cannot be changed");
}

#[tokio::test]
async fn what_does_not_exist_is_code_1000_whatever_else_is_wrong() {
    let server = server();
    server.get("/pipelines/none").await.refused(404, 1000, "Pipeline does not exist");
    server.put("/pipelines/none", &json!({})).await.refused(404, 1000, "Pipeline does not exist");
    server.delete("/pipelines/none").await.refused(404, 1000, "Pipeline does not exist");
    server.post(LEGACY, body("p")).await;
    let id = server.get("/pipelines/p").await.result()["id"].as_str().unwrap().to_owned();
    server.get("/pipelines/v1/pipelines/p").await.refused(404, 1000, "Pipeline does not exist");
    server.get(&format!("/pipelines/{id}")).await.refused(404, 1000, "Pipeline does not exist");
    assert_eq!(server.delete("/pipelines/p").await.status, 200);
    server.get("/pipelines/p").await.refused(404, 1000, "Pipeline does not exist");
    assert_eq!(*server.get(LEGACY).await.result(), json!([]));
}

#[tokio::test]
async fn the_list_is_narrowed_by_prefix_and_cut_into_pages() {
    let server = server();
    for name in ["aa", "ab", "ba", "bb", "bc"] {
        assert_eq!(server.post(LEGACY, body(name)).await.status, 200);
    }
    for (query, names) in [
        ("?search=a", &["aa", "ab"][..]),
        ("?search=b&per_page=2&page=2", &["bc"]),
        ("?per_page=3&page=2", &["bb", "bc"]),
        ("?page=9", &[]),
    ] {
        let listed = server.get(&format!("{LEGACY}{query}")).await;
        let found: Vec<_> =
            listed.body["results"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
        assert_eq!(found, names, "{query}");
    }
    server.post(LEGACY, body("AA")).await.refused(400, 1003, "a pipeline named \"aa\" already exists");
}

#[tokio::test]
async fn what_cannot_work_is_refused_naming_the_field() {
    let server = server();
    let cases = [
        ("/name", json!("under_score"), "name: \"under_score\" is not a pipeline name"),
        ("/source", json!([]), "source: is empty"),
        ("/source", json!("http"), "source: is a string; a list of objects is needed"),
        (
            "/source/0/type",
            json!("kafka"),
            "source[0].type: \"kafka\" is unknown; one of http, binding is needed",
        ),
        ("/source/1/type", json!("http"), "source[1].type: stands in the list twice"),
        ("/source/0/authentication", json!("no"), "source[0].authentication: is a string; true or false"),
        (
            "/source/0/cors",
            json!({ "origins": ["a.example"] }),
            "source.cors.origins[0]: \"a.example\" is not",
        ),
        ("/transforms", json!([{ "script": "w" }]), "transforms: are Workers"),
        ("/metadata", json!({ "shards": "2" }), "metadata.shards: is a string; a whole number"),
        ("/destination", Value::Null, "destination: is missing"),
        ("/destination/type", json!("kafka"), "destination.type: \"kafka\" is unknown"),
        ("/destination/path/bucket", Value::Null, "destination.path.bucket: is missing"),
        ("/destination/path/bucket", json!("A"), "destination.path.bucket: \"A\" is not a bucket name"),
        ("/destination/path/prefix", json!("../x"), "destination.path.prefix: has two dots"),
        ("/destination/path/filename", json!("x${slug}"), "destination.path.filename: templates"),
        ("/destination/compression/type", json!("zstd"), "destination.compression.type: \"zstd\" is unknown"),
        ("/destination/batch", json!({ "max_bytes": 999 }), "destination.batch.max_bytes: is 999; from 1000"),
        ("/destination/batch", json!({ "max_rows": 99 }), "destination.batch.max_rows: is 99; from 100"),
        (
            "/destination/batch",
            json!({ "max_duration_s": 301 }),
            "destination.batch.max_duration_s: is out of range",
        ),
        ("/destination/batch", json!({ "max_duration_s": -1 }), "destination.batch.max_duration_s: is -1"),
        ("/destination/credentials", json!({}), "destination.credentials.access_key_id: is missing"),
    ];
    for (pointer, value, message) in cases {
        let mut wrong = body("p");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        wrong.pointer_mut(parent).unwrap()[key] = value;
        server.post(LEGACY, wrong).await.refused(400, 1001, message);
    }
    assert_eq!(*server.get(LEGACY).await.result(), json!([]), "nothing was half done");
}
