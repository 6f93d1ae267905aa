//! The S3 host.

use crate::harness::{ACCOUNT, Answer, NOW, Played};
use crate::signer::Signer;

fn r2() -> String {
    format!("{ACCOUNT}.r2.cloudflarestorage.com")
}

async fn signed(played: &Played, signer: &Signer, method: &str, host: &str, target: &str) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    played.ask(method, host, target, &signer.headers(method, host, path, query), "").await
}

fn assert_error((status, headers, body): &Answer, expected: u16, code: &str) {
    assert!(*status == expected && body.contains(&format!("<Code>{code}</Code>")), "{status} {body}");
    assert!(headers["content-type"] == "application/xml" && headers.contains_key("x-amz-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_found_in_the_name_of_the_host_and_in_the_path() {
    let played = Played::start().await;
    let me = Signer::at(NOW);
    for (host, path) in [(format!("open.{}", r2()), "/"), (r2(), "/open"), (r2(), "/open/")] {
        let (status, headers, body) = signed(&played, &me, "HEAD", &host, path).await;
        assert_eq!(
            (status, body.as_str(), &headers["x-amz-bucket-region"]),
            (200, "", &"auto".parse().unwrap()),
            "{host}{path}"
        );
    }
    for (host, path, expected) in [
        (format!("none.{}", r2()), "/", 404),
        (r2(), "/none", 404),
        (format!("closed.{}", r2()), "/", 403),
        (r2(), "/broken", 500),
        (r2(), "/open/key", 501),
        (r2(), "/", 501),
    ] {
        let (status, _, body) = signed(&played, &me, "HEAD", &host, path).await;
        assert_eq!((status, body.as_str()), (expected, ""), "{host}{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_page_by_page() {
    let played = Played::start().await;
    let host = format!("open.{}", r2());
    let me = Signer::at(NOW);
    let (status, headers, body) = signed(&played, &me, "GET", &host, "/?list-type=2&max-keys=1").await;
    assert!(status == 200 && headers["content-type"] == "application/xml", "{body}");
    assert!(
        body.contains("<Key>a/1.json.gz</Key>") && body.contains("<IsTruncated>true</IsTruncated>"),
        "{body}"
    );
    let token = body.split("<NextContinuationToken>").nth(1).unwrap().split('<').next().unwrap();
    let (_, _, body) =
        signed(&played, &me, "GET", &host, &format!("/?continuation-token={token}&list-type=2")).await;
    assert!(body.contains("<Key>a/2.json.gz</Key>") && body.contains("<Key>b &amp; c.txt</Key>"), "{body}");
    assert!(body.contains("<KeyCount>2</KeyCount>") && !body.contains("a/1"), "{body}");
    let (_, _, body) = signed(&played, &me, "GET", &r2(), "/open?delimiter=%2F&list-type=2&prefix=").await;
    assert!(body.contains("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_those_of_s3() {
    let played = Played::start().await;
    let host = format!("open.{}", r2());
    let me = Signer::at(NOW);
    let get = async |signer: &Signer, target: &str| signed(&played, signer, "GET", &host, target).await;
    let list = "/?list-type=2";
    assert_error(&played.get(&host, list).await, 403, "AccessDenied");
    let unknown = Signer { access_key_id: "nobody".to_owned(), ..me.clone() };
    assert_error(&get(&unknown, list).await, 403, "InvalidAccessKeyId");
    let wrong = Signer { secret: "guessed".to_owned(), ..me.clone() };
    assert_error(&get(&wrong, list).await, 403, "SignatureDoesNotMatch");
    for at in [NOW - 901_000_000, NOW + 901_000_000] {
        assert_error(&get(&Signer { at, ..me.clone() }, list).await, 403, "RequestTimeTooSkewed");
    }
    let others = format!("closed.{}", r2());
    assert_error(&signed(&played, &me, "GET", &others, list).await, 403, "AccessDenied");
    let none = format!("none.{}", r2());
    assert_error(&signed(&played, &me, "GET", &none, list).await, 404, "NoSuchBucket");
    assert_error(&get(&me, "/").await, 501, "NotImplemented");
    assert_error(&get(&me, "/?versions=").await, 501, "NotImplemented");
    assert_error(&get(&me, "/key").await, 501, "NotImplemented");
    assert_error(&get(&me, "/?list-type=2&max-keys=many").await, 400, "InvalidArgument");
    assert_error(&signed(&played, &me, "DELETE", &host, "/").await, 405, "MethodNotAllowed");
    assert_error(&played.ask("PUT", &host, "/key", &[], "content").await, 405, "MethodNotAllowed");
    let broken = signed(&played, &me, "GET", &r2(), "/broken?list-type=2").await;
    assert_error(&broken, 500, "InternalError");
    assert!(!broken.2.contains("on fire"), "{}", broken.2);

    // Taken from one request, the headers fit no other.
    let headers = me.headers("GET", &host, "/", "list-type=2");
    assert_eq!(played.ask("GET", &host, list, &headers, "").await.0, 200);
    assert_error(
        &played.ask("GET", &host, "/?list-type=2&prefix=a", &headers, "").await,
        403,
        "SignatureDoesNotMatch",
    );
    assert_error(&played.ask("GET", &others, list, &headers, "").await, 403, "SignatureDoesNotMatch");
    let mut tampered = headers;
    tampered[2].1 = tampered[2].1.replace("Signature=", "Signature=00");
    assert_error(&played.ask("GET", &host, list, &tampered, "").await, 403, "SignatureDoesNotMatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_a_path_stays_text() {
    let played = Played::start().await;
    let (_, _, body) = signed(&played, &Signer::at(NOW), "GET", &r2(), "/%3Cb%3E%26?list-type=2").await;
    assert!(body.contains("There is no bucket &lt;b&gt;&amp;.") && !body.contains("<b>"), "{body}");
}
