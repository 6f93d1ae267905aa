"""The ingest endpoint as clients of every kind meet it: encodings, limits, refusals, and the end of the process."""

import gzip
import json
import socket
import subprocess
import threading
import time
import zlib

import brotli
import duckdb
import httpx
import pytest
import zstandard

from lakehead import BINARY, settle
from processes import wait_until

RECORDS = [{"n": 1, "text": "ä\n\"😀\""}, {"n": 2, "nested": {"a": [1, None, {}]}}, {"n": 3}]
ARRAY = json.dumps(RECORDS, ensure_ascii=False).encode()
LINES = b"\n".join(json.dumps(r).encode() for r in RECORDS) + b"\n"
ENCODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "br": brotli.compress,
}


def committed(answer: httpx.Response) -> int:
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"success", "result"} and body["success"] is True and set(body["result"]) == {"committed"}
    return body["result"]["committed"]


def refused(answer: httpx.Response, status: int, code: int | None = None) -> str:
    """Checks the refusal's envelope; its message."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    body = answer.json()
    assert body["success"] is False and len(body["errors"]) == 1, body
    error = body["errors"][0]
    assert isinstance(error["code"], int) and error["message"], body
    if code is not None:
        assert error["code"] == code, body
    return error["message"]


@pytest.fixture
def stream(server) -> dict:
    return server.create_stream("events")


def delivered(server, expected: list) -> None:
    """Adds a pipeline behind what was sent and compares what comes out, order aside."""
    server.create_sink("lines", "out", {"type": "json", "unstructured": True})
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    server.wait_delivered("copy", len(expected))
    rows = []
    for file in server.bucket("out").rglob("*.json"):
        rows += [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    key = lambda r: json.dumps(r, sort_keys=True)  # noqa: E731
    assert sorted(rows, key=key) == sorted(expected, key=key)


def test_every_spelling_of_a_body_is_accepted_and_delivered(server, stream):
    id = stream["id"]
    lines = {"Content-Type": "application/x-ndjson"}
    sent = 0
    for content, headers in [
        (ARRAY, {"Content-Type": "application/json"}),
        (ARRAY, {}),
        (ARRAY, {"Content-Type": "application/x-www-form-urlencoded"}),
        (b" \r\n\t" + ARRAY + b"\n ", {"Content-Type": "text/plain;charset=UTF-8"}),
        (LINES, lines),
        (LINES.rstrip(b"\n"), lines),
        (b"\n" + LINES.replace(b"\n", b"\r\n") + b"\n\n", lines),
        *((encode(ARRAY), {"Content-Encoding": name}) for name, encode in ENCODERS.items()),
        *((encode(LINES), {**lines, "Content-Encoding": name.upper()}) for name, encode in ENCODERS.items()),
    ]:
        assert committed(server.post(id, content, headers)) == len(RECORDS), headers
        sent += 1
    for empty in (b"[]", b" [ ] "):
        assert committed(server.post(id, empty)) == 0
    delivered(server, RECORDS * sent)


def test_a_chunked_body_is_accepted(server, stream):
    def chunks():
        for start in range(0, len(ARRAY), 7):
            yield ARRAY[start:start + 7]

    answer = server.http.post(f"{server.url}/ingest/{stream['id']}", content=chunks())
    assert committed(answer) == len(RECORDS)
    delivered(server, RECORDS)


def test_a_stream_is_found_by_host_name(server, stream):
    headers = {"Host": f"{stream['id']}.ingest.localhost:{server.port}"}
    assert committed(server.http.post(server.url, content=b'[{"by":"host"}]', headers=headers)) == 1
    assert committed(server.http.post(f"{server.url}/any/path", content=b'[{"by":"path too"}]', headers=headers)) == 1
    headers = {"Host": f"{'0' * 32}.ingest.localhost"}
    refused(server.http.post(server.url, content=b"[{}]", headers=headers), 401)
    delivered(server, [{"by": "host"}, {"by": "path too"}])


class Dripper:
    """A client that sends one byte at a time, twice a second, and notices when it is cut off."""

    def __init__(self, server, start: bytes, drop: bytes):
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.settimeout(0.5)
        self.socket.sendall(start)
        self.drop = drop
        self.answer = b""
        self.closed = False

    def drip(self) -> bool:
        """Whether the server has closed the connection."""
        try:
            self.socket.sendall(self.drop)
            part = self.socket.recv(1000)
            self.answer += part
            self.closed = part == b""
        except TimeoutError:
            pass
        except OSError:
            self.closed = True
        if self.closed:
            self.socket.close()
        return self.closed


def test_slow_heads_and_slow_bodies_are_cut_off_and_others_are_served_meanwhile(server, stream):
    head = Dripper(server, b"POST /ingest/", b"a")
    start = f"POST /ingest/{stream['id']} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n["
    body = Dripper(server, start.encode(), b" ")

    def both_closed():
        assert committed(server.post(stream["id"], b"[{}]")) == 1
        return all([slow.closed or slow.drip() for slow in (head, body)])

    try:
        wait_until("both are cut off", 60, both_closed, every=0)
    except AssertionError as error:
        raise AssertionError(f"{error}; head cut off: {head.closed}, body cut off: {body.closed}") from None
    for slow in (head, body):
        assert slow.answer == b"" or slow.answer.startswith(b"HTTP/1.1 408"), slow.answer


def test_a_second_process_on_the_same_folder_is_refused(server, stream):
    second = subprocess.run(
        [BINARY, "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert second.returncode != 0
    assert str(server.data_dir) in second.stderr, second.stderr
    assert committed(server.post(stream["id"], b"[{}]")) == 1


def test_sigterm_answers_what_was_begun_and_ends_well(server, stream):
    id = stream["id"]
    half = socket.create_connection(("127.0.0.1", server.port))
    half.settimeout(30)
    body = b'[{"in":"flight"}]'
    half.sendall(f"POST /ingest/{id} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5])
    # The server has the head; now it is told to stop.
    settle(0.3)
    begun = time.monotonic()
    server.signal_stop()

    def not_ready():
        try:
            return httpx.get(f"{server.url}/readyz", trust_env=False, timeout=5).status_code == 503
        except httpx.HTTPError as error:
            raise AssertionError(f"/readyz must say 503 while requests are being finished: {error!r}") from None

    wait_until("/readyz says 503", 5, not_ready, every=0.01)
    assert server.process.running()
    half.sendall(body[5:])
    answer = b""
    while b"committed" not in answer:
        part = half.recv(4096)
        assert part, f"closed without an answer: {answer!r}"
        answer += part
    assert answer.startswith(b"HTTP/1.1 200") and b'{"success":true,"result":{"committed":1}}' in answer
    half.close()
    assert server.process.child.wait(timeout=30) == 0
    assert time.monotonic() - begun < 30
    server.start()
    delivered(server, [{"in": "flight"}])


def test_sigterm_under_load_loses_nothing_it_acknowledged(server, stream):
    acknowledged, errors = [], []

    def send(client: int):
        http_client = httpx.Client(trust_env=False, timeout=20)
        for n in range(100_000):
            record = {"client": client, "n": n}
            try:
                answer = http_client.post(f"{server.url}/ingest/{stream['id']}", json=[record])
            except httpx.HTTPError:
                return
            if answer.status_code == 200:
                acknowledged.append(record)
            elif answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
                return
            else:
                errors.append(answer.text)
                return

    threads = [threading.Thread(target=send, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    wait_until("there is load", 30, lambda: len(acknowledged) > 200 or errors)
    assert server.stop() == 0
    for thread in threads:
        thread.join(timeout=30)
    assert not errors
    server.start()
    server.create_sink("lines", "out", {"type": "json", "unstructured": True})
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    ledger = server.wait_quiet("copy", at_least=len(acknowledged))
    assert ledger["delivered"] == ledger["accepted"]
    rows = duckdb.sql(f"SELECT client, n, count(*) FROM read_json('{server.bucket('out')}/**/*.json') GROUP BY ALL").fetchall()
    assert all(count == 1 for _, _, count in rows)
    assert {(r["client"], r["n"]) for r in acknowledged} <= {(c, n) for c, n, _ in rows}
