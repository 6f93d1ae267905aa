//! `lakehead audit` against a server that answers what a test says.

use serde_json::{Value, json};

use crate::fake::{Answer, Asked, Fake, error, page, result};
use crate::run;

const ID: &str = "cccccccccccccccccccccccccccccccc";
const LEGACY: &str = "dddddddddddddddddddddddddddddddd";

fn ledger(accepted: u64) -> Value {
    json!({
        "accepted": accepted, "delivered": accepted, "filtered": 0, "dead_lettered": 0, "lost": 0, "in_flight": 0,
        "rows": accepted, "files": 1, "bytes": 99,
    })
}

fn recount(rows_found: u64, unlisted: u64) -> Value {
    json!({
        "commits": 1, "files_recorded": 1, "files_found": 1, "rows_recorded": 10, "rows_found": rows_found,
        "bytes_recorded": 99, "bytes_found": 99, "dead_letters_recorded": 0, "dead_letters_found": 0,
        "unlisted": ledger(unlisted),
    })
}

fn audit(rows_found: u64, differences: &[&str], unread: &[&str]) -> Value {
    let difference = |text: &&str| json!({ "kind": "file_rows", "statement": 0, "at": 5, "text": text });
    json!({
        "pipeline": { "id": ID, "name": "copy", "version": 2 },
        "balanced": differences.is_empty() && unread.is_empty(),
        "statements": [{
            "statement": 0, "version": 2, "stream": { "id": LEGACY, "name": "events" }, "start": 0, "committed": 10,
            "committing": true, "ledger": ledger(10), "in_flight_found": 0, "recount": recount(rows_found, 0),
        }],
        "past": { "ledger": ledger(7), "recount": recount(10, 7) },
        "differences": differences.iter().map(difference).collect::<Vec<_>>(), "difference_count": 3 * differences.len(),
        "unread": unread, "unread_count": unread.len(),
    })
}

/// A pipeline, a longer name that holds its name, and a legacy pipeline; all audits are `audit`.
fn answering(audit: Value) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| match asked.below_account() {
        "pipelines/v1/pipelines" => {
            let named = |id: &str, name: &str| json!({ "id": id, "name": name });
            page(asked, [named(LEGACY, "copy_2"), named(ID, "copy")].into_iter())
        }
        "pipelines/old" => result(&json!({ "id": LEGACY, "name": "old" })),
        path if path == format!("pipelines/v1/pipelines/{ID}") => result(&json!({ "id": ID })),
        path if path.ends_with("/audit") && asked.method == "GET" => result(&audit),
        _ => error(404, 1000, "there is no such pipeline"),
    }
}

#[tokio::test]
async fn what_agrees_is_told_in_a_table_and_exits_with_0() {
    let fake = Fake::start(answering(audit(10, &[], &[]))).await;
    let said = run(fake.data_dir(), &["audit", "copy"]).await.unwrap();
    assert_eq!((said.code, said.note.as_str()), (0, ""));
    let expected = "\
        Pipeline copy (cccccccccccccccccccccccccccccccc), version 2\n\n\
        STATEMENT  STREAM  ACCEPTED  DELIVERED  FILTERED  DEAD LETTERS  LOST  IN FLIGHT\n\
        0          events  10        10         0         0             0     0\n\
        past       -       7         7          0         0             0     0\n\n\
        RECOUNTED  COMMITS  FILES  ROWS  BYTES  DEAD LETTERS  IN FLIGHT\n\
        0          1        1      10    99     0             0\n\
        past       1        1      10    99     0             -\n\n\
        Statement 0 is committing; that commit was not looked at.\n\
        7 records were committed before the journal of commits begins; their files were not looked at.\n\
        Everything agrees.\n";
    assert_eq!(said.out, expected);
    assert!(fake.asked().last().unwrap().path.ends_with(&format!("/pipelines/{ID}/audit")));
}

#[tokio::test]
async fn a_difference_is_a_line_and_exits_with_1_and_what_was_not_seen_with_2() {
    let fake = Fake::start(answering(audit(9, &["a.json\u{1b}[2J holds 9 rows"], &["bucket"]))).await;
    let said = run(fake.data_dir(), &["audit", ID]).await.unwrap();
    assert_eq!(said.code, 1);
    for line in
        ["9 of 10", "not looked at: bucket\nfile_rows: a.json", "3 differences.\n2 of them are not shown.\n"]
    {
        assert!(said.out.contains(line), "{}", said.out);
    }
    assert!(!said.out.contains('\u{1b}'), "nothing moves a terminal's cursor");

    let fake = Fake::start(answering(audit(10, &[], &["bucket"]))).await;
    let said = run(fake.data_dir(), &["audit", "copy"]).await.unwrap();
    assert_eq!(said.code, 2);
    assert!(said.out.ends_with("1 files could not be looked at.\n"), "{}", said.out);
}

#[tokio::test]
async fn a_legacy_pipeline_is_found_by_name_and_json_is_what_the_api_said() {
    let answer = audit(10, &[], &[]);
    let fake = Fake::start(answering(answer.clone())).await;
    let said = run(fake.data_dir(), &["audit", "old", "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), answer);
    assert!(fake.asked().last().unwrap().path.ends_with(&format!("/pipelines/{LEGACY}/audit")));
    let wrong = run(fake.data_dir(), &["audit", "none"]).await.unwrap_err();
    assert!(wrong.contains("there is no pipeline and no legacy pipeline"), "{wrong}");
    let wrong = run(fake.data_dir(), &["audit", "../tokens"]).await.unwrap_err();
    assert!(wrong.contains("letters, digits"), "{wrong}");
}
