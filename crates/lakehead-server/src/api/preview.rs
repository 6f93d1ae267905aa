//! What SQL would make of records, on the wire. Rows stand in the answer byte for byte as a sink would write them: a JSON value
//! of ours would round numbers.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use lakehead_decode::frame_array;
use lakehead_model::Invalid;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::JsonBody;
use super::{Api, ApiError};
use crate::columns;
use crate::control::{self, GivenRecords, PreviewWanted, RecordRejected, StatementPreview};

const RECORDS_DEFAULT: u64 = 1000;
const ROWS_DEFAULT: u64 = 100;

pub(super) async fn preview_sql(State(api): State<Api>, body: JsonBody) -> Result<Response, ApiError> {
    let root = body.root();
    let count = |key: &str, default: u64| {
        root.count(key).map(|n| usize::try_from(n.unwrap_or(default)).unwrap_or(usize::MAX))
    };
    let wanted = PreviewWanted {
        sql: root.needed_text("sql")?.to_owned(),
        records_max: count("records_max", RECORDS_DEFAULT)?,
        rows_max: count("rows_max", ROWS_DEFAULT)?,
        records: root.value("records").map(|_| given(&body)).transpose()?,
    };
    let preview = api.run(move |c| c.preview_sql(&wanted)).await?;
    let statements = preview.statements.iter().map(Statement::of).collect();
    let answer = Envelope { success: true, errors: [], messages: [], result: Shown { statements } };
    let text = serde_json::to_string(&answer)
        .map_err(|e| ApiError::from(control::Error::Unavailable(format!("preview: {e}"))))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The records of the request, framed as ingest frames them.
fn given(body: &JsonBody) -> Result<GivenRecords, Invalid> {
    let text = body.raw("records").unwrap_or_default();
    let mut bounds = Vec::new();
    frame_array(text.as_bytes(), &mut bounds).map_err(|e| Invalid::new("records", e.to_string()))?;
    Ok(GivenRecords { body: Bytes::from(text), bounds })
}

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    errors: [(); 0],
    messages: [(); 0],
    result: Shown<'a>,
}

#[derive(Serialize)]
struct Shown<'a> {
    statements: Vec<Statement<'a>>,
}

#[derive(Serialize)]
struct Statement<'a> {
    stream: &'a str,
    sink: Option<&'a str>,
    schema: Value,
    rows: Vec<Box<RawValue>>,
    rows_made: u64,
    read: Read,
    counts: Counts,
    rejects: Vec<Rejected<'a>>,
    truncated: bool,
    truncated_by: Option<&'static str>,
}

#[derive(Serialize)]
struct Read {
    from: u64,
    to: u64,
    records: u64,
    lost: u64,
}

#[derive(Serialize)]
struct Counts {
    read: u64,
    kept: u64,
    filtered: u64,
    rejected: u64,
}

#[derive(Serialize)]
struct Rejected<'a> {
    position: u64,
    stage: &'static str,
    reason: &'static str,
    path: &'a str,
    detail: &'a str,
}

impl<'a> Statement<'a> {
    fn of(made: &'a StatementPreview) -> Self {
        let fields: Vec<Value> = made.columns.fields().iter().map(|f| columns::to_json(f)).collect();
        let rejected = |r: &'a RecordRejected| Rejected {
            position: r.position.0,
            stage: r.stage,
            reason: r.reason,
            path: &r.path,
            detail: &r.detail,
        };
        Statement {
            stream: &made.stream,
            sink: made.sink.as_deref(),
            schema: serde_json::json!({ "fields": fields }),
            rows: made.rows.iter().filter_map(|row| raw(row)).collect(),
            rows_made: made.rows_made,
            read: Read {
                from: made.read.from.0,
                to: made.read.to.0,
                records: made.read.records,
                lost: made.read.to.since(made.read.from).saturating_sub(made.read.records),
            },
            counts: Counts {
                read: made.read.records,
                kept: made.kept,
                filtered: made.filtered,
                rejected: made.rejected,
            },
            rejects: made.rejects.iter().map(rejected).collect(),
            truncated: made.stopped.is_some(),
            truncated_by: made.stopped.map(control::Stopped::name),
        }
    }
}

/// The row as it stands. One that is no JSON, because a column of JSON text holds something else, is shown as a string: the
/// answer must stay one.
fn raw(row: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(row.to_owned()).or_else(|_| serde_json::value::to_raw_value(row)).ok()
}
