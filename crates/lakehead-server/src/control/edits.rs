//! Changing a pipeline's SQL in place (an extension): each edit is a version, and going back to one is an edit too.
//!
//! An edit is accepted as a pipeline would be when it is made; the runtime then lets the version that runs commit what it has
//! read, and begins the new one at exactly that position.

use lakehead_meta::{Change, PastVersion};
use lakehead_model::resource::Pipeline;
use lakehead_model::{Position, StreamId, Timestamp};

use super::pipelines::find;
use super::{Control, Error, PipelineView, invalid};

/// What an edit asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// This SQL.
    Sql(String),
    /// The SQL of this version, which was current before.
    Back(u64),
}

/// A version of a pipeline's SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionView {
    /// Its number, from 1.
    pub version: u64,
    /// Its text.
    pub sql: String,
    /// When it became the current one.
    pub created_at: Timestamp,
    /// What has become of it.
    pub state: VersionState,
    /// What it handled, or handles.
    pub spans: Vec<SpanView>,
}

/// What has become of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// The current one, to which the one before has not handed over yet.
    Waiting,
    /// It handles records.
    Running,
    /// It has handed over, or was replaced before it began.
    Past,
}

impl VersionState {
    /// The word in the API.
    pub fn name(self) -> &'static str {
        match self {
            VersionState::Waiting => "waiting",
            VersionState::Running => "running",
            VersionState::Past => "past",
        }
    }
}

/// The records of a stream in `[from, until)`; without an end while they go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "said above")]
pub struct SpanView {
    pub stream: StreamId,
    pub from: Position,
    pub until: Option<Position>,
}

impl Control {
    /// Changes a pipeline's SQL. With `expected_version` only if that is the current one. The same SQL again changes nothing.
    ///
    /// # Errors
    /// `Missing`, `Invalid`, `Outdated`, `Sql`, `Conflict`, `Unavailable`.
    pub fn edit_pipeline(
        &self,
        id: &str,
        edit: &Edit,
        expected_version: Option<u64>,
    ) -> Result<PipelineView, Error> {
        let (_guard, catalog) = self.begin();
        let old = find(&catalog, id)?;
        if let Some(expected) = expected_version.filter(|expected| *expected != old.version) {
            return Err(Error::Outdated { expected, current: old.version });
        }
        let sql = match edit {
            Edit::Sql(sql) => sql.clone(),
            Edit::Back(version) if *version == old.version => old.sql.clone(),
            Edit::Back(version) => {
                let past = self.parts.store.past_version(old.id, *version).map_err(Error::from)?;
                past.ok_or_else(|| {
                    let text = format!(
                        "is {version}, which is no version of the pipeline that is kept; it is at version {}",
                        old.version
                    );
                    invalid("rollback_to_version", text)
                })?
                .sql
            }
        };
        let (_, tables) = self.check_sql(&catalog, &sql)?;
        if sql == old.sql {
            return Ok(self.view(&catalog, &old));
        }
        let pipeline = Pipeline {
            version: old.version + 1,
            sql,
            tables,
            modified_at: self.parts.clock.now(),
            ..Pipeline::clone(&old)
        };
        self.commit(&catalog, &[Change::PutPipeline(pipeline.clone())])?;
        tracing::info!(pipeline = %pipeline.id, name = pipeline.name, version = pipeline.version, "pipeline edited");
        Ok(self.view(&catalog, &std::sync::Arc::new(pipeline)))
    }

    /// The versions of a pipeline that are kept, newest first.
    ///
    /// # Errors
    /// `Missing`, `Unavailable`.
    pub fn pipeline_versions(&self, id: &str) -> Result<Vec<VersionView>, Error> {
        let catalog = self.catalog();
        let pipeline = find(&catalog, id)?;
        let flows = self.parts.store.flows(pipeline.id).map_err(Error::from)?;
        let runs = |version: u64| flows.iter().any(|(_, record)| record.state.version == version);
        let open_spans = |version: u64| {
            let mut spans: Vec<SpanView> = Vec::new();
            for (_, record) in flows.iter().filter(|(_, record)| record.state.version == version) {
                let Some(stream) = record.state.stream else { continue };
                if spans.iter().all(|span| span.stream != stream) {
                    spans.push(SpanView { stream, from: record.state.start, until: None });
                }
            }
            spans
        };
        let state = |version: u64, otherwise| if runs(version) { VersionState::Running } else { otherwise };
        let current = VersionView {
            version: pipeline.version,
            sql: pipeline.sql.clone(),
            created_at: pipeline.modified_at,
            state: state(pipeline.version, VersionState::Waiting),
            spans: open_spans(pipeline.version),
        };
        let past = |past: PastVersion| VersionView {
            state: state(past.version, VersionState::Past),
            spans: match runs(past.version) {
                true => open_spans(past.version),
                false => past
                    .spans
                    .iter()
                    .map(|s| SpanView { stream: s.stream, from: s.from, until: Some(s.until) })
                    .collect(),
            },
            version: past.version,
            sql: past.sql,
            created_at: past.created_at,
        };
        let before = self.parts.store.past_versions(pipeline.id).map_err(Error::from)?;
        Ok(std::iter::once(current).chain(before.into_iter().rev().map(past)).collect())
    }
}
