"""Producers that remember what they were promised, and the audit of what came out against it."""

import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pyarrow.parquet as pq

from lakehead import Metrics, Server
from processes import wait_until

# How much longer than by default the tests of faults go on.
ROUNDS = int(os.environ.get("LAKEHEAD_TEST_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 32))))
SCHEMA = {"fields": [
    {"name": "id", "type": "int64", "required": True},
    {"name": "payload", "type": "string", "required": True},
]}
QUICK = {"interval_seconds": 10, "inactivity_seconds": 1}
JSON = {"type": "json"}
PARQUET = {"type": "parquet"}
IDS_PER_PRODUCER = 10**9
REFUSALS = (429, 503, 507)
# Of a 503 that leaves open whether the request was stored; kept here as a 500.
UNKNOWN_CODE = 10504


def payload(id: int, bytes: int = 64) -> str:
    return hashlib.sha256(str(id).encode()).hexdigest() * (bytes // 64)


def record(id: int, bytes: int = 64) -> dict:
    return {"id": id, "payload": payload(id, bytes)}


@dataclass
class Answered:
    """One request: when it began, how long it took, and what came; 0: no answer, 500: an answer that leaves it open."""

    began: float
    seconds: float
    status: int
    ids: range


@dataclass
class Producer:
    """Sends batches one after the other."""

    number: int
    load: "Load"
    answers: list[Answered] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def run(self):
        load = self.load
        dice = random.Random(f"{load.seed}.{self.number}")
        next_id = (load.first_producer + self.number) * IDS_PER_PRODUCER
        connection = None
        while not load.ended.is_set():
            ids = range(next_id, next_id + dice.choice(load.batches))
            body = json.dumps([record(i, load.payload_bytes) for i in ids])
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=load.timeout)
                try:
                    connection.connect()
                except OSError:
                    # Nothing has been sent: the same records may be tried again.
                    connection = None
                    load.ended.wait(0.02)
                    continue
            next_id = ids.stop
            began = time.monotonic()
            try:
                connection.request("POST", load.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.answers.append(Answered(began, time.monotonic() - began, 0, ids))
                connection.close()
                connection = None
                continue
            status = answer.status
            if status == 503 and json.loads(text)["errors"][0]["code"] == UNKNOWN_CODE:
                status = 500
            self.answers.append(Answered(began, time.monotonic() - began, status, ids))
            if status == 200:
                if json.loads(text)["result"]["committed"] != len(ids):
                    self.unexpected.append(f"{len(ids)} records, {text!r}")
            elif status in REFUSALS:
                if not int(answer.headers.get("Retry-After", "0")) > 0:
                    self.unexpected.append(f"{answer.status} without Retry-After: {text!r}")
                load.ended.wait(0.05)
            elif status != 500:
                self.unexpected.append(f"{answer.status} {text!r}")
            if answer.will_close:
                connection.close()
                connection = None
            load.ended.wait(load.pause)


class Watch:
    """Reads a pipeline's ledger while records move: it balances in every scrape, and nothing in it falls but what is in
    flight, over kills and starts as well."""

    OUTCOMES = ("out_total", "filtered_total", "dead_lettered_total", "lost_total")

    def __init__(self, url: str, pipeline: str):
        self.url, self.pipeline = url, pipeline
        self.scrapes, self.wrong, self.last = 0, [], {}

    def run(self, ended: threading.Event):
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not ended.wait(0.2):
                try:
                    metrics = Metrics(client.get(f"{self.url}/metrics").text)
                except httpx.HTTPError:
                    continue
                # After a start it takes a moment until there are figures.
                if any(s.labels.get("pipeline") == self.pipeline for s in metrics.samples):
                    self.check(metrics)

    def check(self, metrics: Metrics):
        self.scrapes += 1
        seen = {name: metrics.sum(f"pipeline_records_{name}", pipeline=self.pipeline) for name in ("in_total", *self.OUTCOMES)}
        in_flight = metrics.sum("pipeline_lag_records", pipeline=self.pipeline)
        imbalance = metrics.sum("ledger_imbalance", pipeline=self.pipeline)
        if seen["in_total"] != in_flight + sum(seen[name] for name in self.OUTCOMES) or imbalance:
            self.wrong.append(f"does not balance: {seen}, {in_flight} in flight, imbalance {imbalance}")
        self.wrong += [f"{name} fell from {before} to {seen[name]}" for name, before in self.last.items() if seen[name] < before]
        self.last = seen


class Load:
    """Producers that send while the block runs: `with Load(…) as load: …`. With `watch`, the ledger is read all the while."""

    def __init__(self, port: int, stream: dict, producers: int = 4, batches=(1, 5, 20, 60), pause: float = 0.005,
                 payload_bytes: int = 64, timeout: float = 30, first_producer: int = 1, watch: Watch | None = None):
        self.watch = watch
        self.port, self.path = port, f"/ingest/{stream['id']}"
        self.batches, self.pause, self.payload_bytes, self.timeout = batches, pause, payload_bytes, timeout
        self.seed, self.first_producer = SEED, first_producer
        self.ended = threading.Event()
        self.producers = [Producer(n, self) for n in range(producers)]
        self.threads = [threading.Thread(target=p.run, daemon=True) for p in self.producers]
        if watch:
            self.threads.append(threading.Thread(target=watch.run, args=(self.ended,), daemon=True))

    def __enter__(self) -> "Load":
        print(f"SEED={SEED} LAKEHEAD_TEST_FAULT_ROUNDS={ROUNDS}")
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=60)

    @property
    def answers(self) -> list[Answered]:
        return [a for p in self.producers for a in list(p.answers)]

    @property
    def statuses(self) -> Counter:
        return Counter(a.status for a in self.answers)

    def ids(self, *statuses: int) -> set[int]:
        return {i for a in self.answers if a.status in statuses for i in a.ids}

    @property
    def acknowledged(self) -> set[int]:
        return self.ids(200)

    def wait_acknowledged(self, more: int, within: float = 30) -> int:
        """Waits until this many further records are acknowledged."""
        before = len(self.acknowledged)
        wait_until(f"{more} further records are acknowledged", within, lambda: len(self.acknowledged) >= before + more)
        return len(self.acknowledged)


def rows_of(files: list[Path]) -> list[dict]:
    rows = []
    for file in files:
        if file.suffix == ".parquet":
            rows += pq.read_table(file, partitioning=None).to_pylist()
        else:
            assert file.suffix == ".json", f"not a finished file: {file}"
            rows += [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return rows


def audit(loads: list[Load], rows: list[dict], sent: set[int] = frozenset()):
    """Everything acknowledged is there once and as it was sent; a request is there as a whole or not at all; nothing else is.
    The ledger balanced all the while (D-14).
    `sent`: ids of acknowledged records that were sent apart from the loads."""
    unexpected = [text for load in loads for p in load.producers for text in p.unexpected]
    assert not unexpected, unexpected[:5]
    unbalanced = [text for load in loads if load.watch for text in load.watch.wrong]
    assert not unbalanced, f"{len(unbalanced)} scrapes, e.g. {unbalanced[:3]} (SEED={SEED})"
    counts = Counter(row["id"] for row in rows)
    delivered = set(counts)
    acknowledged = sent.union(*(load.acknowledged for load in loads))
    lost = acknowledged - delivered
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records are lost, e.g. {sorted(lost)[:5]} (SEED={SEED})"
    twice = [id for id, count in counts.items() if count > 1]
    assert not twice, f"{len(twice)} records came out more than once, e.g. {sorted(twice)[:5]} (SEED={SEED})"
    refused = delivered.intersection(*[set().union(*(load.ids(*REFUSALS) for load in loads))])
    assert not refused, f"refused records came out: {sorted(refused)[:5]} (SEED={SEED})"
    unknown = [a.ids for load in loads for a in load.answers if a.status in (0, 500)]
    foreign = delivered - acknowledged - {i for ids in unknown for i in ids}
    assert not foreign, f"records nobody sent: {sorted(foreign)[:5]} (SEED={SEED})"
    torn = [ids for ids in unknown if 0 < sum(i in delivered for i in ids) < len(ids)]
    assert not torn, f"requests that came out in part: {torn[:5]} (SEED={SEED})"
    bytes = {len(row["payload"]) for row in rows}
    wrong = [row["id"] for row in rows if row["payload"] != payload(row["id"], len(row["payload"]))]
    assert not wrong and 0 not in bytes, f"{len(wrong)} records came out altered, e.g. {wrong[:5]}"


class Copy:
    """A stream that a pipeline copies into a bucket: a folder of the server's own, or a bucket of an S3 store."""

    def __init__(self, server: Server, bucket: str, store=None, format: dict = JSON, policy: dict | None = None,
                 begins: bool = True, **config):
        self.server, self.bucket, self.store = server, bucket, store
        self.stream = server.create_stream("events", SCHEMA)
        self.sink = server.create_sink("files", bucket, format, rolling_policy=policy or QUICK, **config)
        self.pipeline: dict = {}
        if begins:
            self.begin()
        self.loads: list[Load] = []
        # Acknowledged records that were sent apart from the loads.
        self.sent: set[int] = set()

    def begin(self):
        self.pipeline = self.server.create_pipeline("copy", "INSERT INTO files SELECT * FROM events")

    def load(self, **more) -> Load:
        watch = Watch(self.server.url, "copy")
        load = Load(self.server.port, self.stream, first_producer=1 + 100 * len(self.loads), watch=watch, **more)
        self.loads.append(load)
        return load

    def send(self, count: int, bytes: int = 64) -> set[int]:
        """Sends records by themselves; acknowledged."""
        first = len(self.sent)
        ids = range(first, first + count)
        self.server.send(self.stream, [record(i, bytes) for i in ids])
        self.sent.update(ids)
        return set(ids)

    def status(self) -> dict:
        return self.server.call("GET", f"pipelines/v1/pipelines/{self.pipeline['id']}")["result"]

    def wait_status(self, status: str, within: float) -> str | None:
        """Waits for the pipeline's status; its reason, if it has failed."""
        found = wait_until(f"the pipeline is {status}", within, lambda: (s := self.status())["status"] == status and s, every=0.1)
        return found.get("failure_reason")

    def wait_settled(self, within: float = 60) -> dict[str, int]:
        """Waits until nothing is in flight; the ledger."""
        acknowledged = len(self.sent) + sum(len(load.acknowledged) for load in self.loads)
        if any(load.ids(0, 500) for load in self.loads):
            # Of requests without an answer nobody knows.
            return self.server.wait_quiet("copy", at_least=acknowledged, within=within)
        return self.server.wait_delivered("copy", acknowledged, within=within)

    def files(self) -> list[Path]:
        if self.store is None:
            return sorted(p for p in self.server.bucket(self.bucket).rglob("*") if p.is_file())
        return self.store.download(self.bucket, self.server.data_dir.parent / "copies" / self.bucket)

    def rows(self) -> list[dict]:
        return rows_of(self.files())

    def finish(self, within: float = 60) -> list[dict]:
        """Waits until all is delivered, and audits it: the rows. The ledger agrees with the files."""
        ledger = self.wait_settled(within)
        rows = self.rows()
        audit(self.loads, rows, self.sent)
        assert ledger["delivered"] == ledger["accepted"] == len(rows), (ledger, len(rows))
        assert ledger["dead_lettered"] == ledger["filtered"] == 0, ledger
        return rows
