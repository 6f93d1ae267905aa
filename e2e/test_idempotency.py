"""`Idempotency-Key`: a request that comes again is stored once, through lost answers and kill -9."""

import gzip
import json
import threading
import uuid

import pytest

from kept import Kept
from lakehead import Server
from processes import wait_until
from wire import Wire, ask, plain


def keyed(key: str, *more: str) -> tuple[str, ...]:
    return (f"Idempotency-Key: {key}", *more)


@pytest.mark.parametrize("more, encode", [
    ((), bytes),
    (("X-Way: plain", "Connection: close"), bytes),
    (("Content-Encoding: gzip",), gzip.compress),
    (("Content-Type: application/x-ndjson",), bytes),
], ids=["plain", "by hyper", "gzip", "lines"])
def test_a_request_that_comes_again_is_answered_alike_and_stored_once(server, more, encode):
    kept = Kept(server)
    records = [{"n": n} for n in range(10)]
    text = "\n".join(map(json.dumps, records)) if any("ndjson" in line for line in more) else json.dumps(records)
    body = encode(text.encode())
    first = ask(server, plain(kept.target, *keyed("order-1", *more), body=body))
    assert first.committed == 10 and first.header("idempotent-replayed") is None
    kept.records += records
    before = kept.position()
    for _ in range(3):
        again = ask(server, plain(kept.target, *keyed("order-1", *more), body=body))
        assert again.committed == 10 and again.header("idempotent-replayed") == "true"
    kept.is_as_before(before)
    # Another key, or none: another request.
    for lines in (keyed("order-2", *more), more):
        assert ask(server, plain(kept.target, *lines, body=body)).committed == 10
        kept.records += records
    kept.delivers()


def test_a_key_that_other_records_came_with_is_refused(server):
    kept = Kept(server)
    kept.accepts([{"a": 1}], None, *keyed("k"))
    taken = (422, 10422, "other records were stored under this Idempotency-Key")
    kept.refuses(b'[{"a":2}]', taken, *keyed("k"))
    kept.refuses(b'[{"a":1},{"a":1}]', taken, *keyed("k"))
    other = Kept(server, "others")
    other.accepts([{"a": 2}], None, *keyed("k"))
    kept.delivers()
    other.delivers()


@pytest.mark.parametrize("lines, message", [
    (["Idempotency-Key: "], "Idempotency-Key has 0 characters; 1 to 255 are right"),
    ([f"Idempotency-Key: {'x' * 256}"], "Idempotency-Key has 256 characters; 1 to 255 are right"),
    (["Idempotency-Key: \xe4"], "Idempotency-Key has characters other than printable ASCII"),
    (["Idempotency-Key: a", "Idempotency-Key: b"], "Idempotency-Key came more than once"),
])
def test_what_is_no_key_is_refused_and_stores_nothing(server, lines, message):
    kept = Kept(server)
    kept.refuses_request(plain(kept.target, *lines, body=b'[{"a":1}]'), (400, 10401, message))


def test_requests_that_come_at_the_same_time_are_stored_once(server):
    kept = Kept(server)
    body = json.dumps([{"n": n} for n in range(100)]).encode()
    for round_ in range(20):
        answers = []
        content = plain(kept.target, *keyed(f"round-{round_}"), body=body)
        senders = [threading.Thread(target=lambda: answers.append(ask(server, content))) for _ in range(8)]
        [sender.start() for sender in senders]
        [sender.join() for sender in senders]
        assert [answer.committed for answer in answers] == [100] * 8
        assert sum(answer.header("idempotent-replayed") is None for answer in answers) == 1
        kept.records += [{"n": n} for n in range(100)]
    kept.delivers()


def test_retries_after_lost_answers_and_kill_9_store_once(make_server):
    server: Server = make_server("[log]\nsegment_bytes = 16777216\n").start()
    kept = Kept(server)
    for round_ in range(8):
        requests = []
        for n in range(60):
            records = [{"round": round_, "n": n, "i": i, "text": "x" * 700} for i in range(20)]
            body = json.dumps(records).encode()
            requests.append((records, plain(kept.target, *keyed(str(uuid.uuid4())), body=body)))
        # All are sent; nobody waits for the answers, and in the middle of it the server dies.
        wires = []
        for _, content in requests[: 20 + 5 * round_]:
            wires.append(Wire(server).send(content))
        server.kill()
        [wire.socket.close() for wire in wires]
        server.start()
        for records, content in requests:
            assert ask(server, content).committed == 20
            kept.records += records
        # Once more, from another life of the server.
        server.kill()
        server.start()
        for records, content in requests:
            again = ask(server, content)
            assert again.committed == 20 and again.header("idempotent-replayed") == "true"
    kept.delivers()


def test_keys_survive_stops_and_the_trimming_of_their_records(make_server):
    server: Server = make_server("[log]\nsegment_bytes = 16777216\nretention_seconds = 1\n").start()
    stream = server.create_stream("events")
    server.create_sink("lines", "out", {"type": "json", "unstructured": True})
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    contents = []
    for n in range(40):
        body = json.dumps([{"n": n, "i": i, "text": "y" * 10_000} for i in range(100)]).encode()
        contents.append(plain(f"/ingest/{stream['id']}", *keyed(f"key {n}"), body=body))
    for content in contents:
        assert ask(server, content).header("idempotent-replayed") is None
    server.wait_delivered("copy", 4000)

    def oldest() -> int:
        return server.metrics().sum("log_oldest_position", stream="events")

    wait_until("records are trimmed", 20, lambda: oldest() > 1000)
    assert server.stop() == 0
    server.start()
    for content in contents:
        assert ask(server, content).header("idempotent-replayed") == "true"
    server.wait_delivered("copy", 4000)
    assert oldest() > 1000


def test_a_stream_s_web_pages_may_send_keys(server):
    stream = server.create_stream("pages", http={
        "enabled": True, "authentication": False, "cors": {"origins": ["https://shop.example"]},
    })
    preflight = server.http.options(f"{server.url}/ingest/{stream['id']}", headers={
        "Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "idempotency-key",
    })
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"].split(", ")
