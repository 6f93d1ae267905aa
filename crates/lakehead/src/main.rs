//! `lakehead`: the server, the demo, what a shell needs to reach them, and the commands over the server's API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use lakehead_server::config::{Config, ConfigError, Flags};
use lakehead_server::startup::Server;
use lakehead_server::{demo, environment, hosts, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// Pipelines take and give back batches of megabytes on many threads; the system's allocator would keep an arena for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_INTERNAL: u8 = 70;
const EXIT_CONFIG: u8 = 78;

/// Streams of JSON events into a data lake, compatible with Cloudflare Pipelines.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(Common),
    /// Run the server with a demo: a stream, a sink, a pipeline, and generated events.
    Dev(Common),
    /// Print the environment of wrangler and the SDKs, for `eval`.
    Env(Common),
    /// Print the lines of a hosts file that make wrangler reach the running server under names it does not let anybody change.
    WranglerHosts {
        #[command(flatten)]
        common: Common,
        /// Play `api.cloudflare.com` as well: no variables are needed then, and Cloudflare's own API cannot be reached.
        #[arg(long)]
        with_api: bool,
    },
    #[command(flatten)]
    Client(lakehead_cli::Command),
}

#[derive(Args)]
struct Common {
    /// Folder of everything that must survive: log, metadata, local buckets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7070].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Configuration file (TOML); also `LAKEHEAD_CONFIG`.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Lets the allocator keep freed pages for ten seconds instead of ten milliseconds. Pipelines free and take megabytes many
/// times a second, and asking the system for fresh pages each time cost a sixth of all CPU on the way to Parquet.
fn keep_freed_pages() {
    /// `mi_option_purge_delay` of mimalloc's `mimalloc.h`, which the bindings do not name.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const MILLISECONDS: std::ffi::c_long = 10_000;
    #[expect(unsafe_code, reason = "the allocator has no safe interface to its options")]
    // SAFETY: sets an integer of the allocator, before there is a second thread.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, MILLISECONDS);
    }
}

fn main() -> ExitCode {
    keep_freed_pages();
    let (common, run): (_, Box<dyn FnOnce(Config) -> ExitCode>) = match Cli::parse().command {
        Command::Serve(common) => (common, Box::new(|config| serve(config, false))),
        Command::Dev(common) => (common, Box::new(|config| serve(config, true))),
        Command::Env(common) => (common, Box::new(|config| print(environment::exports(&config)))),
        Command::WranglerHosts { common, with_api } => {
            (common, Box::new(move |config| wrangler_hosts(&config, with_api)))
        }
        Command::Client(command) => return lakehead_cli::run(command),
    };
    let flags = Flags { config_file: common.config, data_dir: common.data_dir, listen: common.listen };
    match Config::load(&flags, std::env::vars()) {
        Ok(config) => run(config),
        Err(error) => fail(EXIT_CONFIG, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("lakehead: {error}");
    ExitCode::from(code)
}

fn wrangler_hosts(config: &Config, with_api: bool) -> ExitCode {
    match lakehead_cli::Names::of_server(&config.data_dir) {
        Ok(n) => print(hosts::lines(config, &n.buckets, &n.stream_ids, &n.legacy_ids, with_api)),
        Err(error) => fail(EXIT_INTERNAL, &error),
    }
}

fn print(lines: Result<String, ConfigError>) -> ExitCode {
    match lines {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(EXIT_CONFIG, &error),
    }
}

fn serve(config: Config, with_demo: bool) -> ExitCode {
    if let Err(error) = telemetry::start(&config.diagnostics) {
        return fail(EXIT_CONFIG, &error);
    }
    match serde_json::to_string(&config) {
        Ok(effective) => tracing::info!(%effective, "configuration"),
        Err(error) => return fail(EXIT_INTERNAL, &error),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_INTERNAL, &error),
    };
    let code = runtime.block_on(async {
        let data_dir = config.data_dir.clone();
        let server = match Server::start(config).await {
            Ok(server) => server,
            Err(error) => return fail(error.code, &error),
        };
        let asked_to_stop = async {
            let terminate = async { if let Ok(mut s) = signal(SignalKind::terminate()) { s.recv().await } else { None } };
            tokio::select! {
                _ = terminate => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        tokio::select! {
            () = asked_to_stop => {}
            () = async { if with_demo { demo::run(&server, &data_dir).await } std::future::pending().await } => {}
        }
        server.stop().await;
        ExitCode::SUCCESS
    });
    runtime.shutdown_background();
    code
}
