//! The API as a client sees it: requests into the router, answers out.

mod access;
mod audit;
mod bodies;
mod buckets;
mod catalogs;
mod legacy;
mod openapi;
mod pipelines;
mod preview;
mod schema_check;
mod secrets;
mod sinks;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service;

use super::{Api, router};
use crate::access::Access;
use crate::control::tests::{World, world};

/// A server without a network.
struct Server {
    world: World,
    router: Router,
    token: String,
}

/// An answer, checked for what holds for all of them.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

fn server() -> Server {
    let world = world();
    let api = Api {
        control: Arc::clone(&world.control),
        access: Arc::new(Access::new(
            Arc::clone(&world.identity),
            Arc::clone(&world.store),
            world.clock.clone(),
        )),
        endpoint: Arc::new(|id| format!("http://127.0.0.1:7070/ingest/{id}")),
    };
    let token = world.identity.admin_token().reveal().to_owned();
    Server { world, router: router(api), token }
}

impl Server {
    /// The path of something in the account.
    fn path(&self, below: &str) -> String {
        format!("/client/v4/accounts/{}{below}", self.world.identity.account_id())
    }

    fn request(&self, method: &Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.token))
    }

    async fn raw(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.router.clone().call(request).await.expect("the router cannot fail");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes().to_vec();
        (parts.status, parts.headers, bytes)
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        self.exchange(request, None).await
    }

    /// `sent`: the body of `request`, to be held against the document if the request is accepted.
    async fn exchange(&self, request: Request<Body>, sent: Option<&Value>) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let (status, headers, bytes) = self.raw(request).await;
        let body: Value = serde_json::from_slice(&bytes).expect("every answer is JSON");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(status.as_u16() >= 400, body["success"] == false, "{status} {body}");
        assert!(body["errors"].is_array() && body["messages"].is_array(), "{body}");
        assert_eq!(body["errors"] == json!([]), body["success"] == true, "{body}");
        openapi::check_exchange(&method, &path, sent, status, &body);
        Reply { status, headers, body }
    }

    async fn get(&self, below: &str) -> Reply {
        self.send(self.request(&Method::GET, &self.path(below)).body(Body::empty()).expect("a request")).await
    }

    async fn delete(&self, below: &str) -> Reply {
        // As the SDKs send it: a type, and no body.
        let request =
            self.request(&Method::DELETE, &self.path(below)).header("content-type", "application/json");
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    async fn with_body(&self, method: Method, below: &str, body: impl Into<Body>) -> Reply {
        self.send(self.request(&method, &self.path(below)).body(body.into()).expect("a request")).await
    }

    async fn post(&self, below: &str, body: Value) -> Reply {
        let request = self.request(&Method::POST, &self.path(below)).body(Body::from(body.to_string()));
        self.exchange(request.expect("a request"), Some(&body)).await
    }

    async fn patch(&self, below: &str, body: Value) -> Reply {
        let request = self.request(&Method::PATCH, &self.path(below)).body(Body::from(body.to_string()));
        self.exchange(request.expect("a request"), Some(&body)).await
    }

    /// Makes something and returns its id.
    async fn make(&self, below: &str, body: Value) -> String {
        let reply = self.post(below, body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.result()["id"].as_str().expect("an id").to_owned()
    }
}

impl Reply {
    fn result(&self) -> &Value {
        &self.body["result"]
    }

    fn code(&self) -> u64 {
        self.body["errors"][0]["code"].as_u64().expect("a code")
    }

    fn message(&self) -> &str {
        self.body["errors"][0]["message"].as_str().expect("a message")
    }

    /// A refusal with this status and code, whose message begins so.
    fn refused(&self, status: u16, code: u64, message: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.body);
        assert!(self.message().starts_with(message), "{:?} does not begin with {message:?}", self.message());
        assert_eq!(self.result(), &Value::Null);
    }
}

const STREAMS: &str = "/pipelines/v1/streams";
const SINKS: &str = "/pipelines/v1/sinks";
const PIPELINES: &str = "/pipelines/v1/pipelines";

fn sink_body(name: &str) -> Value {
    json!({ "name": name, "type": "r2", "config": { "bucket": "lake" }, "format": { "type": "parquet" } })
}
