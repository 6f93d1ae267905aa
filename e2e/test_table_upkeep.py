"""The upkeep of tables while they are written: rows stay exact, files and snapshots stay few, readers never see an error."""

import random
import threading
import time

import pytest

from catalogs import Lake, TableCopy, enable, foreign_rows
from lakehead import Server
from load import ROUNDS, SEED
from processes import wait_until

# A look every second, and the files of removed snapshots go ten seconds later.
EAGER = """[tables]
roll_interval_seconds_min = 1
upkeep_interval_seconds = 1
snapshots_max = 5
manifests_max = 6
readers_grace_seconds = 10

"""


@pytest.fixture
def eager_server(make_server) -> Server:
    return make_server(EAGER).start()


@pytest.fixture
def lake(eager_server) -> Lake:
    return enable(eager_server, "lake")


class Reader(threading.Thread):
    """Counts the rows again and again. They never become fewer, and none is there twice."""

    def __init__(self, lake: Lake):
        super().__init__(daemon=True)
        self.lake, self.over, self.counts, self.error = lake, threading.Event(), [], None

    def run(self):
        try:
            duckdb, table = self.lake.duckdb(), self.lake.table("default", "events")
            while not self.over.is_set():
                rows, different = duckdb.execute("SELECT count(id), count(DISTINCT id) FROM lake.default.events").fetchone()
                assert rows == different, f"{rows} rows, of which {different} differ"
                self.counts.append(rows)
                table.refresh()
                self.counts.append(len(table.scan(selected_fields=("id", "payload")).to_arrow()))
        except Exception as error:
            self.error = error

    def stop(self):
        self.over.set()
        self.join(60)
        assert self.error is None, repr(self.error)
        assert len(self.counts) >= 4 and self.counts == sorted(self.counts), self.counts


def data_files(server: Server) -> int:
    return sum(1 for _ in server.bucket("lake").rglob("*.parquet"))


def compact(server: Server, bucket: str):
    configs = {"compaction": {"state": "enabled", "targetSizeMb": 64}}
    server.call("POST", f"r2-catalog/{bucket}/maintenance-configs", configs)


def failures(server: Server) -> list:
    """There are none before the first."""
    return [sample for sample in server.metrics().samples if sample.name == "upkeep_failures_total" and sample.value]


def upkeep(server: Server, name: str, **labels) -> int:
    return int(server.metrics().sum(f"upkeep_{name}_total", **labels))


def test_compaction_and_expiry_while_writing(eager_server, lake):
    compact(eager_server, "lake")
    copy = TableCopy(eager_server, lake, "lake")
    copy.send(10)
    copy.wait_table()
    reader = Reader(lake)
    reader.start()
    # A roll a second.
    until = time.monotonic() + 35
    while time.monotonic() < until:
        copy.send(200)
        time.sleep(0.2)
    reader.stop()
    copy.finish()
    wait_until("files of removed snapshots are gone", 40, lambda: data_files(eager_server) < 20, every=1)
    copy.finish()
    table = copy.table()
    assert len(table.snapshots()) <= 8
    assert len(table.current_snapshot().manifests(table.io)) <= 12
    assert any("/compacted-" in file for file in copy.files())
    assert upkeep(eager_server, "files_compacted") >= 16
    assert upkeep(eager_server, "snapshots_removed") >= 20
    assert upkeep(eager_server, "files_deleted", reason="expired") >= 16
    assert failures(eager_server) == []


def test_tables_of_other_writers_are_looked_after_as_well(eager_server, lake):
    copy = TableCopy(eager_server, lake, "lake")
    copy.send(10)
    wait_until("rows", 20, lambda: len(copy.wait_table().scan().to_arrow()) == 10, every=0.3)
    table = copy.table()
    for n in range(12):
        table.refresh()
        table.append(foreign_rows(table, [n]))
    wait_until("few snapshots", 20, lambda: len(copy.table().snapshots()) <= 8, every=0.5)
    wait_until("merged manifests", 20, lambda: len((t := copy.table()).current_snapshot().manifests(t.io)) <= 8, every=0.5)
    assert len(copy.table().scan().to_arrow()) == 22
    # What a tag points at stays.
    tagged = copy.table().current_snapshot().snapshot_id
    copy.table().manage_snapshots().create_tag(tagged, "kept").commit()
    for n in range(12, 24):
        table.refresh()
        table.append(foreign_rows(table, [n]))
    wait_until("few snapshots", 20, lambda: len(copy.table().snapshots()) <= 9, every=0.5)
    time.sleep(12)
    assert len(copy.table().scan(snapshot_id=tagged).to_arrow()) == 22
    assert failures(eager_server) == []
    copy.finish()


def test_kill_9_while_files_are_compacted_and_deleted_ends_exact(eager_server, lake):
    compact(eager_server, "lake")
    dice = random.Random(SEED)
    copy = TableCopy(eager_server, lake, "lake")
    with copy.load() as load:
        for _ in range(6 * ROUNDS):
            load.wait_acknowledged(200)
            time.sleep(dice.uniform(1, 6))
            eager_server.kill()
            eager_server.start()
        # Undisturbed, for once.
        time.sleep(15)
    rows = copy.finish()
    # What the killed ones had yet to delete is young, and stays; the table is what it should be.
    assert upkeep(eager_server, "files_compacted") >= 8
    assert len(copy.table().snapshots()) <= 8 and failures(eager_server) == []
    print(f"{len(rows)} rows, {data_files(eager_server)} files, {len(copy.files())} of them in the table")


def test_the_same_in_an_s3_store(make_server, seaweed):
    seaweed.create_bucket("upkeep")
    server = make_server(EAGER + seaweed.configuration("upkeep")).start()
    lake = enable(server, "upkeep")
    compact(server, "upkeep")
    copy = TableCopy(server, lake, "upkeep")
    for _ in range(20):
        copy.send(50)
        time.sleep(1)
    copy.finish()
    wait_until("files are compacted", 20, lambda: upkeep(server, "files_compacted") >= 8, every=1)

    def data():
        return [key for key in seaweed.keys("upkeep") if key.endswith(".parquet")]

    wait_until("files of removed snapshots are gone", 40, lambda: len(data()) < 16, every=1)
    assert len(copy.finish()) == 1000
    assert any("/compacted-" in key for key in data()) and failures(server) == []
    seaweed.delete_bucket("upkeep")
