use axum::body::Body;
use http::{HeaderValue, Method, Request};
use serde_json::{Value, json};

use super::{STREAMS, Server, server};

type Headers = Vec<(&'static str, HeaderValue)>;

async fn ask(server: &Server, method: Method, path: &str, headers: &Headers) -> super::Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    server.send(request.body(Body::from(r#"{"name":"intruder"}"#)).expect("a request")).await
}

fn value(text: impl AsRef<[u8]>) -> HeaderValue {
    HeaderValue::from_bytes(text.as_ref()).expect("a header value")
}

/// Headers that open nothing, and the status they get.
fn matrix(token: &str) -> Vec<(&'static str, u16, Headers)> {
    let auth = |text: &str| ("authorization", value(text));
    let right = format!("Bearer {token}");
    vec![
        ("none", 401, vec![]),
        ("empty", 401, vec![auth("")]),
        ("scheme alone", 401, vec![auth("Bearer")]),
        ("scheme and spaces", 401, vec![auth("Bearer    ")]),
        ("no space", 401, vec![auth(&format!("Bearer{token}"))]),
        ("token alone", 401, vec![auth(token)]),
        ("another scheme", 401, vec![auth(&format!("Basic {token}"))]),
        ("two headers", 401, vec![auth(&right), auth(&right)]),
        ("two headers, one wrong", 401, vec![auth("Bearer x"), auth(&right)]),
        ("wrong", 403, vec![auth("Bearer lh_000000000000000000000000000000000000000000000000")]),
        ("first letter", 403, vec![auth(&format!("Bearer {}", &token[..1]))]),
        ("all but the last letter", 403, vec![auth(&format!("Bearer {}", &token[..token.len() - 1]))]),
        ("one letter more", 403, vec![auth(&format!("{right}x"))]),
        ("token twice", 403, vec![auth(&format!("{right} {token}"))]),
        ("upper case", 403, vec![auth(&format!("Bearer {}", token.to_uppercase()))]),
        ("not ASCII", 403, vec![("authorization", value(b"Bearer \xff\xfe"))]),
        ("a megabyte", 403, vec![auth(&format!("Bearer {}", "x".repeat(1 << 20)))]),
        ("key without email", 401, vec![("x-auth-key", value(token))]),
        ("empty key", 401, vec![("x-auth-email", value("a@b.c")), ("x-auth-key", value(""))]),
        ("email without key", 401, vec![("x-auth-email", value("a@b.c"))]),
        ("wrong key", 403, vec![("x-auth-email", value("a@b.c")), ("x-auth-key", value("nope"))]),
        (
            "a wrong token beside the right key",
            403,
            vec![auth("Bearer nope"), ("x-auth-email", value("a@b.c")), ("x-auth-key", value(token))],
        ),
    ]
}

#[tokio::test]
async fn only_the_token_opens_the_account_and_refusals_do_nothing() {
    let server = server();
    let id = server.make(STREAMS, json!({ "name": "events" })).await;
    let mut bodies: std::collections::BTreeMap<u16, Value> = Default::default();
    for (case, status, headers) in matrix(&server.token) {
        // As if from many addresses.
        server.world.clock.advance(std::time::Duration::from_secs(60));
        let streams = server.path(STREAMS);
        for (method, path) in [
            (Method::GET, streams.clone()),
            (Method::POST, streams.clone()),
            (Method::GET, format!("{streams}?token={0}&authorization=Bearer%20{0}", server.token)),
            (Method::DELETE, format!("{streams}/{id}")),
            (Method::GET, format!("{streams}/{}", "0".repeat(32))),
            (Method::GET, server.path("/r2/buckets/none/objects/none")),
            (Method::GET, server.path("/pipelines")),
        ] {
            let reply = ask(&server, method, &path, &headers).await;
            assert_eq!((reply.status.as_u16(), reply.code()), (status, 10000), "{case} {path}");
            let first = bodies.entry(status).or_insert_with(|| reply.body.clone());
            assert_eq!(&reply.body, first, "{case} {path}: the answer tells nothing apart");
        }
    }
    let streams = server.get(STREAMS).await;
    assert_eq!(streams.body["result_info"]["total_count"], 1);
    assert_eq!(streams.result()[0]["id"], json!(id));
}

#[tokio::test]
async fn the_token_is_accepted_in_every_spelling_clients_use() {
    let server = server();
    let token = server.token.clone();
    let accepted: Vec<Headers> = vec![
        vec![("authorization", value(format!("Bearer {token}")))],
        vec![("authorization", value(format!("bearer {token}")))],
        vec![("authorization", value(format!("BEARER   {token}")))],
        vec![("x-auth-email", value("a@b.c")), ("x-auth-key", value(&token))],
    ];
    for headers in accepted {
        assert_eq!(
            ask(&server, Method::GET, &server.path(STREAMS), &headers).await.status,
            200,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn another_account_is_forbidden_with_the_right_token_too() {
    let server = server();
    let upper = server.world.identity.account_id().to_uppercase();
    for account in ["0".repeat(32), "x".to_owned(), "%ff".to_owned(), format!("{upper}Z")] {
        let path = format!("/client/v4/accounts/{account}{STREAMS}");
        let request = server.request(&Method::GET, &path).body(Body::empty()).unwrap();
        server.send(request).await.refused(403, 10000, "Authentication error");
    }
}

#[tokio::test]
async fn a_wrong_token_gets_from_whoami_what_makes_wrangler_speak_plainly() {
    let server = server();
    let wrong: Headers = vec![("authorization", value("Bearer wrong"))];
    let cases = [
        ("/user/tokens/verify", 401, 1000),
        ("/user", 403, 9109),
        ("/accounts?page=1", 403, 9109),
        ("/memberships?page=1", 403, 9109),
    ];
    for (path, status, code) in cases {
        let reply = ask(&server, Method::GET, &format!("/client/v4{path}"), &wrong).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{path}");
    }
    ask(&server, Method::POST, "/client/v4/graphql", &wrong).await.refused(403, 10000, "");
}

#[tokio::test]
async fn whoami_knows_the_account() {
    let server = server();
    let account = server.world.identity.account_id();
    let get = async |path: &str| {
        let path = format!("/client/v4{path}");
        server.send(server.request(&Method::GET, &path).body(Body::empty()).unwrap()).await
    };
    assert_eq!(get("/user/tokens/verify").await.result()["status"], "active");
    assert!(get("/user").await.result()["email"].is_string());
    let accounts = get("/accounts?page=1").await;
    assert_eq!(accounts.result()[0]["id"], account);
    assert_eq!(accounts.body["result_info"]["total_count"], 1);
    assert_eq!(get("/accounts?page=2").await.result(), &json!([]));
    let memberships = get("/memberships?page=1").await;
    assert_eq!(memberships.result()[0]["account"]["id"], account);
    assert_eq!(memberships.body["result_info"]["total_count"], 1);
    assert_eq!(get(&format!("/accounts/{account}")).await.result()["id"], account);
}

#[tokio::test]
async fn graphql_tells_what_a_bucket_holds_and_nothing_else() {
    let server = server();
    server.post("/r2/buckets", json!({ "name": "my-lake" })).await;
    let folder = server.world.dir.path().join("buckets/my-lake/year=2026");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.json"), "{}\n").unwrap();
    std::fs::write(folder.join("b.json"), "{}\n{}\n").unwrap();
    let ask = async |variables: Value| {
        let body =
            json!({ "query": "query ($filter: F) { viewer { accounts { a } } }", "variables": variables });
        let request = server.request(&Method::POST, "/client/v4/graphql").body(Body::from(body.to_string()));
        let (status, _, bytes) = server.raw(request.unwrap()).await;
        assert_eq!(status, 200);
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        answer["data"]["viewer"]["accounts"][0]["r2StorageAdaptiveGroups"].clone()
    };
    let of = |name: &str| json!({ "accountTag": "x", "filter": { "bucketName": name } });
    for name in ["my-lake", "eu_my-lake"] {
        let max = json!({ "objectCount": 2, "payloadSize": 9, "metadataSize": 0 });
        assert_eq!(ask(of(name)).await[0]["max"], max);
    }
    for nothing in
        [of("other"), of("../../x"), of(""), json!({}), json!(7), json!({ "filter": { "bucketName": 7 } })]
    {
        assert_eq!(ask(nothing).await, json!([]));
    }
}
