//! Previews of SQL.

use serde_json::{Value, json};

use super::{answer, count, flag, list, none, one_of, or_null, request, text};

pub(super) fn schemas() -> Value {
    // As a field of a schema; types that the language lacks stand there as Arrow names them.
    let column = request(json!({ "name": text(), "type": text(), "required": flag() }), none());
    let read = answer(json!({ "from": count(), "to": count(), "records": count(), "lost": count() }), none());
    let counts =
        answer(json!({ "read": count(), "kept": count(), "filtered": count(), "rejected": count() }), none());
    let rejected = answer(
        json!({
            "position": count(), "stage": one_of(&["decode", "transform"]), "reason": text(), "path": text(),
            "detail": text(),
        }),
        none(),
    );
    let truncated_by = json!({ "enum": ["time", "read_bytes", "row_bytes", null] });
    let statement = answer(
        json!({
            "stream": text(), "sink": or_null(text()), "schema": answer(json!({ "fields": list(column) }), none()),
            "rows": list(json!({ "type": ["object", "string"] })), "rows_made": count(), "read": read, "counts": counts,
            "rejects": list(rejected), "truncated": flag(), "truncated_by": truncated_by,
        }),
        none(),
    );
    let between = |least: u64, most: u64| json!({ "type": "integer", "minimum": least, "maximum": most });
    json!({
        "PreviewSql": request(json!({ "sql": text() }), json!({
            "records_max": between(1, 10_000), "rows_max": between(0, 1_000),
            "records": or_null(list(json!({ "type": "object" }))),
        })),
        "Preview": answer(json!({ "statements": list(statement) }), none()),
    })
}
