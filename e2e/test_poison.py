"""One record in ten thousand that cannot be delivered: it is kept apart with a reason, and the others arrive.

Patterns are compiled when a pipeline is made, and partitions are made of times: no record can spoil these.
LAKEHEAD_TEST_FAULT_ROUNDS above 1 tries every case in both formats.
"""

import json
from datetime import UTC, datetime

import pytest

from lakehead import Server
from load import ROUNDS, rows_of

RECORDS = 10_000
BAD = 6_543
BATCH = 2_500
INT64_MAX = 2**63 - 1
FIELDS = [
    {"name": "id", "type": "int64", "required": True},
    {"name": "n", "type": "int64", "required": True},
    {"name": "text", "type": "string", "required": False},
]
KEYS = {"stream", "position", "pipeline", "stage", "reason", "record", "ingest_time"}

CASES = {
    # What is wrong with the record, the SQL, and how it is kept.
    "missing field": (lambda r: r.pop("n"), "SELECT id FROM {stream}", "decode", "missing_field"),
    "wrong type": (lambda r: r.update(n=[1]), "SELECT id FROM {stream}", "decode", "type_mismatch"),
    "no number": (lambda r: r.update(n="many"), "SELECT id FROM {stream}", "decode", "parse_failure"),
    "null": (lambda r: r.update(n=None), "SELECT id FROM {stream}", "decode", "null_value"),
    "too large a number": (lambda r: r.update(n=2**63), "SELECT id FROM {stream}", "decode", "type_mismatch"),
    "overflow": (lambda r: r.update(n=INT64_MAX), "SELECT id, n + 1 AS m FROM {stream}", "transform", None),
    "division by zero": (lambda r: r.update(n=0), "SELECT id, 100 / n AS m FROM {stream}", "transform", None),
    "bad cast": (lambda r: r.update(text="not a number"), "SELECT id, CAST(text AS BIGINT) AS m FROM {stream}", "transform", None),
    "too much memory": (lambda r: r.update(n=2**40), "SELECT id, repeat('x', n) AS m FROM {stream}", "transform", None),
}
FORMATS = ["json", "parquet"]
# Each with one of the formats, or with both.
RUNS = [(case, format) for n, case in enumerate(CASES) for format in (FORMATS if ROUNDS > 1 else [FORMATS[n % 2]])]


def records(spoil) -> list[dict]:
    all = [{"id": i, "n": 1 + i % 7, "text": str(i)} for i in range(RECORDS)]
    spoil(all[BAD])
    return all


def letters(server: Server, pipeline: dict) -> list[dict]:
    files = (server.data_dir / "dead_letters" / pipeline["id"]).rglob("*.ndjson")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize(("case", "format"), RUNS)
def test_one_bad_record_is_kept_apart_and_the_others_arrive(lasting_server, case, format):
    """D-11."""
    server, name = lasting_server, f"{case.replace(' ', '_')}_{format}"
    spoil, sql, stage, reason = CASES[case]
    stream = server.create_stream(name, {"fields": FIELDS})
    server.create_sink(f"{name}_files", "out", {"type": format}, path=name)
    pipeline = server.create_pipeline(f"{name}_copy", f"INSERT INTO {name}_files {sql.format(stream=name)}")
    sent = records(spoil)
    began = datetime.now(UTC)
    server.send_all(stream, sent, BATCH)
    ledger = server.wait_delivered(f"{name}_copy", RECORDS)
    assert ledger["delivered"] == RECORDS - 1 and ledger["dead_lettered"] == 1, ledger
    out = out_ids(server, name, format)
    assert sorted(out) == [i for i in range(RECORDS) if i != BAD]
    (letter,) = letters(server, pipeline)
    assert letter["position"] == BAD and letter["stage"] == stage, letter
    assert letter["reason"] == reason or reason is None and letter["reason"] and letter["detail"], letter
    # The very bytes that were sent.
    assert letter["record"] == json.dumps(sent[BAD], ensure_ascii=False)
    assert began <= datetime.fromisoformat(letter["ingest_time"]) <= datetime.now(UTC)
    print(f"{case}: {letter['stage']} {letter['reason']}: {letter['detail']}")


def out_ids(server: Server, name: str, format: str) -> list[int]:
    return [row["id"] for row in rows_of(sorted((server.bucket("out") / name).rglob(f"*.{format}")))]


def test_a_dead_letter_says_where_it_comes_from(server):
    """D-11: all that is needed to send it again."""
    stream = server.create_stream("events", {"fields": FIELDS})
    server.create_sink("files", "out", {"type": "json"})
    pipeline = server.create_pipeline("copy", "INSERT INTO files SELECT id FROM events")
    server.send(stream, [{"id": 1}, {"id": 2, "n": 2}])
    server.wait_delivered("copy", 2)
    (letter,) = letters(server, pipeline)
    assert KEYS <= set(letter), letter


def test_a_record_that_is_no_json_is_refused_with_its_request_and_the_others_arrive(server):
    """D-11: the parser's stage is before the acknowledgement."""
    stream = server.create_stream("events", {"fields": FIELDS})
    server.create_sink("files", "out", {"type": "json"}, path="files")
    pipeline = server.create_pipeline("copy", "INSERT INTO files SELECT id FROM events")
    sent = records(lambda r: None)
    for start in range(0, RECORDS, BATCH):
        body = json.dumps(sent[start:start + BATCH])
        if start <= BAD < start + BATCH:
            broken = body.replace(f'"id": {BAD},', f'"id": {BAD}:')
            answer = server.post(stream["id"], broken.encode())
            assert answer.status_code == 400 and answer.json()["success"] is False, answer.text
        assert server.post(stream["id"], body.encode()).status_code == 200
    ledger = server.wait_delivered("copy", RECORDS)
    assert ledger["delivered"] == RECORDS
    assert sorted(out_ids(server, "files", "json")) == list(range(RECORDS))
    assert letters(server, pipeline) == []


def test_dead_letters_survive_kills_exactly_once(server):
    """D-11: a letter is there before the position passes it, and once."""
    stream = server.create_stream("events", {"fields": FIELDS})
    server.create_sink("files", "out", {"type": "json"}, path="files")
    pipeline = server.create_pipeline("copy", "INSERT INTO files SELECT id, 100 / n AS m FROM events")
    for n in range(20):
        server.send(stream, [{"id": 100 * n + i, "n": i % 50} for i in range(100)])
        if n % 4 == 3:
            server.kill()
            server.start()
    ledger = server.wait_delivered("copy", 2000)
    assert ledger["dead_lettered"] == 40 and ledger["delivered"] == 1960, ledger
    assert sorted(letter["position"] for letter in letters(server, pipeline)) == list(range(0, 2000, 50))
    assert sorted(out_ids(server, "files", "json")) == [i for i in range(2000) if i % 50]
