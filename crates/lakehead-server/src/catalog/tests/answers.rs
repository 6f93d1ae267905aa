use super::*;

const KEY: &str = "0197a0c0-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_request_with_a_key_is_done_once_also_after_a_restart() {
    let server = server();
    let made = server.with_table().await;
    let table = "lake/namespaces/n/tables/t";
    let uuid = &made["metadata"]["table-uuid"];
    let append = json!({
        "requirements": [
            { "type": "assert-table-uuid", "uuid": uuid },
            { "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null },
        ],
        "updates": [
            { "action": "add-snapshot", "snapshot": {
                "snapshot-id": 1, "sequence-number": 1, "timestamp-ms": made["metadata"]["last-updated-ms"],
                "manifest-list": "file:///m", "summary": { "operation": "append" }, "schema-id": 0,
            } },
            { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1 },
        ],
    });
    let key = [("idempotency-key", KEY)];
    let first = server.call(Method::POST, table, &key, &append).await.ok();
    assert_eq!(server.call(Method::POST, table, &key, &append).await.ok(), first);
    let server = server.restarted();
    assert_eq!(server.call(Method::POST, table, &key, &append).await.ok(), first);
    server.post(table, append.clone()).await.refused(409, "CommitFailedException", "main");
    let other = server.call(Method::POST, table, &key, &set("k", "v")).await;
    other.refused(400, "BadRequestException", "Idempotency-Key: was used for another request");
    let bad = server.call(Method::POST, table, &[("idempotency-key", "7")], &append).await;
    bad.refused(400, "BadRequestException", "Idempotency-Key: is no UUID");
}

#[tokio::test]
async fn creations_drops_and_refusals_are_answered_again() {
    let server = server();
    server.post("lake/namespaces", json!({ "namespace": ["n"] })).await.ok();
    let key = |n: u8| format!("0197a0c0-0000-7000-8000-0000000000{n:02}");
    let twice = async |method: Method, path: &'static str, n: u8, body: Value| {
        let (key, mut replies) = (key(n), Vec::new());
        for _ in 0..2 {
            let reply = server.call(method.clone(), path, &[("idempotency-key", &*key)], &body).await;
            replies.push((reply.status.as_u16(), reply.body));
        }
        assert_eq!(replies[0], replies[1], "{path}");
        replies[0].0
    };
    let namespace = json!({ "namespace": ["m"], "properties": { "k": "v" } });
    assert_eq!(twice(Method::POST, "lake/namespaces", 10, namespace).await, 200);
    assert_eq!(twice(Method::POST, "lake/namespaces/n/tables", 11, table_body("t")).await, 200);
    let conflict = json!({ "requirements": [{ "type": "assert-create" }], "updates": [] });
    assert_eq!(twice(Method::POST, "lake/namespaces/n/tables/t", 12, conflict).await, 409);
    assert_eq!(twice(Method::DELETE, "lake/namespaces/n/tables/t", 13, Value::Null).await, 204);
    assert_eq!(twice(Method::DELETE, "lake/namespaces/m", 14, Value::Null).await, 204);
    // What was refused stays refused under its key, though it would work now.
    let path = "lake/namespaces/o/tables";
    assert_eq!(twice(Method::POST, path, 15, table_body("t")).await, 404);
    server.post("lake/namespaces", json!({ "namespace": ["o"] })).await.ok();
    assert_eq!(twice(Method::POST, path, 15, table_body("t")).await, 404);
    assert_eq!(twice(Method::POST, path, 16, table_body("t")).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_request_many_times_at_once_is_done_once() {
    let server = Arc::new(server());
    server.with_table().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let server = Arc::clone(&server);
        asked.spawn(async move {
            let key = [("idempotency-key", KEY)];
            let reply = server.call(Method::POST, "lake/namespaces/n/tables", &key, &table_body("u")).await;
            reply.ok()["metadata"]["table-uuid"].clone()
        });
    }
    let uuids = asked.join_all().await;
    assert!(uuids.iter().all(|uuid| *uuid == uuids[0]), "{uuids:?}");
}
