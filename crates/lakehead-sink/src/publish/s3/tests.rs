use super::*;

fn bucket(endpoint: &str) -> S3Bucket {
    S3Bucket {
        endpoint: endpoint.into(),
        region: "auto".into(),
        bucket: "lake".into(),
        access_key_id: "id".into(),
        secret: Secret::new("hush"),
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
