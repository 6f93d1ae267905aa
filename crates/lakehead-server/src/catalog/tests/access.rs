use super::*;

#[tokio::test]
async fn a_token_does_what_it_permits_and_strangers_nothing() {
    let server = server();
    server.with_table().await;
    let (read, write, send) = (server.holder(&["read"]), server.holder(&["write"]), server.holder(&["send"]));
    let table = "lake/namespaces/n/tables/t";
    for (token, config, load, commit) in [
        (&*read, 200, 200, 403),
        (&*write, 200, 403, 200),
        (&*send, 403, 403, 403),
        ("nonsense", 401, 401, 401),
        ("", 401, 401, 401),
    ] {
        let bearer = format!("Bearer {token}");
        let header = [("authorization", &*bearer)];
        let asked = server.call(Method::GET, "config?warehouse=lake", &header, &Value::Null).await;
        let loaded = server.call(Method::GET, table, &header, &Value::Null).await;
        let committed = server.call(Method::POST, table, &header, &set("k", "v")).await;
        let found = [&asked, &loaded, &committed].map(|reply| reply.status.as_u16());
        assert_eq!(found, [config, load, commit], "{token}");
        if load == 401 {
            assert_eq!(loaded.headers["www-authenticate"], "Bearer");
            loaded.refused(401, "NotAuthorizedException", "token");
        }
    }
    // A stranger learns nothing of what there is.
    let bearer = [("authorization", "Bearer nonsense")];
    let other = server.call(Method::GET, "other/namespaces", &bearer, &Value::Null).await;
    other.refused(401, "NotAuthorizedException", "not valid");
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed_down() {
    let server = server();
    let bearer = [("authorization", "Bearer nonsense")];
    let mut last = 0;
    for _ in 0..101 {
        let reply = server.call(Method::GET, "lake/namespaces", &bearer, &Value::Null).await;
        last = reply.status.as_u16();
    }
    assert_eq!(last, 429);
    assert_eq!(server.get("lake/namespaces").await.status, 200);
}

#[tokio::test]
async fn clients_that_speak_oauth_alone_get_their_token_back() {
    let server = server();
    let ask = |headers: Vec<(&'static str, String)>, form: String| {
        let mut request = Request::builder().method(Method::POST).uri("/catalog/v1/oauth/tokens");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        server.send(request.body(Body::from(form)).unwrap())
    };
    let token = server.holder(&["read"]);
    let exchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    for (headers, form) in [
        (vec![], format!("grant_type=client_credentials&client_id=x&client_secret={token}&scope=catalog")),
        (vec![], format!("{exchange}&subject_token={token}")),
        (
            // `id:` and the token, as DuckDB sends them.
            vec![(
                "authorization",
                format!(
                    "Basic {}",
                    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("id:{token}"))
                ),
            )],
            "grant_type=client_credentials&scope=PRINCIPAL_ROLE%3AALL".to_owned(),
        ),
    ] {
        let reply = ask(headers, form).await;
        assert_eq!(reply.headers["cache-control"], "no-store");
        let body = reply.ok();
        assert_eq!((&body["access_token"], &body["token_type"]), (&json!(token), &json!("bearer")));
    }
    let wrong = ask(vec![], "grant_type=client_credentials&client_secret=x".to_owned()).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["error"]), (401, &json!("invalid_client")));
    let other = ask(vec![], format!("grant_type=password&password={token}")).await;
    assert_eq!((other.status.as_u16(), &other.body["error"]), (400, &json!("unsupported_grant_type")));
}
