use std::time::Duration;

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::{Reply, STREAMS, Server, server};

impl Server {
    async fn token(&self, body: Value) -> String {
        let reply = self.post("/tokens", body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.result()["value"].as_str().expect("the value").to_owned()
    }

    async fn with_token(&self, token: &str, method: Method, path: &str, body: &Value) -> Reply {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body.to_string()));
        self.send(request.expect("a request")).await
    }
}

#[tokio::test]
async fn a_token_shows_its_value_once() {
    let server = server();
    let stream = server.make(STREAMS, json!({ "name": "events" })).await;
    let body = json!({
        "name": "web", "permissions": ["send", "read"], "streams": [stream], "expires_on": "2030-01-01T01:00:00+01:00",
    });
    let made = server.post("/tokens", body).await;
    let mut shown = made.result().clone();
    let value = shown.as_object_mut().unwrap().remove("value").unwrap();
    let id = shown["id"].as_str().unwrap().to_owned();
    assert!(value.as_str().unwrap().starts_with(&format!("lh_{id}_")));
    let issued = shown["issued_on"].clone();
    let expected = json!({
        "id": id, "name": "web", "status": "active", "permissions": ["read", "send"], "streams": [stream],
        "issued_on": issued, "modified_on": issued, "expires_on": "2030-01-01T00:00:00.000000Z", "last_used_on": null,
    });
    assert_eq!(shown, expected);
    assert_eq!(*server.get(&format!("/tokens/{id}")).await.result(), expected);
    let listed = server.get("/tokens?per_page=5").await;
    assert_eq!(
        (listed.result(), &listed.body["result_info"]["total_count"]),
        (&json!([expected]), &json!(1))
    );

    let path = "/client/v4/user/tokens/verify";
    let verify = server.with_token(value.as_str().unwrap(), Method::GET, path, &Value::Null).await;
    let verified = json!({ "id": id, "status": "active", "expires_on": "2030-01-01T00:00:00.000000Z" });
    assert_eq!(*verify.result(), verified);
    assert_ne!(server.get(&format!("/tokens/{id}")).await.result()["last_used_on"], Value::Null);
    server.world.clock.advance(Duration::from_secs(20 * 366 * 86_400));
    assert_eq!(server.get(&format!("/tokens/{id}")).await.result()["status"], "expired");
    assert_eq!(server.delete(&format!("/tokens/{id}")).await.status, 200);
    server.get(&format!("/tokens/{id}")).await.refused(404, 1011, "Token does not exist");
    server.delete(&format!("/tokens/{id}")).await.refused(404, 1011, "Token does not exist");
}

#[tokio::test]
async fn each_permission_opens_its_own_calls_and_no_other() {
    let server = server();
    let one = |word: &str| json!({ "name": word, "permissions": [word] });
    let (read, write, send) =
        (server.token(one("read")).await, server.token(one("write")).await, server.token(one("send")).await);
    let (streams, tokens) = (server.path(STREAMS), server.path("/tokens"));
    let preview = server.path("/pipelines/v1/preview_sql");
    let new = json!({ "name": "s", "sql": "SELECT 1" });
    let lacks = |word: &str| (403, format!("Forbidden: the token lacks the permission `{word}`"));
    let cases = [
        (&read, Method::GET, &streams, (200, String::new())),
        (&read, Method::POST, &streams, lacks("write")),
        (&write, Method::GET, &streams, lacks("read")),
        (&send, Method::GET, &streams, lacks("read")),
        (&send, Method::POST, &streams, lacks("write")),
        (&write, Method::POST, &streams, (200, String::new())),
        (&read, Method::POST, &preview, (200, String::new())),
        (&write, Method::POST, &preview, lacks("read")),
        (&send, Method::POST, &preview, lacks("read")),
        (&write, Method::POST, &tokens, (403, "Forbidden: only the administrator".to_owned())),
        (&read, Method::GET, &tokens, (403, "Forbidden: only the administrator".to_owned())),
        (&send, Method::GET, &server.path("/tokens/verify"), (200, String::new())),
        (&send, Method::GET, &"/client/v4/accounts".to_owned(), (200, String::new())),
        (&send, Method::POST, &"/client/v4/graphql".to_owned(), lacks("read")),
    ];
    for (token, method, path, (status, message)) in cases {
        let reply = server.with_token(token, method.clone(), path, &new).await;
        match status {
            200 => assert_eq!(reply.status, 200, "{method} {path}: {}", reply.body),
            _ => reply.refused(status, 100, &message),
        }
    }
    let elsewhere = format!("/client/v4/accounts/{}{STREAMS}", "0".repeat(32));
    let reply = server.with_token(&read, Method::GET, &elsewhere, &new).await;
    reply.refused(403, 10000, "Authentication error");
}

#[tokio::test]
async fn a_revoked_and_an_expired_token_are_strangers() {
    let server = server();
    let token = server.token(json!({ "name": "a", "permissions": ["read"] })).await;
    let id = server.get("/tokens").await.result()[0]["id"].as_str().unwrap().to_owned();
    server.delete(&format!("/tokens/{id}")).await;
    let expiring = server
        .token(json!({ "name": "b", "permissions": ["read"], "expires_on": "2100-01-01T00:00:00Z" }))
        .await;
    assert_eq!(
        server.with_token(&expiring, Method::GET, &server.path(STREAMS), &json!({})).await.status,
        200
    );
    server.world.clock.advance(Duration::from_secs(100 * 366 * 86_400));
    for stranger in [&token, &expiring] {
        let reply = server.with_token(stranger, Method::GET, &server.path(STREAMS), &json!({})).await;
        reply.refused(403, 10000, "Authentication error");
    }
    let late = json!({ "name": "c", "permissions": ["read"], "expires_on": "2020-01-01T00:00:00Z" });
    server.post("/tokens", late).await.refused(400, 1001, "expires_on: lies in the past");
}

#[tokio::test]
async fn after_a_hundred_wrong_tokens_an_address_is_told_to_wait_and_good_ones_still_pass() {
    let server = server();
    let path = server.path(STREAMS);
    for n in 0..100 {
        let reply = server.with_token(&format!("wrong{n}"), Method::GET, &path, &json!({})).await;
        reply.refused(403, 10000, "Authentication error");
    }
    let reply = server.with_token("wrong", Method::GET, &path, &json!({})).await;
    assert_eq!(
        (&reply.headers["retry-after"], &reply.headers["x-should-retry"]),
        (&"1".parse().unwrap(), &"false".parse().unwrap())
    );
    reply.refused(429, 10429, "too many wrong credentials");
    assert_eq!(server.get(STREAMS).await.status, 200);
    server.world.clock.advance(Duration::from_secs(1));
    server.with_token("wrong", Method::GET, &path, &json!({})).await.refused(403, 10000, "");
}

#[tokio::test]
async fn what_cannot_work_is_refused_naming_the_field() {
    let server = server();
    for (body, message) in [
        (json!({ "permissions": ["send"] }), "name: is missing"),
        (json!({ "name": " ", "permissions": ["send"] }), "name: is empty"),
        (json!({ "name": "a" }), "permissions: is missing"),
        (json!({ "name": "a", "permissions": [] }), "permissions: names no permission"),
        (json!({ "name": "a", "permissions": ["admin"] }), "permissions: \"admin\" is not a permission"),
        (json!({ "name": "a", "permissions": ["send"], "streams": [] }), "streams: is empty"),
        (json!({ "name": "a", "permissions": ["send"], "streams": ["x"] }), "streams[0]: is not an id"),
        (
            json!({ "name": "a", "permissions": ["send"], "streams": ["0".repeat(32)] }),
            "streams[0]: is the id of no",
        ),
        (json!({ "name": "a", "permissions": ["send"], "expires_on": "soon" }), "expires_on: is not a time"),
    ] {
        server.post("/tokens", body).await.refused(400, 1001, message);
    }
}
