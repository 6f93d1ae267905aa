//! Who asks: tokens fetched, renewed, refused, and never shown.

use std::time::Duration;

use super::played::Answer;
use super::*;

fn client(uri: &str, server_uri: Option<String>) -> RestSettings {
    let client = ClientCredentials {
        server_uri,
        client_id: Some("me & you".to_owned()),
        client_secret: Secret::new(SECRET),
        scope: None,
    };
    RestSettings { auth: RestAuth::ClientCredentials(client), ..settings(uri) }
}

fn is_token(asked: &Asked) -> bool {
    asked.line.starts_with("POST") && asked.line.contains("token")
}

/// Gives `token-0`, `token-1`, …, each for as long as said, and takes the newest alone.
async fn giving(expires_in: Value) -> Played {
    let given = Arc::new(parking_lot::Mutex::new(0));
    Played::start(move |asked, before| {
        let mut given = given.lock();
        if is_token(asked) {
            *given = before;
            return ok(&json!({
                "access_token": format!("token-{before}"), "token_type": "bearer", "expires_in": expires_in,
            }));
        }
        if asked.header("authorization") != Some(format!("Bearer token-{given}").as_str()) {
            return error(401, "NotAuthorizedException", "who?");
        }
        if asked.is_config() { ok(&json!({"defaults": {}, "overrides": {}})) } else { ok(&loaded()) }
    })
    .await
}

fn tokens_fetched(played: &Played) -> usize {
    played.asked().iter().filter(|a| is_token(a)).count()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_renewed_before_it_expires() {
    for expires_in in [json!(3600), json!("3600"), json!(3600.0)] {
        let played = giving(expires_in).await;
        let clock = Arc::new(ManualClock::default());
        let catalog = open_at(&client(&played.uri, None), &clock);
        for (seconds, fetched) in [(0, 1), (3539, 1), (1, 2), (3500, 2), (100, 3)] {
            clock.advance(Duration::from_secs(seconds));
            catalog.load_table(&table()).await.unwrap().unwrap();
            assert_eq!(tokens_fetched(&played), fetched, "after {seconds} more seconds");
        }
        let asked = &played.asked()[0];
        assert_eq!(asked.line, "POST /v1/oauth/tokens");
        assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(
            asked.body,
            "grant_type=client_credentials&client_id=me+%26+you&client_secret=canary-of-the-tests&scope=catalog"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once() {
    for status in [401, 419] {
        let played = Played::start(move |asked, before| match is_token(asked) {
            true => ok(&json!({"access_token": format!("token-{before}")})),
            false if asked.is_config() => ok(&json!({})),
            false if asked.header("authorization") == Some("Bearer token-0") => text(status, ""),
            false => ok(&loaded()),
        })
        .await;
        let catalog = open(&client(&played.uri, None));
        catalog.commit(change()).await.unwrap();
        let expected = ["POST /v1/oauth/tokens", "POST /v1/namespaces/a%1Fb/tables/t"];
        assert_eq!(played.lines(), [expected, expected].concat());
    }
    let never = Played::start(|asked, _| match is_token(asked) {
        true => ok(&json!({"access_token": "token-for-nothing"})),
        false => {
            error(401, "NotAuthorizedException", "token-for-nothing is not good, nor canary-of-the-tests")
        }
    })
    .await;
    let error = open(&client(&never.uri, None)).load_table(&table()).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Unauthorized);
    assert_eq!(tokens_fetched(&never), 2, "there is an end to it");
    assert!(error.text.ends_with("*** is not good, nor ***"), "{error}");
}

#[tokio::test]
async fn many_who_need_a_token_wait_for_one() {
    let played = giving(json!(3600)).await;
    let catalog = Arc::new(open(&client(&played.uri, None)));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let catalog = Arc::clone(&catalog);
        all.spawn(async move { catalog.load_table(&table()).await.unwrap().unwrap() });
    }
    assert_eq!(all.join_all().await.len(), 16);
    assert_eq!(tokens_fetched(&played), 1);
    assert_eq!(played.asked().iter().filter(|a| a.is_config()).count(), 1);
}

#[tokio::test]
async fn a_token_endpoint_elsewhere_gets_the_secret_and_nothing_else() {
    let catalog = Played::plain(|_, _| ok(&loaded())).await;
    let elsewhere = Played::start(|_, _| ok(&json!({"access_token": "good", "token_type": "bearer"}))).await;
    let mut settings = client(&catalog.uri, Some(format!("{}/realm/token", elsewhere.uri)));
    settings.headers = vec![("x-tenant".to_owned(), Secret::new("seven"))];
    open(&settings).load_table(&table()).await.unwrap().unwrap();
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].line.as_str(), asked[0].header("x-tenant")), ("POST /realm/token", None));
    assert!(!asked[0].body.contains("scope"), "{}", asked[0].body);
    for asked in catalog.asked() {
        assert_eq!(asked.header("authorization"), Some("Bearer good"));
        assert!(!asked.body.contains(SECRET));
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_nothing_is_unknown() {
    for (answer, kind) in [
        (
            text(400, r#"{"error":"invalid_client","error_description":"canary-of-the-tests is wrong"}"#),
            CatalogErrorKind::Unauthorized,
        ),
        (text(401, ""), CatalogErrorKind::Unauthorized),
        (text(404, ""), CatalogErrorKind::Unauthorized),
        (text(500, ""), CatalogErrorKind::Unavailable),
        (Answer::HangUp, CatalogErrorKind::Unavailable),
        (text(200, r#"{"token": "canary"}"#), CatalogErrorKind::Refused),
    ] {
        let shown = format!("{answer:?}");
        let played = Played::start(move |asked, _| {
            assert!(is_token(asked), "{asked:?}");
            answer.clone()
        })
        .await;
        let error = open(&RestSettings { request_seconds: 1, ..client(&played.uri, None) })
            .commit(change())
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{shown}: {error}");
        assert!(!error.text.contains("canary"), "{error}");
        assert!(played.lines().iter().all(|line| line == "POST /v1/oauth/tokens"), "{:?}", played.lines());
    }
}

#[test]
fn settings_that_cannot_work_are_refused_and_secrets_not_shown() {
    let refused = |change: &dyn Fn(&mut RestSettings)| {
        let mut settings = settings("http://127.0.0.1:1");
        change(&mut settings);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        RestCatalog::new(&settings, clock, Arc::new(SeededRandom::new(1))).unwrap_err().text
    };
    for uri in ["", "127.0.0.1:8181", "ftp://host", "http://u:canary@host", "http://h?x=canary", "http://h#x"]
    {
        let text = refused(&|s| s.uri = uri.to_owned());
        assert!(text.starts_with("`uri` ") && !text.contains("canary"), "{uri}: {text}");
    }
    assert!(refused(&|s| s.auth = RestAuth::Token(Secret::new("ca\nnary"))).starts_with("the token holds"));
    let header = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
    assert!(refused(&|s| s.headers = header("a b", "canary")).contains("not the name of a header"));
    assert!(refused(&|s| s.headers = header("x", "ca\nnary")).starts_with("`headers.x` holds"));
    assert!(refused(&|s| s.headers = header("Authorization", "canary")).contains("one of them"));
    let mut shown = settings("http://127.0.0.1:1");
    shown.headers = header("x", SECRET);
    let shown = format!("{shown:?} {:?} {:?}", open(&shown), client("http://h", None));
    assert!(!shown.contains(SECRET) && shown.contains("***"), "{shown}");
}
