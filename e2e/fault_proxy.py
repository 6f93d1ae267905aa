"""An HTTP proxy between the server and its S3 store that does wrong on demand.

A request is passed on as it came, its `Host` as well, so that its signature stays right. A rule sees every call first and
says what goes wrong with it: nothing (`None`), or one of the faults below. All calls are kept, for counting.
"""

import hashlib
import http.client
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PROBE = ".lakehead-probe"
# Where a connection is cut, how much of an answer has gone out.
TORN_BYTES = 20


@dataclass
class Call:
    """One request. `kind`: put, head, get, delete, list, create, part, complete, abort, uploads."""

    kind: str
    bucket: str
    key: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    at: float
    # The how manieth of its kind it is, beginning with 1; requests for the probe's key are counted apart.
    number: int = 0
    body_bytes: int = 0
    # Of the body; empty before it was received.
    sha256: str = ""
    # What the client was told; 0: nothing.
    status: int = 0
    fault: object = None


@dataclass
class Refuse:
    """The store never sees the request."""

    status: int = 503
    code: str = "SlowDown"


@dataclass
class Lose:
    """The store does as asked, and the client is not told so: `how` is a status to say instead, or `reset`, `stall`,
    `truncate` (the answer's head and a part of its body, then nothing). `then` runs once the store has answered."""

    how: int | str = "reset"
    then: Callable[[Call], None] | None = None
    # Of the answer with that status.
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Alter:
    """The store does as asked, and its answer comes with other headers. `then` runs once the store has answered."""

    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[Call], None] | None = None


@dataclass
class Answer:
    """The proxy answers by itself."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Drop:
    """The store never sees the request, and the client gets no answer: its connection is reset, or with `stall` stays open.
    With `later`, the request is on its way for long: the store gets it once that is set, when the client has long gone."""

    how: str = "reset"
    later: threading.Event | None = None


@dataclass
class Slow:
    """The body is taken at this rate; with `stop_after`, up to there and then not at all."""

    bytes_per_second: int
    stop_after: int | None = None


Fault = Refuse | Lose | Alter | Answer | Drop | Slow
Rule = Callable[[Call], Fault | None]


def kind_of(method: str, key: str, query: dict[str, list[str]]) -> str:
    if "uploadId" in query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(method, "parts")
    if "uploads" in query:
        return "create" if method == "POST" else "uploads"
    if method == "GET" and not key:
        return "list"
    return method.lower()


class FaultProxy:
    """Listens from its making until `close`."""

    def __init__(self, endpoint: str):
        upstream = urlsplit(endpoint)
        self.upstream = (upstream.hostname, upstream.port)
        self.rule: Rule = lambda call: None
        self.calls: list[Call] = []
        # Values of headers, and what the store is told instead.
        self.instead: dict[str, str] = {}
        self.closing = threading.Event()
        self._counts: Counter = Counter()
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def decide(self, call: Call) -> Fault | None:
        """One rule at a time, so that rules may count."""
        with self._lock:
            of_kind = (call.kind, call.key == PROBE)
            self._counts[of_kind] += 1
            call.number = self._counts[of_kind]
            self.calls.append(call)
            call.fault = self.rule(call)
            return call.fault

    def count(self, *kinds: str, since: float = 0) -> int:
        """Calls of these kinds, or of any, from a moment of the monotonic clock on."""
        return sum(1 for c in list(self.calls) if (not kinds or c.kind in kinds) and c.at >= since)

    def faults(self) -> int:
        return sum(1 for c in list(self.calls) if c.fault is not None)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # A server that was killed while it spoke is what the tests are about.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"
    # Else each answer waits for the client's acknowledgement of its head.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = parse_qs(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(kind_of(self.command, key, query), bucket, key, query, headers, time.monotonic())
        call.body_bytes = int(headers.get("content-length", 0))
        fault = self.proxy.decide(call)
        try:
            self.play(call, fault)
        except OSError:
            # The client has gone, or was cut off on purpose.
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def play(self, call: Call, fault: Fault | None):
        if isinstance(fault, Slow):
            body = self.read_slowly(call.body_bytes, fault)
            if body is None:
                return self.cut()
        else:
            body = self.read_body(call)
        call.sha256 = hashlib.sha256(body).hexdigest()
        if isinstance(fault, Refuse):
            text = f"<?xml version=\"1.0\"?><Error><Code>{fault.code}</Code><Message>not now</Message></Error>"
            return self.say(call, fault.status, {"Content-Type": "application/xml"}, text.encode())
        if isinstance(fault, Answer):
            return self.say(call, fault.status, fault.headers, fault.body)
        if isinstance(fault, Drop):
            return self.drop(call, fault, body)
        try:
            status, headers, content = self.forward(body)
        except (OSError, http.client.HTTPException):
            # The store is dead: so is the connection to it.
            return self.cut()
        if isinstance(fault, (Alter, Lose)) and fault.then:
            fault.then(call)
        if isinstance(fault, Alter):
            headers = {name: value for name, value in headers.items() if name.lower() not in map(str.lower, fault.headers)}
            return self.say(call, status, {**headers, **fault.headers}, content)
        if not isinstance(fault, Lose):
            return self.say(call, status, headers, content)
        if isinstance(fault.how, int):
            text = b"<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>who knows</Message></Error>"
            return self.say(call, fault.how, {"Content-Type": "application/xml", **fault.headers}, text)
        if fault.how == "stall":
            self.proxy.closing.wait()
        if fault.how == "truncate":
            self.wfile.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {max(len(content), 2 * TORN_BYTES)}\r\n\r\n".encode())
            self.wfile.write(content[:TORN_BYTES])
            self.wfile.flush()
        return self.cut()

    def read_body(self, call: Call) -> bytes:
        if call.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(call.body_bytes)
        body = b""
        while length := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        call.body_bytes = len(body)
        return body

    def drop(self, call: Call, fault: Drop, body: bytes):
        if fault.how == "stall":
            self.proxy.closing.wait()
        self.cut()
        if fault.later:
            while not fault.later.wait(0.1):
                if self.proxy.closing.is_set():
                    return
            call.status = self.forward(body)[0]

    def read_slowly(self, length: int, fault: Slow) -> bytes | None:
        step = max(1, fault.bytes_per_second // 10)
        body = b""
        while len(body) < length:
            if fault.stop_after is not None and len(body) >= fault.stop_after:
                self.proxy.closing.wait()
                return None
            piece = self.rfile.read(min(step, length - len(body)))
            if not piece or self.proxy.closing.wait(0.1):
                return None
            body += piece
        return body

    def forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.proxy.upstream, timeout=120)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect", "transfer-encoding"):
                    connection.putheader(name, self.proxy.instead.get(value, value))
            if "transfer-encoding" in (name.lower() for name in self.headers):
                connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Connection", "close")
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def say(self, call: Call, status: int, headers: dict[str, str], content: bytes):
        # Recorded first: who has the answer may look at the record.
        call.status = status
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        lengths = {name.lower(): value for name, value in headers.items()}
        length = lengths.get("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def cut(self):
        """Resets the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
