use serde_json::json;

use super::{PIPELINES, SINKS, STREAMS, Server, server, sink_body};
use crate::control::tests::AUDIT_UNREAD;

async fn with_pipeline() -> (Server, String) {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    server.make(SINKS, sink_body("files")).await;
    let sql = "INSERT INTO files SELECT * FROM events";
    let id = server.make(PIPELINES, json!({ "name": "copy", "sql": sql })).await;
    (server, id)
}

#[tokio::test]
async fn an_audit_shows_figures_differences_and_what_could_not_be_read() {
    let (server, id) = with_pipeline().await;
    let reply = server.get(&format!("{PIPELINES}/{id}/audit")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let result = reply.result();
    assert_eq!(result["pipeline"], json!({ "id": id, "name": "copy", "version": 1 }));
    assert_eq!((&result["balanced"], &result["difference_count"]), (&json!(false), &json!(1)));
    let difference =
        json!({ "kind": "file_missing", "statement": 0, "at": 5, "text": "a.json is not there" });
    assert_eq!(result["differences"], json!([difference]));
    assert_eq!((&result["unread"], &result["unread_count"]), (&json!([AUDIT_UNREAD]), &json!(7)));
    let statement = &result["statements"][0];
    assert_eq!(
        (&statement["ledger"]["accepted"], &statement["ledger"]["in_flight"]),
        (&json!(12), &json!(2))
    );
    assert_eq!((&statement["in_flight_found"], &statement["committing"]), (&json!(1), &json!(true)));
    assert_eq!(statement["recount"]["rows_found"], 8);
    assert_eq!(result["past"]["recount"]["unlisted"]["accepted"], 4);
}

#[tokio::test]
async fn an_audit_of_nothing_is_refused() {
    let (server, id) = with_pipeline().await;
    let nobody = format!("{PIPELINES}/{}/audit", "0".repeat(32));
    server.get(&nobody).await.refused(404, 1000, "Pipeline does not exist");
    let reply = server.post(&format!("{PIPELINES}/{id}/audit"), json!({})).await;
    assert_eq!(reply.status, 405, "{}", reply.body);
}
