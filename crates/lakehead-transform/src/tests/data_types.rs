//! The data types of the documentation: literal, cast of a column, NULL, and a cast that fails for a row.

use arrow::datatypes::{DataType, TimeUnit};

use super::everything::{NOW, batch_for, check_values, compiled, into_out, refusal, run};
use crate::Failure;

fn type_of(expression: &str) -> DataType {
    let sql = into_out(&format!("SELECT {expression} AS x FROM events"));
    let statement = compiled(&sql).unwrap_or_else(|e| panic!("{expression}: {e}"));
    statement.program.output_schema().field(0).data_type().clone()
}

#[test]
fn every_type_has_its_arrow_type_by_each_of_its_names() {
    use DataType::*;
    for (names, expected) in [
        (&["BOOLEAN", "BOOL"][..], Boolean),
        (&["TINYINT"], Int8),
        (&["SMALLINT", "INT2"], Int16),
        (&["INT", "INTEGER", "INT4"], Int32),
        (&["BIGINT", "INT8"], Int64),
        (&["TINYINT UNSIGNED"], UInt8),
        (&["SMALLINT UNSIGNED"], UInt16),
        (&["INT UNSIGNED", "INTEGER UNSIGNED"], UInt32),
        (&["BIGINT UNSIGNED"], UInt64),
        (&["FLOAT", "REAL", "FLOAT4"], Float32),
        (&["DOUBLE", "DOUBLE PRECISION", "FLOAT8"], Float64),
        (&["VARCHAR", "CHAR", "TEXT", "STRING", "CHARACTER VARYING", "NVARCHAR"], Utf8),
        (
            &["TIMESTAMP", "TIMESTAMP(6)", "TIMESTAMP WITHOUT TIME ZONE"],
            Timestamp(TimeUnit::Microsecond, None),
        ),
        (&["TIMESTAMP(0)"], Timestamp(TimeUnit::Second, None)),
        (&["TIMESTAMP(3)"], Timestamp(TimeUnit::Millisecond, None)),
        (&["TIMESTAMP(9)"], Timestamp(TimeUnit::Nanosecond, None)),
        (&["BYTEA"], Binary),
        (&["JSON", "JSONB"], Utf8),
        (&["DATE"], Date32),
        (&["DECIMAL(10,2)", "NUMERIC(10,2)", "DEC(10,2)"], Decimal128(10, 2)),
        (&["DECIMAL"], Decimal128(38, 10)),
    ] {
        for name in names {
            assert_eq!(type_of(&format!("NULL::{name}")), expected, "{name}");
            assert_eq!(type_of(&format!("CAST(NULL AS {name})")), expected, "{name}");
        }
    }
    assert_eq!(type_of("NULL::INT[]").to_string(), "List(Int32)");
    assert_eq!(type_of("NULL::TEXT[][]").to_string(), "List(List(Utf8))");
    assert_eq!(
        type_of("CAST(NULL AS STRUCT<a INT, b TEXT>)").to_string(),
        r#"Struct("a": Int32, "b": Utf8)"#
    );
}

#[test]
fn literals_have_values() {
    check_values(&[
        ("TRUE", ["true"; 4]),
        ("42", ["42"; 4]),
        ("42::BIGINT", ["42"; 4]),
        ("1_000", ["1000"; 4]),
        ("1.5", ["1.5"; 4]),
        ("1.5::FLOAT", ["1.5"; 4]),
        ("1e3", ["1000.0"; 4]),
        ("'text'", ["text"; 4]),
        ("X'A123'", ["a123"; 4]),
        ("TIMESTAMP '2020-01-01'", ["2020-01-01T00:00:00"; 4]),
        ("'2023-05-17T22:16:00.648662+00:00'::TIMESTAMP", ["2023-05-17T22:16:00.648662"; 4]),
        ("'2023-05-17T22:16:00+02:00'::TIMESTAMP", ["2023-05-17T20:16:00"; 4]),
        ("1700000000::TIMESTAMP", ["2023-11-14T22:13:20"; 4]),
        ("DATE '2020-02-29'", ["2020-02-29"; 4]),
        ("1.5::DECIMAL(10,2)", ["1.50"; 4]),
        ("'{\"a\": 1}'::JSON", ["{\"a\": 1}"; 4]),
        ("(INTERVAL '90 minutes')::VARCHAR", ["1 hours 30 mins"; 4]),
        ("('12:30:00'::TIME)::VARCHAR", ["12:30:00"; 4]),
    ]);
}

#[test]
fn columns_are_cast_and_null_stays_null() {
    check_values(&[
        ("i32::BIGINT", ["2147483647", "-7", "NULL", "0"]),
        ("i32::DOUBLE", ["2147483647.0", "-7.0", "NULL", "0.0"]),
        ("i64::VARCHAR", ["9223372036854775807", "-7", "NULL", "0"]),
        ("u32::BIGINT", ["4294967295", "7", "NULL", "0"]),
        ("f64::INT", ["1", "-2", "NULL", "0"]),
        ("f64::FLOAT", ["1.5", "-2.25", "NULL", "0.0"]),
        ("b::INT", ["1", "0", "NULL", "1"]),
        ("b::VARCHAR", ["true", "false", "NULL", "true"]),
        ("s::BYTEA", ["70616964", "3432", "NULL", ""]),
        ("dec::DOUBLE", ["1.5", "-0.25", "NULL", "0.0"]),
        ("d::TIMESTAMP", ["1970-01-01T00:00:00", "2022-01-08T00:00:00", "NULL", "1970-01-02T00:00:00"]),
        ("ts::DATE", ["1970-01-01", "2023-11-14", "NULL", "1969-12-31"]),
        (
            "ts::TIMESTAMP(3)",
            ["1970-01-01T00:00:00", "2023-11-14T22:13:20.123", "NULL", "1970-01-01T00:00:00"],
        ),
        (
            "id::TIMESTAMP",
            ["1970-01-01T00:00:01", "1970-01-01T00:00:02", "1970-01-01T00:00:03", "1970-01-01T00:00:04"],
        ),
        ("j::VARCHAR", ["{\"k\":1}", "[1,2]", "NULL", "null"]),
        ("i64::JSON", ["9223372036854775807", "-7", "NULL", "0"]),
        ("[id]::TEXT[]", ["[1]", "[2]", "[3]", "[4]"]),
        ("tags::TEXT[]", ["[x, NULL]", "NULL", "[]", "[z]"]),
        (
            "CAST(struct(id,'x') AS STRUCT<a INT, b TEXT>)",
            ["{a: 1, b: x}", "{a: 2, b: x}", "{a: 3, b: x}", "{a: 4, b: x}"],
        ),
        (
            "address::STRUCT<\"zipCode\" BIGINT, city TEXT>",
            ["{zipCode: 1, city: Ulm}", "{zipCode: 2, city: Bonn}", "NULL", "{zipCode: 4, city: Köln}"],
        ),
        (
            "items::STRUCT<sku TEXT, qty TEXT>[]",
            ["[{sku: a, qty: 2}, {sku: b, qty: 0}]", "[]", "NULL", "[{sku: c, qty: 5}, {sku: NULL, qty: 1}]"],
        ),
        ("try_cast(s AS INT)", ["NULL", "42", "NULL", "NULL"]),
    ]);
}

/// A cast that cannot work is an error of the row, and not NULL, whatever the type.
#[test]
fn a_cast_that_cannot_work_fails_and_says_what_and_where() {
    for (expression, expected) in [
        ("s::BOOLEAN", "column `x`: Cannot cast value 'paid' to BOOLEAN"),
        ("i64::TINYINT", "column `x`: Can't cast value 9223372036854775807 to TINYINT"),
        ("i64::SMALLINT", "column `x`: Can't cast value 9223372036854775807 to SMALLINT"),
        ("i64::INT", "column `x`: Can't cast value 9223372036854775807 to INT"),
        ("s::INT", "column `x`: Cannot cast string 'paid' to INT"),
        ("u64::BIGINT", "column `x`: Can't cast value 18446744073709551615 to BIGINT"),
        ("(id - 2)::INT UNSIGNED", "column `x`: Can't cast value -1 to INT UNSIGNED"),
        ("s::FLOAT", "column `x`: Cannot cast string 'paid' to FLOAT"),
        ("s::DOUBLE", "column `x`: Cannot cast string 'paid' to DOUBLE"),
        ("s::TIMESTAMP", "column `x`: Error parsing timestamp from 'paid'"),
        ("s::DATE", "column `x`: Cannot cast string 'paid' to DATE"),
        ("s::DECIMAL(10,2)", "column `x`: Cannot cast string 'paid' to DECIMAL"),
        ("i64::DECIMAL(5,2)", "column `x`: "),
        ("s::JSON", "column `x`: Cannot cast string 'paid' to JSON"),
        ("[s]::INT[]", "column `x`: Cannot cast string 'paid' to INT"),
        ("CAST(struct(s) AS STRUCT<a INT>)", "column `x`: Cannot cast string 'paid' to INT"),
        ("bin::VARCHAR", "column `x`: "),
    ] {
        let error = run(&into_out(&format!("SELECT {expression} AS x FROM events"))).expect_err(expression);
        assert_eq!(error.failure, Failure::Expression, "{expression}");
        assert!(error.message.starts_with(expected), "{expression}: {}", error.message);
    }
}

#[test]
fn whole_numbers_overflow_with_an_error_and_divide_by_zero_with_one() {
    for (expression, expected) in [
        ("i64 + 1", "column `x`: overflow in 9223372036854775807 + 1"),
        ("-9223372036854775807 - i64", "column `x`: overflow in -9223372036854775807 - 9223372036854775807"),
        ("i64 * 2", "column `x`: overflow in 9223372036854775807 * 2"),
        ("i32 * i32 * i32 * i32", "column `x`: overflow in "),
        ("-(-9223372036854775808 + id - 1)", "column `x`: overflow in 0 - -9223372036854775808"),
        ("1 / (id - 1)", "column `x`: divide by zero"),
        ("1 % (id - 1)", "column `x`: divide by zero"),
        ("dec / 0", "column `x`: divide by zero"),
    ] {
        let error = run(&into_out(&format!("SELECT {expression} AS x FROM events"))).expect_err(expression);
        assert!(error.message.starts_with(expected), "{expression}: {}", error.message);
    }
    let error = run("INSERT INTO out SELECT id FROM events WHERE 1 / (id - 1) > 0").unwrap_err();
    assert_eq!(error.message, "WHERE: divide by zero");
}

#[test]
fn json_columns_stay_marked_through_names_casts_and_queries() {
    for query in [
        "SELECT j FROM events",
        "SELECT j AS k FROM (SELECT * FROM events) q",
        "SELECT j::JSON AS k FROM events",
        "SELECT '[1]'::JSON AS k FROM events",
    ] {
        let statement = compiled(&into_out(query)).unwrap();
        let field = statement.program.output_schema().field(0).clone();
        assert!(crate::data_type::is_json(&field), "{query}: {field:?}");
        statement.program.run(&batch_for(&statement), NOW).unwrap();
    }
    let text = compiled("INSERT INTO out SELECT j::VARCHAR AS t FROM events").unwrap();
    assert!(!crate::data_type::is_json(text.program.output_schema().field(0)));
}

#[test]
fn types_that_no_file_holds_are_refused_with_what_to_cast_to() {
    for (expression, expected) in [
        ("NULL", "the column `x` is NULL without a type; cast it: `NULL::VARCHAR`"),
        (
            "INTERVAL '1 day'",
            "the column `x` is INTERVAL, which no file can hold; cast it: `…::VARCHAR`, or add it to a timestamp",
        ),
        ("'12:00:00'::TIME", "the column `x` is TIME, which no file can hold; cast it: `…::VARCHAR`"),
        ("[NULL]", "the column `x` is NULL without a type; cast it: `NULL::VARCHAR`"),
    ] {
        let refused = refusal(&into_out(&format!("SELECT {expression} AS x FROM events")));
        assert_eq!(refused.message, expected);
        assert_eq!(refused.place.unwrap().text, format!("{expression} AS x"));
    }
}
