"""A fault proxy in front of an S3 store: HTTP/1.1 on a loopback port, requests passed on as they came, so that signatures hold.

    weather: fault -> probability, until a moment      each request draws one fault, or none; the first of a weather draws one

`refuse_*` answer without asking the store. `applied_*` ask the store and lose or falsify the answer. `stall` holds a request, before
or after the store had it. `truncated` cuts an answer short. `slow` reads a body at 1 KB/s. What was held ends when the weather does.
"""

import http.client
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

REFUSALS = {"refuse_500": (500, "InternalError"), "refuse_503": (503, "SlowDown"), "refuse_429": (429, "TooManyRequests")}
FAULTS = (*REFUSALS, "applied_reset", "applied_500", "stall", "truncated", "slow", "unreachable")
SLOW_BYTES_PER_SECOND = 1000
# Connection headers are between neighbours.
NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding"}


class Proxy:
    """Listens until `close`. `counts` says how often each fault was really done, by what was asked for."""

    def __init__(self, upstream_port: int, seed: int):
        self.upstream_port = upstream_port
        self.counts: dict[str, dict[str, int]] = {}
        self._dice = random.Random(f"proxy/{seed}")
        self._lock = threading.Lock()
        self._weather: tuple[dict[str, float], float, int] = ({}, 0.0, 0)
        self._drawn = True
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="proxy", daemon=True)
        self._thread.start()

    def weather(self, faults: dict[str, float], seconds: float):
        """From now on, for so long, and until it has hit somebody; it replaces what was before."""
        assert all(fault in FAULTS for fault in faults), faults
        with self._lock:
            self._drawn = not faults
            self._weather = (faults, time.monotonic() + seconds, self._weather[2] + 1)

    def clear(self):
        self.weather({}, 0)

    def close(self):
        self.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def draw(self, operation: str) -> str | None:
        """The fault of one request."""
        with self._lock:
            faults, until, _ = self._weather
            if time.monotonic() > until and self._drawn:
                return None
            at = self._dice.random() * (1 if self._drawn else sum(faults.values()))
            self._drawn = True
            for fault, share in faults.items():
                at -= share
                if at < 0:
                    by_operation = self.counts.setdefault(fault, {})
                    by_operation[operation] = by_operation.get(operation, 0) + 1
                    return fault
        return None

    def hold(self):
        """Until this weather is over."""
        with self._lock:
            _, until, number = self._weather
        while time.monotonic() < until and self._weather[2] == number:
            time.sleep(0.05)

    def stormy(self) -> bool:
        return time.monotonic() < self._weather[1]

    def pending(self) -> bool:
        """Whether the weather has hit nobody yet."""
        return not self._drawn


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients that go away are expected."""


def operation_of(method: str, target: str) -> str:
    """What an S3 request is about."""
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    if method == "POST":
        return "create" if "uploads" in query else "complete"
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    return method.lower()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy
    # Idle connections end soon, so that the server's descriptors can be counted.
    timeout = 8

    def log_message(self, *_):
        pass

    def do(self):
        operation = operation_of(self.command, self.path)
        fault = self.proxy.draw(operation)
        if fault == "unreachable":
            return self.reset()
        body = self.read_body(slowly=fault == "slow")
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            return self.error(status, code)
        if fault == "stall" and len(self.path) % 2:
            self.proxy.hold()
            return self.reset()
        try:
            status, headers, content = self.ask_store(body)
        except (OSError, http.client.HTTPException):
            return self.reset()
        if fault == "applied_reset":
            return self.reset()
        if fault == "applied_500":
            return self.error(500, "InternalError")
        if fault == "stall":
            self.proxy.hold()
            return self.reset()
        self.answer(status, headers, content, cut=fault == "truncated")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

    def read_body(self, slowly: bool) -> bytes:
        left = int(self.headers.get("Content-Length") or 0)
        pieces = []
        while left and slowly and self.proxy.stormy():
            piece = self.rfile.read(min(left, SLOW_BYTES_PER_SECOND // 10))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
            time.sleep(0.1)
        if left:
            pieces.append(self.rfile.read(left))
        body = b"".join(pieces)
        if len(body) != int(self.headers.get("Content-Length") or 0):
            # Half a body must not reach the store as a whole one.
            raise ConnectionResetError("the client went away")
        return body

    def ask_store(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        store = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream_port, timeout=120)
        try:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in NOT_PASSED_ON:
                    store.putheader(name, value)
            store.endheaders(body or None)
            answer = store.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            store.close()

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in NOT_PASSED_ON | {"content-length"}:
                self.send_header(name, value)
        length = str(len(content))
        if self.command == "HEAD":
            length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        if status != 204 or content:
            self.send_header("Content-Length", length)
        if cut and not content:
            # Not even the head is whole.
            self._headers_buffer.append(b"X-Cut")
            self.flush_headers()
            return self.gone()
        self.end_headers()
        self.wfile.write(content[:len(content) // 2] if cut else content)
        if cut:
            self.gone()

    def error(self, status: int, code: str):
        content = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a planned fault</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def gone(self):
        """The answer ends here, in order as far as TCP knows."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self):
        """Ends the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
