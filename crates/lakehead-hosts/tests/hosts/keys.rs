//! The way to a key, as a browser walks it.

use std::sync::atomic::Ordering;

use crate::harness::{ACCESS_KEY_ID, ACCOUNT, OAUTH, Played, SECRET_ACCESS_KEY};
use crate::signer::Signer;

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_allows_a_key_and_it_opens_the_bucket() {
    let played = Played::start().await;
    let path =
        format!("/oauth/login?accountId={ACCOUNT}&bucketName=my-bucket&pipelineName=my-clickstream-pipeline");
    let (status, _, page) = played.get(OAUTH, &path).await;
    assert_eq!(status, 200, "{page}");
    let number = page.split("name=\"page\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = format!("page={number}");

    let foreign = owned(&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]);
    assert_eq!(played.ask("POST", OAUTH, "/oauth/login", &foreign, &form).await.0, 403);
    assert_eq!(played.ask("POST", OAUTH, "/oauth/login", &[], &form).await.0, 403);
    assert_eq!(played.keeper.minted.load(Ordering::Relaxed), 0);

    let own = owned(&[
        ("origin", "https://oauth.pipelines.cloudflare.com"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    let (status, headers, body) = played.ask("POST", OAUTH, "/oauth/login", &own, &form).await;
    assert_eq!((status, body.as_str()), (303, ""));
    let location =
        format!("http://localhost:8976/?access-key-id={ACCESS_KEY_ID}&secret-access-key={SECRET_ACCESS_KEY}");
    assert_eq!(headers["location"].to_str().unwrap(), location);
    assert_eq!(played.ask("POST", OAUTH, "/oauth/login", &own, &form).await.0, 403);

    let host = format!("my-bucket.{ACCOUNT}.r2.cloudflarestorage.com");
    let signed = Signer::at(crate::harness::NOW).headers("HEAD", &host, "/", "");
    assert_eq!(played.ask("HEAD", &host, "/", &signed, "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_too_long_is_refused() {
    let played = Played::start().await;
    let own = owned(&[("origin", "https://oauth.pipelines.cloudflare.com")]);
    assert_eq!(played.ask("POST", OAUTH, "/oauth/login", &own, &"x".repeat(100_000)).await.0, 400);
}
