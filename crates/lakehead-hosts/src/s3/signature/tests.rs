//! The known answers are the examples of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header".

use http::Request;
use lakehead_model::Clock;
use lakehead_model::clock::ManualClock;

use super::*;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// 2013-05-24T00:00:00Z, the moment of the examples.
const THEN: Timestamp = Timestamp(1_369_353_600_000_000);

/// What it does to a request, and how.
type Change = (&'static str, fn(&mut Parts));

/// One of the examples: all ask `examplebucket` at the same moment.
fn example(path: &str, extra: &[(&str, &str)], signed: &str, signature: &str) -> Parts {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ID}/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},Signature={signature}"
    );
    let mut request = Request::get(path)
        .header("host", "examplebucket.s3.amazonaws.com")
        .header("x-amz-content-sha256", OF_NOTHING)
        .header("x-amz-date", "20130524T000000Z")
        .header("authorization", authorization);
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn listing() -> Parts {
    let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    example("/?max-keys=2&prefix=J", &[], "host;x-amz-content-sha256;x-amz-date", signature)
}

fn check_at(head: &Parts, now: Timestamp) -> Result<String, S3Error> {
    verify(head, now, |id| Ok((id == ID).then(|| Secret::new(SECRET))))
}

fn check(head: &Parts) -> Result<String, S3Error> {
    check_at(head, THEN)
}

fn set(head: &mut Parts, name: &'static str, value: &str) {
    head.headers.insert(name, value.parse().unwrap());
}

/// Edits the `Authorization` header.
fn rewrite(head: &mut Parts, from: &str, to: &str) {
    let text = head.headers["authorization"].to_str().unwrap();
    assert!(text.contains(from));
    let text = text.replacen(from, to, 1);
    set(head, "authorization", &text);
}

#[test]
fn the_examples_of_the_reference_are_valid() {
    assert_eq!(check(&listing()).unwrap(), ID);
    let object = example(
        "/test.txt",
        &[("range", "bytes=0-9")],
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    assert_eq!(check(&object).unwrap(), ID);
    let lifecycle = example(
        "/?lifecycle",
        &[],
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    assert_eq!(check(&lifecycle).unwrap(), ID);
}

#[test]
fn any_change_of_what_was_signed_is_noticed() {
    let changes: [Change; 9] = [
        ("method", |head| head.method = http::Method::HEAD),
        ("path", |head| head.uri = "/x?max-keys=2&prefix=J".parse().unwrap()),
        ("query", |head| head.uri = "/?max-keys=2&prefix=K".parse().unwrap()),
        ("one more parameter", |head| head.uri = "/?max-keys=2&prefix=J&x".parse().unwrap()),
        ("host", |head| set(head, "host", "other.s3.amazonaws.com")),
        ("time", |head| set(head, "x-amz-date", "20130524T000001Z")),
        ("hash", |head| set(head, "x-amz-content-sha256", UNSIGNED)),
        ("region", |head| rewrite(head, "us-east-1", "auto")),
        ("signature", |head| rewrite(head, "Signature=34", "Signature=35")),
    ];
    for (what, change) in changes {
        let mut head = listing();
        change(&mut head);
        assert!(matches!(check(&head), Err(S3Error::SignatureDoesNotMatch)), "{what}: {:?}", check(&head));
    }
    let wrong = verify(&listing(), THEN, |_| Ok(Some(Secret::new("another secret"))));
    assert!(matches!(wrong, Err(S3Error::SignatureDoesNotMatch)));
    let shortened = &mut listing();
    rewrite(shortened, "dc6f7", "dc");
    assert!(matches!(
        check(shortened),
        Err(S3Error::SignatureDoesNotMatch | S3Error::AuthorizationHeaderMalformed(_))
    ));
}

#[test]
fn no_byte_of_the_header_may_differ() {
    let text = listing().headers["authorization"].to_str().unwrap().to_owned();
    for at in 0..text.len() {
        for other in ["~", "", ",", "/", "="] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed == text {
                continue;
            }
            let mut head = listing();
            set(&mut head, "authorization", &changed);
            assert!(check(&head).is_err(), "{changed}");
        }
    }
}

#[test]
fn order_and_writing_of_the_query_do_not_matter() {
    let mut head = listing();
    head.uri = "/?prefix=%4A&max-keys=2".parse().unwrap();
    assert_eq!(check(&head).unwrap(), ID);
}

#[test]
fn a_request_is_good_for_fifteen_minutes() {
    let clock = ManualClock::starting_at(Timestamp(THEN.0 - 900_000_000));
    assert!(check_at(&listing(), clock.now()).is_ok());
    assert!(check_at(&listing(), Timestamp(THEN.0 + 900_000_000)).is_ok());
    for skewed in [THEN.0 - 900_000_001, THEN.0 + 900_000_001, i64::MIN, i64::MAX] {
        assert!(matches!(check_at(&listing(), Timestamp(skewed)), Err(S3Error::RequestTimeTooSkewed)));
    }
}

#[test]
fn what_s3_gives_a_meaning_must_be_signed() {
    let mut head = listing();
    set(&mut head, "x-amz-security-token", "t");
    assert!(matches!(check(&head), Err(S3Error::AccessDenied(_))));
    for header in ["host;", "x-amz-content-sha256;", ";x-amz-date"] {
        let mut head = listing();
        rewrite(&mut head, header, "");
        assert!(matches!(check(&head), Err(S3Error::AccessDenied(_))), "{header}");
    }
    // Others may be there unsigned.
    let mut head = listing();
    set(&mut head, "user-agent", "x");
    assert!(check(&head).is_ok());
}

#[test]
fn an_unknown_key_and_a_failed_look_up_are_told_apart() {
    assert!(matches!(verify(&listing(), THEN, |_| Ok(None)), Err(S3Error::InvalidAccessKeyId)));
    assert!(matches!(verify(&listing(), THEN, |_| Err("no disk".to_owned())), Err(S3Error::Internal(_))));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let changes: [Change; 14] = [
        ("no header", |head| drop(head.headers.remove("authorization"))),
        ("two headers", |head| assert!(head.headers.append("authorization", "x".parse().unwrap()))),
        ("basic", |head| set(head, "authorization", "Basic eDp5")),
        ("empty", |head| set(head, "authorization", "")),
        ("another algorithm", |head| rewrite(head, "SHA256", "SHA256-PAYLOAD")),
        ("an unknown field", |head| rewrite(head, "Signature=", "Other=1,Signature=")),
        ("no signature", |head| rewrite(head, ",Signature=", ",Signature=zz")),
        ("another service", |head| rewrite(head, "/s3/", "/sts/")),
        ("a short scope", |head| rewrite(head, "/s3/aws4_request", "/aws4_request")),
        ("another date", |head| rewrite(head, "20130524", "20130525")),
        ("an empty date", |head| rewrite(head, "20130524", "")),
        ("no date", |head| drop(head.headers.remove("x-amz-date"))),
        ("a bad date", |head| set(head, "x-amz-date", "20130524T250000Z")),
        ("no hash", |head| drop(head.headers.remove("x-amz-content-sha256"))),
    ];
    for (what, change) in changes {
        let mut head = listing();
        change(&mut head);
        let outcome = check(&head);
        assert!(
            matches!(outcome, Err(S3Error::AccessDenied(_) | S3Error::AuthorizationHeaderMalformed(_))),
            "{what}: {outcome:?}"
        );
    }
    let mut head = listing();
    set(&mut head, "x-amz-content-sha256", &"0".repeat(64));
    assert!(matches!(check(&head), Err(S3Error::ContentSha256Mismatch)));
    let mut head = listing();
    head.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00".parse().unwrap();
    assert!(matches!(check(&head), Err(S3Error::NotImplemented(_))));
}
