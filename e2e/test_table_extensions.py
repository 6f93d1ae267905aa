"""What sinks of tables do beyond Cloudflare's: tables that were there before, columns that are added, a layout of one's own; and what a
switched-off catalog means for those who write into it."""

import pyarrow as pa
import pytest

from catalogs import Lake, create_table_sink, enable
from lakehead import ApiError
from processes import wait_until
from test_edits import edit, read, wait_running

EVENTS = {"fields": [
    {"name": "id", "type": "int64", "required": True}, {"name": "country", "type": "string"},
    {"name": "at", "type": "timestamp", "unit": "millisecond"},
]}
COUNTRIES = ["de", "fr/x", None, "é ü", "null"]


@pytest.fixture
def stream(quick_server) -> dict:
    return quick_server.create_stream("events", EVENTS)


def event(i: int) -> dict:
    return {"id": i, "country": COUNTRIES[i % 5], "at": f"2026-0{1 + i % 2}-01T00:00:00Z"}


def found(lake: Lake, query: str) -> list[tuple]:
    return lake.duckdb().execute(query).fetchall()


def refused_sink(server, **config) -> ApiError:
    with pytest.raises(ApiError) as refused:
        create_table_sink(server, "refused", "lake", "refused", **config)
    return refused.value


def test_a_table_is_laid_out_as_its_sink_says(quick_server, lake, stream):
    create_table_sink(
        quick_server, "laid_out", "lake", "laid_out", partition_by=["country", "bucket(4, id)", "month(at)"],
        sort_by=["at desc", "id nulls last"],
    )
    quick_server.create_pipeline("p", "INSERT INTO laid_out SELECT * FROM events")
    for start in range(0, 1000, 250):
        quick_server.send(stream, [event(i) for i in range(start, start + 250)])
    quick_server.wait_delivered("p", 1000)
    table = lake.table("default", "laid_out")
    assert [(f.name, str(f.transform)) for f in table.spec().fields] == [
        ("country", "identity"), ("id_bucket", "bucket[4]"), ("at_month", "month"),
    ]
    assert [(f.source_id, f.direction.name, f.null_order.name) for f in table.sort_order().fields] == [
        (3, "DESC", "NULLS_LAST"), (1, "ASC", "NULLS_LAST"),
    ]
    rows = table.scan().to_arrow().to_pylist()
    assert sorted(row["id"] for row in rows) == list(range(1000))
    assert all(row["country"] == COUNTRIES[row["id"] % 5] for row in rows)
    # Pruning by each value finds its rows, the text "null" beside NULL as well.
    for country in COUNTRIES:
        condition = "country IS NULL" if country is None else f"country = '{country}'"
        expected = {i for i in range(1000) if COUNTRIES[i % 5] == country}
        assert {id for (id,) in found(lake, f"SELECT id FROM lake.default.laid_out WHERE {condition}")} == expected
        pruned = list(table.scan(condition).plan_files())
        assert sum(task.file.record_count for task in pruned) == len(expected)
    assert quick_server.call("GET", f"pipelines/v1/sinks/{sink_id(quick_server)}")["result"]["config"]["sort_by"]


def sink_id(server) -> str:
    return server.call("GET", "pipelines/v1/sinks")["result"][0]["id"]


def test_a_layout_that_cannot_be_read_is_refused_with_its_text(quick_server, lake):
    for config, text in [
        ({"partition_by": ["week(at)"]}, "config.partition_by"), ({"partition_by": "country"}, "config.partition_by"),
        ({"sort_by": ["id sideways"]}, "config.sort_by"), ({"partition_by": [7]}, "config.partition_by[0]"),
    ]:
        refused = refused_sink(quick_server, **config)
        assert refused.status == 400 and text in refused.message, refused.message


def test_a_layout_by_a_column_that_the_query_does_not_make_stops_the_pipeline(quick_server, lake, stream):
    create_table_sink(quick_server, "laid_out", "lake", "laid_out", partition_by=["nobody"])
    pipeline = quick_server.create_pipeline("p", "INSERT INTO laid_out SELECT * FROM events")
    wait_until("a reason", 15, lambda: "nobody" in (read(quick_server, pipeline).get("failure_reason") or ""), every=0.2)


def test_a_table_that_was_there_before_is_written_beside_its_rows(quick_server, lake, stream):
    catalog = lake.pyiceberg()
    catalog.create_namespace("old")
    schema = pa.schema([
        pa.field("note", pa.string()), pa.field("country", pa.string()), pa.field("id", pa.int64(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC")), pa.field("__ingest_ts", pa.timestamp("us", tz="UTC")),
    ])
    table = catalog.create_table(("old", "events"), schema=schema)
    table.append(pa.table({"note": ["theirs"], "country": ["de"], "id": [-1], "at": [None], "__ingest_ts": [None]}, schema=schema))
    with pytest.raises(ApiError) as refused:
        create_table_sink(quick_server, "s", "lake", "events", namespace="old")
    assert refused.value.status == 400 and refused.value.code == 1012
    create_table_sink(quick_server, "s", "lake", "events", namespace="old", existing_table=True)
    quick_server.create_pipeline("p", "INSERT INTO s SELECT * FROM events")
    quick_server.send(stream, [event(i) for i in range(10)])
    quick_server.wait_delivered("p", 10)
    rows = found(lake, "SELECT id, country, note FROM lake.old.events ORDER BY id")
    assert rows == [(-1, "de", "theirs"), *((i, COUNTRIES[i % 5], None) for i in range(10))]
    # Their tools go on as well.
    table.refresh()
    table.append(pa.table({"note": ["later"], "country": ["de"], "id": [-2], "at": [None], "__ingest_ts": [None]}, schema=schema))
    quick_server.send(stream, [event(10)])
    quick_server.wait_delivered("p", 11)
    assert len(found(lake, "SELECT id FROM lake.old.events")) == 13


def test_columns_that_a_table_lacks_are_added_when_the_sink_says_so(quick_server, lake, stream):
    create_table_sink(quick_server, "grows", "lake", "grows", add_columns=True)
    pipeline = quick_server.create_pipeline("p", "INSERT INTO grows SELECT id FROM events")
    quick_server.send(stream, [event(i) for i in range(5)])
    quick_server.wait_delivered("p", 5)
    edit(quick_server, pipeline, sql="INSERT INTO grows SELECT id, country, named_struct('at', at) AS more FROM events")
    wait_running(quick_server, pipeline, 2)
    quick_server.send(stream, [event(i) for i in range(5, 10)])
    quick_server.wait_delivered("p", 10)
    rows = found(lake, "SELECT id, country, more.at IS NULL FROM lake.default.grows ORDER BY id")
    assert rows == [*((i, None, True) for i in range(5)), *((i, COUNTRIES[i % 5], False) for i in range(5, 10))]
    assert not lake.table("default", "grows").schema().find_field("country").required


def test_without_that_the_pipeline_says_which_column_is_lacking(quick_server, lake, stream):
    create_table_sink(quick_server, "stays", "lake", "stays")
    pipeline = quick_server.create_pipeline("p", "INSERT INTO stays SELECT id FROM events")
    quick_server.send(stream, [event(i) for i in range(5)])
    quick_server.wait_delivered("p", 5)
    edit(quick_server, pipeline, sql="INSERT INTO stays SELECT id, country FROM events")
    wait_until("a reason", 20, lambda: '"country"' in (read(quick_server, pipeline).get("failure_reason") or ""), every=0.2)
    edit(quick_server, pipeline, sql="INSERT INTO stays SELECT id FROM events")
    quick_server.send(stream, [event(i) for i in range(5, 10)])
    quick_server.wait_delivered("p", 10)
    assert sorted(found(lake, "SELECT id FROM lake.default.stays")) == [(i,) for i in range(10)]


def test_a_sink_switches_the_catalog_of_its_bucket_on_and_a_catalog_that_is_off_takes_nothing(quick_server, stream):
    create_table_sink(quick_server, "s", "fresh", "events")
    assert quick_server.call("GET", "r2-catalog/fresh")["result"]["status"] == "active"
    pipeline = quick_server.create_pipeline("p", "INSERT INTO s SELECT * FROM events")
    quick_server.send(stream, [event(0)])
    quick_server.wait_delivered("p", 1)
    quick_server.call("POST", "r2-catalog/fresh/disable")
    quick_server.send(stream, [event(1)])
    wait_until("a reason", 15, lambda: "switched on" in (read(quick_server, pipeline).get("failure_reason") or ""), every=0.2)
    lake = enable(quick_server, "fresh")
    quick_server.wait_delivered("p", 2)
    assert sorted(found(lake, "SELECT id FROM lake.default.events")) == [(0,), (1,)]


def test_a_query_that_makes_the_time_of_ingest_itself_is_refused(quick_server, lake, stream):
    create_table_sink(quick_server, "s", "lake", "events")
    with pytest.raises(ApiError) as refused:
        quick_server.create_pipeline("p", "INSERT INTO s SELECT id, __ingest_ts FROM events")
    assert refused.value.status == 400 and '"__ingest_ts" of sink "s"' in refused.value.message
