"""The Worker binding itself: Miniflare's real client of a remote Pipelines binding against the server's WebSocket."""

import base64
import json
import os
import queue
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from lakehead import settle
from processes import end_of_input, free_port, wait_until
from test_worker import node, rows, with_pipeline

E2E = Path(__file__).parent
RECORDS = 1000
RESOLVED = {"resolved": "undefined"}
NO_BINDING = "stream does not exist or its Worker binding is disabled"


class Workers:
    """Miniflare with these bindings: name -> remoteProxyConnectionString."""

    def __init__(self, clients: Path, bindings: dict[str, str]):
        self.child = subprocess.Popen(
            [node(clients), E2E / "client/binding.mjs"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "CLIENTS": str(clients), "BINDINGS": json.dumps(bindings)},
        )
        self.sent = 0
        self.answers: dict[int, dict] = {}
        self.arrived: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        first = self.arrived.get(timeout=60)
        assert first == {"ready": True}, self.child.stderr.read()

    def _read(self):
        for line in self.child.stdout:
            self.arrived.put(json.loads(line))
        self.arrived.put(None)

    def begin(self, binding: str, records=None, input: str | None = None) -> int:
        """Begins `await env.{binding}.send(…)` in the Worker; the number of the call."""
        self.sent += 1
        self.child.stdin.write(json.dumps({"id": self.sent, "binding": binding, "records": records, "input": input}) + "\n")
        self.child.stdin.flush()
        return self.sent

    def outcome(self, call: int) -> dict:
        while call not in self.answers:
            answer = self.arrived.get(timeout=60)
            assert answer is not None, f"the Worker is gone:\n{self.child.stderr.read()}"
            self.answers[answer.pop("id")] = answer
        return self.answers.pop(call)

    def send(self, binding: str, records=None, input: str | None = None) -> dict:
        return self.outcome(self.begin(binding, records, input))

    def rejection(self, binding: str, records=None, input: str | None = None) -> str:
        """The message of the error that `send` threw."""
        answer = self.send(binding, records, input)
        assert answer.get("rejected", {}).get("isError"), answer
        return answer["rejected"]["message"]

    def stop(self):
        end_of_input(self.child)


@pytest.fixture
def make_workers(clients):
    made = []

    def make(bindings: dict[str, str]) -> Workers:
        made.append(Workers(clients, bindings))
        return made[-1]

    yield make
    for workers in made:
        workers.stop()


def binding_url(server, stream: dict, token: str = "") -> str:
    return f"{server.url}/binding/{stream['id']}{'/' if token else ''}{token}"


def test_a_worker_with_the_real_binding_sends_1000_records_that_land_once_each(server, make_workers):
    events = with_pipeline(server, "events")
    workers = make_workers({"STREAM": binding_url(server, events)})
    records = [{"id": i, "name": f"näme {i}", "nested": {"list": [i, None, [0.5]], "empty": [], "also": {}}} for i in range(RECORDS)]
    assert workers.send("STREAM", records[:1]) == RESOLVED
    assert workers.send("STREAM", []) == RESOLVED
    # One after another, and many at once.
    assert workers.send("STREAM", records[1:300]) == RESOLVED
    calls = [workers.begin("STREAM", records[start:start + 20]) for start in range(300, RECORDS, 20)]
    assert [workers.outcome(call) for call in calls] == [RESOLVED] * len(calls)
    # Resolved means synced.
    server.kill()
    server.start()
    server.wait_delivered("events_copy", RECORDS)
    assert sorted(rows(server, "events"), key=lambda r: r["id"]) == records
    # The next call finds the server again.
    assert workers.send("STREAM", [{"id": RECORDS}]) == RESOLVED
    server.wait_delivered("events_copy", RECORDS + 1)


def test_values_that_json_does_not_have_arrive_as_text(server, make_workers):
    events = with_pipeline(server, "events")
    workers = make_workers({"STREAM": binding_url(server, events)})
    assert workers.send("STREAM", input="special") == RESOLVED
    server.wait_delivered("events_copy", 1)
    file, = server.bucket("events-lines").rglob("*.json")
    assert '"big":12345678901234567890' in file.read_text()
    assert rows(server, "events") == [{
        "id": "special", "at": "2026-01-02T03:04:05.678Z", "big": 12345678901234567890,
        "bytes": base64.b64encode(b"\x01\x02").decode(), "list": [None, None, [None]],
    }]


def test_a_call_that_cannot_be_stored_rejects_with_the_reason_and_stores_nothing(server, make_workers):
    events = with_pipeline(server, "events")
    workers = make_workers({"STREAM": binding_url(server, events)})
    for input, reason in [
        ("nothing", "send() was given undefined; it takes an array of records"),
        ("text", "send() was given a string; it takes an array of records"),
        ("object", "send() was given an object; it takes an array of records"),
        ("functions", "the records hold a function or an RPC stub; a record is made of JSON values"),
        ("stream", "bad RPC message: streams of bytes are not accepted"),
        ("deep", "the records nest deeper than 64 levels, which is the limit"),
        ("large", "the records have 5000026 bytes of JSON; one send() takes at most 5000000"),
    ]:
        assert workers.rejection("STREAM", input=input) == reason
    for records in ([{"id": 1}, 5], [[]], [None]):
        refused = server.post(events["id"], json.dumps(records, separators=(",", ":")).encode())
        assert refused.status_code == 400
        assert workers.rejection("STREAM", records) == refused.json()["errors"][0]["message"]
    too_large = [{"text": "x" * 6_100_000}]
    assert "more than 6048576 bytes" in workers.rejection("STREAM", too_large)
    # Nearly the limit of a request, several at once: more than is read of a message before it has its share of memory.
    large = [{"id": i, "text": "x" * 900_000} for i in range(5)]
    calls = [workers.begin("STREAM", large) for _ in range(4)]
    assert [workers.outcome(call) for call in calls] == [RESOLVED] * 4
    assert server.wait_delivered("events_copy", 20)["accepted"] == 20


def test_one_worker_has_bindings_to_several_streams(server, make_workers):
    first, second = (with_pipeline(server, name, authentication=True) for name in ("first", "second"))
    # Miniflare has one URL for all bindings of a Worker, and adds the name of the one that sends.
    url = f"{server.url}/binding/-/{server.token}?FIRST={first['id']}&SECOND={second['id']}"
    workers = make_workers({"FIRST": url, "SECOND": url, "THIRD": url})
    assert workers.send("FIRST", [{"id": 1}]) == workers.send("SECOND", [{"id": 2}]) == RESOLVED
    assert workers.rejection("THIRD", [{"id": 3}]) == NO_BINDING
    server.wait_delivered("first_copy", 1)
    server.wait_delivered("second_copy", 1)
    assert (rows(server, "first"), rows(server, "second")) == ([{"id": 1}], [{"id": 2}])


def test_who_may_not_send_is_told_so_and_nothing_is_read(server, make_workers):
    guarded = with_pipeline(server, "guarded", authentication=True)
    off = server.create_stream("off", worker_binding={"enabled": False})
    workers = make_workers({
        "GUARDED": binding_url(server, guarded, server.token),
        "ANONYMOUS": binding_url(server, guarded),
        "WRONG": binding_url(server, guarded, "not-a-token-of-this-server"),
        "OFF": binding_url(server, off, server.token),
        "OFF_ANONYMOUS": binding_url(server, off),
        "MISSING": binding_url(server, {"id": "0" * 32}, server.token),
        "MISSING_ANONYMOUS": binding_url(server, {"id": "0" * 32}),
        "NO_ID": binding_url(server, {"id": "no-id"}, server.token),
        "NOBODY": f"http://127.0.0.1:{free_port()}/binding/{guarded['id']}",
    })
    assert workers.send("GUARDED", [{"id": 1}]) == RESOLVED
    refused = server.post(guarded["id"], b"[]")
    assert refused.status_code == 401
    # Without a token nobody learns what exists.
    for binding in ("ANONYMOUS", "WRONG", "OFF_ANONYMOUS", "MISSING_ANONYMOUS"):
        assert workers.rejection(binding, [{"id": 2}]) == refused.json()["errors"][0]["message"]
    for binding in ("OFF", "MISSING", "NO_ID"):
        assert workers.rejection(binding, [{"id": 2}]) == NO_BINDING
    assert workers.rejection("NOBODY", [{"id": 2}]) == "WebSocket connection failed."
    # HTTP may be off where the binding is on, and both may change under a Worker that goes on.
    server.call("PATCH", f"pipelines/v1/streams/{guarded['id']}", {"http": {"enabled": False, "authentication": False}})
    assert server.post(guarded["id"], b"[]", {"Authorization": f"Bearer {server.token}"}).status_code == 404
    assert workers.send("ANONYMOUS", [{"id": 3}]) == RESOLVED
    server.call("PATCH", f"pipelines/v1/streams/{guarded['id']}", {"worker_binding": {"enabled": False}})
    assert workers.rejection("GUARDED", [{"id": 4}]) == NO_BINDING
    assert workers.rejection("ANONYMOUS", [{"id": 4}]) == refused.json()["errors"][0]["message"]
    server.wait_delivered("guarded_copy", 2)
    assert sorted(r["id"] for r in rows(server, "guarded")) == [1, 3]


def test_a_server_that_stops_answers_and_one_that_is_gone_rejects(server, make_workers):
    events = with_pipeline(server, "events")
    workers = make_workers({"STREAM": binding_url(server, events)})
    assert workers.send("STREAM", [{"id": 1}]) == RESOLVED
    assert server.stop() == 0
    assert workers.rejection("STREAM", [{"id": 2}]) == "WebSocket connection failed."
    server.start()
    assert workers.send("STREAM", [{"id": 3}]) == RESOLVED
    server.wait_delivered("events_copy", 2)
    assert sorted(r["id"] for r in rows(server, "events")) == [1, 3]


class Raw:
    """A WebSocket by hand, for what no client sends."""

    def __init__(self, server, path: str, *headers: str):
        self.stream = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        lines = [
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers, "", "",
        ]
        self.stream.sendall("\r\n".join(lines).encode())
        self.input = self.stream.makefile("rb")
        self.status = int(self.input.readline().split()[1])
        self.headers = {}
        while line := self.input.readline().strip():
            name, value = line.decode().split(": ", 1)
            self.headers[name.lower()] = value

    def send(self, payload: bytes, opcode: int = 1, final: bool = True, claimed: int | None = None):
        """One masked frame; `claimed` is a length that is not the payload's."""
        length = len(payload) if claimed is None else claimed
        if length < 126:
            head = struct.pack("!BB", opcode | (0x80 if final else 0), 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", opcode | (0x80 if final else 0), 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", opcode | (0x80 if final else 0), 0x80 | 127, length)
        self.stream.sendall(head + bytes(4) + payload)

    def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; (-1, b"") at the end of the connection."""
        head = self.input.read(2)
        if len(head) < 2:
            return -1, b""
        length = head[1] & 0x7F
        if length == 126:
            length, = struct.unpack("!H", self.input.read(2))
        elif length == 127:
            length, = struct.unpack("!Q", self.input.read(8))
        return head[0] & 0x0F, self.input.read(length)

    def aborted(self) -> str:
        """The reason of the abort that comes next; the close and the end of the connection come after it."""
        opcode, payload = self.receive()
        assert opcode == 1, (opcode, payload)
        kind, (error, _, reason) = json.loads(payload)
        assert (kind, error) == ("abort", "error"), payload
        assert self.receive()[0] == 8
        self.stream.shutdown(socket.SHUT_WR)
        assert self.receive() == (-1, b"")
        return reason

    def close(self):
        self.input.close()
        self.stream.close()


def push(records: str) -> bytes:
    return f'["push",["pipeline",0,["send"],[[{records}]]]]'.encode()


def test_frames_that_no_client_sends_end_the_session_with_a_reason(server):
    events = with_pipeline(server, "events")
    path = f"/binding/{events['id']}"
    for frames, reason in [
        ([(b"hello", 1)], "bad RPC message: a frame is a JSON array of one to five elements"),
        ([(b'["pull",1]', 1)], "bad RPC message: pull of what was not pushed"),
        ([(b'["unheard-of"]', 1)], "bad RPC message: unknown kind of frame"),
        ([(b'["pipe"]', 1)], "bad RPC message: streams of bytes are not accepted"),
        ([(b"[" * 1_000_000, 1)], "bad RPC message: a frame is a JSON array of one to five elements"),
        ([(b'["pull",1]', 2)], "bad RPC message: a frame is text"),
    ]:
        raw = Raw(server, path)
        assert (raw.status, raw.headers["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        for payload, opcode in frames:
            raw.send(payload, opcode)
        assert raw.aborted() == reason
        raw.close()
    # Not UTF-8; a frame with a reserved kind; a length over the limit, of which nothing is waited for.
    for send in (
        lambda raw: raw.send(b'["\xff"]'),
        lambda raw: raw.send(b"x", opcode=3),
        lambda raw: raw.send(b"x", claimed=1 << 62),
        lambda raw: raw.send(b"x", claimed=6_048_577),
    ):
        raw = Raw(server, path)
        send(raw)
        assert raw.aborted()
        raw.close()
    # Well-behaved but unusual: pings, records in fragments, two calls before the first pull, an answer for each.
    raw = Raw(server, path)
    raw.send(b"are you there", opcode=9)
    assert raw.receive() == (10, b"are you there")
    raw.send(push('[{"id":1}')[:20], final=False)
    raw.send(push('[{"id":1}]')[20:], opcode=0)
    raw.send(push('[{"id":2},5]'))
    raw.send(b'["pull",2]')
    raw.send(b'["pull",1]')
    assert json.loads(raw.receive()[1])[:2] == ["reject", 2]
    assert raw.receive() == (1, b'["resolve",1,["undefined"]]')
    raw.send(b"", opcode=8)
    assert raw.receive()[0] == 8
    raw.close()
    server.wait_delivered("events_copy", 1)
    # The session as a whole holds none of this up.
    assert server.post(events["id"], b"[{}]").status_code == 200


def test_only_a_websocket_of_a_worker_gets_in(server):
    events = with_pipeline(server, "events")
    path = f"/binding/{events['id']}"
    # A page of any origin could open a WebSocket; streams name the origins that may send, over HTTP.
    page = Raw(server, path, "Origin: https://a.example")
    assert page.status == 403
    page.close()
    for method in ("GET", "POST"):
        answer = server.http.request(method, f"{server.url}{path}", content=b"[{}]")
        assert answer.status_code == 426 and answer.headers["upgrade"] == "websocket"
        assert answer.json()["errors"][0]["code"] == 10426 and answer.json()["success"] is False
    # Who may not send is not listened to, however much it sends.
    guarded = server.create_stream("guarded", authentication=True)
    raw = Raw(server, f"/binding/{guarded['id']}")
    raw.send(push('[{"id":1}]'))
    assert "token" in raw.aborted()
    raw.close()


def test_messages_under_way_share_the_memory_of_all_bodies(make_server):
    # As little as can be configured: a share for one message.
    server = make_server("[ingest]\nin_flight_bytes_max = 16777216\n").start()
    path = f"/binding/{server.create_stream('events')['id']}/{server.token}"
    half = b'["push",["pipeline",0,["send"],[[[{"text":"' + b"x" * 500_000
    first, second = Raw(server, path), Raw(server, path)
    first.send(half, claimed=2_000_000)
    settle(0.5)
    second.send(half, claimed=2_000_000)
    # Small messages need no share.
    small = Raw(server, path)
    small.send(push('[{"id":1}]'))
    small.send(b'["pull",1]')
    assert small.receive() == (1, b'["resolve",1,["undefined"]]')
    # Another large one waits for ten seconds and is told to come back.
    assert second.aborted() == "too much is under way; try again"
    # A share goes back with its connection.
    first.close()
    third = Raw(server, path)
    third.send(half + b'"}]]]]]')
    third.send(b'["pull",1]')
    assert third.receive() == (1, b'["resolve",1,["undefined"]]')
    for raw in (second, third, small):
        raw.close()


def test_sessions_that_are_left_open_are_closed(server, make_workers):
    events = with_pipeline(server, "events")
    workers = make_workers({"STREAM": binding_url(server, events)})

    def open_files() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    before = open_files()
    for call in [workers.begin("STREAM", [{"id": i}]) for i in range(50)]:
        assert workers.outcome(call) == RESOLVED
    # Miniflare opens one for each call and keeps it; without an end of ours the server would run out of connections.
    assert open_files() >= before + 50
    wait_until("they are closed", 15, lambda: open_files() < before + 10)
    assert workers.send("STREAM", [{"id": 50}]) == RESOLVED
    server.wait_delivered("events_copy", 51)


def test_sessions_do_not_keep_a_server_from_stopping(server):
    events = with_pipeline(server, "events")
    idle = [Raw(server, f"/binding/{events['id']}") for _ in range(5)]
    half = Raw(server, f"/binding/{events['id']}")
    half.send(b'["push",', claimed=100_000)
    settle(0.2)
    server.signal_stop()
    assert idle[0].aborted() == "the server is stopping"
    for raw in (*idle, half):
        raw.close()
    wait_until("the server has ended", 15, lambda: not server.process.running())
    assert server.process.child.returncode == 0
