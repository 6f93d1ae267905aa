//! A server of the API that answers what a test says, and the data folder that names it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const ACCOUNT: &str = "00000000000000000000000000000acc";
pub(crate) const TOKEN: &str = "lh_the_administrators_token";
/// Fewer than clients ask for: they must not count.
const PER_PAGE: usize = 2;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    query: Option<String>,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    /// `null` if there was none.
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn line(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{} {}{query}", self.method, self.path)
    }

    pub(crate) fn below_account(&self) -> &str {
        self.path.strip_prefix(&format!("/client/v4/accounts/{ACCOUNT}/")).expect("a path of the account")
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs =
            self.query.as_deref().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.collect::<HashMap<_, _>>().remove(name)
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection ends.
    HangUp,
}

impl Answer {
    pub(crate) fn text(status: u16, body: &str) -> Answer {
        Answer::Whole { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn envelope(status: u16, envelope: &Value) -> Answer {
        Answer::text(status, &envelope.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Answer {
        if let Answer::Whole { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

pub(crate) fn result(result: &Value) -> Answer {
    Answer::envelope(200, &json!({"success": true, "errors": [], "messages": [], "result": result}))
}

pub(crate) fn error(status: u16, code: i64, message: &str) -> Answer {
    let errors = json!([{"code": code, "message": message}]);
    Answer::envelope(status, &json!({"success": false, "errors": errors, "messages": [], "result": null}))
}

/// The page that was asked for.
pub(crate) fn page(asked: &Asked, items: impl Iterator<Item = Value>) -> Answer {
    let page: usize =
        asked.parameter("page").expect("a list is asked for by page").parse().expect("a number");
    result(&items.skip((page - 1) * PER_PAGE).take(PER_PAGE).collect())
}

/// The server. It ends with its value.
pub(crate) struct Fake {
    data_dir: tempfile::TempDir,
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let data_dir = tempfile::tempdir().expect("a folder");
        for (name, text) in
            [("url", url.as_str()), ("account_id", ACCOUNT), ("admin_token", &format!("{TOKEN}\n"))]
        {
            std::fs::write(data_dir.path().join(name), text).expect("a file");
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::new(answer), Arc::clone(&asked)));
        Fake { data_dir, url, asked, task }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// Ends the server; its folder and address are left.
    pub(crate) async fn stop(mut self) -> (tempfile::TempDir, String) {
        self.task.abort();
        // The port is free when the task is gone.
        let _ = (&mut self.task).await;
        let data_dir = std::mem::replace(&mut self.data_dir, tempfile::tempdir().expect("a folder"));
        (data_dir, self.url.clone())
    }
}

type Answering = dyn Fn(&Asked) -> Answer + Send + Sync;

async fn serve(listener: TcpListener, answer: Arc<Answering>, asked: Arc<Mutex<Vec<Asked>>>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
        let service = service_fn(move |request| respond(request, Arc::clone(&answer), Arc::clone(&asked)));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
        // A test that hangs up ends a connection with an error.
        tokio::spawn(async move { connection.await.ok() });
    }
}

/// The connection is to end.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hang up")
    }
}

impl std::error::Error for HangUp {}

async fn respond(
    request: Request<Incoming>,
    answer: Arc<Answering>,
    all: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Full<Bytes>>, HangUp> {
    let (head, body) = request.into_parts();
    let header =
        |name: &str| head.headers.get(name).map(|v| v.to_str().expect("text").to_owned()).unwrap_or_default();
    let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("a JSON body") },
    };
    all.lock().push(asked.clone());
    match answer(&asked) {
        Answer::HangUp => Err(HangUp),
        Answer::Whole { status, headers, body } => {
            let mut response = Response::builder().status(status).header("content-type", "application/json");
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body))).expect("a response"))
        }
    }
}
