"""`lakehead audit` recounts what a pipeline has made: it agrees with whatever was made rightly, through filters, dead letters,
several sinks and stores, edits and kills; and whatever is altered afterwards it names, with exit status 1.
"""

import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

import legacy
from lakehead import BINARY
from processes import wait_until
from test_edits import edit, wait_running

SCHEMA = {"fields": [
    {"name": "id", "type": "int64", "required": True},
    {"name": "tags", "type": "list", "items": {"type": "string"}},
]}
# To files of JSON, of Parquet in the S3 store, and of gzip, the rows of the last one from lists.
SQL = """
INSERT INTO lines SELECT id FROM events WHERE id % 3 != 0;
INSERT INTO tables SELECT id, tags FROM events;
INSERT INTO zipped SELECT id, tag FROM (SELECT id, unnest(tags) AS tag FROM events)
"""
QUICK = {"interval_seconds": 10, "inactivity_seconds": 1}


def audit(server, pipeline: str, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, "audit", pipeline, "--data-dir", server.data_dir, *more], capture_output=True, text=True, timeout=60, check=False,
    )


def agrees(server, pipeline: str) -> dict:
    """The audit finds nothing; its answer."""
    told = audit(server, pipeline)
    assert told.returncode == 0 and told.stderr == "", f"{told.stdout}\n{told.stderr}"
    assert told.stdout.endswith("Everything agrees.\n"), told.stdout
    done = audit(server, pipeline, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["balanced"] is True and answer["differences"] == [], answer
    for one in [*answer["statements"], {**answer["past"], "in_flight_found": 0}]:
        ledger, recount = one["ledger"], one["recount"]
        outcomes = sum(ledger[k] for k in ("delivered", "filtered", "dead_lettered", "lost", "in_flight"))
        assert ledger["accepted"] == outcomes and one["in_flight_found"] == ledger["in_flight"], one
        for what in ("files", "rows", "bytes", "dead_letters"):
            assert recount[f"{what}_found"] == recount[f"{what}_recorded"], one
        for what in ("files", "rows", "bytes"):
            assert ledger[what] == recount[f"{what}_found"] + recount["unlisted"][what], one
    return answer


def differs(server, pipeline: str, kind: str, named: str):
    """The audit finds this, and names it."""
    done = audit(server, pipeline)
    assert done.returncode == 1, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    lines = [line for line in done.stdout.splitlines() if line.startswith(f"{kind}: ")]
    assert len(lines) == 1 and named in lines[0], done.stdout


def running_version(server, pipeline: dict) -> int:
    return server.call("GET", f"pipelines/v1/pipelines/{pipeline['id']}")["result"]["running_version"]


def pipeline_id(server) -> str:
    return server.call("GET", "pipelines/v1/pipelines")["result"][0]["id"]


def records(ids: range) -> list[dict]:
    """Every tenth does not fit, every fourth has no tags, the others have two."""
    return [
        {"id": "no number"} if i % 10 == 0 else {"id": i, "tags": [] if i % 4 == 0 else [f"a{i}", f"b{i}"]} for i in ids
    ]


def first_file(folder, pattern: str = "*"):
    return sorted(p for p in folder.rglob(pattern) if p.is_file())[0]


@pytest.fixture
def made(make_server, seaweed):
    """A server and a pipeline with three sinks that has handled records, was killed, and was edited meanwhile."""
    bucket = "audited"
    seaweed.create_bucket(bucket)
    server = make_server(seaweed.configuration(bucket)).start()
    events = server.create_stream("events", SCHEMA)
    server.create_sink("lines", "plain", {"type": "json"}, rolling_policy=QUICK)
    server.create_sink("tables", bucket, {"type": "parquet"}, rolling_policy=QUICK, path=str(server.port))
    server.create_sink("zipped", "gzip", {"type": "json", "compression": "gzip"}, rolling_policy=QUICK)
    pipeline = server.create_pipeline("p", SQL)
    server.send_all(events, records(range(1000)))
    server.wait_delivered("p", 3000)
    server.send_all(events, records(range(1000, 1500)))
    server.kill()
    server.start()
    edit(server, pipeline, sql=SQL.replace("% 3 != 0", "% 3 = 0"))
    wait_running(server, pipeline, 2)
    server.send_all(events, records(range(1500, 2000)))
    server.wait_delivered("p", 6000)
    return server, seaweed, bucket


def test_an_audit_agrees_with_all_that_was_made_and_names_all_that_was_altered(made):
    server, seaweed, bucket = made
    answer = agrees(server, "p")
    figures = [statement["ledger"] for statement in answer["statements"]] + [answer["past"]["ledger"]]
    total = {key: sum(ledger[key] for ledger in figures) for key in figures[0]}
    # Of 2,000 records 200 do not fit, three times; 1,800 with two tags each but for those without any.
    assert (total["accepted"], total["dead_lettered"], total["in_flight"]) == (6000, 600, 0), answer
    untagged = sum(1 for i in range(2000) if i % 4 == 0 and i % 10 != 0)
    assert answer["past"]["recount"]["commits"] >= 3 and total["rows"] > 1800 + 2 * (1800 - untagged), answer

    plain = first_file(server.bucket("plain"))
    content = plain.read_bytes()
    plain.unlink()
    differs(server, "p", "file_missing", plain.name)
    altered = bytearray(content)
    altered[3] ^= 1
    plain.write_bytes(altered)
    differs(server, "p", "file_content", plain.name)
    plain.write_bytes(content)

    zipped = first_file(server.bucket("gzip"))
    content = zipped.read_bytes()
    zipped.write_bytes(content[:-10])
    differs(server, "p", "file_size", zipped.name)
    zipped.write_bytes(content)

    key = next(key for key in seaweed.keys(bucket) if key.startswith(str(server.port)))
    with seaweed.files.open_input_stream(f"{bucket}/{key}") as stream:
        content = stream.read()
    altered = bytearray(content)
    altered[len(altered) // 3] ^= 16
    for bytes_there, kind in ((bytes(altered), "file_content"), (None, "file_missing")):
        if bytes_there is None:
            seaweed.files.delete_file(f"{bucket}/{key}")
        else:
            with seaweed.files.open_output_stream(f"{bucket}/{key}") as out:
                out.write(bytes_there)
        differs(server, "p", kind, key.rsplit("/", 1)[1])
    with seaweed.files.open_output_stream(f"{bucket}/{key}") as out:
        out.write(content)

    letters = first_file(server.data_dir / "dead_letters")
    content = letters.read_bytes()
    letters.unlink()
    differs(server, "p", "dead_letters_missing", letters.name)
    letters.write_bytes(content.split(b"\n", 1)[1])
    differs(server, "p", "dead_letters_count", letters.name)
    letters.write_bytes(content)
    agrees(server, "p")
    assert server.stop() == 0
    done = audit(server, "p")
    assert done.returncode == 2 and "is it running?" in done.stderr, done


def test_a_store_that_does_not_answer_is_not_a_difference(made):
    server, seaweed, bucket = made
    server.stop()
    closed = server.configuration.read_text().replace(seaweed.endpoint, "http://127.0.0.1:1")
    server.configuration.write_text(closed)
    server.start()
    done = audit(server, "p")
    assert done.returncode == 2 and f'not looked at: bucket "{bucket}"' in done.stdout, f"{done.stdout}\n{done.stderr}"


def test_an_audit_that_nobody_waits_for_ends_and_lets_others_ask(made):
    server, seaweed, _ = made
    server.stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # Takes connections and never answers.
        port = silent.getsockname()[1]
        server.configuration.write_text(server.configuration.read_text().replace(seaweed.endpoint, f"http://127.0.0.1:{port}"))
        server.start()
        server.create_pipeline("q", "INSERT INTO lines SELECT id FROM events")
        path = f"{server.url}/client/v4/accounts/{server.account}/pipelines/v1/pipelines/{pipeline_id(server)}/audit"
        with pytest.raises(httpx.ReadTimeout):
            server.http.get(path, headers=server.bearer, timeout=1)
        wait_until("another audit may run", 5, lambda: audit(server, "q").returncode == 0)
        server.process.kill()


def test_a_commit_that_is_completed_after_a_kill_is_audited_as_any_other(server):
    stream = server.create_stream("events", SCHEMA)
    server.create_sink("lines", "plain", {"type": "json"}, rolling_policy=QUICK)
    pipeline = server.create_pipeline("p", "INSERT INTO lines SELECT id FROM events WHERE id % 3 != 0")
    server.send(stream, records(range(100)))
    server.wait_delivered("p", 100)
    # The next commit is recorded as intended and cannot make its file visible.
    bucket = server.bucket("plain")
    away = bucket.rename(bucket.with_name("away"))
    bucket.write_text("in the way")
    server.send(stream, records(range(100, 200)))

    def is_committing() -> bool:
        answer = json.loads(audit(server, "p", "--json").stdout)
        return answer["statements"][0]["committing"]

    wait_until("a commit is under way", 30, is_committing)
    server.kill()
    bucket.unlink()
    away.rename(bucket)
    server.start()
    server.wait_delivered("p", 200)
    recount = agrees(server, "p")["statements"][0]["recount"]
    assert (recount["commits"], recount["files_found"], recount["dead_letters_found"]) == (2, 2, 20), recount
    assert pipeline["id"] in audit(server, "p").stdout


def test_an_audit_agrees_while_records_come_in(server):
    stream = server.create_stream("events", SCHEMA)
    server.create_sink("lines", "plain", {"type": "json"}, rolling_policy={**QUICK, "file_size_bytes": 20_000})
    server.create_pipeline("p", "INSERT INTO lines SELECT id FROM events WHERE id % 3 != 0")
    stop = threading.Event()

    def send():
        at = 0
        while not stop.is_set():
            server.send(stream, records(range(at, at + 200)))
            at += 200

    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_until("files appear", 30, lambda: server.bucket("plain").exists() and any(server.bucket("plain").rglob("*.json")))
        for _ in range(20):
            agrees(server, "p")
    finally:
        stop.set()
        sender.join()


def test_a_legacy_pipeline_is_audited_by_name(server):
    server.call("POST", "r2/buckets", {"name": "old"})
    made = legacy.create(server, "old", "old", batch=legacy.AT_ONCE)
    server.send(made, [{"n": n} for n in range(100)])
    answer = wait_until("the file is there", 20, lambda: (a := agrees(server, "old"))["statements"][0]["recount"]["files_found"] and a)
    assert answer["statements"][0]["recount"]["rows_found"] == 100
    first_file(server.bucket("old")).write_bytes(b"")
    assert audit(server, made["id"]).returncode == 1


def test_what_is_not_there_cannot_be_audited(server):
    done = audit(server, "nothing")
    assert done.returncode == 2 and "there is no pipeline" in done.stderr, done
    limited = server.call("POST", "tokens", {"name": "t", "permissions": ["send"]})["result"]["value"]
    path = f"{server.url}/client/v4/accounts/{server.account}/pipelines/v1/pipelines/{'0' * 32}/audit"
    answer = server.http.get(path, headers={"Authorization": f"Bearer {limited}"})
    assert answer.status_code == 403, answer.text


def test_the_ledger_balances_at_every_look_and_its_figures_only_rise(server):
    """In the metrics and in the API, while records come in, the server is killed and stopped, and the SQL is edited."""
    stream = server.create_stream("events", SCHEMA)
    for sink in ("lines", "more"):
        server.create_sink(sink, sink, {"type": "json"}, rolling_policy={**QUICK, "file_size_bytes": 20_000})
    both = "INSERT INTO lines SELECT id FROM events WHERE id % 3 != 0; INSERT INTO more SELECT id FROM events"
    pipeline = server.create_pipeline("p", both)
    stop, lock = threading.Event(), threading.Lock()

    def send():
        at = 0
        while not stop.is_set():
            with lock:
                server.send(stream, records(range(at, at + 100)))
            at += 100
            stop.wait(0.005)

    seen: dict[str, int] = {}

    def look():
        counters = server.call("GET", f"pipelines/v1/pipelines/{pipeline['id']}")["result"].get("counters")
        if counters:
            outcomes = sum(counters[k] for k in ("delivered", "filtered", "dead_lettered", "lost", "in_flight"))
            assert counters["accepted"] == outcomes, counters
        for figures in (counters or {}, server.ledger("p")):
            rising = {key: value for key, value in figures.items() if key != "in_flight"}
            back = {key: (seen[key], value) for key, value in rising.items() if value < seen.get(key, 0)}
            assert not back, f"figures went back: {back}"
            seen.update(rising)

    def look_for(seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            look()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_until("something is delivered", 30, lambda: look() or seen["delivered"] > 0)
        for version in range(2, 5):
            with lock:
                server.kill() if version % 2 else server.stop()
                server.start()
            look_for(1)
            edit(server, pipeline, sql=both.replace("% 3", f"% {version + 2}"))
            wait_until(f"version {version} runs", 20, lambda: look() or running_version(server, pipeline) == version)
            look_for(1)
    finally:
        stop.set()
        sender.join()
    agrees(server, "p")
