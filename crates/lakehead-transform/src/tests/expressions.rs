//! What expressions of every kind of the grammar make of four rows.

use super::everything::{check_values, rows, run};

const NULLS: [&str; 4] = ["NULL"; 4];

#[test]
fn arithmetic_and_comparisons_give_null_for_null() {
    check_values(&[
        ("id + 1", ["2", "3", "4", "5"]),
        ("i32 - 1", ["2147483646", "-8", "NULL", "-1"]),
        ("f64 * 2", ["3.0", "-4.5", "NULL", "0.0"]),
        ("id / 2", ["0", "1", "1", "2"]),
        ("id % 2", ["1", "0", "1", "0"]),
        ("f64 / 0", ["inf", "-inf", "NULL", "NaN"]),
        ("-i32", ["-2147483647", "7", "NULL", "0"]),
        ("+id", ["1", "2", "3", "4"]),
        ("dec + 1", ["2.50", "0.75", "NULL", "1.00"]),
        ("id > 2", ["false", "false", "true", "true"]),
        ("i32 <> 0", ["true", "true", "NULL", "false"]),
        ("id <= 2 AND b", ["true", "false", "false", "false"]),
        ("id = 1 OR b", ["true", "false", "NULL", "true"]),
        ("NOT b", ["false", "true", "NULL", "false"]),
        ("id BETWEEN 2 AND 3", ["false", "true", "true", "false"]),
        ("id NOT BETWEEN 2 AND 3", ["true", "false", "false", "true"]),
        ("id IN (1, 3)", ["true", "false", "true", "false"]),
        ("s NOT IN ('paid')", ["false", "true", "NULL", "true"]),
        ("s IS NULL", ["false", "false", "true", "false"]),
        ("s IS NOT NULL", ["true", "true", "false", "true"]),
        ("b IS TRUE", ["true", "false", "false", "true"]),
        ("b IS NOT FALSE", ["true", "false", "true", "true"]),
        ("b IS UNKNOWN", ["false", "false", "true", "false"]),
        ("i32 IS DISTINCT FROM 0", ["true", "true", "true", "false"]),
        ("id & 1", ["1", "0", "1", "0"]),
        ("id | 1", ["1", "3", "3", "5"]),
        ("id << 1", ["2", "4", "6", "8"]),
    ]);
}

#[test]
fn texts_are_matched_joined_and_cut() {
    check_values(&[
        ("s || '!'", ["paid!", "42!", "NULL", "!"]),
        ("s || id", ["paid1", "422", "NULL", "4"]),
        ("s LIKE 'p%'", ["true", "false", "NULL", "false"]),
        ("s NOT LIKE 'p_id'", ["false", "true", "NULL", "true"]),
        ("s ILIKE 'P%'", ["true", "false", "NULL", "false"]),
        ("s SIMILAR TO '(paid|x)'", ["true", "false", "NULL", "false"]),
        ("s ~ '^p'", ["true", "false", "NULL", "false"]),
        ("s ~* '^P'", ["true", "false", "NULL", "false"]),
        ("s !~ '^p'", ["false", "true", "NULL", "true"]),
        ("s !~* '^P'", ["false", "true", "NULL", "true"]),
        ("OVERLAY(s PLACING 'xx' FROM 2 FOR 1)", ["pxxid", "4xx", "NULL", "xx"]),
        ("POSITION('a' IN s)", ["2", "0", "NULL", "0"]),
        ("TRIM(BOTH 'p' FROM s)", ["aid", "42", "NULL", ""]),
        ("TRIM(LEADING 'p' FROM s)", ["aid", "42", "NULL", ""]),
        ("TRIM('  x ')", ["x"; 4]),
        ("SUBSTRING(s FROM 2 FOR 2)", ["ai", "2", "NULL", ""]),
        ("'it''s'", ["it's"; 4]),
        ("$$it's$$", ["it's"; 4]),
        ("CASE WHEN id = 1 THEN 'one' ELSE s END", ["one", "42", "NULL", ""]),
        ("CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", ["one", "two", "NULL", "NULL"]),
        ("CASE WHEN b THEN 1 ELSE 2.5 END", ["1.0", "2.5", "2.5", "1.0"]),
    ]);
}

#[test]
fn lists_and_structs_are_made_and_taken_apart() {
    check_values(&[
        ("[1,2,3]", ["[1, 2, 3]"; 4]),
        ("ARRAY[1,2]", ["[1, 2]"; 4]),
        ("make_array(id, 0)", ["[1, 0]", "[2, 0]", "[3, 0]", "[4, 0]"]),
        ("[1,2,3][1]", ["1"; 4]),
        ("[1,2,3][0]", NULLS),
        ("[1,2,3][4]", NULLS),
        ("tags[1]", ["x", "NULL", "NULL", "z"]),
        ("tags[id]", ["x", "NULL", "NULL", "NULL"]),
        ("[1,2,3][2:3]", ["[2, 3]"; 4]),
        ("address.city", ["Ulm", "Bonn", "NULL", "Köln"]),
        ("address['city']", ["Ulm", "Bonn", "NULL", "Köln"]),
        ("events.address.zipCode", ["1", "2", "NULL", "4"]),
        ("address.zipcode + 1", ["2", "3", "NULL", "5"]),
        ("items[1].sku", ["a", "NULL", "NULL", "c"]),
        ("items[2]['qty']", ["0", "NULL", "NULL", "1"]),
        ("struct(1,2)", ["{c0: 1, c1: 2}"; 4]),
        ("struct(id AS a, 'x' AS b)", ["{a: 1, b: x}", "{a: 2, b: x}", "{a: 3, b: x}", "{a: 4, b: x}"]),
        ("struct(1, 'x').c1", ["x"; 4]),
        ("struct(id, [id])['c1'][1]", ["1", "2", "3", "4"]),
        ("tags IS NULL", ["false", "true", "false", "false"]),
    ]);
}

#[test]
fn times_are_computed_with() {
    check_values(&[
        ("EXTRACT(year FROM ts)", ["1970", "2023", "NULL", "1969"]),
        ("EXTRACT(YEAR FROM d)", ["1970", "2022", "NULL", "1970"]),
        (
            "ts + INTERVAL '1 day'",
            ["1970-01-02T00:00:00", "2023-11-15T22:13:20.123456", "NULL", "1970-01-01T23:59:59.999999"],
        ),
        ("d + INTERVAL '1 month'", ["1970-02-01", "2022-02-08", "NULL", "1970-02-02"]),
        ("ts > TIMESTAMP '2020-01-01'", ["false", "true", "NULL", "false"]),
        ("ts >= '1970-01-01'", ["true", "true", "NULL", "false"]),
    ]);
}

#[test]
fn names_are_found_as_written_then_in_lower_case_then_without_case() {
    check_values(&[
        ("userId", ["u1", "u2", "NULL", "u4"]),
        ("USERID", ["u1", "u2", "NULL", "u4"]),
        ("\"userId\"", ["u1", "u2", "NULL", "u4"]),
        ("Events.userid", ["u1", "u2", "NULL", "u4"]),
        ("ID", ["1", "2", "3", "4"]),
    ]);
}

#[test]
fn comments_and_line_breaks_are_nothing() {
    let query =
        "SELECT /* a /* nested */ one */ id -- the id\n\r\n FROM -- here\n events\nWHERE id /* > 1 */ = 2";
    assert_eq!(rows(query), ["2"]);
}

#[test]
fn ctes_and_subqueries_nest_and_hide_streams() {
    for (query, expected) in [
        ("WITH x AS (SELECT id AS n FROM events) SELECT n FROM x WHERE n > 3", vec!["4"]),
        (
            "WITH x AS (SELECT id FROM events), y AS (SELECT id + 1 AS n FROM x) SELECT n FROM y WHERE n > 4",
            vec!["5"],
        ),
        ("WITH events AS (SELECT id AS n FROM events) SELECT * FROM events WHERE n = 1", vec!["1"]),
        ("SELECT q.n FROM (SELECT id AS n FROM events WHERE id > 2) AS q WHERE n < 4", vec!["3"]),
        ("SELECT n FROM (SELECT id AS n FROM events WHERE id > 3)", vec!["4"]),
        (
            "WITH x AS (WITH y AS (SELECT id FROM events) SELECT id FROM y) SELECT x.id FROM x WHERE x.id = 1",
            vec!["1"],
        ),
        ("(SELECT id FROM events WHERE id = 2)", vec!["2"]),
        ("SELECT e.* FROM (SELECT id, s FROM events) e WHERE e.id = 2", vec!["2|42"]),
        ("SELECT * EXCEPT (s) FROM (SELECT id, s FROM events) e WHERE id = 2", vec!["2"]),
        ("SELECT * EXCLUDE (id) FROM (SELECT id, s FROM events) e WHERE id = 2", vec!["42"]),
        ("SELECT e.* EXCEPT (id) FROM (SELECT id, s, b FROM events) e WHERE id = 2", vec!["42|false"]),
    ] {
        assert_eq!(rows(query), expected, "{query}");
    }
}

#[test]
fn columns_are_named_by_their_alias_or_what_they_pass_on_or_as_they_are_written() {
    let sql = "INSERT INTO out SELECT id, userId, address.city, items[1].qty, upper(s), s || 'x', id AS Other, 1 AS \"One\" FROM events";
    let output = run(sql).unwrap().rows;
    let names: Vec<_> = output.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["id", "userId", "city", "qty", "upper(s)", "s || 'x'", "other", "One"]);
}

#[test]
fn conditions_run_one_after_another_so_that_one_guards_the_next() {
    // Only rows that pass the first condition are divided by.
    assert_eq!(rows("SELECT id FROM events WHERE i32 <> 0 AND 7 / i32 = -1"), ["2"]);
    assert_eq!(rows("SELECT id FROM (SELECT id, s FROM events) q WHERE s = '42' AND s::INT = 42"), ["2"]);
    // A filter around a query goes before what the query computes.
    assert_eq!(
        rows("SELECT id FROM (SELECT id, s, s::INT AS n FROM events) q WHERE s = '42' AND n = 42"),
        ["2"]
    );
}
