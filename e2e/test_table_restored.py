"""Two servers with copies of one data folder, an older folder put back, a log that lost records, and clocks that jump, before a
table: no row comes twice, none is passed over without a word (R-08, R-11)."""

import shutil

import pytest

from catalogs import TableCopy, enable
from fault_proxy import Drop
from lakehead import Server, settle
from load import ROUNDS, record
from processes import wait_until
from table_faults import LONG_KINDS, QUICK_TABLES, Faulty, is_commit
from test_clock import DAY, Clock
from test_restored import put_back


def twin(tables, faulty: Faulty) -> Server:
    """Another server with a copy of the data folder, as of now; the first one is down meanwhile."""
    first = faulty.copy.server
    assert first.stop() == 0
    second = tables.make_server(first.configuration.read_text(), "twin")
    shutil.copytree(first.data_dir, second.data_dir)
    return second


def found_ids(copy: TableCopy) -> list[int]:
    return sorted(row["id"] for row in copy.rows())


@pytest.mark.parametrize("kind", LONG_KINDS)
@pytest.mark.parametrize("theirs", [10, 25], ids=["as many records", "more records"])
def test_of_two_servers_with_one_position_the_second_stops(tables, kind, theirs):
    """The first one commits up to a position; the other has other records there, and must not take them for delivered."""
    faulty = tables.far(kind)
    copy = faulty.copy
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    second = twin(tables, faulty)
    copy.server.start()
    copy.send(10)
    copy.server.wait_delivered("copy", 20)
    second.start()
    second.send(copy.stream, [record(1000 + i) for i in range(theirs)])
    wait_until("the second server says so", 20, lambda: status(second, copy)["status"] == "failed", every=0.2)
    reason = status(second, copy)["failure_reason"]
    print(reason)
    assert "data folder" in reason or "position" in reason, reason
    assert second.ledger("copy")["delivered"] == 10
    wait_until("they are in flight", 10, lambda: second.ledger("copy")["in_flight"] == theirs, every=0.2)
    copy.send(10)
    copy.server.wait_delivered("copy", 30)
    assert found_ids(copy) == list(range(30))


def status(server: Server, copy: TableCopy) -> dict:
    return server.call("GET", f"pipelines/v1/pipelines/{copy.pipeline['id']}")["result"]


def test_a_copy_that_holds_the_intent_of_a_commit_finds_it_made(tables):
    """Both complete one and the same commit: it is made once."""
    faulty = tables.far("lakehead")
    copy = faulty.copy
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    faulty.catalog.rule = lambda call: Drop() if is_commit(call) else None
    copy.send(10)
    wait_until("a commit is under way", 20, lambda: faulty.catalog.faults() > 0)
    copy.server.kill()
    second = tables.make_server(copy.server.configuration.read_text(), "twin")
    shutil.copytree(copy.server.data_dir, second.data_dir)
    faulty.heal()
    copy.server.start()
    copy.server.wait_delivered("copy", 20)
    second.start()
    second.wait_delivered("copy", 20)
    assert status(second, copy)["status"] == "running"
    assert found_ids(copy) == list(range(20))


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_an_older_data_folder_put_back_repeats_nothing_in_the_table(tables, kind):
    faulty = tables.far(kind)
    copy = faulty.copy
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    aside = copy.server.data_dir.with_name("aside")
    assert copy.server.stop() == 0
    shutil.copytree(copy.server.data_dir, aside)
    copy.server.start()
    copy.send(10)
    copy.server.wait_delivered("copy", 20)
    copy.server.kill()
    shutil.rmtree(copy.server.data_dir)
    shutil.move(aside, copy.server.data_dir)
    copy.server.start()
    # As many as the table has and the folder has not.
    copy.server.send(copy.stream, [record(1000 + i) for i in range(10)])
    reason = copy.wait_status("failed", within=20)
    assert "data folder" in reason or "position" in reason, reason
    settle(1)
    assert found_ids(copy) == list(range(20))


def test_an_older_data_folder_brings_its_own_catalog_back(tables):
    """The embedded catalog is in the data folder: what it knows of the table is as old as the log, and both go on from there."""
    faulty = tables.near()
    copy = faulty.copy
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    aside = copy.server.data_dir.with_name("aside")
    assert copy.server.stop() == 0
    shutil.copytree(copy.server.data_dir, aside)
    copy.server.start()
    copy.send(10)
    copy.server.wait_delivered("copy", 20)
    copy.server.kill()
    put_back(copy.server, aside)
    copy.server.start()
    assert found_ids(copy) == list(range(10))
    copy.sent = set(range(10))
    copy.send(30)
    copy.server.wait_delivered("copy", 40)
    copy.finish()


def test_a_log_that_begins_after_what_the_table_has_stops_the_pipeline(tables):
    """The oldest segment is lost with records that are in no table yet. They are not passed over without a word."""
    faulty = tables.near(f"[log]\nsegment_bytes = {16 << 20}\n\n")
    copy = faulty.copy
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    folder = copy.server.bucket(copy.bucket)
    folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")
    copy.send(1)
    copy.wait_status("failed", within=30)
    # Of these nothing is in a file yet.
    for _ in range(12):
        copy.send(6, 512_000)
    copy.server.kill()
    folder.unlink()
    folder.with_name("aside").rename(folder)
    lost = sorted(copy.server.data_dir.rglob("*.seg"))[0]
    lost.unlink()
    copy.server.spawn()
    wait_until("the server refuses to start", 20, lambda: not copy.server.process.running())
    said = copy.server.process.tail()
    assert lost.name in said and "accept_loss" in said, said
    copy.server.configuration.write_text(copy.server.configuration.read_text().replace("[log]\n", "[log]\naccept_loss = true\n"))
    copy.server.start()
    # What had been decided before is completed; then it stops.
    reason = copy.wait_status("failed", within=30)
    assert "position 11 " in reason and "trimmed" in reason, reason
    settle(1)
    assert found_ids(copy) == list(range(11))


@pytest.mark.parametrize("where", ["embedded", "embedded, killed"])
def test_a_clock_that_jumps_stops_no_commit(make_server, tables, where):
    """R-11: a day back, ten years on, and back again."""
    server = make_server(QUICK_TABLES, "clocked")
    clock = Clock(server)
    server.start()
    copy = TableCopy(server, enable(server, "lake"), "lake")
    copy.send(5)
    server.wait_delivered("copy", 5)
    for ahead in [-DAY, 3650 * DAY, 0, -1] * ROUNDS:
        clock.jump(ahead)
        if where.endswith("killed"):
            server.kill()
            server.start()
        copy.send(5)
        try:
            server.wait_delivered("copy", len(copy.sent), within=30)
        except AssertionError as error:
            raise AssertionError(f"{ahead} s ahead: {error}; {copy.status()}") from None
    table = copy.table()
    times = [entry.timestamp_ms for entry in table.history()]
    assert len(times) >= 5
    # Whoever reads with a right clock reads all of it.
    rows = copy.finish()
    assert len(rows) == len(copy.sent)
