//! From a configuration to a running server: the only file that knows all parts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lakehead_disk::{Disk, SystemDisk};
use lakehead_hosts::Certificates;
use lakehead_log::{Fatal, LocalLog};
use lakehead_meta::{Identity, Store};
use lakehead_model::{Clock, Random, SystemClock, SystemRandom};
use lakehead_sink::{MemoryBudget, Uploads};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::access::Access;
use crate::audit;
use crate::catalog::{CatalogFront, CatalogParts, EmbeddedCatalogs};
use crate::catalogs::Catalogs;
use crate::config::Config;
use crate::front::Front;
use crate::hosts::{self, Account};
use crate::http::listener;
use crate::ingest::Ingest;
use crate::ingest::endpoints::Endpoints;
use crate::metrics::Metrics;
use crate::runtime::{Runtime, Statuses, Supervisor};
use crate::storage::Storage;
use crate::upkeep;
use crate::{environment, wiring};

/// Exit code after a failed sync: nothing may be assumed about what was written, so the process must not go on.
pub(crate) const EXIT_DISK_FAILED: i32 = 70;
/// How long a load balancer gets to notice that the server is not ready any more.
const NOTICE: Duration = Duration::from_millis(500);
/// How long requests that have begun may take to finish when the server stops.
const DRAIN_SECONDS_MAX: u64 = 8;

/// How long the upkeep of tables may take to notice that the server stops.
const KEEPING_SECONDS_MAX: u64 = 3;

/// Why the server did not start. `code` follows sysexits: 75 another process holds the data folder, 74 the disk, 78 the
/// configuration, 70 anything else.
#[derive(Debug)]
pub struct StartError {
    pub code: u8,
    pub text: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StartError {}

fn failed(code: u8) -> impl Fn(String) -> StartError {
    move |text| StartError { code, text }
}

/// A server that serves. [`Server::stop`] ends it in order.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where clients reach it.
    pub base_url: String,
    pub identity: Identity,
    log: LocalLog,
    store: Arc<Store>,
    draining: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    serving: JoinSet<()>,
    supervising: std::thread::JoinHandle<()>,
    saving_uses: JoinHandle<()>,
    keeping: JoinHandle<()>,
}

impl Server {
    /// Opens everything and begins to serve.
    ///
    /// # Errors
    /// [`StartError`] if anything cannot be opened; what was opened is closed again.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let metrics = Metrics::default();
        let data_dir = config.data_dir.clone();
        disk.create_dir_all(&data_dir)
            .map_err(|e| failed(74)(format!("cannot make the data folder `{}`: {e}", data_dir.display())))?;

        let log = open_log(&config, &clock, &random, &disk, &metrics)?;
        let meta = |e: lakehead_meta::Error| failed(74)(format!("metadata: {e}"));
        let identity = Identity::open(&data_dir, disk.as_ref(), random.as_ref()).map_err(meta)?;
        let store = Arc::new(Store::open(&data_dir, disk.as_ref(), Arc::clone(&random)).map_err(meta)?);
        let storage = Arc::new(Storage::new(data_dir.join("buckets"), config.buckets.clone()));

        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|e| failed(74)(format!("cannot listen on {}: {e}", config.listen)))?;
        let address = listener.local_addr().map_err(|e| failed(74)(e.to_string()))?;
        let base_url = config.base_url(address);
        let played = match config.hosts.listen {
            None => None,
            Some(listen) => {
                Some((bind_hosts(listen).await?, certificates(&data_dir, &identity, &disk, &clock, &random)?))
            }
        };
        environment::note_url(&data_dir, &base_url).map_err(|e| failed(74)(format!("data folder: {e}")))?;

        let (draining, drain) = watch::channel(false);
        let (closing, close) = watch::channel(false);
        let (stopping, stop) = watch::channel(false);
        let statuses = Arc::new(Statuses::default());
        let uploads = Uploads::default();
        let embedded = Arc::new(EmbeddedCatalogs::new(CatalogParts {
            store: Arc::clone(&store),
            storage: Arc::clone(&storage),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            disk: Arc::clone(&disk),
        }));
        let catalogs = Arc::new(Catalogs::new(
            &config.buckets,
            embedded.by_name(),
            Arc::clone(&storage),
            Arc::clone(&clock),
            Arc::clone(&random),
        ));
        let supervisor = Supervisor::new(
            Runtime {
                store: Arc::clone(&store),
                log: log.clone(),
                storage: Arc::clone(&storage),
                catalogs: Arc::clone(&catalogs),
                memory: Arc::new(MemoryBudget::new(config.sinks.buffer_bytes_max)),
                uploads: uploads.clone(),
                metrics: metrics.clone(),
                clock: Arc::clone(&clock),
                random: Arc::clone(&random),
                disk: Arc::clone(&disk),
                data_dir: data_dir.clone(),
                async_runtime: tokio::runtime::Handle::current(),
            },
            Arc::clone(&statuses),
        );
        let supervising = std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || supervisor.run(stop))
            .map_err(|e| failed(70)(format!("no thread: {e}")))?;

        let access =
            Arc::new(Access::new(Arc::new(identity.clone()), Arc::clone(&store), Arc::clone(&clock)));
        let ingest = Ingest::new(
            log.clone(),
            Endpoints::new(Arc::clone(&store), metrics.clone()),
            Arc::clone(&access),
            config.ingest.in_flight_bytes_max,
            &config.ingest_domain,
            Arc::clone(&clock),
            metrics.clone(),
            drain.clone(),
        );
        let resuming = Arc::clone(&embedded);
        tokio::spawn(async move { resuming.resume().await });
        let saving_uses = tokio::spawn(save_uses(Arc::clone(&store)));
        let audited = audit::Parts {
            store: Arc::clone(&store),
            log: log.clone(),
            storage,
            disk: Arc::clone(&disk),
            random: Arc::clone(&random),
            uploads: uploads.clone(),
            data_dir: data_dir.clone(),
            async_runtime: tokio::runtime::Handle::current(),
        };
        let roll_min = config.tables.roll_interval_seconds_min;
        let control = wiring::control(audited, statuses, Arc::clone(&clock), &identity, roll_min);
        let keeping = tokio::spawn(upkeep::run(
            upkeep::Parts {
                control: Arc::clone(&control),
                store: Arc::clone(&store),
                catalogs,
                clock: Arc::clone(&clock),
                random: Arc::clone(&random),
                disk,
                uploads,
                metrics: metrics.clone(),
                data_dir,
                settings: config.tables.clone(),
            },
            stopping.subscribe(),
        ));
        let catalog = CatalogFront::new(embedded, Arc::clone(&access));
        let api = wiring::api(Arc::clone(&control), access, &base_url);
        let front = Arc::new(Front::new(ingest, api, catalog, log.clone(), metrics, drain));
        let mut serving = JoinSet::new();
        if let Some((listener, certificates)) = played {
            let account = Account { control, store: Arc::clone(&store), clock: Arc::clone(&clock) };
            let played = lakehead_hosts::Front::new(
                Arc::new(account),
                clock,
                random,
                hosts::through(Arc::clone(&front)),
            );
            serving.spawn(play_hosts(listener, certificates, played, close.clone()));
        }
        serving.spawn(listener::serve(listener, config.ingest.connections_max, close, front));
        tracing::info!(%address, "ready");
        Ok(Server {
            address,
            base_url,
            identity,
            log,
            store,
            draining,
            closing,
            stopping,
            serving,
            supervising,
            saving_uses,
            keeping,
        })
    }

    /// Ends in order: not ready, requests answered, pipelines committed, log synced. At most 30 seconds.
    pub async fn stop(self) {
        tracing::info!("stopping");
        let _ = self.draining.send(true);
        tokio::time::sleep(NOTICE).await;
        let _ = self.closing.send(true);
        let mut serving = self.serving;
        let drained = async { while serving.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS_MAX), drained).await.is_err() {
            tracing::warn!("some requests did not end in time; their connections are closed");
            serving.abort_all();
        }
        let _ = self.stopping.send(true);
        self.saving_uses.abort();
        let mut keeping = self.keeping;
        if tokio::time::timeout(Duration::from_secs(KEEPING_SECONDS_MAX), &mut keeping).await.is_err() {
            // It may end anywhere: what it has begun is found again, or is an orphan.
            keeping.abort();
        }
        let (supervising, log, store) = (self.supervising, self.log, self.store);
        let closed = tokio::task::spawn_blocking(move || {
            let _ = supervising.join();
            log.close();
            if let Err(error) = store.save_uses() {
                tracing::warn!(%error, "the last uses of tokens were not saved");
            }
        });
        match closed.await {
            Ok(()) => tracing::info!("stopped"),
            Err(error) => tracing::error!(%error, "stopping failed"),
        }
    }
}

async fn bind_hosts(listen: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(listen).await;
    bound.map_err(|e| failed(74)(format!("cannot listen on {listen} (`hosts.listen`): {e}")))
}

fn certificates(
    data_dir: &Path,
    identity: &Identity,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<Certificates, StartError> {
    let (clock, random) = (Arc::clone(clock), Arc::clone(random));
    Certificates::open(data_dir, identity.account_id(), Arc::clone(disk), clock, random)
        .map_err(|e| failed(74)(format!("hosts: {e}")))
}

/// Plays the hosts with fixed names until `close` turns true.
async fn play_hosts(
    listener: TcpListener,
    certificates: Certificates,
    played: lakehead_hosts::Front,
    close: watch::Receiver<bool>,
) {
    let settings = lakehead_hosts::Settings::default();
    let served = lakehead_hosts::serve(listener, settings, Arc::new(certificates), Arc::new(played), close);
    if let Err(error) = served.await {
        tracing::error!(%error, "the hosts with fixed names are not played");
    }
}

/// Saves when tokens were last used, from time to time.
async fn save_uses(store: Arc<Store>) {
    loop {
        tokio::time::sleep(lakehead_meta::USES_SAVED_EVERY).await;
        let store = Arc::clone(&store);
        let saved = tokio::task::spawn_blocking(move || store.save_uses());
        if let Ok(Err(error)) = saved.await {
            tracing::warn!(%error, "the last uses of tokens were not saved");
        }
    }
}

fn open_log(
    config: &Config,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
    disk: &Arc<dyn Disk>,
    metrics: &Metrics,
) -> Result<LocalLog, StartError> {
    let syncs = metrics.log_fsync_seconds.clone();
    let seams = lakehead_log::Seams {
        clock: Arc::clone(clock),
        random: Arc::clone(random),
        disk: Arc::clone(disk),
        on_fatal: Arc::new(log_failed),
        on_sync: Arc::new(move |duration| syncs.observe(duration.as_secs_f64())),
    };
    let settings = lakehead_log::Settings {
        segment_bytes: config.log.segment_bytes,
        quota_bytes: config.log.quota_bytes,
        retention: Duration::from_secs(config.log.retention_seconds),
        keys_max: config.log.idempotency_keys_max,
        accept_loss: config.log.accept_loss,
        ..lakehead_log::Settings::new(config.data_dir.join("log"))
    };
    let (log, report) = LocalLog::open(settings, seams).map_err(|e| {
        let code = if e.kind == lakehead_log::ErrorKind::Locked { 75 } else { 74 };
        failed(code)(format!("log: {e}"))
    })?;
    tracing::info!(?report, "log opened");
    Ok(log)
}

/// The disk did not keep what it was given, as the log has just written. Acknowledging anything more would be a lie, and
/// asking again proves nothing.
fn log_failed(_: &Fatal) {
    std::process::exit(EXIT_DISK_FAILED);
}
