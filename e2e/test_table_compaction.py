"""Upkeep of a table that is written at full rate: rows stay exact, files become fewer, and readers never see an error."""

import threading

from catalogs import FOREIGN, QUICK_TABLES, TableCopy, enable
from lakehead import Server
from load import ROUNDS
from processes import wait_until
from table_faults import agrees, append, beside, foreign_ids

# A look at each table every second; what is old is so after seconds.
EAGER = QUICK_TABLES.rstrip() + """
upkeep_interval_seconds = 1
snapshots_max = 10
manifests_max = 10
readers_grace_seconds = 20

"""
SMALL = {"interval_seconds": 1, "file_size_bytes": 200_000}


def compacts(server: Server, bucket: str):
    server.call("POST", f"r2-catalog/{bucket}/maintenance-configs", {"compaction": {"state": "enabled", "target_size_mb": "64"}})


def files_and_rows(copy: TableCopy) -> tuple[int, int]:
    snapshot = copy.table().current_snapshot()
    return int(snapshot.summary["total-data-files"]), int(snapshot.summary["total-records"])


def read_by_duckdb(copy: TableCopy, counts: list):
    """Reads again and again; what was once there stays."""

    def work(ended: threading.Event):
        reader, last = copy.lake.duckdb(), 0
        while not ended.is_set():
            rows, ids = reader.execute(
                f"SELECT count(id), count(DISTINCT id) FROM lake.default.events WHERE id < {FOREIGN} AND payload <> ''").fetchone()
            assert rows == ids and rows >= last, (rows, ids, last)
            last = rows
            counts.append(rows)

    return work


def read_by_pyiceberg(copy: TableCopy, counts: list):
    def work(ended: threading.Event):
        last = 0
        while not ended.is_set():
            found = copy.table().scan(row_filter=f"id < {FOREIGN}", selected_fields=("id",)).to_arrow()["id"].to_pylist()
            assert len(found) == len(set(found)) and len(found) >= last, (len(found), len(set(found)), last)
            last = len(found)
            counts.append(last)

    return work


def test_compaction_while_all_write_and_read(make_server):
    server = make_server(EAGER).start()
    copy = TableCopy(server, enable(server, "busy"), "busy", rolling_policy=SMALL)
    copy.send(1)
    copy.wait_table()
    compacts(server, "busy")
    counts: tuple[list, list] = ([], [])
    readers = [beside(read_by_duckdb(copy, counts[0])), beside(read_by_pyiceberg(copy, counts[1]))]
    added = 0
    with copy.load(producers=4, pause=0.002) as load:
        for n in range(8 * ROUNDS):
            # Somebody else writes as well.
            append(copy, n)
            added += 1
            load.wait_acknowledged(1500)
        wait_until("files were compacted", 60, lambda: compacted(server) >= 16, every=0.2)
        load.wait_acknowledged(1000)
    for thread, ended, failed in readers:
        ended.set()
        thread.join(timeout=30)
        assert not failed, failed[0]
    assert all(len(c) >= 3 for c in counts), [len(c) for c in counts]
    made = server.metrics().sum("sink_files_total", pipeline="copy") + added
    copy.wait_settled()
    wait_until("files are fewer", 60, lambda: files_and_rows(copy)[0] < made // 2, every=0.5)
    rows = copy.finish()
    assert foreign_ids(copy) == list(range(added))
    files, total = files_and_rows(copy)
    table = copy.table()
    print(f"{len(rows)} rows and {added} of others; {made} files made, {compacted(server)} compacted, {files} now; "
          f"{len(table.snapshots())} snapshots, {len(table.current_snapshot().manifests(table.io))} manifests; "
          f"read {len(counts[0])} times by DuckDB, {len(counts[1])} times by PyIceberg")
    assert total == len(rows) + added
    agrees(copy)


def test_upkeep_with_kills_ends_exact(make_server):
    """kill -9 while files are compacted, snapshots expire and files are deleted."""
    server = make_server(EAGER.replace("grace_seconds = 20", "grace_seconds = 1")).start()
    copy = TableCopy(server, enable(server, "busy"), "busy", rolling_policy=SMALL)
    copy.send(1)
    copy.wait_table()
    compacts(server, "busy")
    with copy.load(producers=3) as load:
        for n in range(8 * ROUNDS):
            load.wait_acknowledged(600)
            # A look takes place after the first second; somewhere in it.
            wait_until("some time", 10, lambda m=[10 + 3 * n]: m.append(m.pop() - 1) or m[0] < 0)
            server.kill()
            server.start()
        load.wait_acknowledged(200)
    rows = copy.finish()
    print(f"{len(rows)} rows, {files_and_rows(copy)[0]} files, {len(copy.table().snapshots())} snapshots, {compacted(server)} compacted")


def compacted(server: Server) -> int:
    return server.metrics().sum("upkeep_files_compacted_total")
