//! The commands against a server that answers what a test says and keeps what it was asked.

mod audit;
mod fake;
mod sql;

use std::path::Path;

use clap::Parser;
use fake::{ACCOUNT, Answer, Asked, Fake, TOKEN, error, page, result};
use lakehead_cli::{Command, Said};
use lakehead_model::Timestamp;
use lakehead_model::clock::ManualClock;
use serde_json::{Value, json};

const ID: &str = "0123456789abcdef0123456789abcdef";
const VALUE: &str = "lh_0123456789abcdef0123456789abcdef_canary";
const STREAM: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs the words of a command line against the data folder.
async fn run(data_dir: &Path, words: &[&str]) -> Result<Said, String> {
    let data_dir = data_dir.to_str().expect("a path in UTF-8");
    let words = [&["lakehead"], words, &["--data-dir", data_dir]].concat();
    let command = Cli::try_parse_from(words).map_err(|e| e.to_string())?.command;
    // 2026-11-22T09:00:00Z
    let clock = ManualClock::starting_at(Timestamp(1_795_338_000_000_000));
    lakehead_cli::execute(command, &|_| None, &clock).await.map_err(|e| e.to_string())
}

fn token(id: &str, name: &str, permissions: &[&str]) -> Value {
    json!({
        "id": id, "name": name, "status": "active", "permissions": permissions, "streams": null,
        "issued_on": "2026-11-22T09:00:00.000000Z", "modified_on": "2026-11-22T09:00:00.000000Z",
        "expires_on": null, "last_used_on": null,
    })
}

/// The answer to a creation: what was asked for, and the value.
fn created(asked: &Asked) -> Answer {
    let mut token = token(ID, asked.body["name"].as_str().expect("a name"), &["send"]);
    token["streams"] = asked.body["streams"].clone();
    token["expires_on"] = asked.body["expires_on"].clone();
    token["value"] = json!(VALUE);
    result(&token)
}

#[tokio::test]
async fn create_sends_what_was_said_and_prints_the_value_alone() {
    let fake = Fake::start(created).await;
    let said = run(fake.data_dir(), &["tokens", "create", "--name", "ci, staging", "--allow", "send"])
        .await
        .unwrap();
    assert_eq!(said.out, format!("{VALUE}\n"));
    assert!(said.note.contains("\"ci, staging\"") && said.note.contains(ID), "{}", said.note);
    assert!(said.note.contains("this one time only"), "{}", said.note);
    assert!(!said.note.contains("canary"), "{}", said.note);
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), format!("POST /client/v4/accounts/{ACCOUNT}/tokens"));
    assert_eq!(asked[0].authorization, format!("Bearer {TOKEN}"));
    assert_eq!(asked[0].content_type, "application/json");
    assert_eq!(asked[0].body, json!({"name": "ci, staging", "permissions": ["send"]}));
}

#[tokio::test]
async fn create_as_json_prints_the_whole_answer() {
    let fake = Fake::start(created).await;
    let words = ["tokens", "create", "--name", "n", "--allow", "send", "--json"];
    let said = run(fake.data_dir(), &words).await.unwrap();
    let printed: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&printed["id"], &printed["value"]), (&json!(ID), &json!(VALUE)));
    assert!(said.note.contains("this one time only"));
}

#[tokio::test]
async fn permissions_and_expiry_are_sent_as_the_api_wants_them() {
    let fake = Fake::start(created).await;
    let cases = [
        (vec!["--allow", "send,read"], vec!["--expires", "30d"], "2026-12-22T09:00:00.000000Z"),
        (
            vec!["--allow", "send", "--allow", "read,send"],
            vec!["--expires", "12h"],
            "2026-11-22T21:00:00.000000Z",
        ),
        (
            vec!["--allow=read,send"],
            vec!["--expires=2027-01-01T01:00:00+01:00"],
            "2027-01-01T00:00:00.000000Z",
        ),
    ];
    for (allow, expires, moment) in cases {
        let words = [vec!["tokens", "create", "--name", "n"], allow, expires].concat();
        let said = run(fake.data_dir(), &words).await.unwrap();
        assert!(said.note.contains(&moment.replace(".000000", "")), "{}", said.note);
        let body = fake.asked().pop().unwrap().body;
        assert_eq!(body, json!({"name": "n", "permissions": ["read", "send"], "expires_on": moment}));
    }
}

#[tokio::test]
async fn words_that_mean_nothing_are_refused_before_anybody_is_asked() {
    let fake = Fake::start(created).await;
    for (words, named) in [
        (vec!["--allow", "send"], "--name"),
        (vec!["--name", "n"], "--allow"),
        (vec!["--name", "n", "--allow", "admin"], "[possible values: read, write, send]"),
        (vec!["--name", "n", "--allow", ""], "[possible values: read, write, send]"),
        (vec!["--name", "n", "--allow", "send", "--expires", "soon"], "30d"),
        (vec!["--name", "n", "--allow", "send", "--expires", "0d"], "no time at all"),
        (vec!["--name", "n", "--allow", "send", "--stream", "a/b"], "--stream \"a/b\""),
        (vec!["--name", "n", "--allow", "send", "--stream", ".."], "--stream \"..\""),
        (vec!["--name", "n", "--allow", "send", "--stream", ""], "--stream \"\""),
    ] {
        let error = run(fake.data_dir(), &[&["tokens", "create"], &words[..]].concat()).await.unwrap_err();
        assert!(error.contains(named), "{words:?}: {error}");
    }
    assert!(fake.asked().is_empty());
}

/// Two streams, of which one is named like an id, and a legacy pipeline.
fn with_streams(asked: &Asked) -> Answer {
    let stream = |id: &str, name: &str| json!({"id": id, "name": name});
    let missing = |code| error(404, code, "does not exist");
    match (asked.method.as_str(), asked.below_account()) {
        ("POST", "tokens") => created(asked),
        ("GET", "pipelines/v1/streams") => {
            let all = [stream(STREAM, "Clicks"), stream(OTHER, "clicks"), stream(ID, OTHER)];
            let wanted = asked.parameter("name").expect("a filter").to_lowercase();
            page(
                asked,
                all.into_iter()
                    .filter(|s| s["name"].as_str().expect("a name").to_lowercase().contains(&wanted)),
            )
        }
        ("GET", "pipelines/my-legacy") => result(&stream(OTHER, "my-legacy")),
        ("GET", path) if path == format!("pipelines/v1/streams/{STREAM}") => {
            result(&stream(STREAM, "Clicks"))
        }
        ("GET", path) if path.starts_with("pipelines/v1/streams/") => missing(1016),
        ("GET", path) if path.starts_with("pipelines/") => missing(1000),
        _ => error(500, 1, "not expected"),
    }
}

async fn bound_to(streams: &[&str]) -> Result<Value, String> {
    let fake = Fake::start(with_streams).await;
    let mut words = vec!["tokens", "create", "--name", "n", "--allow", "send"];
    words.extend(streams.iter().flat_map(|stream| ["--stream", stream]));
    run(fake.data_dir(), &words).await?;
    Ok(fake.asked().pop().expect("a request").body["streams"].clone())
}

#[tokio::test]
async fn streams_are_found_by_id_by_exact_name_and_among_the_legacy_pipelines() {
    assert_eq!(bound_to(&["clicks"]).await.unwrap(), json!([OTHER]), "not Clicks");
    assert_eq!(bound_to(&["Clicks"]).await.unwrap(), json!([STREAM]));
    assert_eq!(bound_to(&[STREAM]).await.unwrap(), json!([STREAM]));
    assert_eq!(bound_to(&["my-legacy"]).await.unwrap(), json!([OTHER]));
    assert_eq!(bound_to(&[OTHER]).await.unwrap(), json!([ID]), "a name that looks like an id nobody has");
    assert_eq!(bound_to(&["Clicks", "clicks", "my-legacy"]).await.unwrap(), json!([STREAM, OTHER]));
    let unknown = "cccccccccccccccccccccccccccccccc";
    assert_eq!(bound_to(&[unknown]).await.unwrap(), json!([unknown]), "the API has the last word on ids");
    for missing in ["click", "legacy"] {
        let refused = bound_to(&["clicks", missing]).await.unwrap_err();
        assert!(refused.contains(&format!("--stream {missing}: there is no stream")), "{refused}");
    }
}

#[tokio::test]
async fn list_shows_every_page_as_a_table() {
    let fake = Fake::start(|asked| {
        let mut first = token(ID, "ci", &["send"]);
        first["streams"] = json!([STREAM, OTHER]);
        first["expires_on"] = json!("2026-12-22T09:00:00.000000Z");
        first["status"] = json!("expired");
        first["last_used_on"] = json!("2026-11-22T09:30:00.123456Z");
        let evil = token(OTHER, "ü\u{1b}[2J", &["read", "write"]);
        page(asked, [first, evil, token(STREAM, "all", &["read", "send"])].into_iter())
    })
    .await;
    let said = run(fake.data_dir(), &["tokens", "list"]).await.unwrap();
    let expected = format!(
        "ID                                NAME        PERMISSIONS  STREAMS{pad}  EXPIRES               LAST USED             STATUS\n\
         {ID}  ci          send         {STREAM},{OTHER}  2026-12-22T09:00:00Z  2026-11-22T09:30:00Z  expired\n\
         {OTHER}  ü\\u{{1b}}[2J  read,write   -{dash}  never                 never                 active\n\
         {STREAM}  all         read,send    every{every}  never                 never                 active\n",
        pad = " ".repeat(65 - 7),
        dash = " ".repeat(64),
        every = " ".repeat(60),
    );
    assert_eq!(said.out, expected);
    let asked = fake.asked();
    assert_eq!(asked[0].line(), format!("GET /client/v4/accounts/{ACCOUNT}/tokens?page=1&per_page=100"));
    assert_eq!(asked.last().unwrap().parameter("page").unwrap(), "3", "two, one, and a page without any");
}

#[tokio::test]
async fn list_as_json_is_one_array() {
    let fake = Fake::start(|asked| page(asked, (0..5).map(|i| token(ID, &format!("t{i}"), &["send"])))).await;
    let said = run(fake.data_dir(), &["tokens", "list", "--json"]).await.unwrap();
    let printed: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        printed.iter().map(|t| t["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["t0", "t1", "t2", "t3", "t4"]
    );
}

#[tokio::test]
async fn an_empty_list_says_so() {
    let fake = Fake::start(|_| result(&json!([]))).await;
    assert_eq!(run(fake.data_dir(), &["tokens", "list"]).await.unwrap().out, "No tokens.\n");
    assert_eq!(run(fake.data_dir(), &["tokens", "list", "--json"]).await.unwrap().out, "[]\n");
}

#[tokio::test]
async fn revoke_deletes_by_id_and_repeats_no_value() {
    let fake = Fake::start(|_| result(&json!({"id": ID}))).await;
    assert_eq!(
        run(fake.data_dir(), &["tokens", "revoke", ID]).await.unwrap().out,
        format!("Revoked {ID}.\n")
    );
    assert_eq!(fake.asked()[0].line(), format!("DELETE /client/v4/accounts/{ACCOUNT}/tokens/{ID}"));
    for wrong in [VALUE, "ci", &ID.to_uppercase(), "../streams"] {
        let error = run(fake.data_dir(), &["tokens", "revoke", wrong]).await.unwrap_err();
        assert!(error.contains("32 lower-case hex digits") && !error.contains(wrong), "{error}");
    }
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_words_of_the_api() {
    let fake = Fake::start(|_| error(404, 1001, "token does not exist")).await;
    let refused = run(fake.data_dir(), &["tokens", "revoke", ID]).await.unwrap_err();
    assert_eq!(refused, "token does not exist [code: 1001]");

    let two = json!([{"code": 1, "message": "a\u{1b}[31m"}, {"code": 2, "message": "b"}]);
    let fake = Fake::start(move |_| Answer::envelope(400, &json!({"success": false, "errors": two}))).await;
    let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert_eq!(refused, "a\\u{1b}[31m [code: 1]\nb [code: 2]");

    let fake = Fake::start(|_| error(429, 10013, "too many").header("retry-after", "7")).await;
    let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert_eq!(refused, "too many [code: 10013]; try again in 7 seconds");

    let fake = Fake::start(|_| Answer::envelope(200, &json!({"success": false}))).await;
    let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert_eq!(refused, "the server answered 200 and gave no reason");
}

#[tokio::test]
async fn a_refused_token_is_named_by_its_file_and_not_shown() {
    for status in [401, 403] {
        let fake = Fake::start(move |_| error(status, 10000, "Authentication error")).await;
        let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
        assert!(refused.starts_with("the token in `") && refused.contains("admin_token"), "{refused}");
        assert!(refused.ends_with("was refused: Authentication error [code: 10000]"), "{refused}");
        assert!(!refused.contains(TOKEN), "{refused}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_such_api_is_told_apart() {
    for answer in ["<html>it works</html>", "{}", "[]", ""] {
        for status in [200, 302, 404, 502] {
            let fake = Fake::start(move |_| Answer::text(status, answer)).await;
            let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
            assert!(refused.contains(&format!("answered {status} and not as this API does")), "{refused}");
        }
    }
    let fake = Fake::start(|_| result(&json!({"tokens": []}))).await;
    let refused = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert!(refused.contains("not as this API does"), "{refused}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let aim = Fake::start(|_| result(&json!([]))).await;
    let to = format!("{}/client/v4", aim.url());
    let fake = Fake::start(move |_| Answer::text(307, "").header("location", &to)).await;
    assert!(run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err().contains("answered 307"));
    assert!(aim.asked().is_empty(), "the token went nowhere else");
}

#[tokio::test]
async fn a_server_that_does_not_run_is_told_apart() {
    let fake = Fake::start(|_| result(&json!([]))).await;
    let (data_dir, url) = fake.stop().await;
    let error = run(data_dir.path(), &["tokens", "list"]).await.unwrap_err();
    assert!(
        error.contains(&url) && error.contains("Connection refused") && error.contains("lakehead serve"),
        "{error}"
    );
}

#[tokio::test]
async fn a_creation_without_an_answer_says_that_the_token_may_exist() {
    let fake = Fake::start(|_| Answer::HangUp).await;
    let words = ["tokens", "create", "--name", "n", "--allow", "send"];
    let failed = run(fake.data_dir(), &words).await.unwrap_err();
    assert!(
        failed.contains("did not answer to the end") && failed.contains("may have been made"),
        "{failed}"
    );

    let fake = Fake::start(|_| error(500, 9, "broken")).await;
    let failed = run(fake.data_dir(), &words).await.unwrap_err();
    assert!(failed.contains("broken [code: 9]") && failed.contains("may have been made"), "{failed}");

    let fake = Fake::start(|_| error(400, 1001, "name: is taken")).await;
    assert_eq!(run(fake.data_dir(), &words).await.unwrap_err(), "name: is taken [code: 1001]");
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_refused_without_repeating_it() {
    for broken in [json!({"id": ID, "value": VALUE}), json!({"value": [VALUE]}), json!(VALUE), json!(null)] {
        let fake = Fake::start(move |_| result(&broken)).await;
        let words = ["tokens", "create", "--name", "n", "--allow", "send"];
        let error = run(fake.data_dir(), &words).await.unwrap_err();
        assert!(error.contains("not a new token") && !error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_list_without_an_end_ends() {
    let fake = Fake::start(|_| result(&json!([token(ID, "again", &["send"])]))).await;
    let error = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert!(error.contains("has no end"), "{error}");
}

#[tokio::test]
async fn an_answer_longer_than_any_list_is_not_read_to_its_end() {
    let long = "x".repeat(17 << 20);
    let fake = Fake::start(move |_| Answer::text(200, &long)).await;
    let error = run(fake.data_dir(), &["tokens", "list"]).await.unwrap_err();
    assert!(error.contains("longer than 16777216 bytes"), "{error}");
}
