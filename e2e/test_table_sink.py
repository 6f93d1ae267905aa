"""Sinks of type `r2_data_catalog`: made by wrangler or by the API, rolled, edited, restarted, killed, and beside other writers."""

import random
import time
from collections import Counter

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from catalogs import EVERY_SECOND, FOREIGN, QUICK_TABLES, Lake, TableCopy, create_table_sink, enable, foreign_rows, total_records
from lakehead import ApiError
from load import ROUNDS, SEED, payload
from processes import wait_until
from test_edits import edit, read, wait_running
from wrangler import created_id, execute, printed_curl

IDS = {"fields": [{"name": "id", "type": "int64", "required": True}, {"name": "text", "type": "string"}]}


@pytest.fixture
def copy(quick_server, lake) -> TableCopy:
    return TableCopy(quick_server, lake, "lake")


def found(lake: Lake, query: str) -> list[tuple]:
    return lake.duckdb().execute(query).fetchall()


def test_wranglers_own_way(wrangler, server, folder):
    """From nothing to rows, with the commands of Cloudflare's documentation."""
    schema = folder / "schema.json"
    schema.write_text('{"fields":[{"name":"user_id","type":"string","required":true},{"name":"visits","type":"int64"}]}')
    wrangler.text("r2", "bucket", "create", "my-lake")
    assert f"{server.account}_my-lake" in wrangler.text("r2", "bucket", "catalog", "enable", "my-lake")
    assert "active" in wrangler.text("r2", "bucket", "catalog", "get", "my-lake").lower()
    wrangler.text("pipelines", "streams", "create", "visits", "--schema-file", str(schema), "--http-auth", "false")
    sink = created_id(wrangler.text(
        "pipelines", "sinks", "create", "visits_table", "--type", "r2-data-catalog", "--bucket", "my-lake", "--namespace", "web",
        "--table", "visits", "--roll-interval", "60", "--compression", "snappy", "--catalog-token", server.token,
    ), "sink", "visits_table")
    seen = wrangler.json("pipelines", "sinks", "get", sink)
    assert seen["config"]["namespace"] == "web" and seen["config"]["table_name"] == "visits" and server.token not in str(seen)
    text = wrangler.text("pipelines", "create", "visits_copy", "--sql", "INSERT INTO visits_table SELECT * FROM visits")
    assert execute(printed_curl(text))[0] == 200
    # What has come is committed before the server ends.
    assert server.stop() == 0
    server.start()
    server.wait_delivered("visits_copy", 1)
    lake = Lake(f"{server.url}/catalog", f"{server.account}_my-lake", server.token)
    assert found(lake, "SELECT user_id FROM lake.web.visits") == [("sample_user_id",)]
    wrangler.text("r2", "bucket", "catalog", "disable", "my-lake")
    assert server.call("GET", "r2-catalog/my-lake")["result"]["status"] == "inactive"
    assert lake.http("GET", "config", warehouse=lake.warehouse).status_code in (403, 404)


def test_a_roll_takes_60_seconds_unless_the_operator_allows_less(server, make_server):
    enable(server, "lake")
    for seconds in (1, 59):
        with pytest.raises(ApiError) as refused:
            create_table_sink(server, "s", "lake", "t", rolling_policy={"interval_seconds": seconds})
        assert refused.value.status == 400 and "rolling_policy.interval_seconds" in refused.value.message
    sink = create_table_sink(server, "s", "lake", "t", rolling_policy={"interval_seconds": 60})
    assert sink["config"]["rolling_policy"]["interval_seconds"] == 60
    assert "token" not in server.call("GET", f"pipelines/v1/sinks/{sink['id']}")["result"]["config"]
    quick = make_server(QUICK_TABLES, "quick").start()
    enable(quick, "lake")
    assert create_table_sink(quick, "s", "lake", "t")["config"]["rolling_policy"]["interval_seconds"] == 1


def test_sinks_that_cannot_work_are_refused(quick_server, lake):
    lake.pyiceberg().create_namespace("taken")
    lake.pyiceberg().create_table(("taken", "t"), schema=Schema(NestedField(1, "id", LongType())))
    with pytest.raises(ApiError) as existing:
        create_table_sink(quick_server, "s", "lake", "t", namespace="taken")
    assert (existing.value.status, existing.value.code) == (400, 1012), existing.value
    with pytest.raises(ApiError) as lines:
        create_table_sink(quick_server, "s", "lake", "t", format={"type": "json"})
    assert lines.value.status == 400 and "format" in lines.value.message


@pytest.mark.parametrize("before", ["never", "off"])
def test_a_sink_switches_on_a_catalog_that_never_was_and_waits_for_one_that_is_off(quick_server, before):
    quick_server.call("POST", "r2/buckets", {"name": "without"})
    if before == "off":
        enable(quick_server, "without")
        quick_server.call("POST", "r2-catalog/without/disable")
    stream = quick_server.create_stream("events", IDS)
    create_table_sink(quick_server, "one", "without", "one")
    pipeline = quick_server.create_pipeline("p", "INSERT INTO one SELECT * FROM events")
    quick_server.send(stream, [{"id": 1, "text": "a"}])
    if before == "off":
        failed = wait_until("it fails", 30, lambda: (s := read(quick_server, pipeline))["status"] == "failed" and s, every=0.2)
        assert "catalog" in failed["failure_reason"] and "without" in failed["failure_reason"]
        quick_server.call("POST", "r2-catalog/without/enable")
    quick_server.wait_delivered("p", 1)
    assert quick_server.call("GET", "r2-catalog/without")["result"]["status"] == "active"
    assert found(enable(quick_server, "without"), "SELECT id, text FROM lake.default.one") == [(1, "a")]


def test_each_roll_is_one_snapshot(quick_server, lake, copy):
    for _ in range(3):
        before = total_records(copy.wait_table()) if copy.sent else 0
        copy.send(10)
        wait_until("a roll", 10, lambda before=before: total_records(copy.wait_table()) == before + 10, every=0.2)
    table = copy.table()
    assert [int(snapshot.summary["added-records"]) for snapshot in table.snapshots()] == [10] * 3
    # Nothing comes, nothing is committed.
    time.sleep(3)
    assert len(copy.table().snapshots()) == 3
    copy.finish()


@pytest.mark.parametrize("type", ["r2_data_catalog", "basin_catalog"])
def test_a_stream_without_a_schema_becomes_a_column_of_text(quick_server, lake, type):
    stream = quick_server.create_stream("bare")
    sink = create_table_sink(quick_server, "bare_table", "lake", "bare", namespace="some.where", type=type)
    # They are the same thing.
    assert sink["type"] == "r2_data_catalog"
    quick_server.create_pipeline("copy", "INSERT INTO bare_table SELECT * FROM bare")
    quick_server.send(stream, [{"a": [1, None]}, {"b": "ä"}])
    quick_server.wait_delivered("copy", 2)
    table = lake.pyiceberg().load_table(("some", "where", "bare")).scan().to_arrow()
    assert sorted(table["value"].to_pylist()) == ['{"a":[1,null]}', '{"b":"ä"}']


def test_several_statements_write_one_table(quick_server, lake):
    stream = quick_server.create_stream("events", IDS)
    create_table_sink(quick_server, "one", "lake", "one")
    quick_server.create_pipeline("p", "; ".join(f"INSERT INTO one SELECT id * 10 + {n} AS id, text FROM events WHERE id % 3 >= {n}" for n in range(3)))
    quick_server.send_all(stream, [{"id": i, "text": f"t{i}"} for i in range(300)], batch=50)
    quick_server.wait_delivered("p", 900)
    expected = sorted((i * 10 + n, f"t{i}") for i in range(300) for n in range(3) if i % 3 >= n)
    assert sorted(found(lake, "SELECT id, text FROM lake.default.one")) == expected
    assert total_records(lake.table("default", "one")) == len(expected)


def test_an_edited_pipeline_goes_on_in_its_table_at_an_exact_position(quick_server, lake):
    stream = quick_server.create_stream("events", IDS)
    create_table_sink(quick_server, "one", "lake", "one")
    pipeline = quick_server.create_pipeline("p", "INSERT INTO one SELECT id, 'first' AS text FROM events")
    quick_server.send_all(stream, [{"id": i} for i in range(100)])
    wait_until("rows of the first version", 15, lambda: lake.pyiceberg().table_exists(("default", "one")), every=0.3)
    edit(quick_server, pipeline, sql="INSERT INTO one SELECT id, 'second' AS text FROM events WHERE id % 2 = 0")
    quick_server.send_all(stream, [{"id": i} for i in range(100, 200)])
    wait_running(quick_server, pipeline, 2)
    quick_server.send_all(stream, [{"id": i} for i in range(200, 300)])
    quick_server.wait_delivered("p", 300)
    rows = dict(found(lake, "SELECT id, text FROM lake.default.one"))
    assert Counter(id for (id,) in found(lake, "SELECT id FROM lake.default.one")).most_common(1)[0][1] == 1
    begin = min(id for id, text in rows.items() if text == "second")
    assert all(rows.get(i) == "first" for i in range(begin - 1)) and begin <= 202
    assert {i for i in rows if i > begin} == {i for i in range(300) if i % 2 == 0 and i > begin}
    assert set(rows) >= set(range(100))


def test_columns_that_do_not_fit_the_table_stop_the_pipeline_and_say_so(quick_server, lake):
    stream = quick_server.create_stream("events", IDS)
    create_table_sink(quick_server, "one", "lake", "one")
    pipeline = quick_server.create_pipeline("p", "INSERT INTO one SELECT id, text FROM events")
    quick_server.send(stream, [{"id": 1, "text": "a"}])
    quick_server.wait_delivered("p", 1)
    try:
        edit(quick_server, pipeline, sql="INSERT INTO one SELECT id, text, 1.5 AS score FROM events")
    except ApiError as refused:
        assert refused.status == 400 and "score" in refused.message
        return
    quick_server.send(stream, [{"id": 2, "text": "b"}])
    failed = wait_until("it fails", 30, lambda: (s := read(quick_server, pipeline))["status"] == "failed" and s, every=0.2)
    assert "score" in failed["failure_reason"]
    edit(quick_server, pipeline, sql="INSERT INTO one SELECT id, text FROM events")
    quick_server.wait_delivered("p", 2)
    assert sorted(found(lake, "SELECT id, text FROM lake.default.one")) == [(1, "a"), (2, "b")]


def test_a_restart_commits_what_came_before(quick_server, lake, copy):
    with copy.load() as load:
        for _ in range(3 * ROUNDS):
            load.wait_acknowledged(200)
            assert quick_server.stop() == 0
            quick_server.start()
    rows = copy.finish()
    assert len(rows) >= 600


def test_kill_9_at_any_moment_ends_exact(quick_server, lake, copy):
    dice, kills = random.Random(SEED), 0
    with copy.load() as load:
        for _ in range(10 * ROUNDS):
            load.wait_acknowledged(100)
            time.sleep(dice.uniform(0, 3))
            quick_server.kill()
            kills += 1
            while dice.random() < 0.3:
                quick_server.spawn()
                time.sleep(dice.uniform(0, 0.5))
                quick_server.kill()
                kills += 1
            quick_server.start()
    rows = copy.finish()
    table = copy.table()
    print(f"{kills} kills, {len(rows)} rows, {len(table.snapshots())} snapshots")
    assert len(table.snapshots()) > 4 and len(rows) >= 1000 * ROUNDS


# Beside others.


def test_other_writers_of_the_table_lose_nothing_and_get_what_they_added(quick_server, lake, copy):
    """D-07: appends, new columns and the end of snapshots, between our load and our commit."""
    copy.send(1)
    copy.wait_table()
    added = 0
    with copy.load() as load:
        for n in range(12):
            while True:
                table = copy.table()
                try:
                    table.append(foreign_rows(table, [n]))
                    break
                except CommitFailedException:
                    continue
            added += 1
            if n == 4:
                with copy.table().update_schema() as change:
                    change.add_column("theirs", StringType())
            if n == 8:
                wait_until("an old snapshot goes", 30, lambda: expired(copy), every=0.1)
            load.wait_acknowledged(50)
    ids = [id for (id,) in found(lake, f"SELECT id FROM lake.default.events WHERE id >= {FOREIGN}")]
    assert sorted(ids) == [FOREIGN + n for n in range(12)] and added == 12
    copy.finish()


def expired(copy: TableCopy) -> bool:
    """Whether it made old snapshots go: all but the current one and its parent."""
    table = copy.table()
    current = table.current_snapshot()
    kept = {current.snapshot_id, current.parent_snapshot_id}
    old = [snapshot.snapshot_id for snapshot in table.snapshots() if snapshot.snapshot_id not in kept]
    try:
        table.maintenance.expire_snapshots().by_ids(old).commit()
    except CommitFailedException:
        return False
    return bool(old)


@pytest.mark.parametrize("again", [False, True], ids=["dropped", "dropped and made again"])
def test_a_dropped_table_stops_its_pipeline_until_a_person_decides(quick_server, lake, copy, again):
    """D-09: a table of the same name is another table."""
    copy.send(10)
    quick_server.wait_delivered("copy", 10)
    schema = copy.table().schema()
    lake.pyiceberg().drop_table(("default", "events"))
    if again:
        lake.pyiceberg().create_table(("default", "events"), schema=schema)
    copy.send(10)
    reason = copy.wait_status("failed", within=30)
    assert "table" in reason, reason
    if again:
        assert total_records(copy.table()) == 0, "rows were written into a foreign table"
        lake.pyiceberg().drop_table(("default", "events"))
    edit(quick_server, copy.pipeline, sql="INSERT INTO files SELECT * FROM events;")
    quick_server.wait_delivered("copy", 20)
    copy.wait_status("running", within=20)
    assert sorted(row["id"] for row in copy.rows()) == list(range(10, 20))


def test_a_column_that_others_drop_stops_the_pipeline_and_keeps_its_rows(quick_server, lake, copy):
    """D-10."""
    copy.send(10)
    quick_server.wait_delivered("copy", 10)
    with copy.table().update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("payload")
    copy.send(10)
    reason = copy.wait_status("failed", within=30)
    assert "payload" in reason, reason
    with copy.table().update_schema() as change:
        change.add_column("payload", StringType())
    copy.wait_status("running", within=60)
    quick_server.wait_delivered("copy", 20)
    # Those of the column that was dropped are gone with it.
    expected = {i: None if i < 10 else payload(i) for i in range(20)}
    rows = copy.rows()
    assert len(rows) == 20 and {row["id"]: row["payload"] for row in rows} == expected


def test_a_column_that_others_rename_stops_the_pipeline_until_it_is_renamed_back(quick_server, lake, copy):
    """D-10."""
    copy.send(10)
    quick_server.wait_delivered("copy", 10)
    with copy.table().update_schema() as change:
        change.rename_column("payload", "renamed")
    copy.send(10)
    reason = copy.wait_status("failed", within=30)
    assert "payload" in reason, reason
    with copy.table().update_schema() as change:
        change.rename_column("renamed", "payload")
    copy.wait_status("running", within=60)
    copy.finish()


def test_a_catalog_that_is_switched_off_delays_and_loses_nothing(quick_server, lake, copy):
    copy.send(10)
    quick_server.wait_delivered("copy", 10)
    quick_server.call("POST", "r2-catalog/lake/disable")
    assert quick_server.stop() == 0
    quick_server.start()
    copy.send(10)
    assert "catalog" in copy.wait_status("failed", within=30)
    quick_server.call("POST", "r2-catalog/lake/enable")
    copy.wait_status("running", within=60)
    copy.finish()


def test_a_deleted_sink_leaves_its_table(quick_server, lake, copy):
    copy.send(10)
    quick_server.wait_delivered("copy", 10)
    quick_server.call("DELETE", f"pipelines/v1/pipelines/{copy.pipeline['id']}")
    quick_server.call("DELETE", f"pipelines/v1/sinks/{copy.sink['id']}")
    assert sorted(row["id"] for row in copy.rows()) == list(range(10))
    with pytest.raises(ApiError) as existing:
        create_table_sink(quick_server, "files", "lake", "events", rolling_policy=EVERY_SECOND)
    assert existing.value.code == 1012
