"""HTTP/1.1 by hand, over a socket: requests no client library would send, and answers as they stand on the wire."""

import itertools
import json
import socket
from dataclasses import dataclass

from lakehead import Server

# Loopback addresses, one for each who asks: failed attempts are counted by address.
_sources = itertools.count(2)


def fresh_source() -> str:
    """A loopback address nobody in this run has sent from yet."""
    n = next(_sources)
    return f"127.1.{n // 250}.{n % 250 + 1}"


@dataclass(frozen=True)
class Answer:
    """One answer. Names of headers are in lower case, in the order of the wire."""

    status_line: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.status_line.split(b" ")[1])

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """The value of a header that may come once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {self}"
        return values[0] if values else None

    @property
    def said(self) -> tuple:
        """All of it but what tells of the connection and of the time."""
        return self.status_line, tuple(h for h in self.headers if h[0] not in ("connection", "date")), self.body

    @property
    def error(self) -> tuple[int, int, str]:
        """Status, code and message of a refusal, whose envelope is checked."""
        assert self.header("content-type").startswith("application/json"), self
        envelope = json.loads(self.body)
        assert set(envelope) == {"success", "errors", "messages", "result"}, self
        assert envelope["success"] is False and envelope["result"] is None and envelope["messages"] == [], self
        (error,) = envelope["errors"]
        return self.status, error["code"], error["message"]

    @property
    def committed(self) -> int:
        """The number of records a 200 speaks of."""
        assert self.status == 200, self
        envelope = json.loads(self.body)
        assert envelope == {"success": True, "result": {"committed": envelope["result"]["committed"]}}, self
        return envelope["result"]["committed"]


class Closed(Exception):
    """The server has closed the connection instead of answering."""


class Wire:
    """One connection, from a loopback address of choice."""

    def __init__(self, server: Server, source: str = "127.0.0.1", seconds: float = 30):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=seconds, source_address=(source, 0))
        self.buffer = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, content: bytes) -> "Wire":
        try:
            self.socket.sendall(content)
        except (BrokenPipeError, ConnectionResetError):
            # A server may answer and close before it has everything; the answer is still to be read.
            pass
        return self

    def end(self) -> "Wire":
        """Says that nothing more is sent."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def _more(self):
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if not part:
            raise Closed(f"after {self.buffer!r}")
        self.buffer += part

    def answer(self, method: str = "POST") -> Answer:
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        pairs = [line.decode("latin-1").split(": ", 1) for line in lines]
        headers = tuple((name.lower(), value) for name, value in pairs)
        lengths = [int(value) for name, value in headers if name == "content-length"]
        assert len(lengths) <= 1 and not any(name == "transfer-encoding" for name, _ in headers), head
        length = 0 if method == "HEAD" else sum(lengths)
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status_line, headers, body)

    def is_closed(self, within: float = 5) -> bool:
        """Whether the server closes the connection without another byte."""
        if self.buffer:
            return False
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def head(method: str, target: str, *lines: str | bytes) -> bytes:
    """The start of a request up to the empty line. The host is given unless a line gives it."""
    encoded = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    if not any(line.lower().startswith(b"host:") for line in encoded):
        encoded.insert(0, b"Host: localhost")
    return b"\r\n".join([f"{method} {target} HTTP/1.1".encode(), *encoded]) + b"\r\n\r\n"


def chunked(body: bytes) -> bytes:
    # Small bodies in chunks that break in the middle of everything, large ones in some fifty.
    size = max(7, len(body) // 50)
    parts = [body[start:start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def request(method: str, target: str, *lines: str | bytes, body: bytes = b"") -> bytes:
    """A request with its length."""
    return head(method, target, *lines, f"Content-Length: {len(body)}") + body


def plain(target: str, *lines: str | bytes, body: bytes) -> bytes:
    """What the server answers before any HTTP library sees it."""
    return request("POST", target, *lines, body=body)


def with_close(target: str, *lines: str | bytes, body: bytes) -> bytes:
    return request("POST", target, *lines, "Connection: close", body=body)


def in_chunks(target: str, *lines: str | bytes, body: bytes) -> bytes:
    return head("POST", target, *lines, "Transfer-Encoding: chunked") + chunked(body)


# The ways a request takes into ingest: the server's own reader of plain requests, and the library behind it.
WAYS = {"plain": plain, "close": with_close, "chunked": in_chunks}


def ask(server: Server, content: bytes, method: str = "POST", source: str | None = None) -> Answer:
    """The answer to one request on a connection of its own."""
    with Wire(server, source or fresh_source()) as wire:
        return wire.send(content).answer(method)
