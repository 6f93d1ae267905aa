//! The rows of several files into one, on a thread that may block and that works half of the time at most.
//!
//! **Bounds:** see [`Source`](super::source::Source) for what is read; a page of each column and a batch of about 4 MiB decoded; a
//! row group of 32 MiB encoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use lakehead_model::resource::{ParquetCompression, ParquetFormat};
use lakehead_sink::{BucketFiles, LoneFile, StagedFile};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use tokio::runtime::Handle;

use super::Staging;
use super::project::{project, wanted};
use super::source::Source;
use crate::manifests::refused;
use crate::{CatalogError, CatalogErrorKind};

const ROW_GROUP_BYTES_MAX: u64 = 32 << 20;
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_ROWS_MAX: u64 = 8192;
/// Work this long, then rest as long.
const TURN: Duration = Duration::from_millis(20);

/// A file to be read.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) key: String,
    pub(super) size_bytes: u64,
    pub(super) rows: u64,
    pub(super) footer: Arc<ParquetMetaData>,
}

/// What the new file is made of, and how.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) bucket: BucketFiles,
    pub(super) inputs: Vec<Input>,
    /// The table's, with ids.
    pub(super) columns: SchemaRef,
    /// Of the new file.
    pub(super) key: String,
    pub(super) format: ParquetFormat,
    pub(super) staging: Staging,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) runtime: Handle,
}

/// How files of a table are written, by its properties.
pub(super) fn format(properties: &std::collections::HashMap<String, String>) -> ParquetFormat {
    let codec = properties.get("write.parquet.compression-codec").map(|codec| codec.to_ascii_lowercase());
    let compression = match codec.as_deref() {
        Some("uncompressed" | "none") => ParquetCompression::Uncompressed,
        Some("snappy") => ParquetCompression::Snappy,
        Some("gzip") => ParquetCompression::Gzip,
        Some("lz4" | "lz4_raw") => ParquetCompression::Lz4,
        _ => ParquetCompression::Zstd,
    };
    let row_group = properties.get("write.parquet.row-group-size-bytes").and_then(|n| n.trim().parse().ok());
    ParquetFormat {
        compression: Some(compression),
        row_group_bytes: Some(row_group.unwrap_or(ROW_GROUP_BYTES_MAX).clamp(1 << 20, ROW_GROUP_BYTES_MAX)),
    }
}

impl Job {
    /// Reads all inputs in their order and stages the new file. Blocks. `None` if there are no rows.
    ///
    /// # Errors
    /// `Refused` for a file that cannot be read as the table's schema says, or that holds another number of rows than its entry
    /// says; otherwise as of the bucket and the disk. Nothing is left behind.
    pub(super) fn run(self) -> Result<Option<StagedFile>, CatalogError> {
        let mut output = None;
        match self.fill(&mut output) {
            Ok(()) => output.map(LoneFile::finish).transpose().map_err(CatalogError::from),
            Err(error) => {
                if let Some(Err(left)) = output.map(LoneFile::abandon) {
                    tracing::debug!(error = %left, "a staged file stays until the next start");
                }
                Err(error)
            }
        }
    }

    fn fill(&self, output: &mut Option<LoneFile>) -> Result<(), CatalogError> {
        let mut pace = Pace::new(self);
        for input in &self.inputs {
            let about = |e: CatalogError| {
                CatalogError::new(e.kind, format!("{}: {}", self.bucket.uri(&input.key), e.text))
            };
            self.copy(input, output, &mut pace).map_err(about)?;
        }
        Ok(())
    }

    fn copy(
        &self,
        input: &Input,
        output: &mut Option<LoneFile>,
        pace: &mut Pace<'_>,
    ) -> Result<(), CatalogError> {
        let unreadable = |e: parquet::errors::ParquetError| refused(format!("cannot be read: {e}"));
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::try_new(input.footer.clone(), options).map_err(unreadable)?;
        let wanted = wanted(metadata.schema(), &self.columns)?;
        let file_columns = metadata.schema().project(&wanted).map_err(|e| refused(e.to_string()))?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
        let source = Source::new(
            self.bucket.clone(),
            input.key.clone(),
            input.size_bytes,
            &input.footer,
            self.runtime.clone(),
        );
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
            .with_projection(mask)
            .with_batch_size(batch_rows(&input.footer))
            .build()
            .map_err(unreadable)?;
        let mut rows = 0;
        for batch in reader {
            let batch = batch.map_err(|e| failed(&e))?;
            let batch = project(&batch, file_columns.fields(), &self.columns)?;
            rows += batch.num_rows() as u64;
            let file = match output {
                Some(file) => file,
                None => {
                    let staging = &self.staging;
                    let key = self.key.clone();
                    output.insert(LoneFile::create(&staging.seams, &staging.dir, key, &self.format, &batch)?)
                }
            };
            file.write(&batch)?;
            pace.keep()?;
        }
        match rows == input.rows {
            true => Ok(()),
            false => Err(refused(format!("holds {rows} rows where the manifest says {}", input.rows))),
        }
    }
}

/// Rows that come to some 4 MiB decoded.
fn batch_rows(footer: &ParquetMetaData) -> usize {
    let (mut bytes, mut rows) = (0_u64, 0_u64);
    for group in footer.row_groups() {
        bytes += u64::try_from(group.total_byte_size()).unwrap_or(0);
        rows += u64::try_from(group.num_rows()).unwrap_or(0);
    }
    let of_a_row = (bytes / rows.max(1)).max(1);
    usize::try_from((BATCH_BYTES / of_a_row).clamp(1, BATCH_ROWS_MAX)).unwrap_or(1)
}

/// A store that did not answer is no broken file.
fn failed(e: &arrow::error::ArrowError) -> CatalogError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(error) = cause {
        if let Some(sink) = error.downcast_ref::<lakehead_sink::Error>() {
            return match sink.kind() {
                lakehead_sink::ErrorKind::Unavailable => {
                    CatalogError::new(CatalogErrorKind::Unavailable, sink.to_string())
                }
                _ => refused(sink.to_string()),
            };
        }
        cause = error.source();
    }
    refused(format!("cannot be read: {e}"))
}

/// Half of a core at most, so that taking events in comes first.
struct Pace<'a> {
    job: &'a Job,
    since: Duration,
}

impl<'a> Pace<'a> {
    fn new(job: &'a Job) -> Self {
        Pace { job, since: job.staging.seams.clock.monotonic() }
    }

    fn keep(&mut self) -> Result<(), CatalogError> {
        if self.job.stop.load(Ordering::Relaxed) {
            return Err(CatalogError::new(CatalogErrorKind::Unavailable, "the server stops"));
        }
        let worked = self.job.staging.seams.clock.monotonic().saturating_sub(self.since);
        if worked >= TURN {
            self.job.runtime.block_on(tokio::time::sleep(worked.min(Duration::from_secs(1))));
            self.since = self.job.staging.seams.clock.monotonic();
        }
        Ok(())
    }
}
