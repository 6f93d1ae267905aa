//! Audits on the wire.

use std::sync::Arc;

use axum::extract::State;
use lakehead_meta::Totals;
use serde_json::{Value, json};

use super::Api;
use super::envelope::{Answer, ok};
use super::path::PathParts;
use crate::control::{Audit, Difference, Recount, StatementAudit};

/// Goes on for as long as the client waits: it may have gigabytes to read.
pub(super) async fn audit(State(api): State<Api>, mut path: PathParts) -> Answer {
    let id = path.take(0);
    // Dropped with this call, also when the connection is.
    let waiting = Arc::new(());
    let waits = Arc::downgrade(&waiting);
    let audit = api.run(move |c| c.audit_pipeline(&id, &|| waits.strong_count() > 0)).await?;
    drop(waiting);
    ok(to_json(&audit))
}

fn to_json(audit: &Audit) -> Value {
    json!({
        "pipeline": { "id": audit.pipeline.id, "name": audit.pipeline.name, "version": audit.pipeline.version },
        "balanced": audit.is_balanced(),
        "statements": audit.statements.iter().map(statement).collect::<Vec<_>>(),
        "past": {
            "ledger": ledger(&audit.past.totals, 0),
            "recount": recount(&audit.past.recount),
        },
        "differences": audit.differences.iter().map(difference).collect::<Vec<_>>(),
        "difference_count": audit.differences_count,
        "unread": audit.unread,
        "unread_count": audit.unread_count,
    })
}

fn statement(s: &StatementAudit) -> Value {
    let stream = s.stream.as_ref().map(|(id, name)| json!({ "id": id, "name": name }));
    json!({
        "statement": s.statement,
        "version": s.version,
        "stream": stream,
        "start": s.start,
        "committed": s.committed,
        "committing": s.is_committing,
        "ledger": ledger(&s.totals, s.in_flight),
        "in_flight_found": s.in_flight_found,
        "recount": recount(&s.recount),
    })
}

fn ledger(t: &Totals, in_flight: u64) -> Value {
    json!({
        "accepted": t.accepted + in_flight,
        "delivered": t.delivered,
        "filtered": t.filtered,
        "dead_lettered": t.dead_lettered,
        "lost": t.lost,
        "in_flight": in_flight,
        "rows": t.rows,
        "files": t.files,
        "bytes": t.file_bytes,
    })
}

fn recount(r: &Recount) -> Value {
    json!({
        "commits": r.commits,
        "files_recorded": r.files_recorded,
        "files_found": r.files_found,
        "files_rewritten": r.files_rewritten,
        "rows_recorded": r.rows_recorded,
        "rows_found": r.rows_found,
        "bytes_recorded": r.bytes_recorded,
        "bytes_found": r.bytes_found,
        "dead_letters_recorded": r.dead_letters_recorded,
        "dead_letters_found": r.dead_letters_found,
        "unlisted": ledger(&r.unlisted, 0),
    })
}

fn difference(d: &Difference) -> Value {
    json!({ "kind": d.kind.name(), "statement": d.statement, "at": d.at, "text": d.text })
}
