"""Acknowledged means in the table exactly once, whenever the server is killed.

At random moments, as `test_kill9.py` does it with files (ROUNDS, default 20, and SEED come from the environment), and at each step of
a commit. In the end DuckDB reads the table through its catalog.
"""

import random
import signal
import threading
import time

import pyarrow.parquet as pq
import pytest

from catalogs import create_table_sink, enable, total_records
from fault_proxy import Call, Drop, Fault, Lose
from lakehead import Server
from load import ROUNDS as FAULT_ROUNDS
from processes import wait_until
from syscall_faults import Tampered
from table_faults import LONG_KINDS, QUICK_TABLES, Faulty, agrees, is_commit
from test_audit import audit
from test_kill9 import CLIENTS, IDS_PER_CLIENT, ROUNDS, SCHEMA, SEED, Client, flat, kill_rounds

SMALL = {"interval_seconds": 1, "file_size_bytes": 100_000}


class Folder:
    """The files of a table in a folder, as they are while the server is dead."""

    def __init__(self, server: Server, bucket: str):
        self.folder, self.seen = server.bucket(bucket), {}

    def check_visible_files(self):
        for file in self.folder.rglob("*.parquet"):
            stat = file.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if file not in self.seen:
                assert pq.read_metadata(file).num_rows > 0
                self.seen[file] = state
            assert self.seen[file] == state, f"{file} changed after it was visible"
        gone = [file for file in self.seen if not file.exists()]
        assert not gone, gone


def test_every_acknowledged_record_is_in_the_table_once_after_kill_9_at_any_moment(make_server):
    print(f"SEED={SEED} ROUNDS={ROUNDS}")
    server = make_server(QUICK_TABLES).start()
    lake = enable(server, "killed")
    stream = server.create_stream("events", SCHEMA)
    create_table_sink(server, "files", "killed", "events", format={"row_group_bytes": 65_536}, rolling_policy=SMALL)
    server.create_pipeline("copy", "INSERT INTO files SELECT * FROM events")
    place, dice, stop = Folder(server, "killed"), random.Random(SEED), threading.Event()
    clients = [Client(n, server.port, f"/ingest/{stream['id']}", stop, dice.randrange(1 << 32)) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        kills, fruitful = kill_rounds(server, place, clients, dice)
        time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    fresh = range(CLIENTS * IDS_PER_CLIENT, CLIENTS * IDS_PER_CLIENT + 100)
    server.send(stream, [{"id": i, "client": CLIENTS, "payload": "fresh"} for i in fresh])

    unexpected = [text for c in clients for text in c.unexpected]
    assert not unexpected, unexpected[:5]
    acknowledged = flat(ids for c in clients for ids in c.acknowledged) | set(fresh)
    refused = flat(ids for c in clients for ids in c.refused)
    unanswered = [ids for c in clients for ids in c.unanswered]
    ledger = server.wait_quiet("copy", at_least=len(acknowledged), within=120)

    table = lake.table("default", "events")
    reader = lake.duckdb()
    reader.execute("CREATE TABLE output AS SELECT * FROM lake.default.events")
    rows = [id for (id,) in reader.execute("SELECT id FROM output").fetchall()]
    delivered = set(rows)
    print(f"{kills} kills, {len(acknowledged)} records acknowledged, {len(rows)} rows in {len(table.snapshots())} snapshots, "
          f"{len(unanswered)} requests unanswered, {len(refused)} records refused")
    lost = acknowledged - delivered
    assert not lost, f"{len(lost)} acknowledged records are lost, e.g. {sorted(lost)[:5]} (SEED={SEED})"
    assert len(rows) == len(delivered) == total_records(table), f"{len(rows) - len(delivered)} rows came twice (SEED={SEED})"
    assert not delivered & refused, f"refused records came out: {sorted(delivered & refused)[:5]} (SEED={SEED})"
    foreign = delivered - acknowledged - flat(unanswered)
    assert not foreign, f"records nobody sent: {sorted(foreign)[:5]} (SEED={SEED})"
    torn = [ids for ids in unanswered if 0 < sum(i in delivered for i in ids) < len(ids)]
    assert not torn, f"requests that came out in part: {torn[:5]} (SEED={SEED})"
    wrong = reader.execute(
        f"SELECT count(*) FROM output WHERE client <> id // {IDS_PER_CLIENT} OR (client < {CLIENTS} AND payload <> sha256(id::VARCHAR))"
    ).fetchone()
    assert wrong == (0,)
    assert ledger["delivered"] == ledger["accepted"] == len(rows), ledger
    assert ledger["dead_lettered"] == ledger["filtered"] == 0, ledger
    place.check_visible_files()
    told = audit(server, "copy")
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    # Not a vacuous pass.
    assert kills >= ROUNDS and fruitful >= ROUNDS * 3 // 4, (kills, fruitful)
    assert len(acknowledged) >= ROUNDS * 200 and unanswered, (len(acknowledged), len(unanswered))
    assert len(table.snapshots()) >= ROUNDS, len(table.snapshots())


# At each step of a commit, before it takes effect and after it.

def named(*endings: str):
    return lambda call: call.kind == "put" and call.key.endswith(endings)


IN_STORE = {
    "the data file": named(".parquet"),
    "a manifest": lambda call: named(".avro")(call) and "snap-" not in call.key.rpartition("/")[2],
    "the list of manifests": lambda call: named(".avro")(call) and "snap-" in call.key.rpartition("/")[2],
}
OF_CATALOG = {
    "the table is loaded": lambda call: call.kind == "get" and call.key.endswith("/tables/events"),
    "the commit": is_commit,
}
IN_PARTS = {kind: (lambda call, kind=kind: call.kind == kind) for kind in ("create", "part", "complete")}


def killed_at(faulty: Faulty, proxy, wanted, applied: bool, send):
    """Kills the server at a call, sends meanwhile, and starts it again."""
    server, hit = faulty.copy.server, threading.Event()
    # Several calls may be under way; the next life is not meant.
    process = server.process

    def kill(_: Call):
        process.kill()
        hit.set()

    def rule(call: Call) -> Fault | None:
        if hit.is_set() or not wanted(call):
            return None
        if applied:
            return Lose("reset", then=kill)
        kill(call)
        return Drop()

    proxy.rule = rule
    send()
    wait_until("the call has come", 30, hit.is_set)
    proxy.rule = lambda call: None
    server.kill()
    server.start()


@pytest.mark.parametrize("where", ["embedded in a store", *LONG_KINDS])
def test_a_kill_at_each_step_of_a_commit_ends_exact(tables, where):
    faulty = tables.of(where)
    copy = faulty.copy
    copy.send(5)
    copy.server.wait_delivered("copy", 5)
    # The files are the same whatever the catalog is.
    in_store = IN_STORE if FAULT_ROUNDS > 1 or not faulty.catalog else {}
    steps = [(faulty.store, name, wanted) for name, wanted in in_store.items()]
    if faulty.catalog:
        steps += [(faulty.catalog, name, wanted) for name, wanted in OF_CATALOG.items()]
    else:
        steps.append((faulty.store, "the table's metadata", named(".metadata.json")))
    for proxy, name, wanted in steps:
        for applied in (False, True):
            killed_at(faulty, proxy, wanted, applied, lambda: copy.send(5))
            copy.send(5)
            copy.server.wait_delivered("copy", len(copy.sent), within=40)
            rows = sorted(row["id"] for row in copy.rows())
            assert rows == sorted(copy.sent), (name, applied, len(rows), len(copy.sent))
    copy.finish()
    agrees(copy)


def test_a_kill_amid_an_upload_in_parts_ends_exact(tables):
    faulty = tables.of("embedded in a store", format={"compression": "uncompressed"},
                       rolling_policy={"interval_seconds": 20, "file_size_bytes": 17_500_000})
    copy, sent = faulty.copy, 0

    def send():
        for _ in range(6):
            copy.send(6, 512_000)

    for name, wanted in IN_PARTS.items():
        for applied in (False, True) if FAULT_ROUNDS > 1 or name == "complete" else (True,):
            killed_at(faulty, faulty.store, wanted, applied, send)
            sent += 36
            # As soon as the file is in; what is left of it waits for more.
            wait_until(f"the file is in after {name}", 40, lambda: len(copy.rows()) > sent - 36, every=0.3)
    copy.server.stop()
    copy.server.start()
    rows = sorted(row["id"] for row in copy.rows())
    assert rows == sorted(copy.sent)
    agrees(copy)


@pytest.mark.parametrize("calls", ["pwrite64", "fsync,fdatasync"])
def test_a_kill_at_each_write_of_the_metadata_store_ends_exact(tables, calls):
    """Before and after the intent, the catalog's new version of the table, and the position."""
    faulty = tables.near()
    copy = faulty.copy
    copy.send(1)
    copy.server.wait_delivered("copy", 1)
    wal = copy.server.data_dir / "meta.sqlite-wal"
    assert wal.exists()
    with copy.load(pause=0.05) as load:
        for number in range(1, 1 + 10 * FAULT_ROUNDS, 2):
            with Tampered(copy.server, calls, f"signal=KILL:when={number}", paths=[wal]):
                wait_until(f"the server ends at {calls} {number}", 30, lambda: not copy.server.process.running())
            assert copy.server.process.child.returncode == -signal.SIGKILL
            copy.server.kill()
            copy.server.start()
            load.wait_acknowledged(20)
    copy.finish()
    agrees(copy)
