use serde_json::{Value, json};

use super::{PIPELINES, SINKS, STREAMS, server, sink_body};
use crate::control::{Counters, PipelineState, PipelineStatus};

const SQL: &str = "INSERT INTO files SELECT * FROM events;";

#[tokio::test]
async fn a_pipeline_lists_its_tables_and_reports_its_status() {
    let server = server();
    let stream = server.make(STREAMS, json!({ "name": "events" })).await;
    let sink = server.make(SINKS, sink_body("files")).await;
    let reply = server.post(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    let pipeline = reply.result().clone();
    assert_eq!((&pipeline["sql"], &pipeline["status"]), (&json!(SQL), &json!("initializing")));
    let id = pipeline["id"].as_str().unwrap();
    assert_eq!(server.get(PIPELINES).await.result(), &json!([pipeline]));

    let read = server.get(&format!("{PIPELINES}/{id}")).await.result().clone();
    let tables = read["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 2);
    assert_eq!((&tables[0]["id"], &tables[0]["type"]), (&json!(stream), &json!("stream")));
    assert_eq!((&tables[0]["version"], &tables[0]["latest"]), (&json!(1), &json!(1)));
    assert_eq!((&tables[1]["id"], &tables[1]["type"]), (&json!(sink), &json!("sink")));
    assert_eq!(read.get("failure_reason"), None);

    let status = PipelineStatus {
        state: PipelineState::Failed,
        failure_reason: Some("bucket is gone".to_owned()),
        counters: Some(Counters {
            accepted: 15,
            delivered: 7,
            filtered: 2,
            dead_lettered: 1,
            lost: 3,
            in_flight: 2,
        }),
        running_version: Some(1),
    };
    server.world.statuses.lock().insert(id.parse().unwrap(), status);
    let read = server.get(&format!("{PIPELINES}/{id}")).await;
    assert_eq!(read.result()["status"], "failed");
    assert_eq!(read.result()["failure_reason"], "bucket is gone");
    let counters = json!({
        "accepted": 15, "delivered": 7, "filtered": 2, "dead_lettered": 1, "lost": 3, "in_flight": 2,
    });
    assert_eq!(read.result()["counters"], counters);

    for (kind, id) in [(STREAMS, &stream), (SINKS, &sink)] {
        let of_pipeline =
            server.get(&format!("{kind}?pipeline_id={}", pipeline["id"].as_str().unwrap())).await;
        assert_eq!(of_pipeline.result()[0]["id"], json!(id));
    }
}

#[tokio::test]
async fn deleting_a_stream_reports_the_pipelines_that_went_with_it() {
    let server = server();
    let stream = server.make(STREAMS, json!({ "name": "events" })).await;
    server.make(SINKS, sink_body("files")).await;
    let pipeline = server.make(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    let reply = server.delete(&format!("{STREAMS}/{stream}")).await;
    assert_eq!(reply.body["messages"], json!([{ "code": 0, "message": "pipeline p was deleted as well" }]));
    server.get(&format!("{PIPELINES}/{pipeline}")).await.refused(404, 1000, "Pipeline does not exist");
}

#[tokio::test]
async fn a_pipeline_can_be_deleted_and_leaves_the_rest() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    server.make(SINKS, sink_body("files")).await;
    let id = server.make(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    assert_eq!(server.delete(&format!("{PIPELINES}/{id}")).await.status, 200);
    server.delete(&format!("{PIPELINES}/{id}")).await.refused(404, 1000, "");
    assert_eq!(server.get(STREAMS).await.body["result_info"]["total_count"], 1);
    assert_eq!(server.get(SINKS).await.body["result_info"]["total_count"], 1);
}

#[tokio::test]
async fn what_cannot_work_is_refused() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    server.make(SINKS, sink_body("files")).await;
    let post = async |body| server.post(PIPELINES, body).await;
    post(json!({ "name": "p" })).await.refused(400, 1001, "sql: is missing");
    post(json!({ "sql": SQL })).await.refused(400, 1001, "name: is missing");
    post(json!({ "name": "p-1", "sql": SQL })).await.refused(400, 1001, "name: holds '-'");
    post(json!({ "name": "p", "sql": " \n" })).await.refused(400, 1001, "sql: is empty");
    post(json!({ "name": "p", "sql": ";" })).await.refused(400, 1004, "the SQL holds no INSERT");
    post(json!({ "name": "p", "sql": "x".repeat(65537) })).await.refused(400, 1001, "sql: has 65537 bytes");
    post(json!({ "name": "p", "sql": "DROP TABLE x" })).await.refused(
        400,
        1004,
        "expected INSERT INTO, at `DROP` (line 1, column 1)",
    );
    let unknown = json!({ "name": "p", "sql": "INSERT INTO files SELECT * FROM nope" });
    post(unknown).await.refused(400, 1004, "table \"nope\" not found");
    server.make(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    post(json!({ "name": "p", "sql": SQL })).await.refused(400, 1003, "a pipeline named \"p\"");
    for i in 1..20 {
        server.make(PIPELINES, json!({ "name": format!("p{i}"), "sql": SQL })).await;
    }
    post(json!({ "name": "p20", "sql": SQL })).await.refused(400, 1006, "the account has 20 pipelines");
}

#[tokio::test]
async fn validated_sql_names_its_tables_and_draws_its_graph() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    for sink in ["files", "more"] {
        server.make(SINKS, sink_body(sink)).await;
    }
    let sql = "INSERT INTO files SELECT * FROM events; INSERT INTO more SELECT * FROM events";
    let reply = server.post("/pipelines/v1/validate_sql", json!({ "sql": sql })).await;
    let tables = reply.result()["tables"].as_object().unwrap();
    assert_eq!(tables.keys().collect::<Vec<_>>(), ["events", "files", "more"]);
    assert_eq!(tables["events"]["type"], "stream");
    let graph = &reply.result()["graph"];
    let operators: Vec<&Value> = graph["nodes"].as_array().unwrap().iter().map(|n| &n["operator"]).collect();
    assert_eq!(operators, ["source", "project", "sink", "project", "sink"]);
    assert_eq!(graph["edges"].as_array().unwrap().len(), 4);
    let bad = server.post("/pipelines/v1/validate_sql", json!({ "sql": "SELECT 1" })).await;
    bad.refused(400, 1004, "expected INSERT INTO, at `SELECT` (line 1, column 1)");
    let source = json!({ "pointer": "/sql", "line": 1, "column": 1, "text": "SELECT" });
    assert_eq!(bad.body["errors"][0]["source"], source);
    assert_eq!(server.get(PIPELINES).await.result(), &json!([]), "validation makes nothing");
}

#[tokio::test]
async fn an_edit_makes_a_version_and_going_back_makes_another() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    for sink in ["files", "more"] {
        server.make(SINKS, sink_body(sink)).await;
    }
    let id = server.make(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    let path = format!("{PIPELINES}/{id}");
    let other = "INSERT INTO more SELECT * FROM events";
    let edited = server.patch(&path, json!({ "sql": other, "expected_version": 1 })).await;
    assert_eq!((&edited.result()["version"], &edited.result()["sql"]), (&json!(2), &json!(other)));
    assert_eq!(edited.result()["tables"][1]["name"], "more");
    assert_eq!(edited.result()["id"], json!(id));
    let same = server.patch(&path, json!({ "sql": other })).await;
    assert_eq!(same.result()["version"], 2, "the same SQL again changes nothing");

    let back = server.patch(&path, json!({ "rollback_to_version": 1 })).await;
    assert_eq!((&back.result()["version"], &back.result()["sql"]), (&json!(3), &json!(SQL)));
    let versions = server.get(&format!("{path}/versions")).await;
    let seen: Vec<_> =
        versions.result().as_array().unwrap().iter().map(|v| (&v["version"], &v["sql"])).collect();
    assert_eq!(seen, [(&json!(3), &json!(SQL)), (&json!(2), &json!(other)), (&json!(1), &json!(SQL))]);
    assert_eq!(versions.result()[0]["state"], "waiting", "nothing runs here");
    assert_eq!(versions.body["result_info"]["total_count"], 3);
}

#[tokio::test]
async fn an_edit_that_cannot_work_changes_nothing() {
    let server = server();
    server.make(STREAMS, json!({ "name": "events" })).await;
    server.make(SINKS, sink_body("files")).await;
    let id = server.make(PIPELINES, json!({ "name": "p", "sql": SQL })).await;
    let path = format!("{PIPELINES}/{id}");
    let patch = async |body| server.patch(&path, body).await;
    patch(json!({})).await.refused(400, 1001, "sql: is missing");
    patch(json!({ "sql": SQL, "rollback_to_version": 1 })).await.refused(
        400,
        1001,
        "rollback_to_version: and",
    );
    patch(json!({ "sql": "INSERT INTO files SELECT * FROM nope" })).await.refused(
        400,
        1004,
        "table \"nope\"",
    );
    patch(json!({ "sql": "DROP TABLE x" })).await.refused(400, 1004, "expected INSERT INTO");
    patch(json!({ "rollback_to_version": 7 })).await.refused(400, 1001, "rollback_to_version: is 7");
    let outdated = json!({ "sql": "INSERT INTO files SELECT * FROM events", "expected_version": 4 });
    patch(outdated).await.refused(412, 1012, "expected_version: is 4");
    let unknown = format!("{PIPELINES}/{}", "0".repeat(32));
    server.patch(&unknown, json!({ "sql": SQL })).await.refused(404, 1000, "Pipeline does not exist");
    server.get(&format!("{unknown}/versions")).await.refused(404, 1000, "Pipeline does not exist");
    assert_eq!(server.get(&path).await.result()["version"], 1);
}
