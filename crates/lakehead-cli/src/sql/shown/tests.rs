use serde_json::{Value, json};

use super::preview;

fn answer() -> Value {
    json!({ "statements": [{
        "stream": "events", "sink": "files",
        "schema": { "fields": [
            { "name": "n", "type": "int64", "required": true, "sql_name": "BIGINT" },
            { "name": "day", "type": "date32", "required": false },
        ] },
        "rows": [{ "n": 1, "day": "2026-11-22" }, { "day": null, "n": 22 }],
        "rows_made": 7,
        "read": { "from": 3, "to": 13, "records": 10, "lost": 0 },
        "counts": { "read": 10, "kept": 7, "filtered": 1, "rejected": 2 },
        "rejects": [{ "position": 4, "stage": "decode", "reason": "type_mismatch", "path": "a.b", "detail": "an\nobject" }],
        "truncated": true, "truncated_by": "time",
    }] })
}

#[test]
fn a_preview_is_schema_rows_counts_and_rejects() {
    let text = preview(&answer().to_string(), 120).unwrap();
    let expected = "\
events → files

column  type    required
n       BIGINT  yes
day     date32  no

n   day
1   \"2026-11-22\"
22  null

10 records read, at positions 3 to 12: 7 kept, 1 filtered, 2 rejected
2 of 7 rows shown
The preview took too long and was stopped; there are more records.

position  stage   reason         path  detail
4         decode  type_mismatch  a.b   an object
and 1 more
";
    assert_eq!(text, expected);
}

#[test]
fn digits_stay_and_columns_that_do_not_fit_are_counted() {
    let text = answer().to_string().replace("\"n\":22", "\"n\":12345678901234567890.0010");
    let shown = preview(&text, 120).unwrap();
    assert!(shown.contains("\n12345678901234567890.0010  null\n"), "{shown}");
    let shown = preview(&text, 26).unwrap();
    assert!(shown.contains("\nn\n1\n12345678901234567890.0010\ncolumns that do not fit: 1;"), "{shown}");
}

#[test]
fn a_stream_without_records_shows_its_schema() {
    let mut answer = answer();
    let statement = &mut answer["statements"][0];
    statement["sink"] = Value::Null;
    statement["rows"] = json!([]);
    statement["rejects"] = json!([]);
    statement["rows_made"] = json!(0);
    statement["truncated_by"] = Value::Null;
    statement["read"] = json!({ "from": 0, "to": 0, "records": 0, "lost": 0 });
    statement["counts"] = json!({ "read": 0, "kept": 0, "filtered": 0, "rejected": 0 });
    let expected = "events\n\ncolumn  type    required\nn       BIGINT  yes\nday     date32  no\n\n\
                    0 records read: 0 kept, 0 filtered, 0 rejected\n0 of 0 rows shown\n";
    assert_eq!(preview(&answer.to_string(), 120).unwrap(), expected);
}

#[test]
fn nothing_of_an_answer_moves_the_cursor() {
    let text = answer().to_string().replace("an\\nobject", "\\u001b[2J").replace("\"events\"", "\"\\u0007\"");
    assert!(preview(&text, 120).unwrap().chars().all(|c| c == '\n' || !c.is_control()));
    assert!(preview("{}", 120).is_err());
}
