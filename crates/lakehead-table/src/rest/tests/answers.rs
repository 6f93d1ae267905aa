//! What each kind of answer means, and how often it is asked for.

use std::time::Duration;

use super::played::Answer;
use super::*;

async fn commit_kind(
    answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
) -> (CatalogError, usize) {
    let played = Played::plain(answer).await;
    let error = catalog(&played).commit(change()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    (error, played.lines().len())
}

fn cut(status: u16) -> Answer {
    Answer::Cut { status, body: loaded().to_string() }
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_said_to_be_and_never_sent_again() {
    for answer in [
        text(500, ""),
        error(500, "CommitStateUnknownException", "who knows"),
        text(502, "<html>"),
        text(503, ""),
        text(504, "{}"),
        text(500, "").header("retry-after: 0"),
        text(408, ""),
        text(599, ""),
        Answer::HangUp,
        Answer::Silence,
        cut(200),
        text(200, "<html>welcome</html>"),
        text(200, "{}"),
        text(200, &json!({"metadata": {"format-version": 2}}).to_string()),
        text(204, ""),
    ] {
        let shown = format!("{answer:?}");
        let (error, tries) = commit_kind(move |_, _| answer.clone()).await;
        assert_eq!((error.kind, tries), (CatalogErrorKind::Unknown, 1), "{shown}: {error}");
    }
}

#[tokio::test]
async fn a_definite_refusal_of_a_commit_says_what_to_do() {
    for (answer, kind) in [
        (error(400, "BadRequestException", "no"), CatalogErrorKind::Refused),
        (error(403, "ForbiddenException", "no"), CatalogErrorKind::Unauthorized),
        (error(404, "NoSuchTableException", "no"), CatalogErrorKind::NotFound),
        (text(404, ""), CatalogErrorKind::Refused),
        (error(406, "UnsupportedOperationException", "no"), CatalogErrorKind::Refused),
        (error(409, "CommitFailedException", "stale"), CatalogErrorKind::Conflict),
        (cut(409), CatalogErrorKind::Conflict),
        (text(413, "too large"), CatalogErrorKind::Refused),
        (error(422, "UnprocessableEntityException", "no"), CatalogErrorKind::Refused),
        (text(302, "").header("location: http://127.0.0.1:9/"), CatalogErrorKind::Refused),
        (text(503, "").header("retry-after: 0"), CatalogErrorKind::Unavailable),
        // The token of these tests is a fixed one: there is no other to try.
        (error(401, "NotAuthorizedException", "no"), CatalogErrorKind::Unauthorized),
        (text(419, ""), CatalogErrorKind::Unauthorized),
    ] {
        let shown = format!("{answer:?}");
        let (error, tries) = commit_kind(move |_, _| answer.clone()).await;
        assert_eq!((error.kind, tries), (kind, 1), "{shown}: {error}");
        assert!(error.text.starts_with("cannot commit to table `a.b.t` at http://127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_from_a_conflict() {
    let played = Played::plain(|_, _| error(409, "AlreadyExistsException", "taken")).await;
    let error = catalog(&played).create_table(&table(), new_table()).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::AlreadyExists);
    let lost = Played::plain(|_, _| Answer::HangUp).await;
    let error = catalog(&lost).create_table(&table(), new_table()).await.unwrap_err();
    assert_eq!((error.kind, lost.lines().len()), (CatalogErrorKind::Unknown, 1));
}

#[tokio::test]
async fn a_commit_that_was_turned_away_is_sent_again_and_applied_once() {
    let played = Played::plain(|_, before| match before {
        0 => text(429, ""),
        1 => error(429, "TooManyRequestsException", "slow down").header("retry-after: 0"),
        _ => ok(&loaded()),
    })
    .await;
    catalog(&played).commit(change()).await.unwrap();
    assert_eq!(played.lines().len(), 3);
    // One that was turned away first and lost then is not sent a third time.
    let (error, tries) =
        commit_kind(|_, before| if before == 0 { text(429, "") } else { Answer::HangUp }).await;
    assert_eq!((error.kind, tries), (CatalogErrorKind::Unknown, 2));
}

#[tokio::test]
async fn nobody_listening_is_unavailable_for_reads_and_commits() {
    // Nobody listens on the discard port.
    let gone = open(&RestSettings { request_seconds: 1, ..settings("http://127.0.0.1:9") });
    for error in [gone.commit(change()).await.unwrap_err(), gone.load_table(&table()).await.unwrap_err()] {
        assert_eq!(error.kind, CatalogErrorKind::Unavailable, "{error}");
        assert!(error.text.contains("http://127.0.0.1:9: no connection"), "{error}");
    }
    // The catalog goes away between its configuration and the commit.
    let played = Played::plain(|_, _| ok(&loaded())).await;
    let catalog = open(&RestSettings { request_seconds: 1, ..settings(&played.uri) });
    catalog.load_table(&table()).await.unwrap();
    drop(played);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = catalog.commit(change()).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_read_is_tried_again_until_it_works() {
    let played = Played::plain(|_, before| match before {
        0 => text(500, ""),
        1 => text(503, "").header("retry-after: 0"),
        2 => Answer::HangUp,
        3 => cut(200),
        4 => text(429, ""),
        5 => Answer::Cut { status: 404, body: "x".repeat(100) },
        _ => ok(&loaded()),
    })
    .await;
    let catalog = open(&RestSettings { request_seconds: 20, ..settings(&played.uri) });
    assert!(catalog.load_table(&table()).await.unwrap().is_some());
    assert_eq!(played.lines().len(), 7);
}

#[tokio::test]
async fn a_read_ends_at_its_deadline() {
    for answer in [Answer::Silence, text(502, ""), Answer::HangUp] {
        let played = Played::plain(move |_, _| answer.clone()).await;
        let catalog = catalog(&played);
        let began = Instant::now();
        let error = catalog.load_table(&table()).await.unwrap_err();
        assert_eq!(error.kind, CatalogErrorKind::Unavailable, "{error}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(played.lines().len() > 1, "it was tried again");
    }
}

#[tokio::test]
async fn a_commit_that_gets_no_answer_ends_at_its_deadline() {
    let played = Played::plain(|_, _| Answer::Silence).await;
    let began = Instant::now();
    let error = catalog(&played).commit(change()).await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind, CatalogErrorKind::Unknown);
    assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(3), "{took:?}");
    assert!(error.text.contains("no answer within 2.0 seconds"), "{error}");
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date_but_not_for_ever() {
    let one_second = ["retry-after: 1", "retry-after: Sun, 22 Nov 2026 09:00:01 GMT"];
    for header in one_second {
        let played = Played::plain(
            move |_, before| {
                if before == 0 { text(429, "").header(header) } else { ok(&loaded()) }
            },
        )
        .await;
        let began = Instant::now();
        catalog(&played).load_table(&table()).await.unwrap();
        let took = began.elapsed();
        assert!(
            took > Duration::from_millis(990) && took < Duration::from_millis(1900),
            "{header}: {took:?}"
        );
    }
    // Nobody waits for longer than there is time.
    let played = Played::plain(|_, _| text(429, "").header("retry-after: 86400")).await;
    let began = Instant::now();
    let error = catalog(&played).commit(change()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!((error.kind, played.lines().len()), (CatalogErrorKind::Unavailable, 1));
    assert!(error.text.contains("asks to wait 86400 seconds"), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused() {
    let played = Played::plain(|_, _| ok(&json!({"metadata": "x".repeat(10_000)}))).await;
    let mut catalog = catalog(&played);
    catalog.connection.limit_answers(5_000);
    let error = catalog.load_table(&table()).await.unwrap_err();
    assert_eq!((error.kind, played.lines().len()), (CatalogErrorKind::Refused, 1), "{error}");
    assert!(error.text.contains("longer than 5000 bytes"), "{error}");
    assert_eq!(catalog.commit(change()).await.unwrap_err().kind, CatalogErrorKind::Unknown);
}

#[tokio::test]
async fn metadata_that_cannot_be_read_are_refused_naming_the_table() {
    let played = Played::plain(|_, _| {
        let mut loaded = loaded();
        loaded["metadata"]["format-version"] = json!(9);
        ok(&loaded)
    })
    .await;
    let error = catalog(&played).load_table(&table()).await.unwrap_err();
    assert_eq!(error.kind, CatalogErrorKind::Refused);
    assert!(error.text.contains("`a.b.t`") && error.text.contains("format version 9"), "{error}");
}

#[tokio::test]
async fn writes_have_a_key_of_their_own_where_the_catalog_keeps_them() {
    let played = Played::start(|asked, before| match (asked.is_config(), before) {
        (true, _) => ok(&json!({"defaults": {}, "overrides": {}, "idempotency-key-lifetime": "PT30M"})),
        (false, 0) if asked.line.ends_with("/tables/t") => text(429, ""),
        (false, _) => ok(&loaded()),
    })
    .await;
    let catalog = catalog(&played);
    catalog.commit(change()).await.unwrap();
    catalog.commit(change()).await.unwrap();
    catalog.create_table(&table(), new_table()).await.unwrap();
    let asked = played.asked();
    let keys: Vec<_> = asked[1..].iter().map(|a| a.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(keys[0], keys[1], "the same commit");
    assert!(keys[1] != keys[2] && keys[2] != keys[3]);
    let key: uuid::Uuid = keys[0].parse().unwrap();
    assert_eq!(key.get_version_num(), 7);
}
