//! Measures Lakehead from outside: starts the release binary on one core, sends it generated clickstream over loopback from
//! another, and prints one row per case: throughput, server CPU seconds per GB of JSON, latency, memory, budget.
//!
//! CPU seconds are the figure to compare: they survive a noisy machine better than time does. Every case starts a new server
//! on an empty folder. Latencies of open-loop cases count from the time a request was due.
//!
//! A virtual machine gets its memory from the host at the first touch of each page, which costs whoever writes a file first
//! about 2 CPU seconds per GB and nobody afterwards. So as many pages as a case will write are touched before the first one.

mod cases;
mod discard;
mod events;
mod histogram;
mod load;
mod pool;
mod random;
mod report;
mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cases::{Amount, CASES, Row};
use crate::pool::Width;

#[derive(Debug, Parser)]
#[command(about = "Measures the lakehead binary over loopback; see the table's last column for budgets.")]
struct Options {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/lakehead")]
    bin: PathBuf,
    /// Comma-separated names; all by default. `ceiling` runs the generator against a server that drops everything.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Bytes of JSON per case (ack-w1 sends a fifth of it).
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// A case starts no further request after this time.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where data folders are made; must be on the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Write the rows as JSON to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Exit with 1 if a row is over its budget.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> std::io::Result<ExitCode> {
    let known = |name: &str| name == "ceiling" || CASES.iter().any(|case| case.name == name);
    if let Some(unknown) = options.cases.iter().find(|name| !known(name)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).chain(["ceiling"]).collect();
        eprintln!("no case {unknown:?}; there are {}", names.join(", "));
        return Ok(ExitCode::from(2));
    }
    let wanted = |name: &str| options.cases.is_empty() || options.cases.iter().any(|case| case == name);
    server::pin(server::GENERATOR_CORE)?;
    let amount =
        Amount { bytes: options.bytes, limit: Duration::from_secs(options.seconds), seed: options.seed };
    touch_memory(&options.folder, options.bytes + options.bytes / 2)?;
    println!("{}", report::head());
    let mut rows = Vec::new();
    let mut failed = false;
    if wanted("ceiling") {
        for (name, width, connections, share) in [
            ("ceiling-w1", Width::Events(1), 256, 0.2),
            ("ceiling-w100", Width::Events(100), 32, 1.0),
            ("ceiling-w1m", Width::Bytes(1_000_000), 8, 2.0),
        ] {
            let bytes = (options.bytes as f64 * share) as u64;
            print_row(&mut rows, cases::ceiling(name, width, connections, bytes, amount)?);
        }
    }
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        match cases::run(case, amount, &options.bin, &options.folder) {
            Ok(row) => print_row(&mut rows, row),
            Err(error) => {
                println!("{:<14} failed: {error}", case.name);
                failed = true;
            }
        }
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report::json(&rows, amount))?;
    }
    println!("\n{}", report::legend(&rows));
    let over = rows.iter().any(|row| !row.over().is_empty());
    Ok(if failed {
        ExitCode::from(2)
    } else if over && options.strict {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Fills the page cache with `bytes` and empties it again.
fn touch_memory(folder: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    let chunk = vec![0x5a; 1 << 20];
    for _ in 0..bytes >> 20 {
        file.write_all(&chunk)?;
    }
    Ok(())
}

fn print_row(rows: &mut Vec<Row>, row: Row) {
    println!("{}", report::line(&row));
    rows.push(row);
}
