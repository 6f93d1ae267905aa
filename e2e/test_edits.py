"""SQL is changed in place: each record is handled by exactly one version, and nothing is lost or repeated.

Every version writes its own number into its rows, so what came out says which version handled which record.
"""

import json
import os
import random
import socket
import threading
import time
from collections import Counter

import duckdb
import pyarrow.parquet as pq
import pytest

from lakehead import ApiError
from processes import wait_until
from test_kill9 import CLIENTS, SCHEMA, Client, flat

SECONDS = float(os.environ.get("EDIT_SECONDS", "25"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 32))))
JSON = {"type": "json"}
QUICK = {"interval_seconds": 10, "inactivity_seconds": 1}


def rows(server, bucket: str) -> list[dict]:
    files = sorted(p for p in server.bucket(bucket).rglob("*") if p.is_file())
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def edit(server, pipeline: dict, **body) -> dict:
    return server.call("PATCH", f"pipelines/v1/pipelines/{pipeline['id']}", body)["result"]


def read(server, pipeline: dict) -> dict:
    return server.call("GET", f"pipelines/v1/pipelines/{pipeline['id']}")["result"]


def versions(server, pipeline: dict) -> list[dict]:
    return server.call("GET", f"pipelines/v1/pipelines/{pipeline['id']}/versions", per_page=100)["result"]


def wait_running(server, pipeline: dict, version: int):
    wait_until(f"version {version} runs", 20, lambda: read(server, pipeline)["running_version"] == version, every=0.05)


@pytest.fixture
def orders(server):
    stream = server.create_stream("orders", {"fields": [{"name": "id", "type": "int64", "required": True}]})
    for sink in ("files", "more"):
        server.create_sink(sink, sink, JSON, rolling_policy=QUICK)
    return stream


def test_an_edit_takes_over_at_an_exact_position_and_can_be_taken_back(server, orders):
    pipeline = server.create_pipeline("p", "INSERT INTO files SELECT id, 1 AS v FROM orders")
    server.send(orders, [{"id": i} for i in range(100)])
    wait_running(server, pipeline, 1)
    edited = edit(server, pipeline, sql="INSERT INTO files SELECT id, 2 AS v FROM orders WHERE id % 2 = 0")
    assert edited["version"] == 2
    server.send(orders, [{"id": i} for i in range(100, 200)])
    wait_running(server, pipeline, 2)
    server.send(orders, [{"id": i} for i in range(200, 300)])
    server.wait_delivered("p", 300)
    assert edit(server, pipeline, rollback_to_version=1)["version"] == 3
    wait_running(server, pipeline, 3)
    server.send(orders, [{"id": i} for i in range(300, 400)])
    ledger = server.wait_delivered("p", 400)

    out = rows(server, "files")
    assert max(Counter(row["id"] for row in out).values()) == 1
    newest, second, first = versions(server, pipeline)
    assert [v["state"] for v in (newest, second, first)] == ["running", "past", "past"]
    (early,), (middle,), (late,) = (v["spans"] for v in (first, second, newest))
    assert (early["from"], early["until"], middle["until"]) == (0, middle["from"], late["from"])
    assert late["until"] is None and middle["from"] <= 200 and late["from"] == 300
    # One client sends one request after the other, so a record's id is its position.
    expected = {(i, 1) for i in range(400) if i < early["until"] or i >= late["from"]}
    expected |= {(i, 2) for i in range(middle["from"], middle["until"]) if i % 2 == 0}
    assert {(row["id"], row["v"]) for row in out} == expected
    assert ledger["delivered"] == len(expected) and ledger["filtered"] == 400 - len(expected)
    counters = read(server, pipeline)["counters"]
    assert counters["accepted"] == 400 and counters["delivered"] == len(expected)


def test_an_edit_may_change_sinks_and_the_number_of_statements(server, orders):
    pipeline = server.create_pipeline("p", "INSERT INTO files SELECT id FROM orders")
    server.send(orders, [{"id": i} for i in range(50)])
    server.wait_delivered("p", 50)
    edit(server, pipeline, sql="INSERT INTO more SELECT id FROM orders; INSERT INTO files SELECT -id AS id FROM orders")
    wait_running(server, pipeline, 2)
    server.send(orders, [{"id": i} for i in range(50, 80)])
    wait_until("both sinks have their rows", 20,
               lambda: len(rows(server, "more")) == 30 and len(rows(server, "files")) == 80)
    assert sorted(row["id"] for row in rows(server, "more")) == list(range(50, 80))
    assert sorted(row["id"] for row in rows(server, "files")) == sorted([*range(50), *range(-79, -49)])
    edit(server, pipeline, sql="INSERT INTO more SELECT id FROM orders")
    wait_running(server, pipeline, 3)
    server.send(orders, [{"id": i} for i in range(80, 90)])
    wait_until("the remaining sink has its rows", 20, lambda: len(rows(server, "more")) == 40)
    assert server.stop() == 0
    assert len(rows(server, "files")) == 80
    server.start()
    assert read(server, pipeline)["version"] == 3
    server.wait_delivered("p", 120)


def test_an_edit_that_cannot_run_is_refused_and_the_pipeline_goes_on(server, orders):
    pipeline = server.create_pipeline("p", "INSERT INTO files SELECT id FROM orders")
    with pytest.raises(ApiError) as refused:
        edit(server, pipeline, sql="INSERT INTO files SELECT nothing FROM orders")
    assert refused.value.code == 1004 and "nothing" in refused.value.message
    with pytest.raises(ApiError) as outdated:
        edit(server, pipeline, sql="INSERT INTO more SELECT id FROM orders", expected_version=2)
    assert outdated.value.code == 1012
    server.send(orders, [{"id": 1}])
    server.wait_delivered("p", 1)
    assert read(server, pipeline)["version"] == 1 and len(versions(server, pipeline)) == 1


def test_a_version_that_stands_unevenly_ends_first(server, orders):
    """One of two sinks cannot be written: the other one goes on; the edit waits for both to come to one position."""
    pipeline = server.create_pipeline(
        "p", "INSERT INTO files SELECT id, 1 AS v FROM orders; INSERT INTO more SELECT id, 1 AS v FROM orders",
    )
    server.send(orders, [{"id": i} for i in range(10)])
    server.wait_delivered("p", 20)
    place = server.bucket("more")
    place.rename(place.with_name("aside"))
    place.write_text("not a folder")
    server.send(orders, [{"id": i} for i in range(10, 30)])
    wait_until("the healthy sink goes on", 30, lambda: len(rows(server, "files")) == 30)
    status = wait_until("the failure shows", 30, lambda: (r := read(server, pipeline))["status"] == "failed" and r)
    assert status["failure_reason"], status
    edit(server, pipeline, sql="INSERT INTO files SELECT id, 2 AS v FROM orders; INSERT INTO more SELECT id, 2 AS v FROM orders")
    server.send(orders, [{"id": i} for i in range(30, 40)])
    time.sleep(2)
    assert read(server, pipeline)["running_version"] == 1
    assert versions(server, pipeline)[0]["state"] == "waiting"
    assert not any(row["v"] == 2 for row in rows(server, "files")), "two versions at once"
    server.kill()
    server.start()
    place.unlink()
    place.with_name("aside").rename(place)
    wait_running(server, pipeline, 2)
    wait_until("all is delivered", 40, lambda: len(rows(server, "more")) == 40 and len(rows(server, "files")) == 40)
    (span,) = versions(server, pipeline)[1]["spans"]
    for bucket in ("files", "more"):
        expected = [(i, 1 if i < span["until"] else 2) for i in range(40)]
        assert sorted((row["id"], row["v"]) for row in rows(server, bucket)) == expected, bucket


def test_a_stream_that_was_left_and_is_read_again_goes_on_where_it_was_left(server, orders):
    others = server.create_stream("others", {"fields": [{"name": "id", "type": "int64", "required": True}]})
    both = "INSERT INTO files SELECT id FROM orders; INSERT INTO more SELECT id FROM others"
    pipeline = server.create_pipeline("p", both)
    for stream in (orders, others):
        server.send(stream, [{"id": i} for i in range(100)])
    server.wait_delivered("p", 200)
    edit(server, pipeline, sql="INSERT INTO files SELECT id FROM orders")
    wait_running(server, pipeline, 2)
    server.send(others, [{"id": i} for i in range(100, 120)])
    edit(server, pipeline, rollback_to_version=1)
    wait_running(server, pipeline, 3)
    server.wait_delivered("p", 220)
    assert sorted(row["id"] for row in rows(server, "more")) == list(range(120))
    (span,) = (s for s in versions(server, pipeline)[0]["spans"] if s["stream"] == "others")
    assert span["from"] == 100


def break_bucket(server, bucket: str):
    """A file where the bucket's folder should be."""
    place = server.bucket(bucket)
    if place.exists():
        place.rename(place.with_name(f"{bucket}-aside"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("not a folder")


def test_a_sink_deleted_while_a_version_waits_for_it_is_given_up_and_its_counts_stay(server, orders):
    pipeline = server.create_pipeline(
        "p", "INSERT INTO files SELECT id, 1 AS v FROM orders; INSERT INTO more SELECT id, 1 AS v FROM orders",
    )
    server.send(orders, [{"id": i} for i in range(100)])
    server.wait_delivered("p", 200)
    break_bucket(server, "more")
    server.send(orders, [{"id": i} for i in range(100, 110)])
    wait_until("the failure shows", 30, lambda: read(server, pipeline)["status"] == "failed")
    wait_until("the healthy sink goes on", 30, lambda: len(rows(server, "files")) == 110)
    edit(server, pipeline, sql="INSERT INTO files SELECT id, 2 AS v FROM orders")
    sinks = {s["name"]: s["id"] for s in server.call("GET", "pipelines/v1/sinks")["result"]}
    server.call("DELETE", f"pipelines/v1/sinks/{sinks['more']}")
    wait_running(server, pipeline, 2)
    server.send(orders, [{"id": i} for i in range(110, 120)])
    wait_until("the new version delivers", 30, lambda: len(rows(server, "files")) == 120)
    assert sorted((row["id"], row["v"]) for row in rows(server, "files")) == [(i, 1 if i < 110 else 2) for i in range(120)]
    wait_until("all is well", 20, lambda: read(server, pipeline)["status"] == "running")
    before = server.wait_quiet("p", at_least=220)
    assert before["delivered"] == 220
    assert server.stop() == 0
    server.start()
    assert server.wait_quiet("p", at_least=220) == before


def test_a_pipeline_deleted_when_a_flow_has_just_failed_leaves_nothing(server, orders):
    pipeline = server.create_pipeline("p", "INSERT INTO files SELECT id FROM orders; INSERT INTO more SELECT id FROM orders")
    server.send(orders, [{"id": i} for i in range(10)])
    server.wait_delivered("p", 20)
    break_bucket(server, "more")
    server.send(orders, [{"id": i} for i in range(10, 20)])
    wait_until("the failure shows", 30, lambda: read(server, pipeline)["status"] == "failed", every=0.01)
    server.call("DELETE", f"pipelines/v1/pipelines/{pipeline['id']}")
    wait_until("its figures are gone", 10, lambda: not any(
        sample.labels.get("pipeline") == "p" and sample.value and sample.name.startswith("pipeline_records_")
        for sample in server.metrics().samples
    ))
    staged = server.data_dir / "staging" / pipeline["id"]
    wait_until("its staged files are gone", 10, lambda: not any(p.is_file() for p in staged.rglob("*")))


def test_a_store_that_never_answers_keeps_the_sink_beside_it_waiting_for_seconds_only(make_server):
    silent = socket.create_server(("127.0.0.1", 0))
    server = make_server(
        f'[buckets.more]\nendpoint = "http://127.0.0.1:{silent.getsockname()[1]}"\nregion = "us-east-1"\n'
        'bucket = "more"\naccess_key_id = "a"\nsecret_access_key = "b"\n'
    ).start()
    stream = server.create_stream("orders", {"fields": [{"name": "id", "type": "int64", "required": True}]})
    for sink in ("files", "more"):
        server.create_sink(sink, sink, JSON, rolling_policy=QUICK)
    pipeline = server.create_pipeline("p", "INSERT INTO more SELECT id FROM orders; INSERT INTO files SELECT id FROM orders")
    server.send(stream, [{"id": i} for i in range(10)])
    wait_until("the healthy sink goes on", 60, lambda: len(rows(server, "files")) == 10)
    assert "has not answered" in read(server, pipeline)["failure_reason"]
    silent.close()


def test_a_pipeline_edited_every_few_seconds_under_load_with_kills_loses_and_repeats_nothing(make_server):
    print(f"SEED={SEED} EDIT_SECONDS={SECONDS}")
    server = make_server().start()
    dice = random.Random(SEED)
    stream = server.create_stream("events", SCHEMA)
    policy = {"file_size_bytes": 100_000, "interval_seconds": 10, "inactivity_seconds": 1}
    for sink in ("files", "more"):
        server.create_sink(sink, sink, {"type": "parquet"}, rolling_policy=policy)

    def sql(version: int) -> str:
        # One statement or two into one sink each, in changing order: every record once in `files` and once in `more`.
        statements = [f"INSERT INTO {sink} SELECT *, {version} AS v FROM events" for sink in ("files", "more")]
        return "; ".join(statements if version % 2 else statements[::-1])

    pipeline = server.create_pipeline("p", sql(1))
    stop = threading.Event()
    clients = [Client(n, server.port, f"/ingest/{stream['id']}", stop, dice.randrange(1 << 32)) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    version, edits, kills = 1, 0, 0
    try:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(dice.uniform(0.2, 2.5))
            version += 1
            assert edit(server, pipeline, sql=sql(version), expected_version=version - 1)["version"] == version
            edits += 1
            if dice.random() < 0.7:
                time.sleep(dice.choice([0, 0.01, 0.05, 0.2, 0.5]))
                server.kill()
                kills += 1
                server.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert not [text for c in clients for text in c.unexpected]
    acknowledged = flat(ids for c in clients for ids in c.acknowledged)
    unanswered = flat(ids for c in clients for ids in c.unanswered)
    server.wait_quiet("p", at_least=2 * len(acknowledged), within=120)
    wait_running(server, pipeline, version)

    database = duckdb.connect()
    for sink in ("files", "more"):
        files = ", ".join(f"'{p}'" for p in server.bucket(sink).rglob("*.parquet"))
        database.execute(f"CREATE TABLE {sink} AS SELECT * FROM read_parquet([{files}], hive_partitioning = false)")
        out = [id for (id,) in database.execute(f"SELECT id FROM {sink}").fetchall()]
        assert len(out) == len(set(out)), f"{len(out) - len(set(out))} records twice in {sink} (SEED={SEED})"
        lost = acknowledged - set(out)
        assert not lost, f"{len(lost)} lost in {sink}, e.g. {sorted(lost)[:5]} (SEED={SEED})"
        assert set(out) <= acknowledged | unanswered
    differing = database.execute("SELECT count(*) FROM files JOIN more USING (id) WHERE files.v <> more.v").fetchone()
    assert differing == (0,), f"a record was handled by two versions (SEED={SEED})"
    ran = {v for (v,) in database.execute("SELECT DISTINCT v FROM files").fetchall()}
    # Each version that ran handled exactly the stretch it says, one after the other.
    spans = [(v["version"], v["spans"]) for v in reversed(versions(server, pipeline)) if v["spans"]]
    ends = [span["until"] for _, (span,) in spans]
    assert [span["from"] for _, (span,) in spans] == [0, *ends[:-1]]
    counts = dict(database.execute("SELECT v, count(*) FROM files GROUP BY v").fetchall())
    for file in server.bucket("files").rglob("*.parquet"):
        table = pq.read_table(file, partitioning=None)
        assert set(table["v"].to_pylist()) == {int(pq.read_metadata(file).metadata[b"lakehead.pipeline_version"])}, file
    for number, (span,) in spans[:-1]:
        assert counts.get(number, 0) == span["until"] - span["from"], f"version {number} (SEED={SEED})"
    print(f"{edits} edits, {kills} kills, {len(ran)} versions ran, {len(acknowledged)} records acknowledged")
    assert edits >= SECONDS / 5 and kills >= SECONDS / 10 and len(ran) >= SECONDS / 8, (edits, kills, len(ran))
    assert len(acknowledged) > SECONDS * 100
