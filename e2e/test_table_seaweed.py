"""Tables in a catalog that is not ours: SeaweedFS's, over its S3 store, with other writers and with answers that are lost.

What the catalog answers is played with by a proxy before it (`fault_proxy.py`); conflicts are the catalog's own.
"""

import itertools
import re
import threading
import time
from datetime import UTC, datetime

import pytest
from pyiceberg.exceptions import CommitFailedException, ValidationException

from catalogs import FOREIGN, QUICK_TABLES, Lake, TableCopy, external_catalog, foreign_rows, seaweed_lake
from fault_proxy import Answer, Call, FaultProxy, Lose, Refuse
from load import ROUNDS
from processes import wait_until

NUMBERS = itertools.count(1)


@pytest.fixture
def through_catalog(make_server, seaweed):
    """Makes a server that copies its stream into a table of SeaweedFS's catalog, and the proxy between the two."""
    proxies = []

    def make(token: bool = False, configuration: str = "", **more) -> tuple[TableCopy, FaultProxy]:
        warehouse = f"warehouse{next(NUMBERS)}"
        lake = seaweed_lake(seaweed, warehouse)
        proxies.append(FaultProxy(seaweed.catalog_uri))
        place = external_catalog(seaweed, warehouse, lake.token if token else None, proxies[-1].endpoint)
        server = make_server(QUICK_TABLES + configuration + place).start()
        return TableCopy(server, lake, warehouse, **more), proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


def is_commit(call: Call) -> bool:
    return call.kind == "post" and call.key.endswith(("/tables/events", "/transactions/commit"))


def append(lake: Lake, n: int, tries: int = 200):
    """Adds a foreign row; at a conflict once more."""
    for _ in range(tries):
        table = lake.table("default", "events")
        try:
            return table.append(foreign_rows(table, [n]))
        except CommitFailedException:
            continue
    raise AssertionError(f"no commit in {tries} tries")


def compact(lake: Lake, tries: int = 50):
    """Replaces the files of the table by one, as maintenance by others does."""
    for _ in range(tries):
        table = lake.table("default", "events")
        try:
            return table.overwrite(table.scan().to_arrow())
        except (CommitFailedException, ValidationException):
            continue
    raise AssertionError(f"no commit in {tries} tries")


def foreign_ids(lake: Lake) -> list[int]:
    query = f"SELECT id FROM lake.default.events WHERE id >= {FOREIGN}"
    return sorted(id - FOREIGN for (id,) in lake.duckdb().execute(query).fetchall())


@pytest.mark.parametrize("token", [False, True], ids=["OAuth client", "token"])
def test_the_newcomers_path_with_an_external_catalog(through_catalog, token):
    copy, proxy = through_catalog(token)
    ids = copy.send(300)
    rows = copy.finish()
    assert {row["id"] for row in rows} == ids
    assert (proxy.count("post") > 0) and any(call.key.endswith("oauth/tokens") for call in proxy.calls) is not token
    table = copy.table()
    assert table.location().startswith(f"s3://{copy.bucket}/")
    assert sorted(table.scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()) == sorted(ids)
    (answer,) = copy.lake.clickhouse("SELECT count() AS n, uniqExact(id) AS ids, sum(id) AS total FROM lake.`default.events`")
    assert answer.to_pylist() == [{"n": 300, "ids": 300, "total": sum(ids)}]
    (part,) = table.spec().fields
    assert (part.name, str(part.transform)) == ("__ingest_ts_day", "day")
    # All of it is of today.
    tomorrow = datetime.fromtimestamp(time.time() + 86_400, UTC).strftime("%Y-%m-%dT00:00:00+00:00")
    assert not list(table.scan(row_filter=f"__ingest_ts >= '{tomorrow}'").plan_files())
    query = f"SELECT count(*) FROM lake.default.events WHERE __ingest_ts < '{tomorrow}'"
    lake = copy.lake.duckdb()
    assert lake.execute(query).fetchone() == (300,)
    plan = lake.execute(f"EXPLAIN ANALYZE {query.replace('<', '>=')}").fetchall()[0][1]
    assert not re.search(r"Total Files Read: [1-9]", plan), plan


def test_real_conflicts_with_other_writers_lose_nothing(through_catalog):
    """D-07: two others append all the while, then one compacts."""
    copy, proxy = through_catalog()
    copy.send(1)
    copy.wait_table()
    ended, added = threading.Event(), []

    def write(first: int):
        for n in itertools.count(first, 10):
            if ended.is_set():
                return
            append(copy.lake, n)
            added.append(n)

    threads = [threading.Thread(target=write, args=(first,), daemon=True) for first in (0, 1)]
    with copy.load() as load:
        for thread in threads:
            thread.start()
        try:
            wait_until("a conflict of ours", 90, lambda: conflicts(proxy) >= 2 * ROUNDS, every=0.3)
            load.wait_acknowledged(200)
        finally:
            ended.set()
            for thread in threads:
                thread.join(timeout=60)
        compact(copy.lake)
        load.wait_acknowledged(200)
    copy.finish()
    assert foreign_ids(copy.lake) == sorted(added) and len(added) > 5
    print(f"{conflicts(proxy)} conflicts of ours, {len(added)} rows of others")


def conflicts(proxy: FaultProxy) -> int:
    return sum(1 for call in list(proxy.calls) if is_commit(call) and call.status == 409)


@pytest.mark.parametrize(("how", "meanwhile"), [
    *((how, "nothing") for how in ("reset", "truncate", 500, 502, 503, 504)),
    ("reset", "append"), ("reset", "compaction"), ("reset", "expiry"), (502, "append"), (504, "expiry"),
])
def test_a_commit_whose_answer_is_lost_is_applied_once(through_catalog, how, meanwhile):
    """D-08: it was applied, we are not told so, and others go on from it."""
    copy, proxy = through_catalog()
    copy.send(5)
    copy.server.wait_delivered("copy", 5)

    def then(call: Call):
        if meanwhile in ("append", "expiry"):
            append(copy.lake, 1)
        if meanwhile == "compaction":
            compact(copy.lake)
        if meanwhile == "expiry":
            table = copy.table()
            old = [s.snapshot_id for s in table.snapshots() if s.snapshot_id != table.current_snapshot().snapshot_id]
            table.maintenance.expire_snapshots().by_ids(old).commit()

    left = [Lose(how, then)]
    proxy.rule = lambda call: left.pop() if left and is_commit(call) else None
    copy.send(5)
    wait_until("the answer is lost", 20, lambda: proxy.faults() == 1)
    copy.send(5)
    copy.finish()
    assert foreign_ids(copy.lake) == ([1] if meanwhile in ("append", "expiry") else [])


@pytest.mark.parametrize("refusal", [Refuse(500), Refuse(503), Answer(429, headers={"Retry-After": "1"}), Answer(409, b"{}")],
                         ids=["500", "503", "429", "409"])
def test_a_commit_that_was_not_applied_is_made_later(through_catalog, refusal):
    copy, proxy = through_catalog()
    copy.send(5)
    copy.server.wait_delivered("copy", 5)
    left = [refusal] * 3
    proxy.rule = lambda call: left.pop() if left and is_commit(call) else None
    copy.send(5)
    copy.finish()
    assert proxy.faults() == 3


def test_an_outage_of_the_catalog_delays_and_loses_nothing(through_catalog):
    copy, proxy = through_catalog()
    with copy.load(pause=0.05) as load:
        load.wait_acknowledged(100)
        proxy.rule = lambda call: Refuse(503)
        assert copy.wait_status("failed", within=60)
        before = len(load.acknowledged)
        time.sleep(3)
        assert len(load.acknowledged) > before, "ingest does not go on"
        proxy.rule = lambda call: None
        copy.wait_status("running", within=90)
    copy.finish(within=90)


def test_kill_9_between_all_steps_ends_exact(through_catalog):
    copy, proxy = through_catalog()
    with copy.load() as load:
        for n in range(8 * ROUNDS):
            # In the midst of a commit, or at the load before it.
            wanted = is_commit if n % 2 else (lambda call: call.kind == "get" and call.key.endswith("/events"))
            hit = threading.Event()
            proxy.rule = lambda call, wanted=wanted, hit=hit: hit.set() if wanted(call) else None
            assert hit.wait(30), "no such request"
            time.sleep(0.01 * (n % 5))
            copy.server.kill()
            copy.server.start()
        proxy.rule = lambda call: None
        load.wait_acknowledged(50)
    copy.finish(within=90)
