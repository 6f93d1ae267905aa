"""The proxy in front of a small server: what each fault does to a request, and to the server behind."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from torture.proxy import Proxy, operation_of


class Kept(BaseHTTPRequestHandler):
    """Keeps the bodies of PUTs, and answers with them."""

    protocol_version = "HTTP/1.1"
    bodies: dict[str, bytes] = {}

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        content = self.bodies.get(self.path, b"")
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def proxy():
    Kept.bodies = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kept)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    proxy = Proxy(server.server_address[1], 1)
    yield proxy
    proxy.close()
    server.shutdown()
    server.server_close()


def put(proxy: Proxy, body: bytes = b"content" * 100) -> int | str:
    """The status, or what broke."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request("PUT", "/bucket/key", body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def test_without_weather_everything_passes(proxy):
    assert put(proxy) == 200 and Kept.bodies == {"/bucket/key": b"content" * 100} and proxy.counts == {}


@pytest.mark.parametrize("fault, answer, applied", [
    ("refuse_500", 500, False), ("refuse_503", 503, False), ("refuse_429", 429, False), ("unreachable", "ConnectionResetError", False),
    ("applied_reset", "ConnectionResetError", True), ("applied_500", 500, True), ("truncated", "IncompleteRead", True),
])
def test_a_fault_answers_as_it_says_and_the_store_has_it_or_has_not(proxy, fault, answer, applied):
    proxy.weather({fault: 1.0}, 30)
    said = put(proxy)
    # A reset may be seen while the request is still being written.
    assert said == answer or (said, answer) == ("BrokenPipeError", "ConnectionResetError")
    assert bool(Kept.bodies) == applied
    assert proxy.counts == {fault: {"put": 1}}
    proxy.clear()
    assert put(proxy) == 200


@pytest.mark.parametrize("fault", ["stall", "slow"])
def test_what_is_held_ends_with_the_weather(proxy, fault):
    proxy.weather({fault: 1.0}, 1.0)
    began = time.monotonic()
    put(proxy, b"x" * 100_000)
    assert 0.5 < time.monotonic() - began < 5 and proxy.counts == {fault: {"put": 1}}


def test_weather_lasts_until_it_has_hit_somebody(proxy):
    proxy.weather({"refuse_500": 0.001}, 0)
    assert proxy.pending()
    assert put(proxy) == 500 and not proxy.pending()
    assert put(proxy) == 200


def test_operations_of_s3_are_told_apart():
    asked = [("PUT", "/b/k"), ("PUT", "/b/k?partNumber=1&uploadId=x"), ("POST", "/b/k?uploads"), ("POST", "/b/k?uploadId=x"),
             ("DELETE", "/b/k?uploadId=x"), ("DELETE", "/b/k"), ("HEAD", "/b/k")]
    assert [operation_of(*words) for words in asked] == ["put", "part", "create", "complete", "abort", "delete", "head"]
