"""The embedded catalog over an S3 store: it hands the store's keys to readers and writers, who need none of their own."""

import random
import time

import pyarrow as pa
import pytest

from catalogs import QUICK_TABLES, Lake, TableCopy, enable, foreign_rows
from load import ROUNDS, SEED
from processes import wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test_tokens import create


@pytest.fixture
def copy(make_server, seaweed) -> TableCopy:
    seaweed.create_bucket("tables")
    server = make_server(QUICK_TABLES + seaweed.configuration("tables")).start()
    yield TableCopy(server, enable(server, "tables"), "tables")
    seaweed.delete_bucket("tables")


def test_readers_need_no_keys_of_the_store(copy, seaweed):
    ids = copy.send(200)
    copy.finish()
    lake = copy.lake
    assert lake.store == {}
    table = copy.table()
    assert table.location().startswith("s3://tables/__r2_data_catalog/default/events-")
    assert set(table.scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()) == ids
    (answer,) = lake.clickhouse("SELECT count() AS n, uniqExact(id) AS ids FROM lake.`default.events`", vended=True)
    assert answer.to_pylist() == [{"n": 200, "ids": 200}]
    loaded = lake.http("GET", "~/namespaces/default/tables/events", headers={"X-Iceberg-Access-Delegation": "vended-credentials"}).json()
    assert loaded["config"]["s3.access-key-id"] == ACCESS_KEY_ID and loaded["config"]["s3.endpoint"].startswith(seaweed.endpoint)
    for credentials in loaded.get("storage-credentials", []):
        assert loaded["metadata"]["location"].startswith(credentials["prefix"])
        assert credentials["config"]["s3.access-key-id"] == ACCESS_KEY_ID
    # The table itself holds none of it.
    assert SECRET_ACCESS_KEY not in str(loaded["metadata"])
    for key in seaweed.keys("tables"):
        if key.endswith(".json"):
            with seaweed.files.open_input_stream(f"tables/{key}") as file:
                assert SECRET_ACCESS_KEY.encode() not in file.read()


@pytest.mark.parametrize(("whom", "given"), [("never", []), ("writers", ["writer"]), ("everyone", ["writer", "reader"])])
def test_keys_are_handed_to_whom_the_operator_says(make_server, seaweed, whom, given):
    seaweed.create_bucket(f"keys-{whom}")
    server = make_server(seaweed.configuration(f"keys-{whom}") + f"hand_out_keys = \"{whom}\"\n").start()
    writer = enable(server, f"keys-{whom}")
    writer.pyiceberg().create_namespace("n")
    writer.pyiceberg().create_table(("n", "t"), schema=pa.schema([("id", pa.int64())]))
    reader = Lake(writer.uri, writer.warehouse, create(server, "--allow", "read")["value"])
    for name, lake in (("writer", writer), ("reader", reader)):
        for path in ("", "/credentials"):
            asked = lake.http("GET", f"~/namespaces/n/tables/t{path}", headers={"X-Iceberg-Access-Delegation": "vended-credentials"})
            assert asked.status_code == 200 and (SECRET_ACCESS_KEY in asked.text) == (name in given), (name, path)
        # Nobody who does not ask is given any.
        assert SECRET_ACCESS_KEY not in lake.http("GET", "~/namespaces/n/tables/t").text
    seaweed.delete_bucket(f"keys-{whom}")


def test_writers_need_no_keys_either(copy):
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    table = copy.table()
    table.append(foreign_rows(table, range(5)))
    catalog = copy.lake.pyiceberg()
    made = catalog.create_table(("default", "made"), schema=pa.schema([("id", pa.int64())]))
    made.append(pa.table({"id": [1, 2, 3]}))
    duck = copy.lake.duckdb(writes=True)
    duck.execute("INSERT INTO lake.default.made VALUES (4)")
    duck.execute("CREATE TABLE lake.default.by_duckdb AS SELECT range AS id FROM range(10)")
    assert sorted(copy.lake.table("default", "made").scan().to_arrow()["id"].to_pylist()) == [1, 2, 3, 4]
    assert copy.lake.table("default", "by_duckdb").scan().to_arrow().num_rows == 10
    assert copy.lake.duckdb().execute("SELECT count(*) FROM lake.default.events").fetchone() == (15,)
    copy.send(10)
    copy.finish()


def test_a_purged_table_leaves_nothing_in_the_store(copy, seaweed):
    catalog = copy.lake.pyiceberg()
    catalog.create_namespace("other")
    made = catalog.create_table(("other", "made"), schema=pa.schema([("id", pa.int64())]))
    made.append(pa.table({"id": [1]}))
    folder = made.location().removeprefix("s3://tables/")
    assert [key for key in seaweed.keys("tables") if key.startswith(folder)]
    catalog.purge_table(("other", "made"))
    wait_until("its files are gone", 20, lambda: not [key for key in seaweed.keys("tables") if key.startswith(folder)], every=0.3)


def test_kill_9_at_any_moment_ends_exact(copy):
    dice = random.Random(SEED)
    with copy.load() as load:
        for _ in range(8 * ROUNDS):
            load.wait_acknowledged(100)
            time.sleep(dice.uniform(0, 3))
            copy.server.kill()
            copy.server.start()
    rows = copy.finish(within=90)
    print(f"{len(rows)} rows, {len(copy.table().snapshots())} snapshots")
    assert len(copy.table().snapshots()) > 3
