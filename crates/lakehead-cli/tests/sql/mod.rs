//! `lakehead sql` against a server that answers what a test says.

use serde_json::{Value, json};

use crate::fake::{ACCOUNT, Answer, Fake, error, result};
use crate::run;

const SQL: &str = "INSERT INTO files\nSELECT nme FROM events";

fn preview() -> Answer {
    result(&json!({ "statements": [{
        "stream": "events", "sink": "files",
        "schema": { "fields": [{ "name": "n", "type": "int64", "required": true, "sql_name": "BIGINT" }] },
        "rows": [{ "n": 7 }], "rows_made": 1, "read": { "from": 0, "to": 2, "records": 2, "lost": 0 },
        "counts": { "read": 2, "kept": 1, "filtered": 1, "rejected": 0 }, "rejects": [],
        "truncated": false, "truncated_by": null,
    }] }))
}

fn refused() -> Answer {
    let mut body = json!({ "success": false, "errors": [], "messages": [], "result": null });
    body["errors"] = json!([{
        "code": 1004, "message": "there is no column `nme`; did you mean `name`? (line 2, column 8)",
        "source": { "pointer": "/sql", "line": 2, "column": 8, "text": "nme" },
    }]);
    Answer::envelope(400, &body)
}

const REFUSED: &str = "there is no column `nme`; did you mean `name`? (line 2, column 8) [code: 1004]\n\n\
                       2 | SELECT nme FROM events\n  |        ^^^";

#[tokio::test]
async fn preview_sends_what_was_said_and_shows_what_came_back() {
    let fake = Fake::start(|_| preview()).await;
    let said = run(fake.data_dir(), &["sql", "preview", "--sql", SQL]).await.unwrap();
    assert!(said.out.starts_with("events → files\n"), "{}", said.out);
    assert!(said.out.contains("\nn\n7\n"), "{}", said.out);
    assert!(said.out.contains("1 kept, 1 filtered, 0 rejected"), "{}", said.out);
    let words = ["sql", "preview", "--sql", SQL, "--last", "5", "--rows", "0"];
    run(fake.data_dir(), &words).await.unwrap();
    for (flag, n) in [("--last", "0"), ("--last", "10001"), ("--rows", "1001")] {
        let wrong = run(fake.data_dir(), &["sql", "preview", "--sql", SQL, flag, n]).await.unwrap_err();
        assert!(wrong.contains(flag) && wrong.contains(n), "{wrong}");
    }
    let asked = fake.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line(), format!("POST /client/v4/accounts/{ACCOUNT}/pipelines/v1/preview_sql"));
    assert_eq!(asked[0].body, json!({ "sql": SQL, "records_max": 1000, "rows_max": 20 }));
    assert_eq!(asked[1].body, json!({ "sql": SQL, "records_max": 5, "rows_max": 0 }));
}

#[tokio::test]
async fn as_json_the_answer_is_printed_as_it_came() {
    let digits = "1234567890123456789.01234567890";
    let text = format!(r#"{{"success":true,"errors":[],"messages":[],"result":{{"b":{digits},"a":[ ]}}}}"#);
    let fake = Fake::start(move |_| Answer::text(200, &text)).await;
    let said = run(fake.data_dir(), &["sql", "preview", "--sql", SQL, "--json"]).await.unwrap();
    assert_eq!(said.out, format!("{{\"b\":{digits},\"a\":[ ]}}\n"));
}

#[tokio::test]
async fn sql_and_records_may_stand_in_files() {
    let fake = Fake::start(|_| preview()).await;
    let folder = tempfile::tempdir().unwrap();
    let (sql, records) = (folder.path().join("q.sql"), folder.path().join("r.ndjson"));
    std::fs::write(&sql, SQL).unwrap();
    let ask = async |text: &'static str| {
        std::fs::write(&records, text).unwrap();
        let (sql, records) = (sql.to_str().unwrap(), records.to_str().unwrap());
        run(fake.data_dir(), &["sql", "preview", "--file", sql, "--records", records]).await
    };
    for text in ["{\"n\":1}\n\n {\"n\": 2}\r\n", "[{\"n\":1},{\"n\":2}]"] {
        ask(text).await.unwrap();
        let asked = fake.asked().pop().unwrap();
        assert_eq!(
            (&asked.body["sql"], &asked.body["records"]),
            (&json!(SQL), &json!([{ "n": 1 }, { "n": 2 }]))
        );
    }
    let wrong = ask("{\"n\":1}\n{\"n\":\n").await.unwrap_err();
    assert!(wrong.contains("r.ndjson` line 2 is not JSON"), "{wrong}");
    std::fs::remove_file(&sql).unwrap();
    let missing = ask("{}").await.unwrap_err();
    assert!(missing.contains("cannot read") && missing.contains("q.sql"), "{missing}");
    assert_eq!(fake.asked().len(), 2, "nothing was asked after the second");
}

#[tokio::test]
async fn a_refusal_shows_the_line_with_carets_under_the_place() {
    let fake = Fake::start(|_| refused()).await;
    for command in ["preview", "validate"] {
        let said = run(fake.data_dir(), &["sql", command, "--sql", SQL]).await;
        assert_eq!(said.unwrap_err(), REFUSED, "{command}");
    }
    let plain = Fake::start(|_| error(400, 1004, "there is no stream")).await;
    let said = run(plain.data_dir(), &["sql", "validate", "--sql", SQL]).await;
    assert_eq!(said.unwrap_err(), "there is no stream [code: 1004]");
}

#[tokio::test]
async fn validate_prints_the_graph() {
    let answer = json!({
        "tables": {},
        "graph": {
            "nodes": [
                { "node_id": 0, "operator": "source", "description": "stream events", "parallelism": 1 },
                { "node_id": 1, "operator": "filter", "description": "n > 1", "parallelism": 1 },
                { "node_id": 2, "operator": "sink", "description": "sink files", "parallelism": 1 },
            ],
            "edges": [{ "src_id": 0, "dest_id": 1 }, { "src_id": 1, "dest_id": 2 }],
        },
    });
    let kept = answer.clone();
    let fake = Fake::start(move |_| result(&answer)).await;
    let said = run(fake.data_dir(), &["sql", "validate", "--sql", SQL]).await.unwrap();
    assert_eq!(said.out, "source: stream events\n  filter: n > 1\n    sink: sink files\n");
    let said = run(fake.data_dir(), &["sql", "validate", "--sql", SQL, "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), kept);
    let asked = fake.asked();
    assert_eq!(asked[0].line(), format!("POST /client/v4/accounts/{ACCOUNT}/pipelines/v1/validate_sql"));
    assert_eq!(asked[0].body, json!({ "sql": SQL }));
}
