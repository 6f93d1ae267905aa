//! The cases, their budgets, and how one is run: a fresh server on an empty folder, a warm-up, then the measured part.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::discard::Discard;
use crate::histogram::Histogram;
use crate::load::{self, Load, Pace};
use crate::pool::{Pool, Width};
use crate::server::{self, Output, Server};

const MIB: u64 = 1 << 20;
/// Bodies are made up to this size and then repeated.
const POOL_BYTES_MAX: u64 = 192 * MIB;

/// What a case may cost. Found on a machine of two cores; see the repository's notes on performance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    pub cpu_seconds_per_gb: Option<f64>,
    pub mb_per_second: Option<f64>,
    pub p99: Option<Duration>,
    pub rss_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub name: &'static str,
    pub about: &'static str,
    width: Width,
    connections: usize,
    streams: usize,
    structured: bool,
    output: Option<Output>,
    open_mb_per_second: Option<f64>,
    /// Share of `--bytes` this case sends: small requests need fewer bytes for a steady figure.
    share: f64,
    budget: Budget,
}

const ACK: Case = Case {
    name: "",
    about: "",
    width: Width::Events(100),
    connections: 32,
    streams: 1,
    structured: true,
    output: None,
    open_mb_per_second: None,
    share: 1.0,
    budget: Budget { cpu_seconds_per_gb: None, mb_per_second: None, p99: None, rss_bytes: Some(512 * MIB) },
};

/// Server on one core, generator on the other; events of about 700 bytes.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "ack-w1",
        about: "1 event per request, no pipeline",
        width: Width::Events(1),
        connections: 256,
        share: 0.2,
        budget: Budget { cpu_seconds_per_gb: Some(16.0), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "ack-w100",
        about: "100 events per request, no pipeline",
        budget: Budget { cpu_seconds_per_gb: Some(2.2), mb_per_second: Some(250.0), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "ack-w1m",
        about: "1 MB per request, no pipeline",
        width: Width::Bytes(1_000_000),
        connections: 8,
        ..ACK
    },
    Case {
        name: "parquet-w100",
        about: "100 events per request, to zstd Parquet",
        output: Some(Output::Parquet),
        budget: Budget { cpu_seconds_per_gb: Some(6.0), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "filter-w100",
        about: "100 events per request, one in ten and three columns of 18 to zstd Parquet",
        output: Some(Output::FilteredParquet),
        budget: Budget { cpu_seconds_per_gb: Some(4.0), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "inserts-3",
        about: "100 events per request, decoded once for three INSERTs: all, filtered, a part",
        output: Some(Output::ThreeParquet),
        ..ACK
    },
    Case {
        name: "ndjson-w100",
        about: "100 events per request, unstructured, to gzip NDJSON",
        structured: false,
        output: Some(Output::GzipLines),
        budget: Budget { cpu_seconds_per_gb: Some(6.0), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "open-50",
        about: "50 MB/s in an open loop, 100 events per request, to zstd Parquet",
        connections: 64,
        output: Some(Output::Parquet),
        open_mb_per_second: Some(50.0),
        budget: Budget { p99: Some(Duration::from_millis(20)), ..ACK.budget },
        ..ACK
    },
    Case {
        name: "streams-16",
        about: "16 streams at full load, each to zstd Parquet",
        connections: 64,
        streams: 16,
        output: Some(Output::Parquet),
        budget: Budget { rss_bytes: Some(1024 * MIB), ..ACK.budget },
        ..ACK
    },
];

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub name: &'static str,
    pub about: &'static str,
    pub bytes: u64,
    pub events: u64,
    pub refused: u64,
    pub elapsed: Duration,
    pub cpu_seconds: f64,
    pub latency: Histogram,
    pub rss_bytes: u64,
    pub budget: Budget,
}

impl Row {
    pub(crate) fn mb_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn events_per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_seconds_per_gb(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9)
    }

    /// What the row exceeds, in words; empty if nothing.
    pub(crate) fn over(&self) -> Vec<String> {
        let mut over = Vec::new();
        let mut check = |name: &str, is_over: Option<bool>| {
            if is_over == Some(true) {
                over.push(name.to_owned());
            }
        };
        let budget = &self.budget;
        check("CPU", budget.cpu_seconds_per_gb.map(|limit| self.cpu_seconds_per_gb() > limit));
        check("MB/s", budget.mb_per_second.map(|limit| self.mb_per_second() < limit));
        check("p99", budget.p99.map(|limit| self.latency.quantile(0.99) > limit));
        check("RSS", budget.rss_bytes.map(|limit| self.rss_bytes > limit));
        over
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.cpu_seconds_per_gb.map(|limit| format!("≤{limit} s/GB")),
            self.mb_per_second.map(|limit| format!("≥{limit} MB/s")),
            self.p99.map(|limit| format!("p99≤{} ms", limit.as_millis())),
            self.rss_bytes.map(|limit| format!("≤{} MiB", limit / MIB)),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// How much a case sends: until `bytes` (times the case's share) or `limit`, whatever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub bytes: u64,
    pub limit: Duration,
    pub seed: u64,
}

/// Runs one case. `folder` must be on the disk to be measured; what is written there is removed.
pub(crate) fn run(case: &Case, amount: Amount, binary: &Path, folder: &Path) -> io::Result<Row> {
    let bytes = (amount.bytes as f64 * case.share) as u64;
    let pool = Pool::new(case.width, bytes.min(POOL_BYTES_MAX) as usize, amount.seed);
    let folder = tempfile::Builder::new().prefix("lakehead-bench-").tempdir_in(folder)?;
    let server = Server::start(binary, folder.path())?;
    let paths: Vec<String> =
        (0..case.streams).map(|n| server.create_stream(n, case.structured)).collect::<io::Result<_>>()?;
    if let Some(output) = case.output {
        for number in 0..case.streams {
            server.create_pipeline(number, output)?;
        }
    }
    let pace = match case.open_mb_per_second {
        Some(mb) => Pace::Open { bytes_per_second: mb * 1e6 },
        None => Pace::Closed,
    };
    let load = Load {
        address: server.address,
        pool: &pool,
        first_body: 0,
        paths: &paths,
        token: &server.token,
        connections: case.connections,
        pace,
        bytes: bytes / 20,
        limit: amount.limit,
    };
    let warm_up = load::run(&load)?;
    let cpu_before = server.cpu_seconds()?;
    let outcome = load::run(&Load { bytes, first_body: warm_up.next_body, ..load })?;
    let mut elapsed = outcome.elapsed;
    if let Some(output) = case.output {
        let statements = output.queries().len() as u64;
        let waited = server.wait_committed((warm_up.events + outcome.events) * statements)?;
        // In an open loop the rate is given; what is of interest is the latency.
        if case.open_mb_per_second.is_none() {
            elapsed += waited;
        }
    }
    Ok(Row {
        name: case.name,
        about: case.about,
        bytes: outcome.bytes,
        events: outcome.events,
        refused: outcome.refused,
        elapsed,
        cpu_seconds: server.cpu_seconds()? - cpu_before,
        latency: outcome.latency,
        rss_bytes: server.peak_rss_bytes()?,
        budget: case.budget,
    })
}

/// What the generator itself can do: the same requests to a server that drops them. CPU is the generator's here.
pub(crate) fn ceiling(
    name: &'static str,
    width: Width,
    connections: usize,
    bytes: u64,
    amount: Amount,
) -> io::Result<Row> {
    let pool = Pool::new(width, bytes.min(POOL_BYTES_MAX) as usize, amount.seed);
    let discard = Discard::start(Some(server::SERVER_CORE), Vec::new())?;
    let paths = ["/".to_owned()];
    let cpu_before = server::thread_cpu_seconds()?;
    let outcome = load::run(&Load {
        address: discard.address(),
        pool: &pool,
        first_body: 0,
        paths: &paths,
        token: "",
        connections,
        pace: Pace::Closed,
        bytes,
        limit: amount.limit,
    })?;
    let cpu_seconds = server::thread_cpu_seconds()? - cpu_before;
    discard.stop();
    Ok(Row {
        name,
        about: "the generator against a server that drops everything; CPU is the generator's",
        bytes: outcome.bytes,
        events: outcome.events,
        refused: outcome.refused,
        elapsed: outcome.elapsed,
        cpu_seconds,
        latency: outcome.latency,
        rss_bytes: 0,
        budget: Budget::default(),
    })
}
