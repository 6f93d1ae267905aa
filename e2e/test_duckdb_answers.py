"""Expressions over varied rows: the server's answers beside DuckDB's on the same data.

Every expression is evaluated for every row by both. Each in which they differ, and only those, stands in `DIFFERENCES` with the
rows, a pair of answers, and why. A row for which there is no answer, because the expression fails, has the answer `FAILS`:
the server makes it a dead letter, DuckDB refuses the query.
"""

import json
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from conftest import ending
from lakehead import ApiError, Server

FAILS = "fails"
ROWS = 50


def field(name: str, type: str, **more) -> dict:
    return {"name": name, "type": type, **more}


SCHEMA = {"fields": [
    field("id", "int64", required=True), field("i", "int64"), field("n", "int32"), field("x", "float64"), field("y", "float64"),
    field("s", "string"), field("t", "string"), field("b", "bool"), field("ts", "timestamp", unit="microsecond"),
    field("xs", "list", items={"type": "int64"}), field("words", "list", items={"type": "string"}),
    field("p", "struct", fields=[field("a", "int64"), field("b", "string")]), field("j", "json"),
]}
DUCKDB_COLUMNS = {
    "id": "BIGINT", "i": "BIGINT", "n": "INTEGER", "x": "DOUBLE", "y": "DOUBLE", "s": "VARCHAR", "t": "VARCHAR", "b": "BOOLEAN",
    "ts": "TIMESTAMP", "xs": "BIGINT[]", "words": "VARCHAR[]", "p": "STRUCT(a BIGINT, b VARCHAR)", "j": "JSON",
}
# Lists of different lengths, so that values meet in many combinations.
VALUES = {
    "i": [0, 1, -1, 2, 7, -7, 42, -42, 100, 12345, -99999, 2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), None],
    "n": [0, 1, 2, 3, -1, -2, 5, 10, None, 7, -3],
    "x": [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.14159, 1e10, -1e-7, 123456.789, None, 1e300],
    "y": [1.0, 2.0, 0.1, 10.0, 100.0, 2.718281828, None],
    "s": [
        "", "a", "Hello World", "  pad  ", "Žluťoučký kůň", "日本語テキスト", "🐎🐎", "a,b,,c", "x.y.z", "The quick brown fox", None,
        "UPPER lower", "12", "tab\there", "O'Neil", "%_\\", "ſß İ", "aAaA", "2024-02-29",
    ],
    "t": ["a", "", "o", "World", "ů", "日", ",", None],
    "b": [True, False, None],
    "ts": [
        "1970-01-01T00:00:00.000000Z", "2024-02-29T13:45:59.123456Z", None, "1969-12-31T23:59:59.999999Z", "2000-01-01T00:00:00.000000Z",
        "2026-12-31T23:59:59.000001Z", "1900-03-01T12:00:00.000000Z", "2024-12-30T06:30:00.500000Z", "2021-01-03T00:00:00.000000Z",
    ],
    "xs": [[], [1], [1, 2, 3], [3, 1, 2, 3], [None], [5, None, 5], None, [-1, 0, 1], [2, 2, 2], [7, 8, 9, 10]],
    "words": [["a", "b"], [], None, ["ž", None, ""], ["b", "a", "b"]],
    "p": [{"a": 1, "b": "x"}, None, {"a": None, "b": "ž"}, {"a": -5, "b": None}],
    "j": [
        {"k": "v", "n": 1, "l": [1, "two", None]}, [10, {"k": "deep"}], None, {"k": 5, "n": 2.5}, "text", {}, 7, {"k": "ž \"q\"", "n": None},
        {"k": True, "n": "12", "o": {"p": [1, 2]}},
    ],
}


@dataclass
class Expression:
    ours: str
    # DuckDB's spelling, where it is another.
    duckdb: str
    # Relative; 0: the answers are equal.
    tolerance: float = 0
    # Has no answer for some rows, so that it has a pipeline of its own.
    fails: bool = False


def same(*expressions: str) -> list[Expression]:
    return [Expression(e, e) for e in expressions]


def spelled(*pairs: tuple[str, str]) -> list[Expression]:
    return [Expression(ours, duckdb_) for ours, duckdb_ in pairs]


def close(*expressions: str) -> list[Expression]:
    """The C library's functions: the last digit may be another."""
    return [Expression(e, e, tolerance=1e-14) for e in expressions]


def failing(*pairs: tuple[str, str]) -> list[Expression]:
    return [Expression(ours, duckdb_, fails=True) for ours, duckdb_ in pairs]


GROUPS: dict[str, list[Expression]] = {
    "numbers": [
        *same(
            "n + 1", "n * n - 3", "-n", "n % 3", "abs(n)", "x + y", "x * 2.5", "abs(x)", "ceil(x)", "floor(x)", "round(x)", "round(x, 2)",
            "trunc(x)", "sqrt(y)", "isnan(x)", "gcd(n, 12)", "lcm(n, 4)", "pow(n, 2)", "n & 6", "n | 8", "x / y", "i IS NULL OR i > 5",
            "coalesce(n, 0) = 0",
        ),
        *spelled(("n / 2", "n // 2"), ("signum(x)", "sign(x)"), ("n / 2.0", "n / 2.0"), ("factorial(abs(n))", "factorial(abs(n))")),
        *close(
            "cbrt(x)", "ln(y)", "log10(y)", "log2(y)", "log(y)", "log(2.0, y)", "exp(y)", "sin(y)", "cos(y)", "tan(y)", "atan(x)",
            "atan2(x, y)", "sinh(y / 100)", "tanh(x)", "asinh(y)", "degrees(y)", "radians(x)", "acos(y / 100)", "asin(y / 100)", "pi() * y",
        ),
    ],
    "conditions": same(
        "nullif(n, 0)", "coalesce(i, n, -1)", "ifnull(s, 'none')", "CASE WHEN n > 2 THEN 'many' WHEN n >= 0 THEN 'few' END",
        "CASE n WHEN 1 THEN 'one' ELSE 'other' END", "b AND n > 0", "b OR n > 0", "NOT b", "n BETWEEN 0 AND 5", "n IN (1, 2, 3)",
        "n NOT IN (1, NULL)", "b IS TRUE", "b IS NOT FALSE", "n IS DISTINCT FROM 2", "i IS NOT DISTINCT FROM NULL", "i < x", "s < t", "s = t",
        "i > 9007199254740992",
    ),
    "texts": [
        *same(
            "upper(t)", "lower(t)", "upper(s)", "lower(s)", "length(s)", "char_length(s)", "bit_length(s)", "reverse(s)",
            "ascii(s)", "chr(n + 65)", "concat(s, '-', t)", "s || t", "concat_ws('|', s, t, 'z')", "starts_with(s, t)",
            "strpos(s, t)", "position(t IN s)", "instr(s, t)", "left(s, 3)", "right(s, 3)", "left(s, n)", "right(s, n)", "repeat(t, n)",
            "replace(s, 'a', 'bb')", "substr(s, 2)", "substr(s, 2, 3)", "substring(s, 1, 1)", "trim(s)", "ltrim(s)", "rtrim(s)", "trim(s, 'aHd ')",
            "ltrim(s, 'T ')", "rtrim(s, 'x')", "split_part(s, ',', 2)", "split_part(s, ' ', 1)", "translate(s, 'abc', 'xy')",
            "md5(s)", "levenshtein(s, t)",
        ),
        *spelled(
            ("octet_length(s)", "octet_length(encode(s))"), ("ends_with(s, t)", "ends_with(s, t)"), ("btrim(s, ' a')", "trim(s, ' a')"),
            ("lpad(s, 8)", "lpad(s, 8, ' ')"), ("lpad(s, 8, 'xy')", "lpad(s, 8, 'xy')"), ("rpad(s, 8, 'ž')", "rpad(s, 8, 'ž')"),
            ("to_hex(abs(n))", "lower(to_hex(abs(n)))"), ("encode(sha256(s), 'hex')", "sha256(s)"),
            ("encode(digest(s, 'md5'), 'hex')", "md5(s)"), ("encode(s, 'hex')", "lower(hex(s))"),
            ("CAST(decode(encode(s, 'base64'), 'base64') AS TEXT)", "decode(from_base64(to_base64(encode(s))))"),
        ),
    ],
    "patterns": [
        *same(
            "s LIKE '%o%'", "s LIKE '_'", "s NOT LIKE 'a%'", "s ILIKE '%WORLD'", "s LIKE 'Ž%'", "s SIMILAR TO '[a-z,]+'",
        ),
        *spelled(
            ("s ~ 'o'", "regexp_matches(s, 'o')"), ("s !~ '^[A-Z]'", "NOT regexp_matches(s, '^[A-Z]')"), ("s ~* '^h'", "regexp_matches(s, '^h', 'i')"),
            ("regexp_like(s, '[0-9]+')", "regexp_matches(s, '[0-9]+')"), ("regexp_like(s, 'WORLD', 'i')", "regexp_matches(s, 'WORLD', 'i')"),
            ("regexp_replace(s, '[aeiou]', '*')", "regexp_replace(s, '[aeiou]', '*')"),
            ("regexp_replace(s, '[aeiou]', '*', 'g')", "regexp_replace(s, '[aeiou]', '*', 'g')"),
            ("regexp_replace(s, '(.)(.)', '\\2\\1', 'g')", "regexp_replace(s, '(.)(.)', '\\2\\1', 'g')"),
            ("regexp_replace(s, '\\p{L}', 'L', 'g')", "regexp_replace(s, '\\p{L}', 'L', 'g')"),
            ("regexp_match(s, '[a-z]+')[1]", "nullif(regexp_extract(s, '[a-z]+'), '')"),
            ("regexp_match(s, '([A-Z])([a-z]+)')[2]", "nullif(regexp_extract(s, '([A-Z])([a-z]+)', 2), '')"),
            ("regexp_replace(s, '\\w+', 'w', 'g')", "regexp_replace(s, '\\w+', 'w', 'g')"),
        ),
    ],
    "times": [
        *same(
            "date_trunc('year', ts)", "date_trunc('quarter', ts)", "date_trunc('month', ts)", "date_trunc('week', ts)", "date_trunc('day', ts)",
            "date_trunc('hour', ts)", "date_trunc('minute', ts)", "date_trunc('second', ts)", "date_part('year', ts)", "date_part('month', ts)",
            "date_part('day', ts)", "date_part('hour', ts)", "date_part('minute', ts)", "date_part('second', ts)", "date_part('quarter', ts)",
            "date_part('week', ts)", "date_part('dow', ts)", "date_part('doy', ts)", "extract(year FROM ts)", "extract(epoch FROM ts)",
            "CAST(ts AS DATE)", "ts + INTERVAL '1 day'", "ts - INTERVAL '90 minutes'", "ts + INTERVAL '1 month'", "ts > TIMESTAMP '2000-01-01'",
            "ts = TIMESTAMP '2024-02-29 13:45:59.123456'", "make_date(2024, 2, 29)", "CAST('2024-02-29' AS DATE) + INTERVAL '1 day' > ts",
        ),
        *spelled(
            ("date_bin(INTERVAL '15 minutes', ts)", "time_bucket(INTERVAL '15 minutes', ts, TIMESTAMP '1970-01-01')"),
            ("date_bin(INTERVAL '2 days', ts, TIMESTAMP '2000-01-01')", "time_bucket(INTERVAL '2 days', ts, TIMESTAMP '2000-01-01')"),
            ("to_char(ts, '%Y-%m-%d %H:%M:%S')", "strftime(ts, '%Y-%m-%d %H:%M:%S')"), ("to_char(ts, '%j %a %B')", "strftime(ts, '%j %a %B')"),
            ("to_timestamp_seconds(n)", "make_timestamp(n * 1000000)"), ("to_timestamp_millis(n)", "make_timestamp(n * 1000)"),
            ("to_timestamp_micros(n)", "make_timestamp(n)"), ("date_part('millisecond', ts)", "date_part('millisecond', ts)"),
            ("date_part('microsecond', ts)", "date_part('microsecond', ts)"),
        ),
    ],
    "lists": [
        *same(
            "array_length(xs)", "array_contains(xs, 2)", "array_has_any(xs, [1, 7])", "array_position(xs, 3)", "array_to_string(words, '-')",
            "array_concat(xs, [0])", "array_append(xs, 4)", "array_prepend(0, xs)", "array_slice(xs, 2, 3)", "array_has_all(xs, [1, 2])",
            "list_distinct([1, 1, 2]) = [1, 2] OR list_distinct([1, 1, 2]) = [2, 1]", "xs[1]", "xs[2:3]", "[n, n]", "xs[99]", "range(0, 5, 2)", "generate_series(1, 3)",
            "xs = [1, 2, 3]", "list_element(xs, 1)",
        ),
        *spelled(
            ("cardinality(xs)", "len(xs)"), ("array_reverse(xs)", "list_reverse(xs)"), ("array_element(xs, -1)", "list_extract(xs, -1)"),
            ("array_sort(xs, 'ASC', 'NULLS LAST')", "list_sort(xs, 'ASC', 'NULLS LAST')"), ("array_sort(xs, 'DESC', 'NULLS FIRST')", "list_sort(xs, 'DESC', 'NULLS FIRST')"),
            ("array_pop_front(xs)", "array_pop_front(xs)"), ("array_pop_back(xs)", "array_pop_back(xs)"), ("array_resize(xs, 3, 0)", "list_resize(xs, 3, 0)"),
            ("array_remove_all(xs, 2)", "list_filter(xs, v -> v IS DISTINCT FROM 2)"), ("array_repeat(n, 2)", "list_value(n, n)"),
            ("array_sort(array_intersect(xs, [1, 2]), 'ASC', 'NULLS LAST')", "list_sort(list_intersect(xs, [1, 2]))"),
            ("array_sort(array_except(xs, [1]), 'ASC', 'NULLS LAST')", "list_sort(list_filter(list_distinct(xs), v -> v <> 1))"),
            ("string_to_array(s, ',')", "string_split(s, ',')"), ("CAST(empty(xs) AS INT)", "CAST(len(xs) = 0 AS INT)"),
            ("array_sort(array_distinct(xs), 'ASC', 'NULLS LAST')", "list_sort(list_distinct(xs), 'ASC', 'NULLS LAST')"),
            ("flatten([xs, [0]])", "flatten([xs, [0]])"), ("array_positions(xs, 2)", "list_filter(range(1, len(xs) + 1), k -> xs[k] = 2)"),
        ),
    ],
    "structs_and_documents": [
        *same("p.a", "p['b']", "p.a + 1", "p IS NULL", "p.b || '!'"),
        *spelled(
            ("struct(n, s)['c1']", "struct_pack(c0 := n, c1 := s).c1"), ("j ->> 'k'", "j ->> 'k'"), ("json_as_text(j, 'l', 1)", "j ->> '$.l[1]'"),
            ("json_contains(j, 'k')", "json_exists(j, '$.k')"), ("j ? 'k'", "json_exists(j, '$.k')"),
            ("json_length(j, 'l')", "json_array_length(j, '$.l')"),
            ("json_get_str(j, 'k')", "CASE WHEN json_type(j, '$.k') = 'VARCHAR' THEN j ->> 'k' WHEN j IS NOT NULL THEN '' END"),
            ("json_get_bool(j, 'k')", "CASE WHEN json_type(j, '$.k') = 'BOOLEAN' THEN j ->> 'k' = 'true' WHEN j IS NOT NULL THEN false END"),
            ("json_get_int(j, 'l', 0)", "CASE WHEN json_type(j, '$.l[0]') = 'UBIGINT' THEN CAST(j ->> '$.l[0]' AS BIGINT) WHEN j IS NOT NULL THEN 0 END"),
            ("json_get_json(j, 'o')", "CAST(json_extract(j, '$.o') AS VARCHAR)"), ("(j -> 'l') ->> 0", "(j -> 'l') ->> 0"),
            ("extract_json_string(j, '$.k')", "CASE json_type(j, '$.k') WHEN 'VARCHAR' THEN j ->> 'k' ELSE NULL END"),
            ("extract_json(j, '$.l[*]')", "CAST(json_extract(j, '$.l[*]') AS VARCHAR[])"),
        ),
    ],
    "casts": [
        *same(
            "CAST(n AS VARCHAR)", "i::VARCHAR", "b::VARCHAR", "CAST(n AS DOUBLE)", "CAST(i AS DOUBLE)", "n::BIGINT", "CAST(b AS INT)",
            "CAST(n AS BOOLEAN)", "CAST(n::VARCHAR AS BIGINT)", "CAST('1.5' AS DOUBLE) + n", "TRUE", "'it''s'", "42", "3.25", "CAST(NULL AS BIGINT)",
            "CAST(y AS DECIMAL(10, 2))", "CAST(round(y) AS BIGINT)", "CAST(y AS INT)", "y::VARCHAR", "x::VARCHAR", "ts::VARCHAR", "ts::DATE::VARCHAR",
        ),
    ],
    "a division": failing(("100 / n", "100 // n")),
    "a remainder": failing(("100 % n", "100 % n")),
    "a sum": failing(("i + 1", "i + 1")),
    "a difference": failing(("i - 2", "i - 2")),
    "a product": failing(("i * n", "i * n")),
    "a cast of text": failing(("CAST(s AS BIGINT)", "CAST(s AS BIGINT)")),
    "a cast to a date": failing(("CAST(s AS DATE)", "CAST(s AS DATE)")),
    "a cast to a smaller type": failing(("CAST(i AS INT)", "CAST(i AS INT)")),
    "a root": failing(("sqrt(x)", "sqrt(x)")),
    "a logarithm": failing(("ln(x)", "ln(x)")),
    "a quotient of floats": failing(("1.0 / x", "1.0 / x")),
}
EXPRESSIONS = {e.ours: (group, e) for group, expressions in GROUPS.items() for e in expressions}


@dataclass
class Difference:
    # The rows in which the answers differ.
    where: Callable[[dict], bool]
    # Both answers to the first of them.
    ours: object
    duckdb: object
    reason: str

    def ids(self) -> list[int]:
        return [row["id"] for row in rows() if self.where(row)]


def has_null(row: dict) -> bool:
    return None in (row["xs"] or [])


def edits(a, b) -> int:
    """How many items must be put in, taken out or replaced to make `b` of `a`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for k, y in enumerate(b, 1):
            before, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, before + (x != y))
    return row[-1]


ZERO_DIVISOR = "a row that cannot be computed is a dead letter, never a NULL that nobody asked for"
IEEE = "floats follow IEEE 754, as in DataFusion: no answer is NaN, and the row is kept"
NULLS_STAY = "NULL is an element like others; DuckDB's function leaves NULLs out"
LETTERS = "case is changed by all rules of Unicode; DuckDB changes single characters only"
DIFFERENCES: dict[str, Difference] = {
    "trunc(x)": Difference(lambda r: repr(r["x"]) == "-0.0", 0.0, -0.0, "DataFusion answers zero with +0.0"),
    "signum(x)": Difference(lambda r: r["x"] == 0, 1.0, 0, "documented: 1 for zero and what is positive"),
    "json_length(j, 'l')": Difference(
        lambda r: r["j"] is not None and (not isinstance(r["j"], dict) or "l" not in r["j"]), 0, None, "documented: 0 if missing",
    ),
    "upper(s)": Difference(lambda r: r["s"] == "ſß İ", "SSS İ", "Sẞ İ", LETTERS),
    "lower(s)": Difference(lambda r: r["s"] == "ſß İ", "ſß i̇", "ſß i", LETTERS),
    "levenshtein(s, t)": Difference(
        lambda r: None not in (r["s"], r["t"]) and edits(r["s"], r["t"]) != edits(r["s"].encode(), r["t"].encode()), 12, 17,
        "characters are compared; DuckDB compares bytes",
    ),
    "regexp_replace(s, '\\w+', 'w', 'g')": Difference(
        lambda r: any(ord(c) > 127 and c.isalpha() for c in r["s"] or ""), "w w", "Žwťwčwý wůň", "\\w knows Unicode; DuckDB's stands for ASCII",
    ),
    "array_sort(array_except(xs, [1]), 'ASC', 'NULLS LAST')": Difference(has_null, [None], [], NULLS_STAY),
    "array_sort(array_distinct(xs), 'ASC', 'NULLS LAST')": Difference(has_null, [None], [], NULLS_STAY),
    "string_to_array(s, ',')": Difference(lambda r: r["s"] == "", [], [""], "as in PostgreSQL: an empty text has no parts"),
    "CAST(y AS INT)": Difference(lambda r: r["y"] == 2.718281828, 2, 3, "Arrow's cast cuts off, DuckDB's rounds"),
    "x::VARCHAR": Difference(lambda r: r["x"] in (-1e-7, 1e300), "-1e-7", "-1e-07", "both texts are read as the same number"),
    "ts::VARCHAR": Difference(
        lambda r: r["ts"] is not None, "1970-01-01T00:00:00", "1970-01-01 00:00:00", "ISO 8601 with its T, and fractions in groups of three",
    ),
    "100 / n": Difference(lambda r: r["n"] == 0, FAILS, None, ZERO_DIVISOR),
    "100 % n": Difference(lambda r: r["n"] == 0, FAILS, None, ZERO_DIVISOR),
    "sqrt(x)": Difference(lambda r: (r["x"] or 0) < 0, math.nan, FAILS, IEEE),
    "ln(x)": Difference(lambda r: r["x"] is not None and r["x"] <= 0, -math.inf, FAILS, IEEE),
}


def rows() -> list[dict]:
    return [{"id": k, **{name: values[k % len(values)] for name, values in VALUES.items()}} for k in range(ROWS)]


def answer(value):
    """A value of a reader as what is compared."""
    match value:
        case datetime():
            return value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        case Decimal():
            return float(value)
        case list():
            return [answer(item) for item in value]
        case _:
            return value


def agree(ours, theirs, tolerance: float) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        if math.isnan(ours) or math.isnan(theirs):
            return math.isnan(ours) and math.isnan(theirs)
        if tolerance and math.isfinite(ours) and math.isfinite(theirs):
            return math.isclose(ours, theirs, rel_tol=tolerance)
        return ours == theirs and math.copysign(1, ours) == math.copysign(1, theirs)
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


class DuckDB:
    def __init__(self, records: Path):
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(
            f"CREATE TABLE data AS SELECT * FROM read_json('{records}', format = 'newline_delimited', columns = {DUCKDB_COLUMNS})"
        )

    def answers(self, expression: Expression) -> dict[int, object]:
        """By row; where it fails for the table, row by row."""
        try:
            return self.select(expression, "")
        except duckdb.Error:
            if not expression.fails:
                raise
        found = {}
        for k in range(ROWS):
            try:
                found |= self.select(expression, f"WHERE id = {k}")
            except duckdb.Error:
                found[k] = FAILS
        return found

    def select(self, expression: Expression, where: str) -> dict[int, object]:
        return {k: answer(value) for k, value in self.connection.execute(f"SELECT id, {expression.duckdb} FROM data {where}").fetchall()}


class Pipeline:
    """The pipeline of a group: one SELECT with a column for each expression the server accepts."""

    def __init__(self, server: Server, number: int, expressions: list[Expression]):
        self.server, self.number = server, number
        self.name, self.sink = f"pipeline_{number}", f"sink_{number}"
        server.create_sink(self.sink, "out", {"type": "parquet"}, path=self.sink)
        self.refusals: dict[str, str] = {}
        self.expressions = [e for e in expressions if self.accepted(e)]
        columns = "".join(f", {e.ours} AS c{index}" for index, e in enumerate(self.expressions))
        self.id = server.create_pipeline(self.name, self.sql(columns))["id"]

    def sql(self, columns: str) -> str:
        return f"INSERT INTO {self.sink} SELECT id{columns} FROM data"

    def accepted(self, expression: Expression) -> bool:
        try:
            self.server.call("POST", "pipelines/v1/validate_sql", {"sql": self.sql(f", {expression.ours} AS c")})
        except ApiError as error:
            self.refusals[expression.ours] = error.message
        return expression.ours not in self.refusals

    def answers(self) -> dict[str, dict[int, object]]:
        """Expression -> row -> answer."""
        found: dict[str, dict[int, object]] = {e.ours: {} for e in self.expressions}
        for file in sorted((self.server.bucket("out") / self.sink).rglob("*.parquet")):
            for k, *values in duckdb.connect().execute(f"SELECT * FROM read_parquet('{file}', hive_partitioning = false)").fetchall():
                for expression, value in zip(self.expressions, values, strict=True):
                    assert k not in found[expression.ours], f"row {k} came twice"
                    found[expression.ours][k] = answer(value)
        self.details = {}
        for file in (self.server.data_dir / "dead_letters" / self.id).rglob("*.ndjson"):
            for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
                letter = json.loads(line)
                self.details[letter["position"]] = letter["detail"]
                for answers in found.values():
                    answers[letter["position"]] = FAILS
        return found


class World:
    """Both engines' answers."""

    def __init__(self, server: Server, folder: Path):
        records = folder / "records.ndjson"
        records.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()), encoding="utf-8")
        self.duckdb = DuckDB(records)
        stream = server.create_stream("data", SCHEMA)
        pipelines = [Pipeline(server, number, expressions) for number, expressions in enumerate(GROUPS.values())]
        server.send(stream, rows())
        for pipeline in pipelines:
            server.wait_delivered(pipeline.name, ROWS)
        self.ours: dict[str, dict[int, object]] = {}
        self.refusals: dict[str, str] = {}
        self.failures: dict[str, dict[int, str]] = {}
        for pipeline in pipelines:
            self.ours |= pipeline.answers()
            self.refusals |= pipeline.refusals
            self.failures |= {e.ours: pipeline.details for e in pipeline.expressions if not e.fails}


@pytest.fixture(scope="module")
def world(request):
    with tempfile.TemporaryDirectory(prefix="lakehead-e2e-") as path:
        server = Server(Path(path) / "server")
        request.node.servers = [server]
        with ending([server]):
            yield World(server.start(), Path(path))


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_has_the_answers_duckdb_gives_but_for_listed_differences(text, world):
    _, expression = EXPRESSIONS[text]
    assert text not in world.refusals, world.refusals[text]
    assert not world.failures.get(text), f"a group that has an answer for each row: {world.failures[text]}"
    ours, theirs = world.ours[text], world.duckdb.answers(expression)
    assert list(ours.keys() ^ theirs.keys()) == [] and len(ours) == ROWS
    different = {k: (ours[k], theirs[k]) for k in sorted(ours) if not agree(ours[k], theirs[k], expression.tolerance)}
    listed = DIFFERENCES.get(text)
    if listed is None:
        assert not different, f"ours and DuckDB's: {different}"
        return
    assert list(different) == listed.ids(), f"not the listed rows differ: {different}"
    first = listed.ids()[0]
    assert agree(ours[first], listed.ours, 0) and agree(theirs[first], listed.duckdb, 0), different[first]


def test_enough_is_compared_and_every_listed_difference_is_of_an_expression():
    assert len(EXPRESSIONS) == sum(len(group) for group in GROUPS.values()) >= 120
    assert set(DIFFERENCES) <= set(EXPRESSIONS)
    assert all(d.reason and d.ids() for d in DIFFERENCES.values())
    assert len(rows()) == ROWS
