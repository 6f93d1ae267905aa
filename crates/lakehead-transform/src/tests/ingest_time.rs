//! `__ingest_ts`, and which columns are asked for.

use super::everything::{compiled, into_out, rows};
use crate::INGEST_TIME;

#[test]
fn the_ingest_time_is_read_where_it_is_named_and_star_does_not_stand_for_it() {
    for (query, reads) in [
        ("SELECT __ingest_ts FROM events", true),
        ("SELECT e.__INGEST_TS AS t FROM events e", true),
        ("SELECT id FROM events WHERE __ingest_ts > '2020-01-01'", true),
        ("SELECT * FROM (SELECT id, __ingest_ts FROM events) q", true),
        ("WITH x AS (SELECT *, __ingest_ts AS t FROM events) SELECT t FROM x", true),
        ("SELECT * FROM events", false),
        ("SELECT events.* FROM events", false),
        ("SELECT * EXCEPT (id) FROM events", false),
        ("SELECT * EXCEPT (id, __ingest_ts) FROM events", false),
        ("SELECT id FROM events", false),
        ("SELECT id FROM (SELECT id, __ingest_ts FROM events) q", false),
        ("WITH events AS (SELECT id FROM events) SELECT * FROM events", false),
    ] {
        let statement = compiled(&into_out(query)).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(statement.reads_ingest_time, reads, "{query}");
        let names: Vec<_> =
            statement.program.output_schema().fields().iter().map(|f| f.name().clone()).collect();
        let is_output = query.starts_with("SELECT __ingest_ts") || query.starts_with("SELECT * FROM (");
        assert_eq!(names.iter().any(|n| n == INGEST_TIME), is_output, "{query}: {names:?}");
    }
}

#[test]
fn it_is_microseconds_of_the_row() {
    assert_eq!(rows("SELECT id, __ingest_ts FROM events WHERE id = 2"), ["2|2020-09-13T12:26:40.000001"]);
    let field = compiled("INSERT INTO out SELECT __ingest_ts FROM events").unwrap();
    let field = field.program.output_schema().field(0).clone();
    assert_eq!(field.data_type().to_string(), "Timestamp(µs)");
    assert!(!field.is_nullable());
}

#[test]
fn only_the_columns_that_something_needs_are_asked_for() {
    for (query, projection) in [
        ("SELECT id FROM events", vec![0]),
        ("SELECT s FROM events WHERE id > 1", vec![0, 9]),
        ("SELECT 1 AS one FROM events", vec![]),
        ("SELECT __ingest_ts FROM events", vec![]),
        ("SELECT n FROM (SELECT id AS n, upper(s) AS u, * EXCEPT (id) FROM events) q", vec![0]),
        ("SELECT address.city FROM events", vec![14]),
        ("SELECT userId, b, userId || 'x' AS y FROM events", vec![1, 10]),
        ("SELECT t FROM (SELECT id, UNNEST(tags) AS t, s FROM events) q", vec![16]),
    ] {
        assert_eq!(compiled(&into_out(query)).unwrap().projection, projection, "{query}");
    }
}

#[test]
fn steps_are_told_as_they_are_written() {
    let steps = |query: &str| -> Vec<String> {
        let statement = compiled(&into_out(query)).unwrap();
        statement.program.steps().iter().map(|s| format!("{}: {}", s.kind, s.description)).collect()
    };
    assert!(steps("SELECT * FROM events").is_empty());
    assert_eq!(steps("SELECT * FROM events WHERE id > 1\n  AND b"), ["filter: id > 1 AND b"]);
    assert_eq!(
        steps(
            "WITH x AS (SELECT id, UNNEST(items) AS item FROM events) SELECT id, -item.qty AS q FROM x WHERE item.qty > 0"
        ),
        ["unnest: item", "filter: item.qty > 0", "project: id, -item.qty AS q"]
    );
    let long = format!("SELECT {} AS x FROM events", vec!["id"; 100].join(" + "));
    let told = steps(&long).remove(0);
    assert!(told.ends_with('…') && told.chars().count() <= 210, "{told}");
}
