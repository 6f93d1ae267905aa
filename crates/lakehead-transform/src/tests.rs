mod data_types;
mod everything;
mod expressions;
mod ingest_time;
mod refusals;
mod unnest;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use lakehead_model::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn orders() -> Source {
    let address = DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into());
    Source {
        name: "orders".into(),
        schema: Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("status", DataType::Utf8, true),
            Field::new("amount", DataType::Float64, true),
            Field::new("address", address, true),
        ])),
    }
}

fn try_one(sql: &str) -> Result<Statement, Refusal> {
    let mut all = compile(sql, &[orders()], &["out".to_owned()])?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

fn one(sql: &str) -> Statement {
    try_one(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn batch() -> RecordBatch {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Ulm"), None, Some("Bonn"), Some("Köln")]));
    let address = StructArray::from(vec![(Arc::new(Field::new("city", DataType::Utf8, true)), city)]);
    RecordBatch::try_new(
        orders().schema,
        vec![
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            Arc::new(StringArray::from(vec![Some("paid"), Some("open"), None, Some("paid")])),
            Arc::new(Float64Array::from(vec![Some(1.5), Some(2.0), Some(0.0), None])),
            Arc::new(address),
        ],
    )
    .unwrap()
}

fn run(sql: &str) -> RecordBatch {
    let statement = one(sql);
    statement.program.run(&batch().project(&statement.projection).unwrap(), NOW).unwrap().rows
}

fn refused(sql: &str) -> String {
    match try_one(sql) {
        Ok(_) => panic!("accepted: {sql}"),
        Err(e) => e.message,
    }
}

#[test]
fn select_star_passes_every_column_through() {
    assert_eq!(run("INSERT INTO out SELECT * FROM orders"), batch());
}

#[test]
fn where_keeps_the_rows_for_which_it_is_true_and_neither_false_nor_null() {
    let out = run("INSERT INTO out SELECT id FROM orders WHERE status = 'paid';");
    assert_eq!(out.column(0).as_primitive::<Int64Type>().values(), &[1, 4]);
}

#[test]
fn only_the_columns_that_are_read_are_asked_for() {
    assert_eq!(one("INSERT INTO out SELECT id FROM orders WHERE amount > 1").projection, vec![0, 2]);
    assert_eq!(one("INSERT INTO out SELECT 1 AS one FROM orders").program.output_schema().fields().len(), 1);
}

#[test]
fn a_projection_of_constants_keeps_the_number_of_rows() {
    assert_eq!(run("INSERT INTO out SELECT 1 AS one FROM orders").num_rows(), 4);
}

#[test]
fn a_condition_that_can_never_hold_removes_every_row() {
    assert_eq!(run("INSERT INTO out SELECT id FROM orders WHERE 1 = 2").num_rows(), 0);
}

#[test]
fn expressions_aliases_casts_struct_fields_and_ctes_work() {
    let out = run(
        "INSERT INTO out WITH x AS (SELECT id, upper(status) AS s, address FROM orders WHERE id > 1) \
                   SELECT id * 2 AS twice, s || '!' AS s, x.address.city AS city, CAST(id AS VARCHAR) AS t FROM x \
                   WHERE s IS NOT NULL",
    );
    assert_eq!(out.num_rows(), 2);
    assert_eq!(out.column_by_name("twice").unwrap().as_primitive::<Int64Type>().values(), &[4, 8]);
    assert_eq!(out.column_by_name("s").unwrap().as_string::<i32>().value(1), "PAID!");
    assert_eq!(out.column_by_name("city").unwrap().as_string::<i32>().value(1), "Köln");
    assert_eq!(out.column_by_name("t").unwrap().data_type(), &DataType::Utf8);
}

#[test]
fn a_failing_row_fails_the_batch_and_not_the_rows_beside_it() {
    let statement = one("INSERT INTO out SELECT 10 / (id - 3) AS q FROM orders");
    let batch = batch().project(&statement.projection).unwrap();
    assert!(statement.program.run(&batch, NOW).unwrap_err().message.contains("ivide by zero"));
    assert_eq!(statement.program.run(&batch.slice(0, 2), NOW).unwrap().rows.num_rows(), 2);
}

#[test]
fn several_statements_feed_several_sinks() {
    let sinks = ["a".to_owned(), "b".to_owned()];
    let all = compile(
        "INSERT INTO a SELECT * FROM orders; -- all\n INSERT INTO b SELECT id FROM orders WHERE amount > 1;",
        &[orders()],
        &sinks,
    )
    .unwrap();
    assert_eq!(all.iter().map(|s| s.sink.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn names_are_found_without_case_when_that_is_unambiguous() {
    assert_eq!(one("INSERT INTO OUT SELECT ID FROM Orders").stream, "orders");
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut wrong = Vec::new();
    for (sql, expected) in [
        ("", "empty"),
        ("SELECT 1", "`SELECT` alone is not allowed"),
        ("DROP TABLE orders", "`DROP` is not allowed"),
        ("COPY orders TO 'x'", "`COPY` is not allowed"),
        ("INSERT INTO nowhere SELECT * FROM orders", "sink `nowhere` does not exist"),
        ("INSERT INTO out SELECT * FROM nothing", "stream `nothing` does not exist"),
        ("INSERT INTO out SELECT * FROM 'file.parquet'", "stream `file.parquet` does not exist"),
        ("INSERT INTO out SELECT * FROM a.b.orders", "not the name of a stream"),
        ("INSERT INTO out SELECT missing FROM orders", "missing"),
        ("INSERT INTO out SELECT nosuch(id) FROM orders", "nosuch"),
        ("INSERT INTO out SELECT id FROM orders WHERE id", "needs a condition"),
        ("INSERT INTO out SELECT count(*) FROM orders", "count"),
        ("INSERT INTO out SELECT status FROM orders GROUP BY status", "GROUP BY"),
        ("INSERT INTO out SELECT DISTINCT id FROM orders", "DISTINCT"),
        ("INSERT INTO out SELECT id FROM orders ORDER BY id", "ORDER BY"),
        ("INSERT INTO out SELECT id FROM orders LIMIT 1", "LIMIT"),
        ("INSERT INTO out SELECT a.id FROM orders a JOIN orders b ON a.id = b.id", "join"),
        ("INSERT INTO out SELECT a.id FROM orders a, orders b", "join"),
        ("INSERT INTO out SELECT id FROM orders UNION ALL SELECT id FROM orders", "UNION"),
        ("INSERT INTO out SELECT id FROM orders WHERE id IN (SELECT id FROM orders)", "not supported"),
        ("INSERT INTO out SELECT (SELECT 1) AS x FROM orders", "not supported"),
        ("INSERT INTO out SELECT 1 AS x", "without FROM"),
        ("INSERT INTO out VALUES (1)", "not supported"),
        ("INSERT INTO out (a) SELECT id FROM orders", "column list"),
        ("INSERT INTO out SELECT id AS a, amount AS \"A\" FROM orders", "two columns are named"),
        ("INSERT INTO out SELECT id FROM orders WHERE", "syntax error"),
        (
            "INSERT INTO out WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
            "ecursive",
        ),
    ] {
        let message = refused(sql);
        if !message.to_lowercase().contains(&expected.to_lowercase()) {
            wrong.push(format!("{sql}\n  said: {message}\n  expected: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_text_can_exhaust_the_stack() {
    let chain = vec!["1"; 2_000].join("+");
    assert!(refused(&format!("INSERT INTO out SELECT {chain} AS x FROM orders")).contains("nested too deep"));
    let parens = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    assert!(
        refused(&format!("INSERT INTO out SELECT {parens} AS x FROM orders")).contains("nested too deep")
    );
    let ors = vec!["id = 1"; 3_000].join(" OR ");
    assert!(!refused(&format!("INSERT INTO out SELECT id FROM orders WHERE {ors}")).is_empty());
    let nots = "NOT ".repeat(4_000);
    assert!(!refused(&format!("INSERT INTO out SELECT id FROM orders WHERE {nots} true")).is_empty());
    assert!(refused(&"x".repeat(70_000)).contains("limit is"));
    // What is inside the limits compiles and runs on an ordinary stack.
    let fits = vec!["id"; 200].join("+");
    assert_eq!(run(&format!("INSERT INTO out SELECT {fits} AS x FROM orders")).num_rows(), 4);
}
