"""The newcomer's path: with nothing but the server, a stream becomes a table that PyIceberg, DuckDB and ClickHouse read over
REST, value by value, skipping the files they need not read.

The records come on three days; the clock is faketime's. Each day's are one file. The days are past: DuckDB takes a table whose
metadata is newer than its own clock for damaged.
"""

import base64
import json
import re
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.conversions import from_bytes
from pyiceberg.types import DecimalType, StringType

from catalogs import QUICK_TABLES, Lake, comparable, create_table_sink, enable, microseconds, rows_by
from clickhouse import clickhouse
from lakehead import Server
from test_clock import Clock

DAYS = [datetime(2026, 2, day, 12, tzinfo=UTC) for day in (26, 27, 28)]
PER_DAY = 20
TAGS = {"name": "tags", "type": "list", "items": {"type": "string"}}
SCHEMA = {"fields": [
    {"name": "id", "type": "int64", "required": True},
    *({"name": name, "type": name}
      for name in ("bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "string", "binary", "json")),
    {"name": "decimal", "type": "decimal128", "precision": 38, "scale": 2},
    *({"name": unit, "type": "timestamp", "unit": unit} for unit in ("second", "millisecond", "microsecond", "nanosecond")),
    {"name": "struct", "type": "struct", "fields": [
        {"name": "a", "type": "int64"}, {"name": "b", "type": "string", "required": True},
    ]},
    {"name": "list", "type": "list", "items": {"type": "int32"}},
    {"name": "nested", "type": "list", "items": {"type": "struct", "fields": [
        {"name": "at", "type": "timestamp", "unit": "millisecond"}, TAGS,
        {"name": "deep", "type": "struct", "fields": [{"name": "x", "type": "float64"}]},
    ]}},
]}
TYPES = {
    "id": "long", "bool": "boolean", "int32": "int", "int64": "long", "uint32": "long", "uint64": "decimal(20, 0)", "float32": "float",
    "float64": "double", "string": "string", "binary": "binary", "json": "string", "decimal": "decimal(38, 2)", "second": "timestamptz",
    "millisecond": "timestamptz", "microsecond": "timestamptz", "nanosecond": "timestamptz", "__ingest_ts": "timestamptz",
}
MOMENT = 1_767_225_600_000_000_000  # 2026-01-01, in nanoseconds


def record(i: int) -> tuple[dict, dict]:
    """A record as it is sent, and the row that it must become, as `comparable` has it."""
    edge = {0: -1, 1: 1}.get(i)
    integer = lambda bits: edge * 2 ** (bits - 1) - (edge > 0) if edge else i * 1001 - 20_000
    counting = lambda bits: 2**bits - 1 if edge else i * 77
    document = {"i": i, "text": "ä \U0001f600", "more": [None, True, {"x": 1.5}]}
    content = bytes(range(i, i + 5)) + b"\xff\x00"
    moment = MOMENT + i * 86_400_123_456_789 * (-1) ** i
    at = MOMENT // 10**9 + i
    sent = {
        "bool": i % 2 == 0, "int32": integer(32), "int64": integer(64), "uint32": counting(32), "uint64": counting(64),
        "float32": i / 3, "float64": -0.0 if i == 2 else 1.7976931348623157e308 if edge else i / 3,
        "string": "" if i == 2 else f"Zeile {i} \U0001f600\u0000é", "binary": base64.b64encode(content).decode(), "json": document,
        "decimal": f"{i * 10**30}.{i % 100:02}", "second": moment // 10**9, "millisecond": moment // 10**6,
        "microsecond": moment // 10**3, "nanosecond": moment,
        "struct": {"a": i if i % 2 else None, "b": f"b{i}"}, "list": list(range(i % 4)),
        "nested": [{"at": (at + n) * 1000, "tags": [f"t{n}", None], "deep": {"x": n / 7}} for n in range(i % 3)],
    }
    row = {
        **sent, "float32": struct.unpack("f", struct.pack("f", i / 3))[0], "binary": content,
        "json": json.dumps(document, separators=(",", ":"), ensure_ascii=False), "decimal": Decimal(sent["decimal"]),
        "second": moment // 10**9 * 10**6, "millisecond": moment // 10**6 * 1000, "microsecond": moment // 1000, "nanosecond": moment // 1000,
        "nested": [{**item, "at": item["at"] * 1000} for item in sent["nested"]],
    }
    if i % 7 == 3:
        # Half of them say so, half leave it out.
        sent = {name: None for name in sent} if i % 2 else {}
        row = {name: None for name in row}
    return {"id": i, **sent}, comparable({"id": i, **row})


class World:
    def __init__(self, server: Server):
        self.server = server
        self.clock = Clock(server)
        self.clock.jump_to(DAYS[0])
        server.start()
        self.lake: Lake = enable(server, "lake")
        self.stream = server.create_stream("events", SCHEMA)
        # A file ends with its day only.
        create_table_sink(server, "snk", "lake", "events", rolling_policy={"interval_seconds": 3})
        server.create_pipeline("copy", "INSERT INTO snk SELECT * FROM events")
        self.expected: dict[int, dict] = {}
        for day, moment in enumerate(DAYS):
            self.clock.jump_to(moment)
            both = [record(i) for i in range(day * PER_DAY, (day + 1) * PER_DAY)]
            self.began = self.clock.now()
            server.send(self.stream, [sent for sent, _ in both])
            self.expected |= {row["id"]: row for _, row in both}
            server.wait_delivered("copy", len(self.expected))
        self.table = self.lake.table("default", "events")

    def read(self, reader: str, condition: str = "true", columns: str = "*") -> pa.Table:
        query = f"SELECT {columns} FROM lake.{{}} WHERE {condition}"
        match reader:
            case "duckdb":
                return self.lake.duckdb().execute(query.format("default.events")).to_arrow_table()
            case "clickhouse":
                return self.lake.clickhouse(query.format("`default.events`"))[0]
            case "pyiceberg":
                fields = columns.split(", ") if columns != "*" else ("*",)
                return self.table.scan(row_filter=condition, selected_fields=fields).to_arrow()


@pytest.fixture(scope="module")
def world(make_lasting_server) -> World:
    return World(make_lasting_server(QUICK_TABLES))


# What a reader makes of NULL: ClickHouse has no lists and structs that are, PyIceberg's scan no lists of structs.
NULLS = {
    "clickhouse": {"list": [], "nested": [], "struct": {"a": None, "b": b""}},
    "pyiceberg": {"nested": []},
    "duckdb": {},
}


@pytest.mark.parametrize("reader", ["pyiceberg", "duckdb", "clickhouse"])
def test_the_rows_are_the_records_value_by_value(world, reader):
    found = rows_by(world.read(reader), "id")
    ingested = {i: row.pop("__ingest_ts") for i, row in found.items()}
    for i, row in found.items():
        expected = {name: NULLS[reader].get(name) if value is None else value for name, value in world.expected[i].items()}
        assert row == expected, {name: (row[name], expected[name]) for name in row if row[name] != expected[name]}
    assert set(found) == set(world.expected)
    for i, moment in ingested.items():
        assert 0 <= moment - microseconds(DAYS[i // PER_DAY]) < 60_000_000, (i, moment)


@pytest.mark.parametrize("reader", ["pyiceberg", "duckdb", "clickhouse"])
def test_sums_and_conditions_are_right(world, reader):
    rows = world.expected.values()
    for condition, is_wanted in {
        "int32 > 1000": lambda row: row["int32"] is not None and row["int32"] > 1000,
        "string IS NULL": lambda row: row["string"] is None,
        "uint64 = 18446744073709551615": lambda row: row["uint64"] == 2**64 - 1,
        "string = ''": lambda row: row["id"] == 2,
    }.items():
        expected = {row["id"] for row in rows if is_wanted(row)}
        assert expected and {row["id"] for row in world.read(reader, condition, "id").to_pylist()} == expected, condition


def test_columns_have_the_types_and_ids_of_a_table(world):
    schema = world.table.schema()
    assert [field.name for field in schema.fields] == [field["name"] for field in SCHEMA["fields"]] + ["__ingest_ts"]
    for name, type in TYPES.items():
        field = schema.find_field(name)
        assert str(field.field_type) == type, name
        assert field.required == (name in ("id", "__ingest_ts")), name
    assert schema.find_field("struct.b").required and not schema.find_field("struct.a").required
    ids = [schema.find_field(name).field_id for name in schema.column_names]
    assert len(set(ids)) == len(ids) and max(ids) == world.table.metadata.last_column_id
    assert world.table.format_version == 2
    (part,) = world.table.spec().fields
    assert (part.name, str(part.transform), part.source_id) == ("__ingest_ts_day", "day", schema.find_field("__ingest_ts").field_id)
    assert world.table.sort_order().is_unsorted
    # In the files as well.
    for task in world.table.scan().plan_files():
        arrow = pq.read_schema(task.file.file_path.removeprefix("file://"))
        found = {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in arrow}
        assert found == {field.name: field.field_id for field in schema.fields}
        assert arrow.field("__ingest_ts").type == pa.timestamp("us", tz="UTC")


def test_the_engines_see_the_types(world):
    described = dict(row[:2] for row in world.lake.duckdb().execute("DESCRIBE lake.default.events").fetchall())
    assert described["__ingest_ts"] == described["nanosecond"] == "TIMESTAMP WITH TIME ZONE"
    assert (described["uint64"], described["json"], described["binary"]) == ("DECIMAL(20,0)", "VARCHAR", "BLOB")
    assert described["nested"] == 'STRUCT("at" TIMESTAMP WITH TIME ZONE, tags VARCHAR[], deep STRUCT(x DOUBLE))[]'
    (answer,) = world.lake.clickhouse("DESCRIBE lake.`default.events`")
    described = {row["name"].decode(): row["type"].decode() for row in answer.to_pylist()}
    assert (described["__ingest_ts"], described["id"]) == ("DateTime64(6, 'UTC')", "Int64")
    assert (described["uint64"], described["json"]) == ("Nullable(Decimal(20, 0))", "Nullable(String)")


def test_each_day_is_a_file_and_a_snapshot_with_its_totals(world):
    # The protocol lists them in any order.
    snapshots = sorted(world.table.snapshots(), key=lambda snapshot: snapshot.sequence_number)
    assert len(snapshots) == len(DAYS) and len(world.table.history()) == len(DAYS)
    for n, (snapshot, day) in enumerate(zip(snapshots, DAYS, strict=True), 1):
        summary = snapshot.summary
        assert summary.operation.value == "append"
        expected = {"added-records": PER_DAY, "added-data-files": 1, "total-records": n * PER_DAY, "total-data-files": n,
                    "total-delete-files": 0, "total-position-deletes": 0, "total-equality-deletes": 0, "changed-partition-count": 1}
        assert {name: int(summary[name]) for name in expected} == expected
        assert snapshot.sequence_number == n
        assert snapshot.parent_snapshot_id == (snapshots[n - 2].snapshot_id if n > 1 else None)
        assert abs(snapshot.timestamp_ms / 1000 - day.timestamp()) < 60
        assert world.table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows == n * PER_DAY
    sizes = [task.file.file_size_in_bytes for task in world.table.scan().plan_files()]
    assert int(snapshots[-1].summary["total-files-size"]) == sum(sizes)
    for task in world.table.scan().plan_files():
        assert re.search(r"/data/__ingest_ts_day=2026-02-2[678]/[^/]+\.parquet$", task.file.file_path), task.file.file_path


@pytest.mark.parametrize(("condition", "wanted", "by"), [
    ("__ingest_ts >= '2026-02-28T00:00:00+00:00'", range(40, 60), "partition"),
    ("__ingest_ts < '2026-02-27T00:00:00+00:00'", range(0, 20), "partition"),
    ("id >= 40", range(40, 60), "bounds"),
    ("id = 25", range(25, 26), "bounds"),
    ("id > 1000", range(0), "bounds"),
    # ClickHouse knows no bounds of texts.
    ("string = 'a row nobody sent'", range(0), None),
])
def test_readers_skip_files_by_partition_and_by_bounds(world, condition, wanted, by):
    files = 1 if wanted else 0
    tasks = list(world.table.scan(row_filter=condition).plan_files())
    assert len(tasks) == files, [task.file.file_path for task in tasks]
    lake = world.lake.duckdb()
    query = f"SELECT id FROM lake.default.events WHERE {condition}"
    assert {id for (id,) in lake.execute(query).fetchall()} == set(wanted)
    plan = lake.execute(f"EXPLAIN ANALYZE {query}").fetchall()[0][1]
    read = re.search(r"Total Files Read: (\d+)", plan)
    assert (int(read[1]) if read else 0) == files, plan
    event = "IcebergPartitionPrunedFiles" if by == "partition" else "IcebergMinMaxIndexPrunedFiles"
    condition = re.sub(r"'(2026-..-..)T(..:..:..)\+00:00'", r"'\1 \2'", condition)
    rows, pruned = world.lake.clickhouse(
        f"SELECT id FROM lake.`default.events` WHERE {condition}", f"SELECT sum(value) AS n FROM system.events WHERE event = '{event}'")
    assert {row["id"] for row in (rows.to_pylist() if rows else [])} == set(wanted)
    assert pruned.to_pylist() == [{"n": len(DAYS) - files if by else 0}]


def test_file_statistics_are_what_the_files_say(world):
    entries = world.table.inspect.files().to_pylist()
    assert len(entries) == len(DAYS)
    schema = world.table.schema()
    leaves = {schema.find_field(name).field_id: name for name in schema.column_names}
    for entry in entries:
        path = entry["file_path"].removeprefix("file://")
        footer = pq.read_metadata(path)
        table = pq.read_table(path, partitioning=None)
        assert (entry["record_count"], entry["file_size_in_bytes"]) == (footer.num_rows, table_bytes(path)) and footer.num_rows == PER_DAY
        groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
        assert entry["split_offsets"] == [min(offset(group, c) for c in range(group.num_columns)) for group in groups]
        sizes = [sum(group.column(c).total_compressed_size for group in groups) for c in range(groups[0].num_columns)]
        assert sorted(dict(entry["column_sizes"]).values()) == sorted(sizes)
        nulls, values = dict(entry["null_value_counts"]), dict(entry["value_counts"])
        lower, upper = dict(entry["lower_bounds"]), dict(entry["upper_bounds"])
        for id, name in leaves.items():
            if name not in table.column_names or name in ("struct", "list", "nested"):
                continue
            column = table[name]
            assert (nulls[id], values[id]) == (column.null_count, PER_DAY), name
            type = schema.find_field(name).field_type
            found = sorted(value for value in map(comparable, column.to_pylist()) if value is not None)
            low, high = (from_bytes(type, bound) for bound in (lower[id], upper[id]))
            if name in ("string", "json", "binary"):
                # They may be cut off: then the lower is a beginning, and the upper is above.
                low, high = (bound if isinstance(bound, bytes) else bound.encode() for bound in (low, high))
                assert found[0].startswith(low) and high >= found[-1][:len(high)], name
            else:
                assert (comparable(low), comparable(high)) == (found[0], found[-1]), (name, type)
        assert from_bytes(StringType(), lower[schema.find_field("struct.b").field_id])[0] == "b"


def table_bytes(path: str) -> int:
    with open(path, "rb") as file:
        return file.seek(0, 2)


def offset(group: pq.RowGroupMetaData, column: int) -> int:
    """Where a column begins in the file."""
    chunk = group.column(column)
    return chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset


def test_clickhouse_reads_the_folder_without_the_catalog(world):
    location = world.table.location().removeprefix("file://")
    (answer,) = clickhouse(f"SELECT id FROM icebergLocal('{location}')")
    assert {row["id"] for row in answer.to_pylist()} == set(world.expected)


def test_bounds_of_a_decimal_are_of_its_type(world):
    assert isinstance(world.table.schema().find_field("uint64").field_type, DecimalType)
    assert list(world.table.scan(row_filter="uint64 > 18446744073709551614").plan_files())
    later = timedelta(days=1) + DAYS[-1]
    assert not list(world.table.scan(row_filter=f"__ingest_ts >= '{later.isoformat()}'").plan_files())


# Formats.


@pytest.mark.parametrize(("compression", "codec"), [
    (None, "ZSTD"), ("uncompressed", "UNCOMPRESSED"), ("snappy", "SNAPPY"), ("gzip", "GZIP"), ("zstd", "ZSTD"), ("lz4", "LZ4"),
])
def test_the_codec_of_the_sink_is_that_of_the_files(world, compression, codec):
    name = f"codec_{compression or 'default'}"
    server, rows = world.server, [{"n": n} for n in range(100)]
    stream = server.create_stream(name, {"fields": [{"name": "n", "type": "int64", "required": True}]})
    create_table_sink(server, f"{name}_sink", "lake", name, format={"compression": compression} if compression else {})
    server.create_pipeline(f"{name}_copy", f"INSERT INTO {name}_sink SELECT * FROM {name}")
    server.send(stream, rows)
    server.wait_delivered(f"{name}_copy", 100)
    (task,) = world.lake.table("default", name).scan().plan_files()
    footer = pq.read_metadata(task.file.file_path.removeprefix("file://"))
    assert {footer.row_group(0).column(c).compression for c in range(footer.num_columns)} == {codec}
    query = "SELECT count(*), sum(n)::BIGINT FROM lake.default." + name
    assert world.lake.duckdb().execute(query).fetchone() == (100, 4950)
    (answer,) = world.lake.clickhouse(f"SELECT sum(n) AS n FROM lake.`default.{name}`")
    assert answer.to_pylist() == [{"n": 4950}]


def test_row_groups_of_the_size_the_sink_asks_for(world):
    server = world.server
    stream = server.create_stream("grouped", {"fields": [{"name": "text", "type": "string", "required": True}]})
    create_table_sink(server, "grouped_sink", "lake", "grouped", format={"compression": "uncompressed", "row_group_bytes": 100_000},
                      rolling_policy={"interval_seconds": 3})
    server.create_pipeline("grouped_copy", "INSERT INTO grouped_sink SELECT * FROM grouped")
    texts = [f"{n:04}" * 250 for n in range(1000)]
    server.send(stream, [{"text": text} for text in texts])
    server.wait_delivered("grouped_copy", len(texts))
    groups = 0
    for task in world.lake.table("default", "grouped").scan().plan_files():
        footer = pq.read_metadata(task.file.file_path.removeprefix("file://"))
        groups += footer.num_row_groups
        assert task.file.split_offsets == [offset(footer.row_group(n), 0) for n in range(footer.num_row_groups)]
        assert max(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups)) < 250_000
    assert groups >= 5, groups
    assert sorted(text for (text,) in world.lake.duckdb().execute("SELECT text FROM lake.default.grouped").fetchall()) == sorted(texts)
