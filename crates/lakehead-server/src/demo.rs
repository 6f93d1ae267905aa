//! The first minute: a stream, a sink and a pipeline of the server's own, with generated events flowing through them.
//!
//! It uses the server as anybody would, over HTTP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use lakehead_model::{Clock, Random, SystemClock, SystemRandom};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::startup::Server;

const BUCKET: &str = "demo";
const EVENTS_PER_TICK: usize = 5;
const TICK: Duration = Duration::from_millis(200);

/// What went wrong, for the person at the terminal.
type Failure = String;

/// Sets the demo up and keeps events flowing until the task is dropped. Prints what to try, and each file that lands.
pub async fn run(server: &Server, data_dir: &Path) {
    if let Err(failure) = Demo::run(server, data_dir).await {
        tracing::error!(%failure, "the demo stopped; the server goes on");
    }
}

struct Demo {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
    account: String,
}

impl Demo {
    async fn run(server: &Server, data_dir: &Path) -> Result<(), Failure> {
        let host = server.address.to_string();
        let socket = TcpStream::connect(server.address).await.map_err(|e| e.to_string())?;
        let (connection, driver) = http1::handshake(TokioIo::new(socket)).await.map_err(|e| e.to_string())?;
        tokio::spawn(driver);
        let mut demo = Demo {
            connection,
            host,
            token: server.identity.admin_token().reveal().to_owned(),
            account: server.identity.account_id().to_owned(),
        };
        let stream = demo.set_up().await?;
        let folder = data_dir.join("buckets").join(BUCKET);
        println!("{}", introduction(server, data_dir, &folder, &stream));
        demo.keep_sending(&stream, &folder).await
    }

    /// Makes what is missing; a second start finds what the first one made. Returns the stream's id.
    async fn set_up(&mut self) -> Result<String, Failure> {
        let stream = json!({
            "name": "demo_stream",
            "http": { "enabled": true, "authentication": false },
            "schema": { "fields": [
                { "name": "event_id", "type": "string", "required": true },
                { "name": "at", "type": "timestamp", "unit": "millisecond", "required": true },
                { "name": "kind", "type": "string", "required": true },
                { "name": "url", "type": "string" },
                { "name": "country", "type": "string" },
                { "name": "duration_ms", "type": "int32" },
                { "name": "price", "type": "float64" },
            ]},
        });
        let stream = self.ensure("streams", "demo_stream", stream).await?;
        let sink = json!({
            "name": "demo_sink",
            "type": "r2",
            "format": { "type": "parquet" },
            "config": {
                "bucket": BUCKET,
                "path": "events",
                "credentials": { "access_key_id": "local", "secret_access_key": "local" },
                "rolling_policy": { "interval_seconds": 10 },
            },
        });
        self.ensure("sinks", "demo_sink", sink).await?;
        let sql = "INSERT INTO demo_sink SELECT * FROM demo_stream WHERE kind <> 'heartbeat'";
        self.ensure("pipelines", "demo_pipeline", json!({ "name": "demo_pipeline", "sql": sql })).await?;
        Ok(stream)
    }

    async fn ensure(&mut self, kind: &str, name: &str, create: Value) -> Result<String, Failure> {
        let path = format!("/client/v4/accounts/{}/pipelines/v1/{kind}", self.account);
        let listed = self.call(Method::GET, &format!("{path}?name={name}"), Vec::new()).await?;
        let found =
            listed["result"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).cloned();
        let one = match found {
            Some(one) => one,
            None => self.call(Method::POST, &path, create.to_string().into_bytes()).await?["result"].clone(),
        };
        one["id"].as_str().map(str::to_owned).ok_or_else(|| format!("{kind}: no id in the answer"))
    }

    async fn call(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let what = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| e.to_string())?;
        self.connection.ready().await.map_err(|e| e.to_string())?;
        let response = self.connection.send_request(request).await.map_err(|e| format!("{what}: {e}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| format!("{what}: {e}"))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).map_err(|e| format!("{what}: {status}, {e}"))?;
        if !status.is_success() {
            return Err(format!("{what}: {status}: {}", answer["errors"]));
        }
        Ok(answer)
    }

    async fn keep_sending(&mut self, stream: &str, folder: &Path) -> Result<(), Failure> {
        let mut landed = BTreeSet::new();
        files_below(folder, &mut landed);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let clock = SystemClock::default();
        for tick in 0_u64.. {
            ticks.tick().await;
            let events: Vec<_> = (0..EVENTS_PER_TICK).map(|_| event(&clock, &SystemRandom)).collect();
            let body = Value::Array(events).to_string().into_bytes();
            if let Err(failure) = self.call(Method::POST, &format!("/ingest/{stream}"), body).await {
                return Err(format!("sending failed: {failure}"));
            }
            if tick % 5 == 0 {
                let mut now = BTreeSet::new();
                files_below(folder, &mut now);
                for file in now.difference(&landed) {
                    println!("landed  {}", file.display());
                }
                landed = now;
            }
        }
        Ok(())
    }
}

fn event(clock: &dyn Clock, random: &dyn Random) -> Value {
    const KINDS: [&str; 6] = ["page_view", "page_view", "click", "add_to_cart", "purchase", "heartbeat"];
    const PAGES: [&str; 5] = ["/", "/shoes", "/books/17", "/garden", "/checkout"];
    const COUNTRIES: [&str; 5] = ["DE", "US", "IN", "BR", "JP"];
    let pick = |n: usize| usize::try_from(random.u64() % n as u64).unwrap_or(0);
    let kind = KINDS[pick(KINDS.len())];
    json!({
        "event_id": format!("{:032x}", random.u128()),
        "at": clock.now().as_millis(),
        "kind": kind,
        "url": format!("https://shop.example{}", PAGES[pick(PAGES.len())]),
        "country": COUNTRIES[pick(COUNTRIES.len())],
        "duration_ms": random.u64() % 30_000,
        "price": (kind == "purchase").then(|| (random.u64() % 20_000) as f64 / 100.0),
    })
}

fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), found),
            Ok(kind) if kind.is_file() && !hidden => {
                found.insert(entry.path());
            }
            _ => {}
        }
    }
}

fn introduction(server: &Server, data_dir: &Path, folder: &Path, stream: &str) -> String {
    let base = &server.base_url;
    let (data_dir, folder) = (data_dir.display(), folder.display());
    let event = r#"[{"event_id":"mine","at":"2026-01-01T12:00:00Z","kind":"click","price":1.5}]"#;
    format!(
        "
Lakehead runs at {base}. Generated events flow: demo_stream -> demo_pipeline -> demo_sink.
Parquet files land every 10 seconds below {folder}

Try, in another terminal:

  curl -X POST {base}/ingest/{stream} -d '{event}'

  eval \"$(lakehead env --data-dir {data_dir})\" && npx wrangler@4.164.0 pipelines list

  duckdb -c \"SELECT kind, count(*), avg(price) FROM '{folder}/**/*.parquet' GROUP BY kind\"
"
    )
}
