//! The protocol as a client sees it: requests into the front, answers out.

mod access;
mod answers;
mod storage;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use lakehead_disk::SystemDisk;
use lakehead_model::random::SeededRandom;
use lakehead_model::{Clock, Permissions};
use serde_json::{Value, json};

use super::{CatalogFront, CatalogParts, EmbeddedCatalogs};
use crate::access::{Access, Peer};
use crate::config;
use crate::control::tests::{World, world};
use crate::storage::Storage;

/// A server without a network, with a bucket `lake` whose catalog is on.
struct Server {
    world: World,
    front: CatalogFront,
    token: String,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

fn server() -> Server {
    server_with(BTreeMap::new(), "lake")
}

fn server_with(buckets: BTreeMap<String, config::Bucket>, bucket: &str) -> Server {
    let world = world();
    let new = crate::control::NewBucket { name: bucket.to_owned(), ..Default::default() };
    world.control.create_bucket(new).expect("a bucket");
    world.control.enable_catalog(bucket).expect("a catalog");
    let front = front(&world, buckets);
    let token = world.identity.admin_token().reveal().to_owned();
    Server { world, front, token }
}

fn front(world: &World, buckets: BTreeMap<String, config::Bucket>) -> CatalogFront {
    let clock: Arc<dyn Clock> = world.clock.clone();
    let catalogs = EmbeddedCatalogs::new(CatalogParts {
        store: Arc::clone(&world.store),
        storage: Arc::new(Storage::new(world.dir.path().join("buckets"), buckets)),
        clock: Arc::clone(&clock),
        random: Arc::new(SeededRandom::new(3)),
        disk: Arc::new(SystemDisk),
    });
    let access = Access::new(Arc::clone(&world.identity), Arc::clone(&world.store), clock);
    CatalogFront::new(Arc::new(catalogs), Arc::new(access))
}

impl Server {
    /// The process has ended and another one has started.
    fn restarted(mut self) -> Server {
        self.front = front(&self.world, BTreeMap::new());
        self
    }

    fn holder(&self, permissions: &[&str]) -> String {
        let permissions = Permissions::from_words("p", permissions.iter().copied()).expect("permissions");
        let new = lakehead_meta::NewToken {
            name: "t".to_owned(),
            permissions,
            streams: None,
            bucket: None,
            expires_at: None,
        };
        let made = self.world.store.create_token(new, self.world.clock.now()).expect("a token");
        made.1.reveal().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let head = request.method() == Method::HEAD;
        let (parts, body) = self.front.handle(request, Peer::UNKNOWN).await.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
        if parts.status.as_u16() >= 400 && body["error"].is_object() {
            assert_eq!(body["error"]["code"], parts.status.as_u16(), "{body}");
            assert!(body["error"]["type"].is_string() && body["error"]["message"].is_string(), "{body}");
        }
        assert!(!head || parts.status.as_u16() >= 400 || body.is_null());
        Reply { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, method: Method, below: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/catalog/v1/{below}"));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).expect("a request")).await
    }

    async fn get(&self, below: &str) -> Reply {
        self.call(Method::GET, below, &[], &Value::Null).await
    }

    async fn delete(&self, below: &str) -> Reply {
        self.call(Method::DELETE, below, &[], &Value::Null).await
    }

    async fn post(&self, below: &str, body: Value) -> Reply {
        self.call(Method::POST, below, &[], &body).await
    }

    /// A namespace `n` with a table `t`; what was answered.
    async fn with_table(&self) -> Value {
        self.post("lake/namespaces", json!({ "namespace": ["n"] })).await.ok();
        self.post("lake/namespaces/n/tables", table_body("t")).await.ok()
    }
}

impl Reply {
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    #[track_caller]
    fn refused(&self, status: u16, name: &str, text: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["error"]["type"], name, "{}", self.body);
        let message = self.body["error"]["message"].as_str().expect("a message");
        assert!(message.contains(text), "{message:?} does not hold {text:?}");
    }
}

fn table_body(name: &str) -> Value {
    json!({
        "name": name,
        "schema": { "type": "struct", "schema-id": 0, "fields": [
            { "id": 1, "name": "a", "type": "long", "required": true },
            { "id": 2, "name": "at", "type": "timestamptz", "required": false },
        ] },
        "partition-spec": { "spec-id": 0, "type": "struct", "fields": [
            { "source-id": 2, "field-id": 1000, "transform": "day", "name": "day" },
        ] },
        "write-order": { "order-id": 0, "fields": [] },
        "stage-create": false,
        "properties": { "owner": "me" },
    })
}

fn set(key: &str, value: &str) -> Value {
    json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { key: value } }] })
}
