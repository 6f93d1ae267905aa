//! The server under test: started on a core of its own, asked over its public API, measured through `/proc`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lakehead_model::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::events;

/// Where the server runs; the generator has the other one.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const GENERATOR_CORE: usize = 1;
const READY_WITHIN: Duration = Duration::from_secs(20);
const COMMITTED_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub address: SocketAddr,
    pub token: String,
    account: String,
    log: PathBuf,
    clock: SystemClock,
}

/// What a pipeline of a case writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Parquet,
    /// A filter on one column, and three columns of 18.
    FilteredParquet,
    /// The same stream into three sinks: all, a part, and three columns.
    ThreeParquet,
    GzipLines,
}

impl Output {
    /// What each statement of the pipeline selects, and its condition.
    pub(crate) fn queries(self) -> &'static [(&'static str, &'static str)] {
        const ALL: (&str, &str) = ("*", "");
        const FILTERED: (&str, &str) = ("user_id, event_type, price", " WHERE event_type = 'purchase'");
        match self {
            Output::Parquet | Output::GzipLines => &[ALL],
            Output::FilteredParquet => &[FILTERED],
            Output::ThreeParquet => &[ALL, FILTERED, ("*", " WHERE is_bot")],
        }
    }
}

/// Moves the calling thread to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

impl Server {
    /// Starts `binary` on an empty `folder`, pinned, and waits until it is ready.
    pub(crate) fn start(binary: &Path, folder: &Path) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data_dir = folder.join("data");
        let config = folder.join("lakehead.toml");
        // Large enough that no case meets back-pressure of the log, only of the sink.
        std::fs::write(&config, "[log]\nquota_bytes = 17179869184\n")?;
        let log = folder.join("server.log");
        let child = Command::new("taskset")
            .arg("-c")
            .arg(SERVER_CORE.to_string())
            .arg(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(&data_dir)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("server.out"))?)
            .stderr(File::create(&log)?)
            .spawn()?;
        let clock = SystemClock::default();
        let mut server = Server { child, address, token: String::new(), account: String::new(), log, clock };
        server.wait_ready()?;
        let environment = Command::new(binary).args(["env", "--data-dir"]).arg(&data_dir).output()?;
        let environment = String::from_utf8_lossy(&environment.stdout).into_owned();
        server.token = exported(&environment, "CLOUDFLARE_API_TOKEN")?;
        server.account = exported(&environment, "CLOUDFLARE_ACCOUNT_ID")?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        loop {
            if matches!(self.call("GET", "/readyz", None), Ok((200, _))) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("the server ended with {status}")));
            }
            if self.clock.monotonic() > READY_WITHIN {
                return Err(self.failed("the server did not become ready"));
            }
            pause();
        }
    }

    /// An error with the end of the server's own log.
    fn failed(&self, what: &str) -> io::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        io::Error::other(format!("{what}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }

    fn call(&self, method: &str, path: &str, body: Option<&str>) -> io::Result<(u16, String)> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let body = body.unwrap_or("");
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        )?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.get(9..12).and_then(|s| s.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        match status {
            Some(status) => Ok((status, body.to_owned())),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP answer: {answer:?}"))),
        }
    }

    /// Creates a stream, sink or pipeline and returns its id.
    fn create(&self, kind: &str, body: &Value) -> io::Result<String> {
        let path = format!("/client/v4/accounts/{}/pipelines/v1/{kind}", self.account);
        let (status, answer) = self.call("POST", &path, Some(&body.to_string()))?;
        let id = serde_json::from_str::<Value>(&answer)
            .ok()
            .and_then(|v| v["result"]["id"].as_str().map(str::to_owned));
        id.filter(|_| status == 200)
            .ok_or_else(|| self.failed(&format!("creating {kind} {body} was answered {status}: {answer}")))
    }

    /// Creates stream number `number`, with the clickstream's schema or unstructured, and returns its ingest path.
    pub(crate) fn create_stream(&self, number: usize, structured: bool) -> io::Result<String> {
        let mut body = json!({
            "name": format!("clicks_{number}"),
            "http": {"enabled": true, "authentication": true},
            "format": {"type": "json", "unstructured": !structured},
        });
        if structured {
            body["schema"] = serde_json::from_str(events::SCHEMA).expect("the schema is JSON");
        }
        Ok(format!("/ingest/{}", self.create("streams", &body)?))
    }

    /// Creates a sink and a pipeline that copies everything of stream number `number` into it.
    pub(crate) fn create_pipeline(&self, number: usize, output: Output) -> io::Result<()> {
        let format = match output {
            Output::Parquet | Output::FilteredParquet | Output::ThreeParquet => {
                json!({"type": "parquet", "compression": "zstd"})
            }
            Output::GzipLines => json!({"type": "json", "compression": "gzip"}),
        };
        let mut statements = Vec::new();
        for (i, (columns, condition)) in output.queries().iter().enumerate() {
            let sink = json!({
                "name": format!("files_{number}_{i}"),
                "type": "r2",
                "format": format,
                "config": {
                    "bucket": "bench",
                    "path": format!("clicks-{number}-{i}"),
                    "credentials": {"access_key_id": "unused", "secret_access_key": "unused"},
                    "rolling_policy": {"file_size_bytes": 100 << 20, "interval_seconds": 300, "inactivity_seconds": 1},
                },
            });
            self.create("sinks", &sink)?;
            statements.push(format!(
                "INSERT INTO files_{number}_{i} SELECT {columns} FROM clicks_{number}{condition}"
            ));
        }
        let sql = statements.join("; ");
        self.create("pipelines", &json!({"name": format!("copy_{number}"), "sql": sql}))?;
        Ok(())
    }

    /// The sum of a counter over all its labels; zero if the server does not have it yet.
    fn counter(&self, name: &str) -> io::Result<u64> {
        let (status, text) = self.call("GET", "/metrics", None)?;
        if status != 200 {
            return Err(self.failed(&format!("/metrics was answered {status}")));
        }
        Ok(sum_of(&text, name) as u64)
    }

    /// Waits until `events` records are settled, in committed files or left out by the SQL, and none rejected; returns how long
    /// it took. Each statement of a pipeline settles all of them.
    pub(crate) fn wait_committed(&self, events: u64) -> io::Result<Duration> {
        let begun = self.clock.monotonic();
        loop {
            let committed = self.counter("pipeline_records_out_total")?
                + self.counter("pipeline_records_filtered_total")?;
            if committed == events {
                return Ok(self.clock.monotonic() - begun);
            }
            let dead = self.counter("pipeline_records_dead_lettered_total")?;
            if committed > events || dead > 0 {
                return Err(
                    self.failed(&format!("{committed} of {events} records came out, {dead} dead letters"))
                );
            }
            if self.clock.monotonic() - begun > COMMITTED_WITHIN {
                return Err(self.failed(&format!("only {committed} of {events} records came out")));
            }
            pause();
        }
    }

    /// User and system time of the whole process so far.
    pub(crate) fn cpu_seconds(&self) -> io::Result<f64> {
        cpu_seconds(&format!("/proc/{}/stat", self.child.id()))
    }

    /// The most memory the process ever had resident.
    pub(crate) fn peak_rss_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other("the process has no VmHWM"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The folder goes with the case: nothing to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of the calling thread so far.
pub(crate) fn thread_cpu_seconds() -> io::Result<f64> {
    cpu_seconds("/proc/thread-self/stat")
}

fn cpu_seconds(path: &str) -> io::Result<f64> {
    let stat = std::fs::read_to_string(path)?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| io::Error::other(format!("unreadable {path}: {stat:?}")))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "polls another process; there is nothing to wait on")]
    std::thread::sleep(Duration::from_millis(50));
}

/// The value of `export NAME=value` in `text`, quotes removed.
fn exported(text: &str, name: &str) -> io::Result<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
        .ok_or_else(|| io::Error::other(format!("`lakehead env` does not export {name}: {text:?}")))
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted after the command name, which may hold spaces (proc(5)).
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Sum of the samples of `name`, with or without the product's prefix, in Prometheus' text format.
fn sum_of(text: &str, name: &str) -> f64 {
    text.lines()
        .filter_map(|line| {
            let line = line.strip_prefix("lakehead_").unwrap_or(line);
            let rest = line.strip_prefix(name)?;
            let value = match rest.as_bytes().first()? {
                b'{' => rest.rsplit_once('}')?.1,
                b' ' => rest,
                _ => return None,
            };
            value.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_command_name_with_spaces_and_brackets() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn a_counter_is_summed_over_its_labels_and_not_over_its_namesakes() {
        let text = "# HELP rows_total x\nrows_total{a=\"1\"} 3\nlakehead_rows_total{a=\"}2 \"} 4\nrows_total 5\nrows_total_x 9\n";
        assert_eq!(sum_of(text, "rows_total"), 12.0);
        assert_eq!(sum_of(text, "missing"), 0.0);
    }

    #[test]
    fn exports_are_read_with_and_without_quotes() {
        let text = "export A=1\nexport B='two'\n";
        assert_eq!(exported(text, "A").unwrap(), "1");
        assert_eq!(exported(text, "B").unwrap(), "two");
        assert!(exported(text, "C").is_err());
    }
}
