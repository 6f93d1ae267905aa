//! A secret given in a request is in no answer, no log line and no debug output.

use std::io;
use std::sync::Arc;

use http::Method;
use parking_lot::Mutex;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::{SINKS, STREAMS, server, sink_body};

const CANARY: &str = "canary-9d41e07c";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;
    fn make_writer(&self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn a_canary_in_any_secret_field_never_comes_back() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // For this thread only; the runtime of a test has one, and blocking calls inherit nothing: they log the same lines
    // as the ones checked in the control plane's own test below.
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = server();
    let secrets = json!({ "access_key_id": format!("{CANARY}-id"), "secret_access_key": CANARY });
    let mut seen = Vec::new();

    let mut good = sink_body("files");
    good["config"]["credentials"] = secrets.clone();
    good["config"]["token"] = json!(CANARY);
    let made = server.post(SINKS, good.clone()).await;
    assert_eq!(made.status, 200);
    let id = made.result()["id"].as_str().unwrap().to_owned();
    seen.push(made);
    seen.push(server.post(SINKS, good.clone()).await);
    seen.push(server.get(SINKS).await);
    seen.push(server.get(&format!("{SINKS}/{id}")).await);

    let mut bad = good.clone();
    bad["name"] = json!("other");
    for (field, value) in [
        ("type", json!("r2_data_catalog")),
        ("type", json!("nonsense")),
        ("format", json!(7)),
        ("config", json!(CANARY)),
    ] {
        let mut body = bad.clone();
        body[field] = value;
        seen.push(server.post(SINKS, body).await);
    }
    for credentials in [
        json!(CANARY),
        json!([CANARY]),
        json!({ "access_key_id": [CANARY], "secret_access_key": CANARY }),
        json!({ "access_key_id": CANARY, "secret_access_key": { CANARY: 1 } }),
        json!({ "access_key_id": CANARY }),
    ] {
        let mut body = bad.clone();
        body["config"]["credentials"] = credentials;
        let reply = server.post(SINKS, body).await;
        assert_eq!(reply.status, 400);
        seen.push(reply);
    }
    let broken = format!("{{\"config\":{{\"credentials\":{{\"secret_access_key\":\"{CANARY}\" x");
    seen.push(server.with_body(Method::POST, SINKS, broken).await);
    let legacy = json!({ "name": "a", "destination": { "credentials": secrets } });
    seen.push(server.post("/pipelines", legacy).await);
    let stream = json!({ "name": "s", "config": { "credentials": secrets } });
    seen.push(server.post(STREAMS, stream).await);
    seen.push(server.delete(&format!("{SINKS}/{id}")).await);

    for reply in &seen {
        assert!(!format!("{reply:?}").contains(CANARY), "{reply:?}");
    }
    assert!(!format!("{:?} {:?}", server.world.control, server.world.control.catalog()).contains(CANARY));
    assert!(!String::from_utf8_lossy(&log.0.lock()).contains(CANARY));
}

#[test]
fn the_log_of_the_control_plane_names_things_and_no_secrets() {
    use lakehead_model::Secret;
    use lakehead_model::resource::{Credentials, KeyPair};

    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let world = crate::control::tests::world();
        let mut new = crate::control::tests::new_sink("files");
        new.credentials = Some(Credentials::Keys(KeyPair {
            access_key_id: Secret::new(CANARY),
            secret_access_key: Secret::new(CANARY),
        }));
        assert!(!format!("{new:?}").contains(CANARY));
        let sink = world.control.create_sink(new).unwrap();
        world.control.delete_sink(&sink.id.to_string()).unwrap();
    });
    let lines = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(lines.contains("sink created") && lines.contains("sink deleted"), "{lines}");
    assert!(!lines.contains(CANARY), "{lines}");
}
