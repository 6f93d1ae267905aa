use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use super::{STREAMS, server};

#[tokio::test]
async fn a_body_is_read_whatever_its_content_type() {
    let server = server();
    let types =
        ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "application/json", "", "nonsense"];
    for (i, content_type) in types.iter().enumerate() {
        let request =
            server.request(&Method::POST, &server.path(STREAMS)).header("content-type", *content_type);
        let body = json!({ "name": format!("s{i}") }).to_string();
        assert_eq!(server.send(request.body(Body::from(body)).unwrap()).await.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let server = server();
    let cases: [(&[u8], &str); 9] = [
        (b"", "body: is empty; a JSON object is needed"),
        (b" \n", "body: is empty"),
        (b"[]", "body: is an array; an object is needed"),
        (b"null", "body: is null; an object is needed"),
        (b"\"name\"", "body: is a string"),
        (b"{\"name\":\"a\"", "body: is not JSON: EOF"),
        (b"{\"name\":\"a\"} x", "body: is not JSON: trailing"),
        (b"{\"name\":\"\xff\"}", "body: is not JSON: "),
        (b"{'name':1}", "body: is not JSON: key must be a string at line 1 column 2"),
    ];
    for (body, message) in cases {
        server.with_body(Method::POST, STREAMS, body.to_vec()).await.refused(400, 1001, message);
    }
    let deep = "[".repeat(100_000);
    server.with_body(Method::POST, STREAMS, deep).await.refused(
        400,
        1001,
        "body: is not JSON: recursion limit",
    );
}

#[tokio::test]
async fn of_a_repeated_key_the_last_counts() {
    let server = server();
    let reply = server.with_body(Method::POST, STREAMS, r#"{"name":"first","name":"second"}"#).await;
    assert_eq!(reply.result()["name"], "second");
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused_declared_or_not() {
    let server = server();
    let fits = format!("{{\"name\":\"a\",\"x\":\"{}\"}}", "y".repeat((1 << 20) - 19));
    assert_eq!(fits.len(), 1 << 20);
    assert_eq!(server.with_body(Method::POST, STREAMS, fits.clone()).await.status, 200);
    let over = format!("{fits} ");
    server.with_body(Method::POST, STREAMS, over.clone()).await.refused(
        413,
        1008,
        "body: is larger than the limit of 1048576",
    );
    let declared = server.request(&Method::POST, &server.path(STREAMS)).header("content-length", over.len());
    server.send(declared.body(Body::empty()).unwrap()).await.refused(413, 1008, "body: is larger");
}

#[tokio::test]
async fn unknown_paths_and_methods_get_an_envelope() {
    let server = server();
    for path in ["/", "/client/v4", "/client/v4/", "/client/v4/zones", "/client/v4/accounts/x/y/z", "/nope"] {
        let reply = server.send(Request::get(path).body(Body::empty()).unwrap()).await;
        reply.refused(404, 7000, "No route for that URI");
    }
    server.get("/pipelines/v1/nothing").await.refused(404, 7000, "");
    server.with_body(Method::PUT, STREAMS, "{}").await.refused(405, 10405, "");
    server.with_body(Method::OPTIONS, STREAMS, "").await.refused(405, 10405, "");
    let user = server.send(Request::delete("/client/v4/user").body(Body::empty()).unwrap()).await;
    user.refused(405, 10405, "");
}

#[tokio::test]
async fn a_message_that_repeats_what_was_sent_is_cut() {
    let server = server();
    let mut body = super::sink_body("files");
    body["config"]["bucket"] = json!("ü".repeat(400_000));
    let reply = server.post(super::SINKS, body).await;
    reply.refused(400, 1001, "config.bucket: \"ü");
    assert!(reply.message().len() < 4200, "{}", reply.message().len());
}
