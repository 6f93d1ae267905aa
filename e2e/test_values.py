"""Values at the edge: numbers, texts and duplicate keys, in typed columns and without a schema.

Each case of a table is one record; all of them go through one stream of every type, into Parquet read by PyArrow and DuckDB,
or to the dead letters.
"""

import json
import math
import struct
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kept import Kept
from wire import ask, plain

SCHEMA = {"fields": [
    {"name": "case", "type": "int64", "required": True},
    *({"name": name, "type": name} for name in ("bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "string", "json")),
    {"name": "decimal", "type": "decimal128", "precision": 38, "scale": 2},
    {"name": "second", "type": "timestamp", "unit": "second"},
    {"name": "milli", "type": "timestamp", "unit": "millisecond"},
    {"name": "micro", "type": "timestamp", "unit": "microsecond"},
    {"name": "nano", "type": "timestamp", "unit": "nanosecond"},
    {"name": "struct", "type": "struct", "fields": [{"name": "a", "type": "int64"}, {"name": "b", "type": "string", "required": True}]},
    {"name": "list", "type": "list", "items": {"type": "int32"}},
    {"name": "texts", "type": "list", "items": {"type": "string"}},
]}
LINES = "Content-Type: application/x-ndjson"
TIMES = ("second", "milli", "micro", "nano")


class Dead:
    """What becomes a dead letter: why, and the detail."""

    def __init__(self, reason: str, detail: str, path: str | None = None):
        self.reason, self.detail, self.path = reason, detail, path


OUT_OF_RANGE, UNREADABLE, INEXACT = " that is out of its range", " that cannot be read as one", " with more decimals than its scale"


def number(arrow: str, why: str = OUT_OF_RANGE):
    """Does not fit into the column of this Arrow type."""
    return lambda text: Dead("type_mismatch", f"expected {arrow}, received a number of {len(text)} bytes{why}")


def text(arrow: str, why: str = UNREADABLE):
    reason = "parse_failure" if why == UNREADABLE else "type_mismatch"
    return lambda text: Dead(reason, f"expected {arrow}, received a string of {len(json.loads(text).encode())} bytes{why}")


DIGITS = "9" * 10_000
MANY = "1" * 900_000
P53, P63, P64, P128 = 2**53, 2**63, 2**64, 2**128
NO_INT32, NO_INT64, NO_UINT64 = number("Int32"), number("Int64"), number("UInt64")
NO_FLOAT32, NO_FLOAT64, NO_DECIMAL = number("Float32"), number("Float64"), number("Decimal128(38, 2)")
TOO_FINE = number("Decimal128(38, 2)", INEXACT)
NO_SECOND, NO_MILLI, NO_NANO = number("Timestamp(s)"), number("Timestamp(ms)"), number("Timestamp(ns)")
NO_TIME, TOO_LATE = text("Timestamp(ms)"), text("Timestamp(ns)", OUT_OF_RANGE)
# column -> [(the value as it is sent, what comes out)]. Decimals are cut off where integers are wanted: the rule of the schema.
VALUES = {
    "int32": [
        ("0", 0), ("-0", 0), ("-0.0", 0), ("1.0", 1), ("1.9", 1), ("-1.9", -1), ("1e3", 1000), ("12e-1", 1), ("1E+2", 100), ("1e-400", 0),
        ("2147483647", 2**31 - 1), ("2147483647.9", 2**31 - 1), ("-2147483648", -(2**31)), ("2147483648", NO_INT32),
        ("-2147483649", NO_INT32), ("4294967296", NO_INT32), ("4294967297", NO_INT32), (str(P63), NO_INT32), (str(P64 + 1), NO_INT32),
        (str(P128 + 1), NO_INT32), ("1e400", NO_INT32), ("1e10", NO_INT32), (DIGITS, NO_INT32), ("-" + DIGITS, NO_INT32),
        ('"42"', 42), ('"-0"', 0), ('"4294967297"', text("Int32", OUT_OF_RANGE)), ('"NaN"', text("Int32")), ('""', text("Int32")),
        ('" 42"', text("Int32")), ('"42 "', text("Int32")), ('"0x2A"', text("Int32")), ('"1_000"', text("Int32")), ('"٤٢"', text("Int32")),
        ('"4\\u0000"', text("Int32")), ("null", None),
        ("true", Dead("type_mismatch", "expected Int32, received a boolean")),
        ("[1]", Dead("type_mismatch", "expected Int32, received an array")),
        ("{}", Dead("type_mismatch", "expected Int32, received an object")),
    ],
    "int64": [
        ("0", 0), ("-0", 0), ("1.0", 1), (str(P53 + 1), P53 + 1), (str(-P53 - 1), -P53 - 1), (f"{P53 + 1}.0", P53 + 1),
        ("9007199254740993e0", P53 + 1), ("900719925474099300e-2", P53 + 1), (str(P63 - 1), P63 - 1), (str(-P63), -P63),
        (f"{P63 - 1}.999", P63 - 1), ("9.223372036854775807e18", P63 - 1), (str(P63), NO_INT64), (str(-P63 - 1), NO_INT64),
        (f"{P63}.0", NO_INT64), ("9.223372036854775808e18", NO_INT64), (str(P64), NO_INT64), (str(P64 + 1), NO_INT64),
        (str(P128), NO_INT64),
        (str(P128 + 1), NO_INT64), ("1e400", NO_INT64), ("-1e400", NO_INT64), ("1e-400", 0), ("1e99999999999999999999", NO_INT64),
        ("1e-99999999999999999999", 0), ("0e99999999999999999999", 0), (DIGITS, NO_INT64), ("0." + DIGITS, 0), (MANY, NO_INT64),
        (f'"{P63 - 1}"', P63 - 1), (f'"{P63}"', text("Int64", OUT_OF_RANGE)), ('"Infinity"', text("Int64")),
        ('"1e400"', text("Int64", OUT_OF_RANGE)),
        (f'"{DIGITS}"', text("Int64", OUT_OF_RANGE)), ('"\\uff11"', text("Int64")), ("null", None),
    ],
    "uint32": [("4294967295", 2**32 - 1), ("-0", 0), ("4294967296", number("UInt32")), ("-1", number("UInt32")), ("-0.9", 0)],
    "uint64": [
        (str(P53 + 1), P53 + 1), (str(P63), P63), (str(P64 - 1), P64 - 1), (str(P64), NO_UINT64), (str(P64 + 1), NO_UINT64),
        ("-1", NO_UINT64),
        (DIGITS, NO_UINT64), ("1e400", NO_UINT64), (f'"{P64 - 1}"', P64 - 1), (f'"{P64}"', text("UInt64", OUT_OF_RANGE)),
    ],
    "float32": [
        ("0", 0.0), ("-0", -0.0), ("1", 1.0), ("0.1", struct.unpack("f", struct.pack("f", 0.1))[0]), ("16777217", 16777216.0),
        ("3.4028234663852886e38", 3.4028234663852886e38), ("3.4028236e38", NO_FLOAT32), ("1e39", NO_FLOAT32), ("1e400", NO_FLOAT32),
        (DIGITS, NO_FLOAT32), ("1e-46", 0.0), ('"NaN"', text("Float32")), ('"inf"', text("Float32")),
        ("true", Dead("type_mismatch", "expected Float32, received a boolean")),
    ],
    "float64": [
        ("0", 0.0), ("-0", -0.0), ("-0.0", -0.0), ("0e0", 0.0), ("-0e-400", -0.0), ("1.0", 1.0), ("0.1", 0.1), ("1e308", 1e308),
        ("5e-324", 5e-324),
        (str(P53 + 1), float(P53)), (str(P63), float(P63)), (str(P64), float(P64)), (str(P64 - 1), float(P64)),
        ("1.7976931348623157e308", 1.7976931348623157e308), ("1.7976931348623159e308", NO_FLOAT64), ("1e309", NO_FLOAT64),
        ("1e400", NO_FLOAT64),
        ("-1e400", NO_FLOAT64), ("1e99999999999999999999", NO_FLOAT64), ("1e-400", 0.0), (DIGITS, NO_FLOAT64), ("0." + DIGITS, 1.0), ("0." + "0" * 70_000 + "1e70001", 1.0), ("1" + "0" * 70_000 + "e-70000", 1.0), ("-0e99999", -0.0),
        ("1" + "0" * 400 + "e-400", 1.0), (MANY, NO_FLOAT64), ("0." + "0" * 10_000 + "1e10001", 1.0), ('"0.5"', 0.5),
        ('"1e400"', text("Float64", OUT_OF_RANGE)),
        ('"NaN"', text("Float64")), ('"nan"', text("Float64")), ('"Infinity"', text("Float64")), ('"-Infinity"', text("Float64")),
        ('"inf"', text("Float64")), ('"1."', text("Float64")), ('".5"', text("Float64")), ('"1,5"', text("Float64")),
        ('"0x1p3"', text("Float64")),
        ("[]", Dead("type_mismatch", "expected Float64, received an array")),
    ],
    "decimal": [
        ("0.10", "0.10"), ("-0", "0.00"), ("1e2", "100.00"), ("9" * 36 + ".99", "9" * 36 + ".99"),
        ("-" + "9" * 36 + ".99", "-" + "9" * 36 + ".99"),
        ("1" + "0" * 36, NO_DECIMAL), ("0.001", TOO_FINE), ("0.010", "0.01"), (DIGITS, NO_DECIMAL), (MANY, NO_DECIMAL),
        ("1e400", NO_DECIMAL),
        ("1e-400", TOO_FINE), (str(P53 + 1), f"{P53 + 1}.00"), ('"12.34"', "12.34"), ('"NaN"', text("Decimal128(38, 2)")),
        ('"0.001"', text("Decimal128(38, 2)", INEXACT)),
    ],
    # Parquet knows no seconds: they come out as milliseconds.
    "second": [
        ("0", 0), ("-1", -1000), ("1.9", 1000), ("9999999999", 9999999999000), ("9223372036854775", 9223372036854775000),
        ("9223372036854776", NO_SECOND), ("-9223372036854776", NO_SECOND), (str(P63), NO_SECOND), ("1e400", NO_SECOND),
    ],
    "milli": [
        ("0", 0), ("-0", 0), ("1767225600123", 1767225600123), ("1767225600123.9", 1767225600123), ("-1.9", -1),
        ("1.7e12", 1_700_000_000_000),
        (str(P53 + 1), P53 + 1), (str(P63 - 1), P63 - 1), (str(P63), NO_MILLI), (DIGITS, NO_MILLI),
        ('"2026-01-01T00:00:00.123Z"', 1767225600123), ('"2026-01-01T00:00:00.1239Z"', 1767225600123),
        ('"9999-12-31T23:59:59.999Z"', 253402300799999),
        ('"0000-01-01"', -62167219200000), ('"1767225600123"', NO_TIME), ('"NaN"', NO_TIME),
        ('"2026-02-30"', NO_TIME), ('"2026-01-01T24:00:00Z"', NO_TIME), ('""', NO_TIME),
        ('"+10000-01-01T00:00:00Z"', NO_TIME), ("true", Dead("type_mismatch", "expected Timestamp(ms), received a boolean")),
    ],
    "micro": [(str(P63 - 1), P63 - 1), (str(-P63), -P63), (str(-P63 - 1), number("Timestamp(µs)")), ('"2026-01-01"', 1767225600_000000)],
    "nano": [
        (str(P63 - 1), P63 - 1), (str(P63), NO_NANO), ('"2262-04-11T23:47:16.854775807Z"', P63 - 1),
        ('"2262-04-11T23:47:16.854775808Z"', TOO_LATE),
        ('"9999-12-31T00:00:00Z"', TOO_LATE),
    ],
    "string": [
        ("1", number("Utf8", "")), ("1e400", number("Utf8", "")), (DIGITS, number("Utf8", "")),
        ("true", Dead("type_mismatch", "expected Utf8, received a boolean")),
        ("null", None), ('"1e400"', "1e400"), ('"NaN"', "NaN"), ('""', ""),
        ('"a\\u0000b"', "a\0b"), ('"\\u0000"', "\0"), ('"\\ud83d\\ude00"', "\U0001f600"), ('"\\uD83D\\uDE00"', "\U0001f600"),
        ('"\\ud800"', "\ufffd"), ('"\\udc00"', "\ufffd"), ('"a\\ud800b"', "a\ufffdb"), ('"\\ud800\\ud800"', "\ufffd\ufffd"),
        ('"\\udc00\\ud800"', "\ufffd\ufffd"), ('"\\ud800\\ud83d\\ude00"', "\ufffd\U0001f600"), ('"\\ud83d\\\\ude00"', "\ufffd\\ude00"),
        ('"\\ud800\\n"', "\ufffd\n"), ('"\\ud800x\\udc00"', "\ufffdx\ufffd"), ('"\\ufeff"', "\ufeff"), ('"\ufeff"', "\ufeff"),
        ('"\\uffff"', "\uffff"),
        ('"\uffff\U0010ffff"', "\uffff\U0010ffff"), ('"\\u0001\\u001f\\u007f"', "\x01\x1f\x7f"), ('"\x7f\x80"', "\x7f\x80"),
        ('"\\/\\"\\\\"', '/"\\'),
        ('"\\b\\f\\n\\r\\t"', "\b\f\n\r\t"), ('"\u2028\u2029"', "\u2028\u2029"), ('"e\u0301\u00e9"', "e\u0301\u00e9"),
        ('"' + "ä\\ud800" * 10_000 + '"', "ä\ufffd" * 10_000), ('"' + "\\u0000" * 10_000 + '"', "\0" * 10_000),
    ],
    "json": [
        *((same, same) for same in (
            "0", "-0", "1.0", "1.10", "1e400", "-1e400", "1E+02", "1e-400", str(P53 + 1), str(P63), str(P64), DIGITS, MANY, "0." + DIGITS,
            '"\\ud800"', '"\\u0000"', '"a\\u0000b"', '"\\ufeff"', '"ä"', '"\\u00e4"', '{"a":1,"a":2}', '[{"b":1,"b":1}]', "[]", "{}", '""',
            "true",
        )),
        ('{ "a" : [ 1e400 , -0 ] }', '{"a":[1e400,-0]}'), ("null", None),
    ],
    "list": [
        ("[1,2]", [1, 2]), ("[1.0,-0]", [1, 0]),
        ("[1,2147483648]", Dead("type_mismatch", "expected Int32, received a number of 10 bytes that is out of its range", "list[1]")),
        ('["x"]', Dead("parse_failure", "expected Int32, received a string of 1 bytes that cannot be read as one", "list[0]")),
        ("[1e400]", Dead("type_mismatch", "expected Int32, received a number of 5 bytes that is out of its range", "list[0]")),
    ],
    "texts": [
        ('["\\ud800","\\u0000"]', ["\ufffd", "\0"]),
        ('["a",1]', Dead("type_mismatch", "expected Utf8, received a number of 1 bytes", "texts[1]")),
    ],
    "struct": [
        ('{"a":9007199254740993,"b":"\\udfff"}', {"a": P53 + 1, "b": "\ufffd"}),
        ('{"a":1e400,"b":""}', Dead("type_mismatch", "expected Int64, received a number of 5 bytes that is out of its range", "struct.a")),
        ('{"a":1,"b":"x","a":2}', {"a": 2, "b": "x"}), ('{"a":1,"b":"x","b":"y"}', {"a": 1, "b": "y"}),
        ('{"a":1,"b":"x","b":null}', Dead("null_value", "expected Utf8, received null", "struct.b")),
        ('{"a":1}', Dead("missing_field", "expected Utf8, received nothing", "struct.b")),
    ],
}
# Whole records, `#` for the members that name the case: of duplicate keys the last one counts, whatever the ones before were.
RECORDS = {
    '{#,"int64":1,"int64":2}': {"int64": 2}, '{"int64":1,#,"int64":2}': {"int64": 2}, '{#,"int64":1,"int64":null}': {"int64": None},
    '{#,"int64":null,"int64":1}': {"int64": 1}, '{#,"int64":"x","int64":2}': {"int64": 2}, '{#,"int64":1e400,"int64":2}': {"int64": 2},
    '{#,"int64":2,"int64":"x"}': Dead("parse_failure", "expected Int64, received a string of 1 bytes that cannot be read as one", "int64"),
    '{#,"int64":2,"int64":1e400}': Dead("type_mismatch", "expected Int64, received a number of 5 bytes that is out of its range", "int64"),
    '{#,"int64":1,"int\\u00364":2}': {"int64": 2}, '{#,"\\u0069nt64":1,"int64":2}': {"int64": 2}, '{#,"int64":1,"INT64":2}': {"int64": 1},
    '{#,"int64 ":1,"int64\\u0000":2}': {"int64": None}, '{#,"int64":1,"unknown":1,"unknown":2,"int64":3}': {"int64": 3},
    '{#,"string":"a","string":"b","string":"c"}': {"string": "c"}, '{#,"json":{"a":1},"json":{"a":2,"a":3}}': {"json": '{"a":2,"a":3}'},
    '{#,"struct":{"a":1,"b":"x"},"struct":{"b":"y"}}': {"struct": {"a": None, "b": "y"}}, '{#,"list":[1,2,3],"list":[4]}': {"list": [4]},
    '{#,"list":["x"],"list":[4]}': {"list": [4]}, '{#,"bool":true,"bool":false}': {"bool": False},
    '{#,"":1,"":2,"int64":1}': {"int64": 1},
    '{#,"\\ud800":1,"\\udc00":2,"\\ufffd":3,"int64":1}': {"int64": 1}, '{#,"\\u0000":1,"int64":1}': {"int64": 1},
}


def cases() -> dict[str, tuple[str, object]]:
    """Id of a case -> the record with `#` for the case's number, and what becomes of it."""
    found = {}
    for column, values in VALUES.items():
        for sent, outcome in values:
            if callable(outcome):
                outcome = outcome(sent)
            if isinstance(outcome, Dead):
                outcome.path = outcome.path or column
            else:
                outcome = {column: outcome}
            shown = ascii(sent)[1:-1] if len(sent) <= 40 else f"{ascii(sent)[1:12]}... of {len(sent)}"
            found[f"{column}: {shown}"] = (f'{{#,"{column}":{sent}}}', outcome)
    return found | {ascii(record)[1:-1]: (record, outcome) for record, outcome in RECORDS.items()}


CASES = cases()


class World:
    """What came out of the cases: rows and dead letters by the number of the case."""

    def __init__(self, server):
        self.server = server
        stream = server.create_stream("typed", SCHEMA)
        server.create_sink("rows", "out", {"type": "parquet"}, path="typed")
        pipeline = server.create_pipeline("copy", "INSERT INTO rows SELECT * FROM typed")
        server.create_sink("lines", "out", {"type": "json"}, path="lines")
        server.create_pipeline("lines_copy", "INSERT INTO lines SELECT * FROM typed")
        self.records = [record.replace("#", f'"case":{n}', 1) for n, (record, _) in enumerate(CASES.values())]
        began = time.monotonic()
        for record in self.records:
            answer = ask(server, plain(f"/ingest/{stream['id']}", body=f"[{record}]".encode()))
            assert answer.committed == 1, "whether a record fits its schema is found out later"
        self.ledger = server.wait_delivered("copy", len(self.records))
        self.seconds = time.monotonic() - began
        self.lines_ledger = server.wait_delivered("lines_copy", len(self.records))
        self.files = sorted((server.bucket("out") / "typed").rglob("*.parquet"))
        self.tables = [pq.read_table(file) for file in self.files]
        self.rows: dict[int, dict] = {}
        for table in self.tables:
            for name in TIMES:
                table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
            for row in table.to_pylist():
                assert self.rows.setdefault(row["case"], row) is row, "a row came twice"
        self.letters: dict[int, dict] = {}
        for file in (server.data_dir / "dead_letters" / pipeline["id"]).rglob("*.ndjson"):
            for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
                letter = json.loads(line)
                case = int(letter["record"].split('"case":', 1)[1].split(",", 1)[0])
                assert self.letters.setdefault(case, letter) is letter, "a letter came twice"


@pytest.fixture(scope="module")
def world(lasting_server) -> World:
    return World(lasting_server)


@pytest.mark.parametrize("case", CASES)
def test_a_value_is_delivered_exactly_or_becomes_a_dead_letter(world, case):
    number_, outcome = list(CASES).index(case), CASES[case][1]
    row, letter = world.rows.get(number_), world.letters.get(number_)
    if isinstance(outcome, Dead):
        assert row is None, f"delivered: { {k: v for k, v in row.items() if v is not None} }"
        assert (letter["stage"], letter["reason"], letter["path"], letter["detail"]) == ("decode", outcome.reason, outcome.path, outcome.detail)
        assert letter["record"] == world.records[number_], "as it came"
        return
    assert letter is None, letter and {**letter, "record": letter["record"][:100]}
    expected = {field["name"]: None for field in SCHEMA["fields"]} | {"case": number_} | outcome
    found = {name: str(value) if name == "decimal" and value is not None else value for name, value in row.items()}
    assert found == expected
    for name in ("float32", "float64"):
        if expected[name] == 0:
            assert math.copysign(1, found[name]) == math.copysign(1, expected[name]), "the sign of zero is kept"


def test_the_ledger_knows_each_case_and_numbers_cost_no_time(world):
    dead = sum(isinstance(outcome, Dead) for _, outcome in CASES.values())
    assert world.ledger == {"accepted": len(CASES), "delivered": len(CASES) - dead, "filtered": 0, "dead_lettered": dead, "in_flight": 0}
    assert len(world.letters) == dead and len(world.rows) == len(CASES) - dead
    assert world.seconds < 15, "numbers of a million digits are read in linear time"


@pytest.mark.parametrize("column", ["int32", "int64", "uint32", "uint64", "float32", "float64", "string", "texts", "list", "struct"])
def test_the_same_comes_out_as_json(world, column):
    assert world.lines_ledger == world.ledger
    found = {}
    for file in (world.server.bucket("out") / "lines").rglob("*.json"):
        for line in file.read_bytes().decode("utf-8", "strict").split("\n")[:-1]:
            # The column of JSON holds numbers that Python would not read.
            row = json.loads(line, parse_int=lambda digits: int(digits[:100]), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
            found[row["case"]] = row[column]
    expected = {number_: row[column] for number_, row in world.rows.items()}
    if column == "float32":
        found = {number_: value and struct.unpack("f", struct.pack("f", value))[0] for number_, value in found.items()}
    assert found == expected
    # Integers are written as such.
    assert {number_: type(value) for number_, value in found.items()} == {number_: type(value) for number_, value in expected.items()}


def test_independent_readers_find_valid_text_only(world):
    for table in world.tables:
        table.validate(full=True)
    columns = "string", "json", "struct.b", *(f"unnest(texts)",)
    for column in columns:
        rows = duckdb.sql(f"SELECT {column} FROM read_parquet({[str(f) for f in world.files]})").fetchall()
        assert len(rows) >= (1 if "unnest" in column else len(world.rows))
        for (value,) in rows:
            # Strict: a lone surrogate or a broken sequence would raise.
            assert value is None or value.encode("utf-8", "strict") is not None
    assert {t.schema.field("string").type for t in world.tables} <= {pa.string(), pa.large_string(), pa.string_view()}


# Without a schema.


@pytest.fixture(scope="module")
def kept(lasting_server) -> Kept:
    return Kept(lasting_server, "bare")


@pytest.mark.parametrize(("token", "fault", "at"), [
    ("NaN", "a value", 0), ("-NaN", "a digit", 1), ("Infinity", "a value", 0), ("-Infinity", "a digit", 1), ("inf", "a value", 0),
    ("+1", "a value", 0), ("01", "`,` or `}`", 1), ("-01", "`,` or `}`", 2), ("00", "`,` or `}`", 1), (".5", "a value", 0),
    ("-.5", "a digit", 1),
    ("1.", "a digit behind the point", 2), ("1.e5", "a digit behind the point", 2), ("1e", "a digit of the exponent", 2),
    ("1e+", "a digit of the exponent", 3), ("1e1.5", "`,` or `}`", 3), ("--1", "a digit", 1), ("-", "a digit", 1), ("- 1", "a digit", 1),
    ("0x1F", "`,` or `}`", 1), ("0b1", "`,` or `}`", 1), ("1_000", "`,` or `}`", 1), ("1 000", "`,` or `}`", 2), ("1f", "`,` or `}`", 1),
    ("1n", "`,` or `}`", 1), ("1L", "`,` or `}`", 1), ("\u0661", "a value", 0), ("\uff11", "a value", 0), ("\u2212" "1", "a value", 0),
    (DIGITS + "x", "`,` or `}`", 10_000), ("1" * 900_000 + ".", "a digit behind the point", 900_001),
], ids=lambda value: ascii(value)[1:15] if isinstance(value, str) else str(value))
def test_what_is_no_number_of_json_refuses_the_request(kept, token, fault, at):
    for before, after in ((b'[{"kept":', b"}]"), (b'[{"kept":false,"a":', b',"b":1}]')):
        message = f"expected {fault} at byte {len(before) + at} (record 0)"
        kept.refuses(before + token.encode() + after, (400, 1003, message))
    message = f"expected {fault.replace('}', ']')} at byte {11 + at} (record 0)"
    kept.refuses(b'[{"kept":  [' [:9] + b" [" + token.encode() + b"]}]", (400, 1003, message))


INVALID = {
    "a continuation": b"\x80", "latin 1": b"\xe4", "never": b"\xff", "never, too": b"\xfe", "cut short": b"\xc3",
    "cut short, of three": b"\xe2\x82",
    "cut short, of four": b"\xf0\x9f\x98", "overlong slash": b"\xc0\xaf", "overlong NUL": b"\xc0\x80",
    "overlong, of three": b"\xe0\x80\xaf",
    "overlong, of four": b"\xf0\x80\x80\xaf", "a surrogate": b"\xed\xa0\x80", "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last": b"\xf4\x90\x80\x80", "of five": b"\xf8\x88\x80\x80\x80", "the mark of UTF-16": b"\xff\xfe",
}
PLACES = {
    "before all": b'#[{"kept":false}]', "in a text": b'[{"kept":"a#b"}]', "at the end of a text": b'[{"kept":"a#"}]',
    "in a key": b'[{"ke#pt":1}]',
    "between tokens": b'[{"kept":# 1}]', "in a number": b'[{"kept":1#2}]', "in a literal": b'[{"kept":tr#ue}]',
    "behind an escape": b'[{"kept":"\\#"}]',
    "in an escape": b'[{"kept":"\\u00#4"}]', "in a later record": b'[{"kept":false},{"kept":"#"}]', "behind all": b'[{"kept":false}]#',
    "far behind": b'[{"kept":"' + b"x" * 70_000 + b'"},{"kept":"#"}]', "in what is too deep": b'[{"kept":' + b"[" * 100 + b"#",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("invalid", INVALID)
def test_what_is_not_utf_8_refuses_the_request_wherever_it_stands(kept, invalid, place):
    body = PLACES[place].replace(b"#", INVALID[invalid])
    message = f"expected UTF-8 at byte {PLACES[place].index(b'#')}"
    kept.refuses(body, (400, 1003, message))
    if place == "in a text":
        answer = kept.refuses(b'{"n":1}\n' + body[1:-1] + b"\n", (400, 1003, message.replace("11", "18")), LINES)
        assert INVALID[invalid] not in answer.body and answer.body.decode("utf-8", "strict")


@pytest.mark.parametrize("byte", [*range(0x20)], ids="{:#04x}".format)
def test_control_bytes_stand_in_texts_as_escapes_only(kept, byte):
    control = bytes([byte])
    expected = "an escape instead of a control character"
    kept.refuses(b'[{"kept":"ab' + control + b'"}]', (400, 1003, f"expected {expected} at byte 12 (record 0)"))
    kept.refuses(b'[{"ke' + control + b'pt":1}]', (400, 1003, f"expected {expected} at byte 5 (record 0)"))
    between = b'[{"n":' + control + b"1}]"
    if control in b" \t\n\r":
        kept.accepts([{"n": 1}], between, ways=("plain", "close"))
    else:
        kept.refuses(between, (400, 1003, "expected a value at byte 6 (record 0)"))


@pytest.mark.parametrize("escape", [
    "\\x41", "\\u12", "\\u12G4", "\\U0041", "\\u{41}", "\\'", "\\0", "\\a", "\\", "\\u", "\\ud83d\\u", "\\u+041",
])
def test_what_is_no_escape_refuses_the_request(kept, escape):
    for body in (b'[{"kept":"a%s"}]', b'[{"%s":false}]', b'[{"kept":["b","%s"]}]'):
        answer = kept.refuses(body % escape.encode(), (400, 1003, "expected "))
        assert "(record 0)" in answer.error[2], answer


MARK = "; the body starts with a byte order mark, which JSON does not have"


@pytest.mark.parametrize(("body", "lines", "message"), [
    (b'\xef\xbb\xbf[{"kept":false}]', [], "expected `[`, the start of an array of objects at byte 0" + MARK),
    (b'\xef\xbb\xbf{"kept":false}\n', [LINES], "expected `{`, the start of a record at byte 0 (record 0)" + MARK),
    (b'{"kept":false}\n\xef\xbb\xbf{"kept":false}\n', [LINES], "expected `{`, the start of a record at byte 15 (record 1)"),
    (b'[\xef\xbb\xbf{"kept":false}]', [], "expected `{`, the start of a record at byte 1 (record 0)"),
    (b'[{\xef\xbb\xbf"kept":false}]', [], "expected `\"`, the start of a key at byte 2 (record 0)"),
    (b'[{"kept":false}]\xef\xbb\xbf', [], "expected the end of the body behind the array at byte 16"),
    ('[{"kept":false}]'.encode("utf-16"), [], "expected UTF-8 at byte 0"),
    ('[{"kept":false}]'.encode("utf-16-le"), [], "expected `{`, the start of a record at byte 1 (record 0)"),
    ('[{"kept":false}]'.encode("utf-16-be"), [], "expected `[`, the start of an array of objects at byte 0"),
    ('[{"kept":false}]'.encode("utf-32-le"), [], "expected `{`, the start of a record at byte 1 (record 0)"),
    ("[{\"kept\":\"\xe4\"}]".encode("latin-1"), [], "expected UTF-8 at byte 10"),
], ids=["array", "lines", "in lines", "record", "key", "behind", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32LE", "Latin 1"])
def test_byte_order_marks_and_other_encodings_are_refused(kept, body, lines, message):
    kept.refuses(body, (400, 1003, message), *lines)


VERBATIM = [
    '{"a":1e400,"b":-0,"c":1.0,"d":1E+02}', f'{{"a":{P53 + 1},"b":{P63},"c":{P64}}}', f'{{"a":{DIGITS}}}', f'{{"a":0.{DIGITS}}}',
    '{"a":"\\ud800","\\udc00":1}', '{"a":"\\u0000","\\u0000":1}', '{"a":"\ufeff"}', '{"a":1,"a":2}', '{"a":{"b":1,"b":1,"b":2}}',
    '{"":1,"":2}',
]


def test_without_a_schema_records_come_out_as_they_came_in(lasting_server):
    server = lasting_server
    stream = server.create_stream("verbatim")
    assert ask(server, plain(f"/ingest/{stream['id']}", body=f"[{','.join(VERBATIM)}]".encode())).committed == len(VERBATIM)
    for name, format_ in (("lines", {"type": "json", "unstructured": True}), ("table", {"type": "parquet"})):
        server.create_sink(f"verbatim_{name}", "out", format_, path=f"verbatim_{name}")
        server.create_pipeline(f"verbatim_{name}_copy", f"INSERT INTO verbatim_{name} SELECT * FROM verbatim")
    for name in ("lines", "table"):
        assert server.wait_delivered(f"verbatim_{name}_copy", len(VERBATIM))["delivered"] == len(VERBATIM)
    (lines,) = (server.bucket("out") / "verbatim_lines").rglob("*.json")
    assert lines.read_text(encoding="utf-8").split("\n")[:-1] == VERBATIM
    (table,) = (server.bucket("out") / "verbatim_table").rglob("*.parquet")
    assert pq.read_table(table)["value"].to_pylist() == VERBATIM


def test_what_was_acknowledged_is_delivered_and_nothing_else(kept):
    """Runs last."""
    kept.delivers()
