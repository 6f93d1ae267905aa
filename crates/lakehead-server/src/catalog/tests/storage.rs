use lakehead_model::Secret;

use super::*;
use crate::config::HandOutKeys;

fn place(hand_out_keys: HandOutKeys) -> config::Bucket {
    config::Bucket {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        region: Some("here".to_owned()),
        bucket: Some("real".to_owned()),
        access_key_id: Some("id".to_owned()),
        secret_access_key: Some(Secret::new("hush")),
        hand_out_keys,
        ..config::Bucket::default()
    }
}

/// What a request is told; staging a table asks the store nothing.
async fn told(hand_out_keys: HandOutKeys, permissions: &[&str], delegation: &str) -> (Value, String) {
    let server = server_with([("lake".to_owned(), place(hand_out_keys))].into(), "lake");
    server.post("lake/namespaces", json!({ "namespace": ["n"] })).await.ok();
    let bearer = format!("Bearer {}", server.holder(permissions));
    let headers = [("authorization", &*bearer), ("x-iceberg-access-delegation", delegation)];
    let mut body = table_body("t");
    body["stage-create"] = json!(true);
    let reply = server.call(Method::POST, "lake/namespaces/n/tables", &headers, &body).await.ok();
    (reply.clone(), reply.to_string())
}

#[tokio::test]
async fn keys_are_handed_to_whom_the_configuration_says_and_only_if_asked_for() {
    let vended = "vended-credentials";
    for (who, permissions, delegation, gets) in [
        (HandOutKeys::Writers, vec!["read", "write"], vended, true),
        (HandOutKeys::Writers, vec!["read", "write"], "remote-signing,vended-credentials", true),
        (HandOutKeys::Writers, vec!["read", "write"], "remote-signing", false),
        (HandOutKeys::Everyone, vec!["write"], vended, true),
        (HandOutKeys::Never, vec!["read", "write"], vended, false),
    ] {
        let (told, text) = told(who, &permissions, delegation).await;
        assert_eq!(text.contains("hush"), gets, "{who:?} {delegation}");
        let config = &told["config"];
        assert_eq!(
            (&config["s3.endpoint"], &config["s3.region"]),
            (&json!("http://127.0.0.1:1/"), &json!("here"))
        );
        assert_eq!(config["s3.path-style-access"], "true");
        assert!(
            told["metadata"]["location"].as_str().unwrap().starts_with("s3://real/__r2_data_catalog/n/t-")
        );
        if gets {
            let expected = json!([{ "prefix": "s3://real/", "config": config }]);
            assert_eq!(told["storage-credentials"], expected);
            assert_eq!(config["s3.secret-access-key"], "hush");
        } else {
            assert!(told.get("storage-credentials").is_none());
        }
    }
}

#[tokio::test]
async fn whoever_may_only_read_gets_keys_if_everyone_does() {
    for (who, gets) in
        [(HandOutKeys::Writers, false), (HandOutKeys::Everyone, true), (HandOutKeys::Never, false)]
    {
        let server = server_with([("lake".to_owned(), place(who))].into(), "lake");
        let catalog = server.world.store.catalog();
        let id = catalog.buckets["lake"].catalog.as_ref().unwrap().id.clone();
        // A table that is known, whose store is not asked for its credentials.
        let record = json!({
            "uuid": "00000000-0000-4000-8000-000000000000", "location": "s3://real/x",
            "metadata_location": "s3://real/x/metadata/00000-x.metadata.json", "number": 0,
        });
        let write = lakehead_meta::records::Write {
            space: lakehead_meta::records::Space::Table,
            key: format!("{id}:n/t"),
            expect: lakehead_meta::records::Expect::Absent,
            value: Some(record.to_string().into_bytes()),
        };
        server.world.store.write_catalog_records(&[write]).unwrap();
        let bearer = format!("Bearer {}", server.holder(&["read"]));
        let path = "lake/namespaces/n/tables/t/credentials";
        let reply = server.call(Method::GET, path, &[("authorization", &bearer)], &Value::Null).await.ok();
        assert_eq!(reply["storage-credentials"].as_array().unwrap().len(), usize::from(gets), "{who:?}");
    }
}
