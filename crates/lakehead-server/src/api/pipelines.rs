//! Pipelines on the wire.

use axum::extract::State;
use lakehead_model::resource::{Table, TableRef};
use serde_json::{Map, Value, json};

use super::Api;
use super::body::JsonBody;
use super::envelope::{Answer, done, ok, page};
use super::graph::graph;
use super::path::PathParts;
use super::query::Params;
use crate::control::{Counters, Edit, PipelineView, SpanView, VersionView};

pub(super) async fn create(State(api): State<Api>, body: JsonBody) -> Answer {
    let root = body.root();
    let (name, sql) = (root.needed_text("name")?.to_owned(), root.needed_text("sql")?.to_owned());
    let pipeline = api.run(move |c| c.create_pipeline(&name, &sql)).await?;
    ok(to_json(&pipeline))
}

pub(super) async fn list(State(api): State<Api>, params: Params) -> Answer {
    page(params.page()?, &api.control.pipelines(&params.filter()), to_json)
}

pub(super) async fn read(State(api): State<Api>, mut path: PathParts) -> Answer {
    ok(to_detailed_json(&api, &api.control.pipeline(&path.take(0))?))
}

pub(super) async fn patch(State(api): State<Api>, mut path: PathParts, body: JsonBody) -> Answer {
    let (id, root) = (path.take(0), body.root());
    let edit = match (root.text("sql")?, root.count("rollback_to_version")?) {
        (Some(sql), None) => Edit::Sql(sql.to_owned()),
        (None, Some(version)) => Edit::Back(version),
        (Some(_), Some(_)) => {
            return Err(root
                .refuse("rollback_to_version", "and `sql` exclude each other; one is needed")
                .into());
        }
        (None, None) => {
            return Err(root
                .refuse("sql", "is missing; SQL is needed, or a number in `rollback_to_version`")
                .into());
        }
    };
    let expected = root.count("expected_version")?;
    let view = api.run(move |c| c.edit_pipeline(&id, &edit, expected)).await?;
    ok(to_detailed_json(&api, &view))
}

pub(super) async fn versions(State(api): State<Api>, mut path: PathParts, params: Params) -> Answer {
    let (id, wanted) = (path.take(0), params.page()?);
    let versions = api.run(move |c| c.pipeline_versions(&id)).await?;
    let catalog = api.control.catalog();
    let span = |span: &SpanView| {
        let name = catalog.streams.get(&span.stream).map(|s| s.name.as_str());
        json!({ "stream_id": span.stream, "stream": name, "from": span.from, "until": span.until })
    };
    page(wanted, &versions, |view: &VersionView| {
        json!({
            "version": view.version,
            "sql": view.sql,
            "created_at": view.created_at.to_rfc3339(),
            "state": view.state.name(),
            "spans": view.spans.iter().map(span).collect::<Vec<_>>(),
        })
    })
}

pub(super) async fn delete(State(api): State<Api>, mut path: PathParts) -> Answer {
    let id = path.take(0);
    api.run(move |c| c.delete_pipeline(&id)).await?;
    done(Vec::new())
}

pub(super) async fn validate_sql(State(api): State<Api>, body: JsonBody) -> Answer {
    let sql = body.root().needed_text("sql")?.to_owned();
    let (statements, tables) = api.run(move |c| c.validate_sql(&sql)).await?;
    let named = |t: &TableRef| (t.name.clone(), table_to_json(t));
    ok(json!({ "tables": keyed(tables.iter().map(named)), "graph": graph(&statements) }))
}

/// One name may be both a stream's and a sink's; the keys must stay apart, so the later one gets its kind in front.
fn keyed(tables: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, table) in tables {
        let key = if out.contains_key(&name) { format!("sink {name}") } else { name };
        out.insert(key, table);
    }
    out
}

/// As in lists and in the answer to a creation.
fn to_json(view: &PipelineView) -> Value {
    let pipeline = &view.pipeline;
    let mut out = json!({
        "id": pipeline.id,
        "name": pipeline.name,
        "sql": pipeline.sql,
        "status": view.status.state.name(),
        "created_at": pipeline.created_at.to_rfc3339(),
        "modified_at": pipeline.modified_at.to_rfc3339(),
    });
    if let Some(reason) = &view.status.failure_reason {
        out["failure_reason"] = reason.as_str().into();
    }
    out
}

fn to_detailed_json(api: &Api, view: &PipelineView) -> Value {
    let table = |t: &crate::control::TableView| {
        let mut out = table_to_json(&t.table);
        let kind = if matches!(t.table.table, Table::Stream(_)) { "streams" } else { "sinks" };
        let id = out["id"].as_str().unwrap_or_default().to_owned();
        out["latest"] = t.latest.into();
        out["href"] = format!("/accounts/{}/pipelines/v1/{kind}/{id}", api.control.account_id()).into();
        out
    };
    let mut out = to_json(view);
    out["version"] = view.pipeline.version.into();
    out["running_version"] = view.status.running_version.into();
    out["tables"] = view.tables.iter().map(table).collect();
    if let Some(Counters { accepted, delivered, filtered, dead_lettered, lost, in_flight }) =
        view.status.counters
    {
        out["counters"] = json!({
            "accepted": accepted, "delivered": delivered, "filtered": filtered, "dead_lettered": dead_lettered,
            "lost": lost, "in_flight": in_flight,
        });
    }
    out
}

fn table_to_json(table: &TableRef) -> Value {
    let (id, kind) = match table.table {
        Table::Stream(id) => (id.to_string(), "stream"),
        Table::Sink(id) => (id.to_string(), "sink"),
    };
    json!({ "id": id, "name": table.name, "type": kind, "version": table.version })
}
