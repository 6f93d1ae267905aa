//! The upkeep of tables: walks the tables of all catalogs that are built in and switched on, one after the other.
//!
//! ```text
//!   every interval ─► buckets ─► tables ─► settings (configuration, catalog, table) ─► Upkeep::run_once ─► metrics, a line in the log
//! ```
//! What fails is shown and tried again with the next interval; it never ends the server, but for a failed sync. A catalog that is
//! somewhere else is left to its owner.
//! **Bounds:** one table at a time; compaction takes half of a core at most.

mod claims;
mod settings;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lakehead_disk::Disk;
use lakehead_meta::Store;
use lakehead_model::{Clock, Random};
use lakehead_sink::{Bucket, BucketFiles, Publisher, Seams, Uploads, clean_staging};
use lakehead_table::{
    Catalog, CatalogError, CatalogErrorKind, Staging, TableIdent, Upkeep, UpkeepReport, UpkeepSettings,
    UpkeepTable, all_tables,
};
use tokio::sync::watch;

use crate::catalogs::Catalogs;
use crate::config;
use crate::control::Control;
use crate::metrics::Metrics;
use crate::startup::EXIT_DISK_FAILED;

use self::claims::{FlowClaims, Watched};

/// What upkeep works with.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) control: Arc<Control>,
    pub(crate) store: Arc<Store>,
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) uploads: Uploads,
    pub(crate) metrics: Metrics,
    pub(crate) data_dir: PathBuf,
    pub(crate) settings: config::Tables,
}

/// Looks after the tables until `stop` turns true.
pub(crate) async fn run(parts: Parts, mut stop: watch::Receiver<bool>) {
    let Some(interval) = parts.settings.upkeep_interval() else { return };
    let stopped = Arc::new(AtomicBool::new(false));
    let keeper = Keeper::new(parts, Arc::clone(&stopped));
    let mut told = stop.clone();
    let telling = async {
        let _ = told.wait_for(|stop| *stop).await;
        stopped.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    let work = async {
        keeper.clean().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            keeper.round().await;
        }
    };
    tokio::select! { () = work => {}, () = telling => {} }
}

struct Keeper {
    parts: Parts,
    seams: Seams,
    upkeep: Upkeep,
    stopped: Arc<AtomicBool>,
    watched: Arc<Watched>,
}

/// Publishers of one round, by bucket.
type Publishers = HashMap<String, Arc<Publisher>>;

impl Keeper {
    fn new(parts: Parts, stopped: Arc<AtomicBool>) -> Keeper {
        let seams = Seams::new(Arc::clone(&parts.clock), Arc::clone(&parts.random), Arc::clone(&parts.disk));
        let upkeep = Upkeep::new(Arc::clone(&parts.random), Arc::clone(&stopped));
        Keeper { seams, upkeep, stopped, watched: Arc::default(), parts }
    }

    fn staging_dir(&self) -> PathBuf {
        self.parts.data_dir.join("staging").join("upkeep")
    }

    /// Removes what an earlier process has left staged: nothing of it was ever named by a commit.
    async fn clean(&self) {
        let (disk, dir) = (Arc::clone(&self.parts.disk), self.staging_dir());
        let cleaned = tokio::task::spawn_blocking(move || clean_staging(&*disk, &dir, &[])).await;
        if let Ok(Err(error)) = cleaned {
            tracing::warn!(%error, "what upkeep left staged stays");
        }
    }

    /// Looks at every table once.
    async fn round(&self) {
        let began = self.parts.clock.monotonic();
        let mut publishers = Publishers::new();
        let mut of_all = true;
        for bucket in self.buckets() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if let Err(text) = self.bucket(&bucket, &mut publishers).await {
                of_all = false;
                self.parts.metrics.upkeep_failures.with_label_values(&["look"]).inc();
                tracing::warn!(bucket, error = text, "the tables of a bucket are not looked after");
            }
        }
        if of_all {
            self.parts.metrics.upkeep_rounds.inc();
        }
        let took = self.parts.clock.monotonic().saturating_sub(began);
        self.parts.metrics.upkeep_seconds.observe(took.as_secs_f64());
    }

    /// Buckets whose catalog is built in and switched on.
    fn buckets(&self) -> Vec<String> {
        let active = self.parts.control.bucket_catalogs().into_iter().filter(|view| view.catalog.is_active);
        let names = active.map(|view| view.bucket.name.clone());
        names.filter(|bucket| self.parts.catalogs.is_embedded(bucket)).collect()
    }

    async fn bucket(&self, bucket: &str, publishers: &mut Publishers) -> Result<(), String> {
        let catalog = self.parts.catalogs.of(bucket, None)?;
        for table in all_tables(&*catalog).await.map_err(|e| e.to_string())? {
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            match self.table(bucket, &catalog, &table, publishers).await {
                Ok(report) => self.show(bucket, &table, &report),
                Err(error) => self.show_failure(bucket, &table, "load", &error),
            }
        }
        Ok(())
    }

    async fn table(
        &self,
        bucket: &str,
        catalog: &Arc<dyn Catalog>,
        table: &TableIdent,
        publishers: &mut Publishers,
    ) -> Result<UpkeepReport, CatalogError> {
        let Some(settings) = self.settings(bucket, table).await? else { return Ok(UpkeepReport::default()) };
        let Some(loaded) = catalog.load_table(table).await? else { return Ok(UpkeepReport::default()) };
        let refused = |text: String| CatalogError::new(CatalogErrorKind::Refused, text);
        let place = self.parts.catalogs.storage(bucket, &loaded).map_err(refused)?.bucket;
        let files = BucketFiles::open(&place, &self.seams)?;
        let staging = match settings.compacting {
            Some(_) => Some(self.staging(place, &files, publishers).await?),
            None => None,
        };
        let claims = FlowClaims::new(
            Arc::clone(&self.parts.store),
            loaded.metadata.uuid(),
            Arc::clone(&self.watched),
            Arc::clone(&self.parts.clock),
        );
        let of = UpkeepTable {
            catalog: Arc::clone(catalog),
            table: table.clone(),
            bucket: files,
            claims: Arc::new(claims),
            staging,
        };
        self.upkeep.run_once(&of, &settings, self.parts.clock.now()).await
    }

    /// What is to be done to a table; `None` if it has gone.
    async fn settings(
        &self,
        bucket: &str,
        table: &TableIdent,
    ) -> Result<Option<UpkeepSettings>, CatalogError> {
        let control = Arc::clone(&self.parts.control);
        let (name, table) = (bucket.to_owned(), table.clone());
        let asked = tokio::task::spawn_blocking(move || {
            control.table_maintenance(&name, table.namespace(), table.name())
        });
        match asked.await {
            Ok(Ok(maintenance)) => Ok(Some(settings::of(&self.parts.settings, &maintenance))),
            Ok(Err(crate::control::Error::Missing(_))) => Ok(None),
            Ok(Err(error)) => Err(CatalogError::new(CatalogErrorKind::Unavailable, error.to_string())),
            Err(error) => Err(CatalogError::new(CatalogErrorKind::Unavailable, error.to_string())),
        }
    }

    async fn staging(
        &self,
        place: Bucket,
        files: &BucketFiles,
        publishers: &mut Publishers,
    ) -> Result<Staging, CatalogError> {
        let dir = self.staging_dir();
        let publisher = match publishers.get(files.root()) {
            Some(publisher) => Arc::clone(publisher),
            None => {
                let uploads = self.parts.uploads.clone();
                let made = Arc::new(Publisher::new(place, dir.clone(), &self.seams, uploads).await?);
                publishers.insert(files.root().to_owned(), Arc::clone(&made));
                made
            }
        };
        Ok(Staging { publisher, dir, seams: self.seams.clone() })
    }

    fn show(&self, bucket: &str, table: &TableIdent, report: &UpkeepReport) {
        let metrics = &self.parts.metrics;
        metrics.upkeep_snapshots.inc_by(report.snapshots_removed as u64);
        metrics.upkeep_manifests.inc_by(report.manifests_merged as u64);
        for (reason, freed) in [("expired", report.swept), ("orphan", report.orphans)] {
            metrics.upkeep_deleted_files.with_label_values(&[reason]).inc_by(freed.files);
            metrics.upkeep_deleted_bytes.with_label_values(&[reason]).inc_by(freed.bytes);
        }
        metrics.upkeep_compacted_files.inc_by(report.compacted.files_before);
        metrics.upkeep_compacted_bytes.inc_by(report.compacted.bytes_before);
        for (step, error) in &report.failures {
            self.show_failure(bucket, table, step, error);
        }
        if report.is_empty() {
            return;
        }
        tracing::info!(
            bucket,
            %table,
            snapshots_removed = report.snapshots_removed,
            files_of_snapshots_deleted = report.swept.files,
            orphans_deleted = report.orphans.files,
            manifests_merged = report.manifests_merged,
            files_compacted = report.compacted.files_before,
            files_made = report.compacted.files_after,
            "upkeep"
        );
    }

    fn show_failure(&self, bucket: &str, table: &TableIdent, step: &str, error: &CatalogError) {
        self.parts.metrics.upkeep_failures.with_label_values(&[step]).inc();
        tracing::warn!(bucket, %table, step, %error, "upkeep failed; it is tried again");
        if error.kind == CatalogErrorKind::Sync {
            // Nothing may be assumed about what was written.
            std::process::exit(EXIT_DISK_FAILED);
        }
    }
}

impl config::Tables {
    /// Time between two rounds; `None`: there are none.
    fn upkeep_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.upkeep_interval_seconds)).filter(|interval| !interval.is_zero())
    }
}

#[cfg(test)]
mod tests;
