use super::*;

fn bucket(endpoint: &str) -> S3Bucket {
    S3Bucket {
        endpoint: endpoint.into(),
        region: "auto".into(),
        bucket: "lake".into(),
        access_key_id: "id".into(),
        secret: Secret::new("hush"),
        session_token: Some(Secret::new("hushhush")),
        path_style: true,
        allow_http: false,
    }
}

#[test]
fn plain_http_is_for_this_host_alone_unless_it_is_allowed() {
    for endpoint in
        ["http://127.0.0.1:8333", "http://localhost", "http://[::1]:9000/", "https://s3.example.com"]
    {
        bucket(endpoint).client().unwrap();
    }
    for endpoint in ["http://s3.example.com", "http://127.0.0.1.example.com:80", "http://[2001:db8::1]:9000"]
    {
        let error = bucket(endpoint).client().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings, "{endpoint}");
        S3Bucket { allow_http: true, ..bucket(endpoint) }.client().unwrap();
    }
    for endpoint in ["", "127.0.0.1:8333", "ftp://host", "http://"] {
        assert_eq!(bucket(endpoint).client().unwrap_err().kind(), ErrorKind::Settings, "{endpoint}");
    }
}

#[test]
fn the_secret_is_in_no_text() {
    let shown =
        format!("{:?} {:?}", bucket("http://127.0.0.1"), bucket("http://127.0.0.1").client().unwrap());
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn keys_that_no_header_can_hold_are_refused_and_not_shown() {
    let odd = S3Bucket { session_token: Some(Secret::new("hush\nhush")), ..bucket("http://127.0.0.1") };
    let error = odd.client().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("session token") && !error.to_string().contains("hush"), "{error}");
    let odd = S3Bucket { access_key_id: "i\0d".into(), ..bucket("http://127.0.0.1") };
    assert_eq!(odd.client().unwrap_err().kind(), ErrorKind::Settings);
}

#[tokio::test]
async fn the_session_token_goes_with_the_keys() {
    let client = bucket("http://127.0.0.1").client().unwrap();
    let credential = client.credentials().get_credential().await.unwrap();
    assert_eq!(credential.token.as_deref(), Some("hushhush"));
}
