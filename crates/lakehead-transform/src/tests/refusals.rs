//! What is refused: the sentence, and the place in the text.

use super::everything::{refusal, source};
use crate::{Refusal, compile, compile_preview};

const ONE_RECORD: &str =
    "a pipeline handles one record at a time (no joins, aggregates, windows, DISTINCT, ORDER BY or LIMIT)";

/// SQL with `«…»` around what is refused, and the sentence. `§` stands for [`ONE_RECORD`].
fn check(table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (marked, message) in table {
        let sql = marked.replace(['«', '»'], "");
        let expected = message.replace('§', ONE_RECORD);
        let refused = refusal(&sql);
        let told = told(&refused);
        let place = place(marked);
        if refused.message != expected || told != place {
            wrong.push(format!(
                "{marked}\n      is: {} @ {told}\n  wanted: {expected} @ {place}",
                refused.message
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn told(refusal: &Refusal) -> String {
    refusal.place.as_ref().map_or("nowhere".into(), |p| format!("{}:{} {}", p.line, p.column, p.text))
}

fn place(marked: &str) -> String {
    let Some((before, rest)) = marked.split_once('«') else { return "nowhere".into() };
    let text = rest.split_once('»').map_or(rest, |(text, _)| text);
    let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column} {text}")
}

#[test]
fn what_needs_more_than_one_record_is_refused_where_it_stands() {
    check(&[
        (
            "INSERT INTO out SELECT a.id FROM events a «JOIN» events b ON a.id = b.id",
            "a join is not supported: §",
        ),
        (
            "INSERT INTO out SELECT a.id FROM events a «LEFT» JOIN events b USING (id)",
            "a join is not supported: §",
        ),
        ("INSERT INTO out SELECT a.id FROM events a «CROSS» JOIN events b", "a join is not supported: §"),
        ("INSERT INTO out SELECT a.id FROM events a «NATURAL» JOIN events b", "a join is not supported: §"),
        ("INSERT INTO out SELECT a.id FROM events a, «events b»", "a join is not supported: §"),
        ("INSERT INTO out SELECT s FROM events «GROUP» BY s", "GROUP BY is not supported: §"),
        ("INSERT INTO out SELECT id FROM events «HAVING» id > 1", "HAVING is not supported: §"),
        ("INSERT INTO out SELECT «sum»(id) FROM events", "the aggregate `sum` is not supported: §"),
        ("INSERT INTO out SELECT «Count»(*) FROM events", "the aggregate `count` is not supported: §"),
        ("INSERT INTO out SELECT upper(«max»(s)) FROM events", "the aggregate `max` is not supported: §"),
        (
            "INSERT INTO out SELECT «array_agg»(s) FROM events",
            "the aggregate `array_agg` is not supported: §",
        ),
        (
            "INSERT INTO out SELECT «upper»(s) FILTER (WHERE id > 1) FROM events",
            "the aggregate `upper` is not supported: §",
        ),
        (
            "INSERT INTO out SELECT «row_number»() OVER (ORDER BY id) FROM events",
            "the window function `row_number` is not supported: §",
        ),
        (
            "INSERT INTO out SELECT «upper»(s) OVER () FROM events",
            "the window function `upper` is not supported: §",
        ),
        (
            "INSERT INTO out SELECT lag(id) OVER w FROM events «WINDOW» w AS (ORDER BY id)",
            "WINDOW is not supported: §",
        ),
        ("INSERT INTO out SELECT «DISTINCT» id FROM events", "DISTINCT is not supported: §"),
        ("INSERT INTO out SELECT «DISTINCT» ON (id) id FROM events", "DISTINCT is not supported: §"),
        ("INSERT INTO out SELECT id FROM events «ORDER» BY id", "ORDER BY is not supported: §"),
        ("INSERT INTO out SELECT id FROM events «LIMIT» 1", "LIMIT is not supported: §"),
        ("INSERT INTO out SELECT id FROM events «OFFSET» 1", "OFFSET is not supported: §"),
        ("INSERT INTO out SELECT id FROM events «FETCH» FIRST 1 ROW ONLY", "FETCH is not supported: §"),
        (
            "INSERT INTO out WITH «RECURSIVE» r AS (SELECT 1 AS n) SELECT n FROM r",
            "WITH RECURSIVE is not supported: §",
        ),
        (
            "INSERT INTO out SELECT id FROM events «UNION» ALL SELECT id FROM events",
            "UNION is not supported; write an INSERT for each SELECT",
        ),
        (
            "INSERT INTO out SELECT id FROM events «INTERSECT» SELECT id FROM events",
            "INTERSECT is not supported",
        ),
        ("INSERT INTO out SELECT id FROM events «EXCEPT» SELECT id FROM events", "EXCEPT is not supported"),
        ("INSERT INTO out SELECT id FROM (SELECT id FROM events\n «LIMIT» 1) q", "LIMIT is not supported: §"),
        (
            "INSERT INTO out WITH x AS (SELECT «DISTINCT» id FROM events) SELECT id FROM events",
            "DISTINCT is not supported: §",
        ),
    ]);
}

#[test]
fn what_is_no_part_of_the_grammar_is_refused_where_it_stands() {
    check(&[
        ("INSERT INTO out «VALUES» (1)", "VALUES is not supported"),
        ("INSERT INTO out SELECT x FROM («VALUES» (1)) t", "VALUES is not supported"),
        ("INSERT INTO out SELECT id FROM events «FOR» UPDATE", "a FOR clause is not supported"),
        (
            "INSERT INTO out SELECT id FROM events «TABLESAMPLE» BERNOULLI (10)",
            "TABLESAMPLE is not supported",
        ),
        (
            "INSERT INTO out SELECT id FROM «read_parquet»('x')",
            "the table function `read_parquet` is not supported; FROM names a stream, a CTE or a subquery",
        ),
        (
            "INSERT INTO out SELECT id FROM «generate_series»(1, 1000000000000)",
            "the table function `generate_series` is not supported; FROM names a stream, a CTE or a subquery",
        ),
        (
            "INSERT INTO out SELECT t FROM «unnest»([1,2]) AS t",
            "UNNEST in FROM is not supported; write `SELECT UNNEST(list) AS item FROM stream`",
        ),
        (
            "INSERT INTO out «SELECT» 1 AS x",
            "a SELECT without FROM is not supported: name the stream that it reads",
        ),
        (
            "INSERT INTO out SELECT id «INTO» x FROM events",
            "SELECT INTO is not supported; write `INSERT INTO sink SELECT …`",
        ),
        (
            "INSERT INTO out («a») SELECT id FROM events",
            "a column list after the sink is not supported; name the columns in the SELECT (`expression AS name`)",
        ),
        (
            "«INSERT» INTO out SELECT id FROM events ON CONFLICT DO NOTHING",
            "only `INSERT INTO sink SELECT …` is supported, without OVERWRITE, ON CONFLICT, RETURNING or an alias",
        ),
        (
            "«INSERT» INTO out SELECT id FROM events RETURNING id",
            "only `INSERT INTO sink SELECT …` is supported, without OVERWRITE, ON CONFLICT, RETURNING or an alias",
        ),
        ("INSERT INTO out SELECT «$1» FROM events", "a parameter is not supported"),
        (
            "INSERT INTO out SELECT q.a FROM (SELECT id FROM events) q(«a»)",
            "a list of column names after an alias is not supported; name them in the SELECT (`expression AS name`)",
        ),
        (
            "INSERT INTO out SELECT («SELECT 1») AS x FROM events",
            "a subquery inside an expression is not supported: §; subqueries may stand in FROM",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE «id IN (SELECT id FROM events)»",
            "IN (SELECT …) is not supported: §",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE EXISTS («SELECT 1 FROM events»)",
            "a subquery inside an expression is not supported: §; subqueries may stand in FROM",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE s LIKE «s»",
            "the pattern of LIKE must be a literal, such as 'a%'",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE s ~ «upper(s)»",
            "the pattern of ~ must be a literal, such as 'a%'",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE «id = ANY([1,2])»",
            "ANY and ALL are not supported; `array_has(list, value)` looks into a list",
        ),
        (
            "INSERT INTO out SELECT «unnest»(tags) = 'x' AS t FROM events",
            "UNNEST can only be a whole item of a SELECT; take it in a CTE or subquery and go on with the item outside",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE «unnest»(tags) = 'x'",
            "UNNEST can only be a whole item of a SELECT; take it in a CTE or subquery and go on with the item outside",
        ),
        (
            "INSERT INTO out SELECT unnest(tags) AS a, «unnest(items)» AS b FROM events",
            "a SELECT may hold one UNNEST; take the other one in a query around it",
        ),
        ("INSERT INTO out SELECT «unnest(s)» AS a FROM events", "UNNEST needs a list; this is VARCHAR"),
        ("INSERT INTO out SELECT «unnest»(tags, tags) AS a FROM events", "UNNEST takes one list"),
    ]);
}

#[test]
fn other_statements_are_refused_by_their_verb() {
    check(&[
        (
            "«SELECT» id FROM events",
            "`SELECT` alone is not allowed; say where its rows go: `INSERT INTO sink SELECT …`",
        ),
        (
            "«DROP» TABLE events",
            "`DROP` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
        ),
        ("«SET» a = 1", "`SET` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements"),
        (
            "«COPY» events TO 'x'",
            "`COPY` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
        ),
        (
            "«EXPLAIN» ANALYZE SELECT 1",
            "`EXPLAIN` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
        ),
        (
            "INSERT INTO out SELECT id FROM events;\n «DELETE» FROM events",
            "`DELETE` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
        ),
        (
            "«CREATE» TABLE x (a INT)",
            "`CREATE` is not allowed; a pipeline holds `INSERT INTO sink SELECT …` statements",
        ),
    ]);
}

#[test]
fn syntax_errors_have_a_place() {
    check(&[
        (
            "INSERT INTO out SELECT id FROM events WHERE«»",
            "SQL syntax error: Expected: an expression, found: EOF",
        ),
        (
            "INSERT INTO out\nSELECT id, «FROM» events",
            "SQL syntax error: Expected an expression, found: FROM",
        ),
        (
            "INSERT INTO out «SELEC» id FROM events",
            "SQL syntax error: Expected: SELECT, VALUES, or a subquery in the query body, found: SELEC",
        ),
        (
            "INSERT INTO out SELECT 'ü' AS ü,\n\t«'abc FROM events»",
            "SQL syntax error: Unterminated string literal",
        ),
        (
            "INSERT INTO out SELECT id + «FROM» events",
            "SQL syntax error: an expression is missing before FROM",
        ),
    ]);
}

#[test]
fn unknown_names_are_told_with_what_was_meant() {
    check(&[
        ("INSERT INTO «outt» SELECT id FROM events", "sink `outt` does not exist; did you mean `out`?"),
        ("INSERT INTO «nowhere» SELECT id FROM events", "sink `nowhere` does not exist; there is `out`"),
        ("INSERT INTO out SELECT id FROM «event»", "stream `event` does not exist; did you mean `events`?"),
        (
            "INSERT INTO out WITH mine AS (SELECT id FROM events) SELECT id FROM «mime»",
            "stream `mime` does not exist; did you mean `mine`?",
        ),
        (
            "INSERT INTO out SELECT id FROM «'/etc/passwd'»",
            "stream `/etc/passwd` does not exist; there is `events`",
        ),
        (
            "INSERT INTO out SELECT id FROM «a.events»",
            "this is not the name of a stream: a stream has a single name, without dots",
        ),
        (
            "INSERT INTO out SELECT upper(«adress»), id\nFROM events",
            "there is no column `adress` in `events`; did you mean `address`?",
        ),
        (
            "INSERT INTO out SELECT id,\n  «nothing_like_it» FROM events",
            "there is no column `nothing_like_it` in `events`; there are `id`, `b`, `i32`, `i64`, `u32`, `u64` and others",
        ),
        (
            "INSERT INTO out SELECT e.«idd» FROM events e",
            "there is no column `idd` in `e`; did you mean `id`?",
        ),
        (
            "INSERT INTO out SELECT «x».id FROM events e",
            "`x` is neither a column nor what FROM reads; there are `e`, `id`, `b`, `i32`, `i64`, `u32` and others",
        ),
        ("INSERT INTO out SELECT «x».* FROM events e", "FROM reads nothing called `x`; it is called `e`"),
        (
            "INSERT INTO out SELECT address.«citty» FROM events",
            "there is no field `citty` in `address`; did you mean `city`?",
        ),
        (
            "INSERT INTO out SELECT items[1].«skew» FROM events",
            "there is no field `skew` in `items`; there are `sku`, `qty`",
        ),
        ("INSERT INTO out SELECT s.«x» FROM events", "`s` has no fields: it is VARCHAR, not a STRUCT"),
        (
            "INSERT INTO out SELECT id FROM events WHERE id > 1 AND «lenght»(s) > 2",
            "there is no function `lenght`; did you mean `length`?",
        ),
        ("INSERT INTO out SELECT «nosuch_function»(s) FROM events", "there is no function `nosuch_function`"),
        (
            "INSERT INTO out SELECT id FROM events WHERE s = «\"paid\"»",
            "there is no column `paid` in `events` (strings are written in single quotes, 'like this'); there are `id`, `b`, `i32`, `i64`, `u32`, `u64` and others",
        ),
        (
            "INSERT INTO out SELECT * EXCEPT («idd») FROM events",
            "there is no column `idd` in `events`; did you mean `id`?",
        ),
        ("INSERT INTO out SELECT «s::NOSUCH» FROM events", "there is no type NOSUCH"),
        (
            "INSERT INTO out SELECT «s::VARCHAR(3)» FROM events",
            "the length in VARCHAR(3) would not be kept to; write VARCHAR",
        ),
    ]);
}

#[test]
fn the_smallest_expression_that_does_not_fit_is_told_with_its_types() {
    check(&[
        (
            "INSERT INTO out SELECT id, 2 * («'a' + 1») AS x FROM events",
            "`+` cannot be applied to VARCHAR and BIGINT",
        ),
        (
            "INSERT INTO out SELECT upper(«length(1,2)»::TEXT) FROM events",
            "`length` cannot be called with (BIGINT, BIGINT)",
        ),
        (
            "INSERT INTO out SELECT «json_get(id, 'a')» FROM events",
            "the first argument of `json_get` must be JSON or text, not Int64",
        ),
        ("INSERT INTO out SELECT «abs(s)» FROM events", "`abs` cannot be called with (VARCHAR)"),
        (
            "INSERT INTO out SELECT id FROM events WHERE id = 1 OR «b > 1»",
            "`>` cannot be applied to BOOLEAN and BIGINT",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE «id»",
            "WHERE needs a condition; this is BIGINT, not BOOLEAN",
        ),
        (
            "INSERT INTO out SELECT id FROM events WHERE «upper(s)»",
            "WHERE needs a condition; this is VARCHAR, not BOOLEAN",
        ),
        ("INSERT INTO out SELECT id FROM events WHERE «NOT id»", "`NOT` cannot be applied to BIGINT"),
        ("INSERT INTO out SELECT 1 + «-s» FROM events", "`-` cannot be applied to VARCHAR"),
        (
            "INSERT INTO out SELECT CASE WHEN b THEN «'abc'::INT» END FROM events",
            "Cannot cast string 'abc' to INT",
        ),
        (
            "INSERT INTO out SELECT «9223372036854775807 + 1» FROM events",
            "overflow in 9223372036854775807 + 1",
        ),
        ("INSERT INTO out SELECT «'{a'::JSON» FROM events", "Cannot cast string '{a' to JSON"),
        (
            "INSERT INTO out SELECT «CAST(address AS STRUCT<town TEXT, city TEXT>)» FROM events",
            "the STRUCT has no field `town`; there are `city`, `zipCode`",
        ),
    ]);
}

#[test]
fn columns_of_a_sink_have_names_of_their_own() {
    check(&[
        (
            "INSERT INTO out SELECT id AS a, «s AS a» FROM events",
            "two columns are named `a`; give one another name with AS",
        ),
        (
            "INSERT INTO out SELECT id AS a, «s AS \"A\"» FROM events",
            "two columns are named `A`, but for case; give one another name with AS",
        ),
        (
            "INSERT INTO out SELECT *, «id» FROM events",
            "two columns are named `id`; give one another name with AS",
        ),
        (
            "INSERT INTO out WITH x AS (SELECT id FROM events), «x» AS (SELECT id FROM events) SELECT id FROM x",
            "two CTEs are named `x`",
        ),
    ]);
}

#[test]
fn all_statements_into_a_sink_make_the_same_columns() {
    for (second, expected) in [
        (
            "SELECT id, s AS b FROM events",
            Some(
                "every INSERT into sink `out` must make the same columns: this one has `b` where an earlier one has `a`",
            ),
        ),
        (
            "SELECT id, 1 AS a FROM events",
            Some(
                "every INSERT into sink `out` must make the same columns: `a` is BIGINT here and VARCHAR in an earlier one",
            ),
        ),
        (
            "SELECT id FROM events",
            Some("every INSERT into sink `out` must make the same columns: this one has 1, an earlier one 2"),
        ),
        ("SELECT 1 AS id, 'x' AS a FROM events", None),
    ] {
        let sql = format!("INSERT INTO out SELECT id, s AS a FROM events;\nINSERT INTO Out {second}");
        let result = compile(&sql, &[source()], &["out".into(), "other".into()]);
        match expected {
            None => assert_eq!(result.unwrap().len(), 2),
            Some(message) => {
                let refused = result.unwrap_err();
                assert_eq!(refused.message, message);
                assert_eq!(told(&refused), "2:13 Out");
            }
        }
    }
    let apart = "INSERT INTO out SELECT id FROM events; INSERT INTO other SELECT s FROM events";
    assert_eq!(compile(apart, &[source()], &["out".into(), "other".into()]).unwrap().len(), 2);
}

#[test]
fn a_preview_needs_no_sink() {
    let of = |sql: &str| compile_preview(sql, &[source()]).unwrap().remove(0).sink;
    assert_eq!(of("SELECT id FROM events"), "");
    assert_eq!(of("WITH x AS (SELECT id FROM events) SELECT id FROM x;"), "");
    assert_eq!(of("INSERT INTO Anything SELECT id FROM events"), "Anything");
    let two = compile_preview("SELECT id FROM events; SELECT s FROM events", &[source()]).unwrap();
    assert_eq!(two.len(), 2);
    assert!(compile_preview("DROP TABLE events", &[source()]).is_err());
    assert!(compile_preview("SELECT id FROM nothing", &[source()]).is_err());
}

#[test]
fn limits_are_told_with_what_they_are() {
    for (sql, expected) in [
        ("x".repeat(70_000), "the SQL has 70000 bytes; the limit is 65536"),
        (
            format!("INSERT INTO out SELECT {} FROM events", "x".repeat(300)),
            "has 300 bytes; the limit is 255",
        ),
        (
            format!("INSERT INTO out SELECT {} FROM events", vec!["1"; 300].join("+")),
            "nested too deep; the limit is 256 levels",
        ),
        (
            format!("INSERT INTO out SELECT {}1{} FROM events", "(".repeat(100), ")".repeat(100)),
            "nested too deep; the limit is 64 levels",
        ),
        (
            "INSERT INTO out SELECT 1 AS x FROM events;".repeat(21),
            "the SQL has 21 statements; the limit is 20",
        ),
        (
            format!("INSERT INTO out SELECT id FROM events WHERE id IN ({})", vec!["1"; 10_000].join(",")),
            "the SQL has more than 10000 expressions",
        ),
        (
            format!("INSERT INTO out SELECT {} FROM events", vec!["1"; 21_000].join(",")),
            "more than 40000 words and signs",
        ),
        (format!("INSERT INTO out SELECT 1{} FROM events", " /**/".repeat(12_000)), ""),
    ] {
        let sources = [source()];
        let result = compile(&sql, &sources, &["out".into()]);
        match result {
            Ok(_) => assert!(expected.is_empty(), "accepted, not {expected}"),
            Err(refused) => assert!(!expected.is_empty() && refused.message.contains(expected), "{refused}"),
        }
    }
}
