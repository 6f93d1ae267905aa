//! UNNEST: rows, origins, bounds.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};

use super::everything::{NOW, into_out, rows, run};
use crate::{Failure, Source, compile};

#[test]
fn each_element_is_a_row_a_null_list_one_with_null_and_an_empty_list_none() {
    assert_eq!(
        rows("SELECT id, UNNEST(tags) AS t, s FROM events"),
        ["1|x|paid", "1|NULL|paid", "2|NULL|42", "4|z|"]
    );
    assert_eq!(
        rows("SELECT id, UNNEST(items) AS item FROM events"),
        ["1|{sku: a, qty: 2}", "1|{sku: b, qty: 0}", "3|NULL", "4|{sku: c, qty: 5}", "4|{sku: NULL, qty: 1}"]
    );
}

#[test]
fn records_that_have_a_row_left_are_counted_as_kept_and_the_first_is_known() {
    for (query, kept, first) in [
        ("SELECT UNNEST(tags) AS t FROM events", 3, Some(0)),
        ("SELECT id, UNNEST(tags) AS t FROM events WHERE id < 3", 2, Some(0)),
        (
            "WITH x AS (SELECT id, UNNEST(items) AS item FROM events) SELECT item.sku FROM x WHERE item.qty > 0",
            2,
            Some(0),
        ),
        (
            "WITH x AS (SELECT id, UNNEST(items) AS item FROM events) SELECT item.sku FROM x WHERE item.qty > 2",
            1,
            Some(3),
        ),
        ("WITH x AS (SELECT id, UNNEST(items) AS item FROM events) SELECT id FROM x WHERE id > 100", 0, None),
        (
            "WITH x AS (SELECT id, UNNEST([tags, tags]) AS l FROM events) SELECT id, UNNEST(l) AS t FROM x WHERE id <> 4",
            2,
            Some(0),
        ),
        ("SELECT id FROM events", 4, Some(0)),
        ("SELECT id FROM events WHERE id > 1", 3, Some(1)),
        ("SELECT id FROM events WHERE id > 100", 0, None),
        ("WITH x AS (SELECT id FROM events WHERE id <> 2) SELECT id FROM x WHERE id > 1", 2, Some(2)),
        ("WITH x AS (SELECT id + 1 AS i FROM events WHERE id > 1) SELECT i FROM x WHERE i > 4", 1, Some(3)),
    ] {
        let output = run(&into_out(query)).unwrap();
        assert_eq!((output.kept, output.first), (kept, first), "{query}");
    }
}

#[test]
fn a_query_around_it_can_filter_by_the_element_and_need_not_read_it() {
    let documented = "WITH x AS (SELECT id, UNNEST(items) AS item FROM events) SELECT id, item.sku AS sku FROM x WHERE item.qty > 0";
    assert_eq!(rows(documented), ["1|a", "4|c", "4|NULL"]);
    assert_eq!(rows("SELECT id FROM (SELECT id, UNNEST(tags) AS t FROM events) q"), ["1", "1", "2", "4"]);
    assert_eq!(rows("SELECT 1 AS one FROM (SELECT UNNEST(tags) AS t FROM events) q"), ["1"; 4]);
    assert_eq!(
        rows("SELECT t || '!' AS t FROM (SELECT UNNEST(tags) AS t FROM events) q WHERE t IS NOT NULL"),
        ["x!", "z!"]
    );
}

#[test]
fn lists_of_lists_and_made_lists_unnest() {
    assert_eq!(rows("SELECT UNNEST([[1,2],[3]]) AS l FROM events WHERE id = 1"), ["[1, 2]", "[3]"]);
    assert_eq!(rows("SELECT UNNEST(make_array(id, i32)) AS n FROM events WHERE id = 2"), ["2", "-7"]);
    let twice = "SELECT UNNEST(l) AS n FROM (SELECT UNNEST([[1,2],[3]]) AS l FROM events WHERE id = 1) q";
    assert_eq!(rows(twice), ["1", "2", "3"]);
}

/// A list of `count` numbers beside a text of `bytes` bytes, for each of `rows` rows.
fn wide(rows: usize, count: usize, bytes: usize) -> RecordBatch {
    let numbers = Int64Array::from_iter_values((0..rows * count).map(|i| i64::try_from(i).unwrap()));
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let lists = ListArray::new(field, OffsetBuffer::from_lengths(vec![count; rows]), Arc::new(numbers), None);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes); rows]));
    let columns: Vec<(&str, ArrayRef)> = vec![("l", Arc::new(lists)), ("t", text)];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn rows_that_would_take_too_much_are_a_limit_and_half_of_them_are_not() {
    let batch = wide(4, 1_000, 20_000);
    let schema = Arc::new(Schema::new(batch.schema().fields().clone()));
    let source = Source { name: "s".into(), schema };
    let compiled =
        |sql: &str| compile(sql, std::slice::from_ref(&source), &["out".into()]).unwrap().remove(0);
    let statement = compiled("INSERT INTO out SELECT t, UNNEST(l) AS n FROM s");
    let input = batch.project(&[1, 0]).unwrap();
    let input = if statement.projection == [0, 1] { batch.clone() } else { input };
    let error = statement.program.run(&input, NOW).unwrap_err();
    assert_eq!(error.failure, Failure::Limit, "{}", error.message);
    assert!(error.message.contains("UNNEST"), "{}", error.message);
    let half = statement.program.run(&input.slice(0, 2), NOW).unwrap();
    assert_eq!(statement.program.run(&input.slice(2, 2), NOW).unwrap().kept, 2);
    assert_eq!((half.rows.num_rows(), half.kept), (2_000, 2));
    // A column that nobody needs is not repeated.
    let statement = compiled("INSERT INTO out SELECT n FROM (SELECT t, UNNEST(l) AS n FROM s) q");
    let only = statement.program.run(&batch.project(&statement.projection).unwrap(), NOW).unwrap();
    assert_eq!(only.rows.num_rows(), 4_000);
}

#[test]
fn a_row_is_weighed_by_its_own_elements_and_not_by_those_of_the_batch_it_is_cut_from() {
    let batch = wide(2, 5_000_000, 1);
    let source = Source { name: "s".into(), schema: batch.schema() };
    let statement = compile("INSERT INTO out SELECT UNNEST(l) AS n FROM s", &[source], &["out".into()])
        .unwrap()
        .remove(0);
    let input = batch.project(&statement.projection).unwrap();
    assert_eq!(statement.program.run(&input, NOW).unwrap_err().failure, Failure::Limit);
    assert!(
        statement.program.run(&input.slice(1, 1), NOW).is_err(),
        "5 million rows of 16 bytes are too many too"
    );
    let batch = wide(2, 3_000_000, 1);
    let input = batch.project(&statement.projection).unwrap();
    assert_eq!(statement.program.run(&input, NOW).unwrap_err().failure, Failure::Limit);
    assert_eq!(statement.program.run(&input.slice(1, 1), NOW).unwrap().rows.num_rows(), 3_000_000);
}

#[test]
fn slices_of_a_batch_are_unnested_by_themselves() {
    let batch = wide(4, 3, 1);
    let source = Source { name: "s".into(), schema: batch.schema() };
    let sql = "INSERT INTO out SELECT UNNEST(l) AS n FROM s";
    let statement = compile(sql, &[source], &["out".into()]).unwrap().remove(0);
    let input = batch.project(&statement.projection).unwrap().slice(2, 1);
    let output = statement.program.run(&input, NOW).unwrap();
    assert_eq!(super::everything::printed(&output.rows), ["6", "7", "8"]);
    assert_eq!(output.kept, 1);
}
