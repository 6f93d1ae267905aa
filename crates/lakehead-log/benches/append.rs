//! CPU cost of appending and reading on the machine's disk: seconds of user and system time per GB (10^9 bytes) of bodies,
//! and per append. Run with `cargo bench -p lakehead-log --bench append [filter] [-- --dir DIR]`; the log goes to
//! `$LAKEHEAD_BENCH_DIR` or a scratch directory.
//!
//! Segments are zero-filled before a case is measured, as they are ahead of a steady load that leaves the disk idle time;
//! the last column says what filling cost.

use std::time::Duration;

use bytes::Bytes;
use lakehead_log::{Append, LocalLog, Records, Seams, Settings};
use lakehead_model::{Clock, Partition, Position, StreamId, SystemClock};

struct Case {
    name: &'static str,
    body_bytes: usize,
    records: usize,
    waiting: usize,
    streams: u128,
    total_bytes: u64,
}

const CASES: &[Case] = &[
    Case {
        name: "700 B, 64 waiting",
        body_bytes: 700,
        records: 1,
        waiting: 64,
        streams: 1,
        total_bytes: 200 << 20,
    },
    Case {
        name: "700 B, 64 waiting, 16 streams",
        body_bytes: 700,
        records: 1,
        waiting: 64,
        streams: 16,
        total_bytes: 200 << 20,
    },
    Case {
        name: "700 B, 1 waiting",
        body_bytes: 700,
        records: 1,
        waiting: 1,
        streams: 1,
        total_bytes: 4 << 20,
    },
    Case {
        name: "4 KiB, 1 waiting",
        body_bytes: 4 << 10,
        records: 6,
        waiting: 1,
        streams: 1,
        total_bytes: 40 << 20,
    },
    Case {
        name: "64 KiB, 1 waiting",
        body_bytes: 64 << 10,
        records: 93,
        waiting: 1,
        streams: 1,
        total_bytes: 400 << 20,
    },
    Case {
        name: "64 KiB, 16 waiting",
        body_bytes: 64 << 10,
        records: 93,
        waiting: 16,
        streams: 1,
        total_bytes: 1 << 30,
    },
    Case {
        name: "1 MiB, 1 waiting",
        body_bytes: 1 << 20,
        records: 1490,
        waiting: 1,
        streams: 1,
        total_bytes: 1 << 30,
    },
    Case {
        name: "1 MiB, 8 waiting",
        body_bytes: 1 << 20,
        records: 1490,
        waiting: 8,
        streams: 1,
        total_bytes: 1 << 30,
    },
];

/// User and system time of the process, in hundredths of a second.
fn cpu() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a command") + 2..].split(' ').collect();
    let ticks = |i: usize| fields[i].parse::<f64>().expect("a number") / 100.0;
    (ticks(11), ticks(12))
}

fn append(case: &Case, stream: u128) -> Append {
    let size = case.body_bytes / case.records;
    let records: Records =
        (0..case.records).map(|i| ((i * size) as u32, ((i + 1) * size - 1) as u32)).collect();
    Append {
        partition: Partition::first(StreamId(stream)),
        body: Bytes::from(vec![b'x'; case.body_bytes]),
        records,
        key: None,
    }
}

fn run(case: &Case, clock: &SystemClock) {
    let dir = match std::env::var("LAKEHEAD_BENCH_DIR") {
        Ok(dir) => tempfile::tempdir_in(dir).expect("a directory"),
        Err(_) => tempfile::tempdir().expect("a directory"),
    };
    let settings = Settings::new(dir.path().join("log"));
    let before = cpu();
    // Fill as many segments as the case needs, then let it overwrite them.
    let wanted = case.total_bytes * 11 / 10 / settings.segment_bytes + 2;
    let settings = Settings { spare_segments: wanted as usize, ..settings };
    let (log, _) = LocalLog::open(settings, Seams::system(|fatal| panic!("{fatal}"))).expect("opens");
    while log.stats().spares < wanted {
        log.tidy();
    }
    let after = cpu();
    let filling = (after.0 + after.1 - before.0 - before.1) * 1e9 / (wanted << 26) as f64;

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let appends = case.total_bytes / case.body_bytes as u64;
    let per_task = appends / case.waiting as u64;
    let before = cpu();
    let began = clock.monotonic();
    let mut latencies = runtime.block_on(async {
        let tasks: Vec<_> = (0..case.waiting)
            .map(|task| {
                let log = log.clone();
                let append = append(case, task as u128 % case.streams);
                let origin = SystemClock::default();
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    for i in 0..per_task {
                        let sent = origin.monotonic();
                        log.append(append.clone()).await.expect("stored");
                        if i % 16 == 0 {
                            latencies.push(origin.monotonic() - sent);
                        }
                    }
                    latencies
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("runs"));
        }
        all
    });
    let took = clock.monotonic() - began;
    let after = cpu();
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let (user, system) = (after.0 - before.0, after.1 - before.1);
    let done = (per_task * case.waiting as u64) as f64;
    let gb = done * case.body_bytes as f64 / 1e9;
    let stats = log.stats();
    println!(
        "{:30} {:7.2} s/GB ({:5.2} user {:5.2} system) {:7.2} µs/append {:6.1} appends/sync {:6.0} MB/s p50 {:.2} ms p99 {:.2} ms   fill {:.2} s/GB",
        case.name,
        (user + system) / gb,
        user / gb,
        system / gb,
        (user + system) / done * 1e6,
        stats.appends as f64 / stats.syncs as f64,
        gb * 1e3 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        filling,
    );
    read(&log, case, clock);
    log.close();
}

fn read(log: &LocalLog, case: &Case, clock: &SystemClock) {
    let before = cpu();
    let began = clock.monotonic();
    let (mut bytes, mut records) = (0, 0);
    for stream in 0..case.streams {
        let mut reader = log.reader(Partition::first(StreamId(stream)), Position::ZERO);
        loop {
            let batch = reader.read(4 << 20).expect("reads");
            if batch.frames.is_empty() {
                break;
            }
            bytes += batch.frames.iter().map(|f| f.body.len()).sum::<usize>();
            records += batch.frames.iter().map(|f| f.records.len()).sum::<usize>();
        }
    }
    let after = cpu();
    let gb = bytes as f64 / 1e9;
    println!(
        "{:30} {:7.2} s/GB  {records} records, {:.0} MB/s",
        "  reading it back",
        (after.0 + after.1 - before.0 - before.1) / gb,
        gb * 1e3 / (clock.monotonic() - began).max(Duration::from_micros(1)).as_secs_f64()
    );
}

fn main() {
    let clock = SystemClock::default();
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for case in CASES {
        if filter.as_ref().is_none_or(|filter| case.name.contains(filter.as_str())) {
            run(case, &clock);
        }
    }
}
