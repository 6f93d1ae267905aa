//! Expressions whose answer was once another than they say: values from JSON beside others, casts in comparisons, moments of
//! different units, conditions above UNNEST, and rows that are larger than their parts.

use super::{check, compiled, rows, run, stream};
use crate::Failure;

#[test]
fn a_number_from_json_beside_a_column_is_not_cut() {
    check(&[
        ("(j->'f') * i", "38.5"),
        ("(j->'f') / 2", "2.75"),
        ("i - (j->'f')", "1.5"),
        ("j->'f' > i - 2", "true"),
        ("j->'f' = i - 2", "false"),
        ("j->'f' BETWEEN i - 2 AND 6", "true"),
        ("j->'n' = i * 6", "true"),
        ("j->'big' = 9007199254740993", "true"),
        ("j->'big' = 9007199254740992", "false"),
    ]);
}

#[test]
fn a_text_from_json_beside_another_has_no_quotes() {
    check(&[
        ("CASE j->'s' WHEN 'text' THEN 1 ELSE 2 END", "1"),
        ("CASE j->'n' WHEN 42 THEN 1 ELSE 2 END", "1"),
        ("nullif(j->'s', 'text')", "NULL"),
        ("coalesce(j->'s', 'd')", "text"),
        ("coalesce(j->'missing', 'd')", "d"),
        ("coalesce(j->'missing', j->'s')", "\"text\""),
        ("array_has(['text', 'x'], j->'s')", "true"),
    ]);
}

#[test]
fn a_cast_that_fails_fails_in_a_comparison_too() {
    check(&[
        ("TRY_CAST(i + 5000000000 AS INT) > 3", "NULL"),
        ("TRY_CAST(i AS INT) > 3", "true"),
        ("(i + 5000000000)::INT > 3", "Expression: …"),
        ("(i + 5000000000)::SMALLINT = 5", "Expression: …"),
        ("i::INT = 7", "true"),
        ("(j->'big')::INT > 3", "Expression: …"),
    ]);
}

#[test]
fn moments_of_different_units_are_compared_in_the_finer_one() {
    check(&[
        ("t::TIMESTAMP(3) = t", "true"),
        ("t::TIMESTAMP(3) = t + INTERVAL '9 microseconds'", "false"),
        ("t::TIMESTAMP(3) >= t + INTERVAL '9 microseconds'", "false"),
        ("(t + INTERVAL '9 microseconds')::TIMESTAMP(3) = t", "true"),
        ("t::TIMESTAMP(0) = TIMESTAMP '2023-11-14T22:13:20.0009'", "false"),
    ]);
}

#[test]
fn a_random_condition_above_unnest_is_drawn_for_each_element() {
    let query =
        "SELECT n FROM (SELECT UNNEST(range(1000)) AS n, d FROM t WHERE i = 7) AS q WHERE d / 5 > random()";
    let kept = rows(query).unwrap().len();
    assert!((200..800).contains(&kept), "{kept} of 1000");
}

#[test]
fn a_row_is_as_large_as_all_of_its_columns() {
    let copies: Vec<_> = (0..100).map(|i| format!("x AS c{i}")).collect();
    let query = format!(
        "WITH a AS (SELECT repeat(s, i * 100000) AS x FROM t WHERE i > 0) SELECT {} FROM a",
        copies.join(", ")
    );
    let error = run(&compiled(&query).unwrap(), &stream().1).unwrap_err();
    assert_eq!(error.failure, Failure::Limit, "{error}");
}

#[test]
fn what_would_search_or_plan_too_much_is_refused() {
    check(&[("extract_json(j, '$[?$==$]')", "refused: `$` in a filter…")]);
    let chain = format!("SELECT l{} AS x FROM t", "[1:2]".repeat(400));
    let refusal = compiled(&chain).unwrap_err();
    assert!(refusal.message.contains("the limit is 32"), "{refusal}");
}
