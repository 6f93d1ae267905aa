"""Acknowledged means delivered exactly once, whenever the server is killed.

Eight clients send uniquely numbered records while the server is killed with SIGKILL at random moments, also while it is
starting, and started again. In the end DuckDB reads what came out:

- every acknowledged record is there once, with its content;
- of a request without an answer there is everything once, or nothing;
- of a refused request (429, 503) there is nothing;
- a file, once visible, is whole and stays as it is.

ROUNDS (default 20) and SEED come from the environment; the seed is printed.
"""

import hashlib
import http.client
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field

import duckdb
import pyarrow.parquet as pq
import pytest

from lakehead import Server

ROUNDS = int(os.environ.get("ROUNDS", "20"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 32))))
CLIENTS = 8
IDS_PER_CLIENT = 1_000_000_000
SCHEMA = {"fields": [
    {"name": "id", "type": "int64", "required": True},
    {"name": "client", "type": "int32", "required": True},
    {"name": "payload", "type": "string", "required": True},
]}


@dataclass
class Client:
    """Sends batches one after the other, and remembers what was said about each range of ids."""

    number: int
    port: int
    path: str
    stop: threading.Event
    seed: int
    acknowledged: list[range] = field(default_factory=list)
    unanswered: list[range] = field(default_factory=list)
    refused: list[range] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def run(self):
        dice = random.Random(self.seed)
        next_id = self.number * IDS_PER_CLIENT
        connection = None
        while not self.stop.is_set():
            ids = range(next_id, next_id + dice.choice([1, 5, 20, 60]))
            body = json.dumps([
                {"id": i, "client": self.number, "payload": hashlib.sha256(str(i).encode()).hexdigest()} for i in ids
            ])
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                try:
                    connection.connect()
                except OSError:
                    # Nothing has been sent: the same records may be tried again.
                    connection = None
                    self.stop.wait(0.02)
                    continue
            next_id = ids.stop
            try:
                connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.unanswered.append(ids)
                connection.close()
                connection = None
                continue
            if answer.status == 200 and json.loads(text)["result"]["committed"] == len(ids):
                self.acknowledged.append(ids)
            elif answer.status in (429, 503):
                self.refused.append(ids)
                self.stop.wait(0.05)
            else:
                self.unexpected.append(f"{answer.status} {text!r}")
            if answer.will_close:
                connection.close()
                connection = None
            # About a hundred requests a second each: the rounds are about moments, not about load.
            self.stop.wait(0.005)


class Place:
    """Where the files go, and how the test gets at them."""

    def __init__(self, server: Server, store, folder):
        self.server, self.store, self.folder = server, store, folder
        self.seen: dict = {}

    def files(self) -> list:
        if self.store:
            return [p for p in self.store.download("killed", self.folder / "copies") if p.is_file()]
        return [p for p in self.server.bucket("killed").rglob("*") if p.is_file()]

    def check_visible_files(self):
        """While the server is dead: every visible file is whole, and those seen before are as they were."""
        if self.store:
            return
        for file in self.files():
            assert file.suffix == ".parquet", f"not a finished file: {file}"
            stat = file.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if file not in self.seen:
                assert pq.read_metadata(file).num_rows > 0
                self.seen[file] = state
            assert self.seen[file] == state, f"{file} changed after it was visible"
        for file in self.seen:
            assert file.exists(), f"{file} is gone"


def kill_rounds(server: Server, place: Place, clients: list[Client], dice: random.Random) -> tuple[int, int]:
    """Kills and restarts; how often, and in how many of the rounds records had been acknowledged."""
    kills = fruitful = 0
    for number in range(ROUNDS):
        before = sum(len(c.acknowledged) for c in clients)
        time.sleep(dice.uniform(0.2, 1.6))
        server.kill()
        kills += 1
        fruitful += sum(len(c.acknowledged) for c in clients) > before
        place.check_visible_files()
        while dice.random() < 0.25:
            server.spawn()
            time.sleep(dice.uniform(0, 0.3))
            server.kill()
            kills += 1
        server.start()
        if number % 5 == 4:
            print(f"round {number + 1}: {kills} kills, {sum(len(c.acknowledged) for c in clients)} requests acknowledged")
    return kills, fruitful


def flat(ranges) -> set[int]:
    return {i for ids in ranges for i in ids}


@pytest.mark.parametrize("where", ["local", "s3"])
def test_every_acknowledged_record_survives_kill_9_exactly_once(where, make_server, request, folder):
    print(f"SEED={SEED} ROUNDS={ROUNDS}")
    store, configuration = None, ""
    if where == "s3":
        store = request.getfixturevalue("seaweed")
        store.create_bucket("killed")
        configuration = store.configuration("killed")
    server = make_server(configuration).start()
    stream = server.create_stream("events", SCHEMA)
    # Small files: several commits a round.
    server.create_sink("files", "killed", {"type": "parquet", "row_group_bytes": 65_536},
                       rolling_policy={"file_size_bytes": 100_000, "interval_seconds": 10, "inactivity_seconds": 1})
    server.create_pipeline("copy", "INSERT INTO files SELECT * FROM events")
    place = Place(server, store, folder)
    dice = random.Random(SEED)
    stop = threading.Event()
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
    # After the last fault things go on: fresh records are accepted and delivered with the others.
    fresh = range(CLIENTS * IDS_PER_CLIENT, CLIENTS * IDS_PER_CLIENT + 100)
    server.send(stream, [
        {"id": i, "client": CLIENTS, "payload": hashlib.sha256(str(i).encode()).hexdigest()} for i in fresh
    ])

    unexpected = [text for c in clients for text in c.unexpected]
    assert not unexpected, unexpected[:5]
    acknowledged = flat(ids for c in clients for ids in c.acknowledged) | set(fresh)
    refused = flat(ids for c in clients for ids in c.refused)
    unanswered = [ids for c in clients for ids in c.unanswered]
    ledger = server.wait_quiet("copy", at_least=len(acknowledged), within=120)

    files = place.files()
    names = ", ".join(f"'{file}'" for file in files)
    output = duckdb.connect()
    output.execute(f"CREATE TABLE output AS SELECT * FROM read_parquet([{names}], hive_partitioning = false)")
    rows = [id for (id,) in output.execute("SELECT id FROM output").fetchall()]
    delivered = set(rows)
    print(f"{kills} kills, {len(acknowledged)} records acknowledged, {len(rows)} delivered in {len(files)} files, "
          f"{len(unanswered)} requests unanswered, {len(refused)} records refused")

    lost = acknowledged - delivered
    assert not lost, f"{len(lost)} acknowledged records are lost, e.g. {sorted(lost)[:5]} (SEED={SEED})"
    twice = output.execute("SELECT id, count(*) FROM output GROUP BY id HAVING count(*) > 1 ORDER BY id").fetchall()
    assert not twice, f"{len(twice)} records came out more than once, e.g. {twice[:5]} (SEED={SEED})"
    assert not delivered & refused, f"refused records came out: {sorted(delivered & refused)[:5]} (SEED={SEED})"
    foreign = delivered - acknowledged - flat(unanswered)
    assert not foreign, f"records nobody sent: {sorted(foreign)[:5]} (SEED={SEED})"
    torn = [ids for ids in unanswered if 0 < sum(i in delivered for i in ids) < len(ids)]
    assert not torn, f"requests that came out in part: {torn[:5]} (SEED={SEED})"
    wrong = output.execute(
        "SELECT count(*) FROM output WHERE payload <> sha256(id::VARCHAR) OR client <> id // 1000000000"
    ).fetchone()
    assert wrong == (0,)
    assert ledger["delivered"] == ledger["accepted"] == len(rows), ledger
    assert ledger["dead_lettered"] == ledger["filtered"] == 0, ledger
    place.check_visible_files()

    # Not a vacuous pass: there was something to lose, and it was at risk often enough.
    assert kills >= ROUNDS and fruitful >= ROUNDS * 3 // 4, (kills, fruitful)
    assert len(acknowledged) >= ROUNDS * 200, len(acknowledged)
    assert len(files) >= ROUNDS * 2, len(files)
    assert unanswered, "no request was ever cut off"
