//! The table of a flow's sink: opened at the flow's start, and committed into when its files are published.
//!
//! ```text
//!   begin    catalog ─► table found or made ─► columns and folder of the files     (after an intent that waits was completed)
//!   take     rows, in the table's types, with `__ingest_ts` behind them
//!   commit   intent {files, partitions, table, watermark} ─► files published ─► one commit of the table ─► position
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use lakehead_meta::{FlowState, TableMark};
use lakehead_model::resource::{FilesConfig, Sink, SinkConfig, TableConfig};
use lakehead_model::{Position, Random, SinkId, StreamId, Timestamp};
use lakehead_sink::{Bucket, BucketFiles, OpenFiles, StagedFile};
use lakehead_table::{
    Catalog, Commit, CommitError, Committer, Extensions, Layout, LoadedTable, NamespaceIdent, NewFile,
    Partitions, TableIdent, TableStorage, Target, Uuid, Wanted, Writer, gone, table_columns,
};
use lakehead_transform::{Output, Program};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::flow::{FlowError, Shared, Task};

/// How long the catalog is waited for where others wait as well.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// What of a commit concerns the table; part of the stored intent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TableIntent {
    pub(super) sink: SinkId,
    /// Of the commit.
    id: (u64, u64),
    /// Of the table.
    uuid: (u64, u64),
    /// Up to where the last commit went.
    believed: Option<Position>,
    version: u64,
    stream: StreamId,
    spec_id: i32,
    /// Of each file.
    partitions: Vec<Value>,
}

impl TableIntent {
    pub(super) fn table(&self) -> Uuid {
        Uuid::from_u64_pair(self.uuid.0, self.uuid.1)
    }

    /// What is known of the table once the commit is made.
    pub(super) fn mark(&self, until: Position) -> TableMark {
        TableMark { sink: self.sink, uuid: self.uuid, position: until }
    }
}

/// A table that is known by name.
#[derive(Debug)]
pub(super) struct Named {
    catalog: Arc<dyn Catalog>,
    ident: TableIdent,
}

/// A table with the place of its files.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) bucket: Bucket,
    files: BucketFiles,
    committer: Committer,
    /// When its credentials are to be asked for anew.
    reload_at: Option<Timestamp>,
}

/// The table that a flow writes.
#[derive(Debug)]
pub(super) struct TableEnd {
    named: Named,
    placed: Placed,
    uuid: Uuid,
    /// The columns of its files; the last one is `__ingest_ts`.
    columns: SchemaRef,
    /// The statement's program, with the table's types.
    pub(super) program: Program,
    partitions: Partitions,
    /// Of the partition of the batch being made.
    pub(super) time: Timestamp,
}

impl Shared {
    /// Whether the sink's table is not the one of that UUID any more.
    pub(super) fn table_is_lost(&self, sink: &Sink, uuid: Uuid) -> Result<bool, FlowError> {
        let SinkConfig::Table(table) = &sink.config else { return Ok(true) };
        let named = self.named(sink.id, table)?;
        let loaded = self.async_runtime.block_on(async {
            tokio::time::timeout(LOOK_WITHIN, named.catalog.load_table(&named.ident)).await
        });
        match loaded {
            Ok(Ok(loaded)) => Ok(loaded.is_none_or(|loaded| loaded.metadata.uuid() != uuid)),
            Ok(Err(e)) => Err(CommitError::Later(e).into()),
            Err(_) => Err(FlowError::new(format!("table {}: its catalog does not answer", named.ident))),
        }
    }

    /// The table of a sink.
    pub(super) fn named(&self, sink: SinkId, table: &TableConfig) -> Result<Named, FlowError> {
        let token = match self.store.sink_credentials(sink)? {
            Some(lakehead_model::resource::Credentials::Token(token)) => Some(token),
            _ => None,
        };
        let catalog = self.catalogs.of(&table.bucket, token.as_ref()).map_err(FlowError::new)?;
        let namespace = NamespaceIdent::from_strs(table.namespace.split('.'));
        let namespace =
            namespace.map_err(|e| FlowError::new(format!("namespace {:?}: {e}", table.namespace)))?;
        Ok(Named { catalog, ident: TableIdent::new(namespace, table.table_name.clone()) })
    }

    /// The place of its files, for completing a commit that is under way.
    pub(super) async fn placed(&self, task: &Task, named: &Named) -> Result<Placed, FlowError> {
        match named.catalog.load_table(&named.ident).await {
            Ok(Some(loaded)) => self.place(task, named, &loaded),
            Ok(None) => Err(FlowError::new(gone(&named.ident))),
            Err(e) => Err(CommitError::Later(e).into()),
        }
    }

    fn place(&self, task: &Task, named: &Named, loaded: &LoadedTable) -> Result<Placed, FlowError> {
        let TableStorage { bucket, reload_at, .. } =
            self.catalogs.storage(&task.files.bucket, loaded).map_err(FlowError::new)?;
        let files = BucketFiles::open(&bucket, &self.sink_seams)?;
        let committer = Committer::new(
            Arc::clone(&named.catalog),
            named.ident.clone(),
            files.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.sink_seams.random),
        );
        Ok(Placed { bucket, files, committer, reload_at })
    }

    /// Finds the table or makes it. Gives the settings of its files as well.
    pub(super) async fn open_table(
        &self,
        task: &Task,
        named: Named,
        state: &FlowState,
    ) -> Result<(TableEnd, FilesConfig), FlowError> {
        let program = &task.statement.program;
        let columns = table_columns(program.output_schema()).map_err(|e| FlowError::new(e.to_string()))?;
        let (sink, properties) = (task.sink.id.to_string(), HashMap::new());
        let chosen = task.table.as_ref().map(|table| table.extensions.clone()).unwrap_or_default();
        let layout = Layout::parse(chosen.partition_by.as_deref(), &chosen.sort_by);
        let layout = layout.map_err(|(list, why)| FlowError::new(format!("config.{list} {why}")))?;
        let extensions =
            Extensions { existing: chosen.existing_table, add_columns: chosen.add_columns, layout };
        let wanted = Wanted {
            table: &named.ident,
            columns: &columns,
            sink: &sink,
            known: state.table.map(|mark| Uuid::from_u64_pair(mark.uuid.0, mark.uuid.1)),
            properties: &properties,
            extensions: &extensions,
        };
        let target = Target::open(&*named.catalog, &wanted).await?;
        let placed = self.place(task, &named, &target.loaded)?;
        let made = target.columns.fields();
        let of_query =
            Schema::new(made.iter().take(made.len().saturating_sub(1)).cloned().collect::<Vec<_>>());
        let mut config = task.files.clone();
        config.path = target.data_key(&placed.files).map_err(CommitError::Later)?;
        config.time_pattern = Some(target.partitions.time_pattern().unwrap_or_default());
        // Rows that are written anew, into files cut elsewhere, must not meet those of the first try.
        config.file_naming.prefix = Some(format!("{:08x}", self.sink_seams.random.u64() >> 32));
        let end = TableEnd {
            named,
            uuid: target.uuid(),
            program: program.clone().into_columns(Arc::new(of_query)),
            columns: target.columns,
            partitions: target.partitions,
            placed,
            time: Timestamp(0),
        };
        Ok((end, config))
    }

    /// Asks for the table's credentials anew if they are about to end. Returns the bucket to be opened with them.
    pub(super) async fn renew<'a>(
        &self,
        task: &Task,
        end: &'a mut TableEnd,
    ) -> Result<Option<&'a Bucket>, FlowError> {
        if end.placed.reload_at.is_none_or(|at| self.now() < at) {
            return Ok(None);
        }
        end.placed = self.placed(task, &end.named).await?;
        Ok(Some(&end.placed.bucket))
    }

    /// Adds published files to the table, once.
    pub(super) async fn commit_table(
        &self,
        task: &Task,
        placed: &Placed,
        intent: &TableIntent,
        files: &[StagedFile],
        until: Position,
    ) -> Result<(), CommitError> {
        let new = files.iter().zip(&intent.partitions).map(|(file, partition)| NewFile {
            key: file.key.clone(),
            size_bytes: file.size_bytes,
            partition: partition.clone(),
        });
        let summary = HashMap::from([("lakehead.pipeline".to_owned(), task.pipeline.clone())]);
        let commit = Commit {
            id: Uuid::from_u64_pair(intent.id.0, intent.id.1),
            writer: Writer {
                pipeline: task.key.pipeline,
                version: intent.version,
                statement: task.key.statement,
                stream: intent.stream,
            },
            table: intent.table(),
            believed: intent.believed,
            until,
            files: &new.collect::<Vec<_>>(),
            spec_id: intent.spec_id,
            summary: &summary,
        };
        placed.committer.commit(&commit).await
    }
}

impl TableEnd {
    /// How many partitions may be written at a time.
    pub(super) fn open_files(&self) -> OpenFiles {
        if self.partitions.are_by_time() { OpenFiles::BY_TIME } else { OpenFiles::BY_VALUE }
    }

    pub(super) fn placed(&self) -> &Placed {
        &self.placed
    }

    /// Rows of the query as rows of the table, by folder. `times`: when each record of the batch came. `folder`: that of the
    /// batch, where time decides.
    pub(super) fn rows(
        &mut self,
        made: &Output,
        times: &ArrayRef,
        folder: &Arc<str>,
    ) -> Result<Vec<(Arc<str>, RecordBatch)>, FlowError> {
        let failed = |e: arrow::error::ArrowError| FlowError::new(format!("rows of the table: {e}"));
        let mut columns = made.rows.columns().to_vec();
        columns.push(made.carry(times).map_err(failed)?);
        let rows = RecordBatch::try_new(Arc::clone(&self.columns), columns).map_err(failed)?;
        if self.partitions.are_by_time() {
            self.partitions.by_time(folder, self.time);
            return Ok(vec![(Arc::clone(folder), rows)]);
        }
        Ok(self.partitions.split(&rows).map_err(CommitError::Later)?)
    }

    /// When each record of a batch came, as a column of the table.
    pub(super) fn times(&self, times: impl Iterator<Item = Timestamp>) -> ArrayRef {
        let zone = match self.columns.fields().last().map(|field| field.data_type()) {
            Some(arrow::datatypes::DataType::Timestamp(_, zone)) => zone.clone(),
            _ => None,
        };
        let micros = TimestampMicrosecondArray::from_iter_values(times.map(Timestamp::as_micros));
        Arc::new(micros.with_timezone_opt(zone))
    }

    /// What of a commit of these files concerns the table.
    pub(super) fn intent(
        &mut self,
        task: &Task,
        random: &dyn Random,
        state: &FlowState,
        folders: &[String],
    ) -> Result<TableIntent, FlowError> {
        let partitions = folders.iter().map(|folder| self.partitions.value(folder)).collect::<Result<_, _>>();
        let partitions = partitions.map_err(CommitError::Later)?;
        self.partitions.reset();
        Ok(TableIntent {
            sink: task.sink.id,
            id: (random.u64(), random.u64()),
            uuid: self.uuid.as_u64_pair(),
            believed: state.table.map(|mark| mark.position),
            version: task.version,
            stream: task.stream.id,
            spec_id: self.partitions.spec_id(),
            partitions,
        })
    }
}

impl From<CommitError> for FlowError {
    fn from(e: CommitError) -> Self {
        match e {
            CommitError::Later(e) => FlowError {
                is_fatal: e.kind == lakehead_table::CatalogErrorKind::Sync,
                ..FlowError::new(format!("table: {e}"))
            },
            CommitError::Unfit(text) | CommitError::Stop(text) => FlowError::new(format!("table: {text}")),
        }
    }
}
