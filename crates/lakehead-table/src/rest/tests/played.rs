//! A catalog that answers what a test says, byte for byte, and keeps what it was asked.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// `GET /v1/config?warehouse=w`
    pub(super) line: String,
    head: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn is_config(&self) -> bool {
        self.line.starts_with("GET /v1/config")
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Whole {
        status: u16,
        headers: String,
        body: String,
    },
    /// The whole length is announced, half of it sent.
    Cut {
        status: u16,
        body: String,
    },
    /// The connection ends without a word.
    HangUp,
    /// Nothing, until the test ends.
    Silence,
}

pub(super) fn ok(body: &Value) -> Answer {
    Answer::Whole { status: 200, headers: String::new(), body: body.to_string() }
}

pub(super) fn text(status: u16, body: &str) -> Answer {
    Answer::Whole { status, headers: String::new(), body: body.to_owned() }
}

pub(super) fn error(status: u16, error_type: &str, message: &str) -> Answer {
    text(status, &json!({"error": {"type": error_type, "message": message, "code": status}}).to_string())
}

impl Answer {
    pub(super) fn header(mut self, line: &str) -> Answer {
        if let Answer::Whole { headers, .. } = &mut self {
            headers.push_str(line);
            headers.push_str("\r\n");
        }
        self
    }
}

/// The server. It ends with its value.
pub(super) struct Played {
    pub(super) uri: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answering = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

impl Played {
    /// `answer` gets the request and how many of the same line came before.
    pub(super) async fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, all): (Arc<Answering>, _) = (Arc::new(answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, Arc::clone(&answer), Arc::clone(&all)));
            }
        });
        Played { uri, asked, task }
    }

    /// The same, with a configuration that says nothing.
    pub(super) async fn plain(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Played {
        Played::start(move |asked, before| {
            if asked.is_config() {
                ok(&json!({"defaults": {}, "overrides": {}}))
            } else {
                answer(asked, before)
            }
        })
        .await
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// The lines of what was asked, without the questions for the configuration.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().filter(|a| !a.is_config()).map(|a| a.line).collect()
    }
}

async fn serve(mut connection: TcpStream, answer: Arc<Answering>, all: Arc<Mutex<Vec<Asked>>>) {
    let mut read = Vec::new();
    while let Some(asked) = request(&mut connection, &mut read).await {
        let before = {
            let mut all = all.lock();
            let before = all.iter().filter(|a| a.line == asked.line).count();
            all.push(asked.clone());
            before
        };
        let (status, headers, body, sent) = match answer(&asked, before) {
            Answer::Whole { status, headers, body } => (status, headers, body.clone(), body.len()),
            Answer::Cut { status, body } => (status, String::new(), body.clone(), body.len() / 2),
            Answer::HangUp => return,
            Answer::Silence => return tokio::time::sleep(Duration::from_secs(3600)).await,
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let is_cut = sent < body.len();
        let bytes = [head.as_bytes(), &body.as_bytes()[..sent]].concat();
        if connection.write_all(&bytes).await.is_err() || is_cut {
            return;
        }
    }
}

async fn request(connection: &mut TcpStream, read: &mut Vec<u8>) -> Option<Asked> {
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let n = connection.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&buffer[..n]);
    };
    let head = String::from_utf8(read.drain(..end).collect()).unwrap();
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let asked = Asked { line, head, body: String::new() };
    let length: usize = asked.header("content-length").map_or(0, |n| n.parse().unwrap());
    while read.len() < length {
        let n = connection.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&buffer[..n]);
    }
    let body = String::from_utf8(read.drain(..length).collect()).unwrap();
    Some(Asked { body, ..asked })
}
