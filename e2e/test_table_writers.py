"""Clients that write tables of their own into the embedded catalog: PyIceberg, DuckDB, ClickHouse."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.exceptions import (
    CommitFailedException, NamespaceAlreadyExistsError, NamespaceNotEmptyError, NoSuchNamespaceError, NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType, StructType, TimestamptzType

from catalogs import Lake, enable
from processes import wait_until

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True), NestedField(2, "at", TimestamptzType()), NestedField(3, "text", StringType()),
)
ARROW = pa.schema([pa.field("id", pa.int64(), nullable=False), ("at", pa.timestamp("us", tz="UTC")), ("text", pa.string())])
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def rows(ids, schema: pa.Schema = ARROW) -> pa.Table:
    return pa.Table.from_pylist([{"id": i, "at": BEGIN + timedelta(hours=i), "text": f"text {i}"} for i in ids], schema=schema)


def snapshots(table: Table) -> list:
    """In the order of their making; the protocol lists them in any."""
    return sorted(table.snapshots(), key=lambda snapshot: snapshot.sequence_number)


def ids(table: Table, **scan) -> list[int]:
    return sorted(table.scan(selected_fields=("id",), **scan).to_arrow()["id"].to_pylist())


@pytest.fixture(scope="module")
def lake(lasting_server) -> Lake:
    return enable(lasting_server, "lake")


@pytest.fixture
def namespace(request, lake) -> str:
    """A namespace of the test's own."""
    name = request.node.originalname.removeprefix("test_")[:40]
    lake.pyiceberg().create_namespace(name)
    return name


def test_a_table_is_made_filled_and_read_by_everybody(lake, namespace):
    catalog = lake.pyiceberg()
    table = catalog.create_table(
        (namespace, "t"), schema=SCHEMA, properties={"owner": "somebody"},
        partition_spec=PartitionSpec(PartitionField(2, 1000, DayTransform(), "day"), PartitionField(1, 1001, BucketTransform(4), "part")),
        sort_order=SortOrder(SortField(1, IdentityTransform())),
    )
    assert catalog.list_tables(namespace) == [(namespace, "t")] and catalog.table_exists((namespace, "t"))
    assert table.properties["owner"] == "somebody" and not table.sort_order().is_unsorted
    assert [str(field.transform) for field in table.spec().fields] == ["day", "bucket[4]"]
    for first in (0, 100):
        table.append(rows(range(first, first + 100)), snapshot_properties={"batch": str(first)})
    table = lake.table(namespace, "t")
    assert ids(table) == list(range(200))
    assert [snapshot.summary.additional_properties["batch"] for snapshot in snapshots(table)] == ["0", "100"]
    assert lake.duckdb().execute(f"SELECT count(*), sum(id)::BIGINT, max(text) FROM lake.{namespace}.t").fetchone() == (200, 19900, "text 99")
    (answer,) = lake.clickhouse(f"SELECT count() AS n, uniqExact(text) AS texts FROM lake.`{namespace}.t`")
    assert answer.to_pylist() == [{"n": 200, "texts": 200}]
    table.delete("id < 50")
    table.overwrite(rows([50]), overwrite_filter="id = 50")
    assert ids(lake.table(namespace, "t")) == list(range(50, 200))
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table((namespace, "t"), schema=SCHEMA)


def test_a_staged_table_is_there_from_its_first_commit_on(lake, namespace):
    catalog = lake.pyiceberg()
    transaction = catalog.create_table_transaction((namespace, "t"), schema=SCHEMA, properties={"a": "b"})
    other = catalog.create_table_transaction((namespace, "t"), schema=SCHEMA)
    transaction.append(rows(range(3)))
    other.append(rows(range(5)))
    assert not catalog.table_exists((namespace, "t")) and catalog.list_tables(namespace) == []
    transaction.commit_transaction()
    with pytest.raises((TableAlreadyExistsError, CommitFailedException)):
        other.commit_transaction()
    table = lake.table(namespace, "t")
    assert ids(table) == [0, 1, 2] and table.properties["a"] == "b"


def test_schema_partitions_and_order_evolve(lake, namespace):
    table = lake.pyiceberg().create_table((namespace, "t"), schema=SCHEMA)
    table.append(rows(range(10)))
    with table.update_schema() as change:
        change.add_column("score", DoubleType(), doc="how good")
        change.add_column("place", StructType(NestedField(1, "city", StringType()), NestedField(2, "zip", LongType())))
        change.rename_column("text", "words")
        change.make_column_optional("id")
        change.move_first("score")
    with table.update_spec() as change:
        change.add_field("at", DayTransform(), "day")
    with table.update_sort_order() as order:
        order.asc("id", IdentityTransform())
    table = lake.table(namespace, "t")
    assert table.schema().column_names[:4] == ["score", "id", "at", "words"] and len(table.schemas()) == 2
    assert table.schema().find_field("score").doc == "how good" and not table.schema().find_field("id").required
    assert len(table.specs()) == 2 and not table.sort_order().is_unsorted
    evolved = table.schema().as_arrow()
    table.append(pa.Table.from_pylist(
        [{"id": i, "at": BEGIN, "words": "new", "score": 1.5, "place": {"city": "Thunder Bay", "zip": i}} for i in range(10, 20)],
        schema=evolved))
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("words")
    with table.update_spec() as change:
        change.remove_field("day")
    table = lake.table(namespace, "t")
    found = {row["id"]: row for row in table.scan().to_arrow().to_pylist()}
    assert set(found) == set(range(20)) and "words" not in found[0]
    assert (found[0]["score"], found[0]["place"], found[12]["place"]) == (None, None, {"city": "Thunder Bay", "zip": 12})
    query = f"SELECT sum(score), count(place.city) FROM lake.{namespace}.t"
    assert lake.duckdb().execute(query).fetchone() == (15.0, 10)
    assert table.spec().is_unpartitioned() or all(str(field.transform) == "void" for field in table.spec().fields)


def test_snapshots_expire_and_have_names(lake, namespace):
    table = lake.pyiceberg().create_table((namespace, "t"), schema=SCHEMA)
    for first in range(4):
        table.append(rows([first]))
    first, second, third, last = (snapshot.snapshot_id for snapshot in snapshots(table))
    table.manage_snapshots().create_tag(first, "begin").create_branch(second, "side").commit()
    table = lake.table(namespace, "t")
    assert ids(table, snapshot_id=table.snapshot_by_name("begin").snapshot_id) == [0] and "side" in table.refs()
    table.append(rows([77]), branch="side")
    table = lake.table(namespace, "t")
    assert ids(table) == [0, 1, 2, 3]
    assert ids(table, snapshot_id=table.snapshot_by_name("side").snapshot_id) == [0, 1, 77]
    table.maintenance.expire_snapshots().by_id(third).commit()
    table = lake.table(namespace, "t")
    left = {snapshot.snapshot_id for snapshot in table.snapshots()}
    assert third not in left and {first, second, last} <= left and ids(table) == [0, 1, 2, 3]
    table.manage_snapshots().remove_tag("begin").remove_branch("side").commit()
    assert set(lake.table(namespace, "t").refs()) == {"main"}
    table.append(rows([4]))
    lake.table(namespace, "t").manage_snapshots().rollback_to_snapshot(last).commit()
    assert ids(lake.table(namespace, "t")) == [0, 1, 2, 3]


def test_tables_are_renamed_dropped_purged_and_registered(lake, namespace):
    catalog = lake.pyiceberg()
    table = catalog.create_table((namespace, "one"), schema=SCHEMA)
    table.append(rows(range(5)))
    files = Path(table.location().removeprefix("file://"))
    catalog.create_namespace(f"{namespace}_other")
    renamed = catalog.rename_table((namespace, "one"), (f"{namespace}_other", "two"))
    assert ids(renamed) == list(range(5)) and renamed.location() == table.location()
    assert not catalog.table_exists((namespace, "one")) and catalog.list_tables(namespace) == []
    catalog.create_table((namespace, "taken"), schema=SCHEMA)
    with pytest.raises(TableAlreadyExistsError):
        catalog.rename_table((f"{namespace}_other", "two"), (namespace, "taken"))
    with pytest.raises(NoSuchTableError):
        catalog.rename_table((namespace, "nobody"), (namespace, "else"))
    # Dropped, it is gone from the catalog, and can be had back from its files.
    catalog.drop_table((f"{namespace}_other", "two"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((f"{namespace}_other", "two"))
    assert list(files.rglob("*.parquet"))
    back = catalog.register_table((namespace, "back"), renamed.metadata_location)
    assert ids(back) == list(range(5)) and back.metadata.table_uuid == table.metadata.table_uuid
    back.append(rows([5]))
    assert ids(lake.table(namespace, "back")) == list(range(6))
    with pytest.raises(TableAlreadyExistsError):
        catalog.register_table((namespace, "taken"), renamed.metadata_location)
    with pytest.raises(NoSuchTableError):
        catalog.drop_table((namespace, "nobody"))
    # Purged, its files are gone as well.
    catalog.purge_table((namespace, "taken"))
    assert not catalog.table_exists((namespace, "taken"))


def test_a_purge_deletes_the_files_of_the_table_alone(lake, namespace):
    catalog = lake.pyiceberg()
    kept, gone = (catalog.create_table((namespace, name), schema=SCHEMA) for name in ("kept", "gone"))
    for table in (kept, gone):
        table.append(rows(range(3)))
        table.append(rows(range(3, 6)))
    folder = Path(gone.location().removeprefix("file://"))
    assert len(list(folder.rglob("*.parquet"))) == 2
    catalog.purge_table((namespace, "gone"))
    wait_until("its files are gone", 20, lambda: not [path for path in folder.rglob("*") if path.is_file()], every=0.2)
    assert ids(lake.table(namespace, "kept")) == list(range(6))


def test_namespaces_nest_and_have_properties(lake, namespace):
    catalog = lake.pyiceberg()
    catalog.create_namespace((namespace, "in"), {"owner": "x", "team": "a"})
    catalog.create_namespace((namespace, "in", "side"))
    assert catalog.list_namespaces(namespace) == [(namespace, "in")]
    assert catalog.list_namespaces((namespace, "in")) == [(namespace, "in", "side")]
    assert (namespace,) in catalog.list_namespaces() and (namespace, "in") not in catalog.list_namespaces()
    properties = catalog.load_namespace_properties((namespace, "in"))
    assert properties["owner"] == "x" and properties["team"] == "a"
    summary = catalog.update_namespace_properties((namespace, "in"), removals={"team", "absent"}, updates={"owner": "y", "new": "z"})
    assert (sorted(summary.removed), sorted(summary.updated), summary.missing) == (["team"], ["new", "owner"], ["absent"])
    properties = catalog.load_namespace_properties((namespace, "in"))
    assert (properties["owner"], properties["new"]) == ("y", "z") and "team" not in properties
    deep = catalog.create_table((namespace, "in", "side", "t"), schema=SCHEMA)
    deep.append(rows(range(2)))
    assert ids(catalog.load_table((namespace, "in", "side", "t"))) == [0, 1]
    assert catalog.list_tables(namespace) == [] and len(catalog.list_tables((namespace, "in", "side"))) == 1
    for full in ((namespace, "in", "side"), (namespace, "in")):
        with pytest.raises(NamespaceNotEmptyError):
            catalog.drop_namespace(full)
    with pytest.raises(NamespaceAlreadyExistsError):
        catalog.create_namespace(namespace)
    for missing in ("nobody", (namespace, "nobody")):
        assert not catalog.namespace_exists(missing)
        with pytest.raises(NoSuchNamespaceError):
            catalog.drop_namespace(missing)
        with pytest.raises(NoSuchNamespaceError):
            catalog.create_table((*((missing,) if isinstance(missing, str) else missing), "t"), schema=SCHEMA)
        with pytest.raises(NoSuchNamespaceError):
            catalog.list_tables(missing)
    catalog.drop_table((namespace, "in", "side", "t"))
    for empty in ((namespace, "in", "side"), (namespace, "in"), (namespace,)):
        catalog.drop_namespace(empty)
    assert not catalog.namespace_exists(namespace)


def append_until_done(lake: Lake, namespace: str, first: int, appends: int) -> int:
    """Appends rows one by one as a client does that knows of others: at a conflict it loads anew. How often that was."""
    catalog, conflicts = lake.pyiceberg(), 0
    for n in range(appends):
        while True:
            try:
                catalog.load_table((namespace, "t")).append(rows([first + n]))
                break
            except CommitFailedException:
                conflicts += 1
                assert conflicts < 500, "nobody gets ahead"
    return conflicts


def test_8_writers_times_5_appends_add_exactly_40_rows(lake, namespace):
    # PyIceberg would try again by itself.
    table = lake.pyiceberg().create_table((namespace, "t"), schema=SCHEMA, properties={"commit.retry.num-retries": "0"})
    table.append(rows([1000]))
    with ThreadPoolExecutor(8) as pool:
        conflicts = sum(pool.map(lambda n: append_until_done(lake, namespace, n * 10, 5), range(8)))
    table = lake.table(namespace, "t")
    assert ids(table) == sorted([1000, *(n * 10 + i for n in range(8) for i in range(5))])
    line = snapshots(table)
    assert [snapshot.sequence_number for snapshot in line] == list(range(1, 42))
    parents = [snapshot.parent_snapshot_id for snapshot in line[1:]]
    assert parents == [snapshot.snapshot_id for snapshot in line[:-1]], "one line of snapshots"
    assert int(table.current_snapshot().summary["total-records"]) == 41
    assert conflicts > 0, "no two writers met"


def test_a_stale_writer_is_refused_and_changes_nothing(lake, namespace):
    catalog = lake.pyiceberg()
    catalog.create_table((namespace, "t"), schema=SCHEMA, properties={"commit.retry.num-retries": "0"})
    one, other = lake.table(namespace, "t"), lake.table(namespace, "t")
    one.append(rows([1]))
    with pytest.raises(CommitFailedException):
        other.append(rows([2]))
    one, other = lake.table(namespace, "t"), lake.table(namespace, "t")
    with one.update_schema() as change:
        change.add_column("a", StringType())
    with pytest.raises(CommitFailedException), other.update_schema() as change:
        change.add_column("b", StringType())
    table = lake.table(namespace, "t")
    assert ids(table) == [1] and table.schema().column_names == ["id", "at", "text", "a"]


def test_old_metadata_files_go_as_the_table_says(lake, namespace):
    table = lake.pyiceberg().create_table((namespace, "t"), schema=SCHEMA, properties={
        "write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "3",
    })
    for n in range(8):
        table.append(rows([n]))
    table = lake.table(namespace, "t")
    assert len(table.metadata.metadata_log) == 3
    folder = Path(table.location().removeprefix("file://")) / "metadata"
    assert len(list(folder.glob("*.metadata.json"))) == 4
    assert ids(table) == list(range(8))


def test_duckdb_writes(lake, namespace):
    duck = lake.duckdb(writes=True)
    duck.execute(f"CREATE TABLE lake.{namespace}.made AS SELECT range AS id, 'x' || range AS text FROM range(1000)")
    duck.execute(f"INSERT INTO lake.{namespace}.made VALUES (1000, 'more')")
    duck.execute(f"CREATE TABLE lake.{namespace}.empty (a INTEGER, s STRUCT(x BIGINT, y VARCHAR[]))")
    assert ids(lake.table(namespace, "made")) == list(range(1001))
    assert lake.table(namespace, "empty").scan().to_arrow().num_rows == 0
    duck.execute("BEGIN")
    duck.execute(f"INSERT INTO lake.{namespace}.made VALUES (1001, NULL)")
    duck.execute(f"INSERT INTO lake.{namespace}.empty VALUES (1, {{'x': 2, 'y': ['z']}})")
    duck.execute("COMMIT")
    duck.execute(f"UPDATE lake.{namespace}.made SET text = 'changed' WHERE id = 5")
    duck.execute(f"DELETE FROM lake.{namespace}.made WHERE id < 3")
    duck.execute(f"ALTER TABLE lake.{namespace}.empty ADD COLUMN more BIGINT")
    made = {row["id"]: row["text"] for row in lake.table(namespace, "made").scan().to_arrow().to_pylist()}
    assert set(made) == set(range(3, 1002)) and (made[5], made[6], made[1001]) == ("changed", "x6", None)
    assert lake.table(namespace, "empty").scan().to_arrow().to_pylist() == [{"a": 1, "s": {"x": 2, "y": ["z"]}, "more": None}]
    duck.execute(f"DROP TABLE lake.{namespace}.empty")
    duck.execute("CREATE SCHEMA lake.by_duckdb")
    duck.execute("DROP SCHEMA lake.by_duckdb")
    catalog = lake.pyiceberg()
    assert catalog.list_tables(namespace) == [(namespace, "made")] and not catalog.namespace_exists("by_duckdb")


def test_clickhouse_inserts(lake, namespace):
    table = lake.pyiceberg().create_table((namespace, "t"), schema=pa.schema([("id", pa.int64()), ("text", pa.string())]))
    table.append(pa.table({"id": [1], "text": ["a"]}))
    *_, answer = lake.clickhouse(
        f"INSERT INTO lake.`{namespace}.t` VALUES (2, 'b'), (3, 'c')", f"SELECT id FROM lake.`{namespace}.t` ORDER BY id")
    assert answer["id"].to_pylist() == [1, 2, 3]
    assert ids(lake.table(namespace, "t")) == [1, 2, 3]


def test_readers_never_see_an_error_while_somebody_writes(lake, namespace):
    lake.pyiceberg().create_table((namespace, "t"), schema=SCHEMA).append(rows([0]))
    ended, counts = threading.Event(), []

    def write():
        for n in range(1, 15):
            lake.table(namespace, "t").append(rows([n]))
        ended.set()

    with ThreadPoolExecutor(2) as pool:
        writer = pool.submit(write)
        duck = lake.duckdb()
        while not ended.is_set() and not writer.done():
            counts.append(duck.execute(f"SELECT count(*) FROM lake.{namespace}.t").fetchone()[0])
            counts.append(len(ids(lake.table(namespace, "t"))))
        writer.result()
    assert counts == sorted(counts) and len(set(counts)) > 3, json.dumps(counts)
    assert ids(lake.table(namespace, "t")) == list(range(15))
