//! Audits of pipelines.

use serde_json::{Value, json};

use super::{answer, count, flag, id, list, none, one_of, or_null, text};
use crate::control::DifferenceKind;

pub(super) fn schemas() -> Value {
    let ledger = answer(
        json!({
            "accepted": count(), "delivered": count(), "filtered": count(), "dead_lettered": count(), "lost": count(),
            "in_flight": count(), "rows": count(), "files": count(), "bytes": count(),
        }),
        none(),
    );
    let recount = answer(
        json!({
            "commits": count(), "files_recorded": count(), "files_found": count(), "files_rewritten": count(), "rows_recorded": count(),
            "rows_found": count(), "bytes_recorded": count(), "bytes_found": count(), "dead_letters_recorded": count(),
            "dead_letters_found": count(), "unlisted": ledger,
        }),
        none(),
    );
    let stream = answer(json!({ "id": id(), "name": or_null(text()) }), none());
    let statement = answer(
        json!({
            "statement": count(), "version": count(), "stream": or_null(stream), "start": count(), "committed": count(),
            "committing": flag(), "ledger": ledger, "in_flight_found": count(), "recount": recount,
        }),
        none(),
    );
    let kinds: Vec<_> = DifferenceKind::ALL.iter().map(|kind| kind.name()).collect();
    let difference = answer(
        json!({
            "kind": one_of(&kinds), "statement": or_null(count()), "at": or_null(count()), "text": text(),
        }),
        none(),
    );
    let pipeline = answer(json!({ "id": id(), "name": text(), "version": count() }), none());
    json!({
        "Audit": answer(json!({
            "pipeline": pipeline, "balanced": flag(), "statements": list(statement),
            "past": answer(json!({ "ledger": ledger, "recount": recount }), none()),
            "differences": list(difference), "difference_count": count(), "unread": list(text()), "unread_count": count(),
        }), none()),
    })
}
