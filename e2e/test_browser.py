"""Web pages that send: a real browser decides by the server's answers which of them may."""

import json
import os
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lakehead import settle
from processes import end_of_input, wait_until
from test_worker import node, rows, with_pipeline

E2E = Path(__file__).parent
PAGE = b"""<!doctype html><meta charset="utf-8"><title>A page with events</title>
<script>
window.post = async (endpoint, init) => {
  try {
    const answer = await fetch(endpoint, { method: "POST", ...init });
    return { status: answer.status, retryAfter: answer.headers.get("retry-after"), body: await answer.text() };
  } catch (error) {
    return { failed: error.name };
  }
};
</script>
"""


class Site:
    """Serves the page. Each port is an origin of its own."""

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(PAGE)))
                # A cookie that a page could want to send along.
                self.send_header("Set-Cookie", "session=secret; Path=/")
                self.end_headers()
                self.wfile.write(PAGE)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Browser:
    def __init__(self, clients: Path, profile: Path):
        self.child = subprocess.Popen(
            [node(clients), E2E / "client/browser.mjs"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "CLIENTS": str(clients), "PROFILE": str(profile)},
        )
        self.sent = 0
        self.arrived: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._next() == {"ready": True}

    def _read(self):
        for line in self.child.stdout:
            self.arrived.put(json.loads(line))
        self.arrived.put(None)

    def _next(self) -> dict:
        answer = self.arrived.get(timeout=60)
        assert answer is not None, self.child.stderr.read()
        return answer

    def post(self, site: Site, stream: dict, body: str, headers: dict | None = None, **init) -> dict:
        """What the site's page sees of `fetch(…)`: status, body, retryAfter, or `failed`; and `said`, the browser's console."""
        self.sent += 1
        init = {"body": body, "headers": {"Content-Type": "application/json", **(headers or {})}, **init}
        line = {"id": self.sent, "page": site.origin, "endpoint": stream["endpoint"], "init": init}
        self.child.stdin.write(json.dumps(line) + "\n")
        self.child.stdin.flush()
        answer = self._next()
        assert answer.pop("id") == self.sent
        return answer

    def stop(self):
        end_of_input(self.child)


@pytest.fixture
def browser(clients, folder):
    browser = Browser(clients, folder / "profile")
    yield browser
    browser.stop()


@pytest.fixture
def site():
    """The page where it is allowed."""
    site = Site()
    yield site
    site.stop()


@pytest.fixture
def elsewhere():
    """The same page on another origin."""
    site = Site()
    yield site
    site.stop()


def http(*origins: str, authentication: bool = False) -> dict:
    cors = {"cors": {"origins": list(origins)}} if origins else {}
    return {"enabled": True, "authentication": authentication, **cors}


def refused(outcome: dict) -> bool:
    """Whether the browser kept the answer from the page, because of the protocol of origins."""
    return outcome.get("failed") == "TypeError" and "has been blocked by CORS policy" in outcome["said"]


def test_a_page_sends_from_an_allowed_origin_and_from_no_other(server, browser, site, elsewhere):
    stream = with_pipeline(server, "clicks", http=http(site.origin, "https://a.example"))
    for n in range(3):
        sent = browser.post(site, stream, json.dumps([{"id": n, "page": "/ä"}, {"id": -n, "page": "/b"}]))
        assert (sent["status"], json.loads(sent["body"])) == (200, {"success": True, "result": {"committed": 2}}), sent
    assert refused(browser.post(elsewhere, stream, '[{"id":100}]'))
    # Another spelling of the same host is another origin.
    by_name = Site.__new__(Site)
    by_name.origin = site.origin.replace("127.0.0.1", "localhost")
    assert refused(browser.post(by_name, stream, '[{"id":101}]'))
    server.wait_delivered("clicks_copy", 6)
    settle(1)
    assert server.ledger("clicks_copy")["accepted"] == 6
    assert sorted(r["id"] for r in rows(server, "clicks")) == [-2, -1, 0, 0, 1, 2]


def test_what_a_browser_sends_without_asking_first_is_not_stored_either(server, browser, site, elsewhere):
    stream = with_pipeline(server, "clicks", http=http(site.origin))
    # A page may post text without a preflight; the browser only keeps the answer from it.
    assert refused(browser.post(elsewhere, stream, '[{"id":1}]', {"Content-Type": "text/plain"}))
    browser.post(elsewhere, stream, '[{"id":2}]', {"Content-Type": "text/plain"}, mode="no-cors")
    assert browser.post(site, stream, '[{"id":3}]', {"Content-Type": "text/plain"})["status"] == 200
    server.wait_quiet("clicks_copy", 1)
    assert rows(server, "clicks") == [{"id": 3}]


def test_a_stream_without_origins_lets_no_page_in(server, browser, site):
    stream = with_pipeline(server, "closed", http=http())
    assert refused(browser.post(site, stream, '[{"id":1}]'))
    settle(1)
    assert server.ledger("closed_copy")["accepted"] == 0
    # Until it has one: what the browser keeps of a refused preflight is nothing.
    server.call("PATCH", f"pipelines/v1/streams/{stream['id']}", {"http": http(site.origin)})
    assert browser.post(site, stream, '[{"id":2}]')["status"] == 200
    server.wait_delivered("closed_copy", 1)


def test_a_star_lets_every_page_in_but_never_its_cookies(server, browser, site, elsewhere):
    stream = with_pipeline(server, "open", http=http("*"))
    for page in (site, elsewhere):
        assert browser.post(page, stream, '[{"id":1}]')["status"] == 200
    assert refused(browser.post(site, stream, '[{"id":2}]', credentials="include"))
    named = with_pipeline(server, "named", http=http(site.origin))
    assert refused(browser.post(site, named, '[{"id":2}]', credentials="include"))
    server.wait_delivered("open_copy", 2)
    settle(1)
    assert (server.ledger("open_copy")["accepted"], server.ledger("named_copy")["accepted"]) == (2, 0)


def test_a_page_reads_why_it_was_refused(server, browser, site):
    stream = with_pipeline(server, "guarded", http=http(site.origin, authentication=True))
    token = {"Authorization": f"Bearer {server.token}"}
    for body, headers, status in [
        ('[{"id":1}]', {}, 401),
        ('[{"id":1}]', {"Authorization": "Bearer nobody-s"}, 401),
        ('{"id":1}', token, 400),
        ('[{"id":1}', token, 400),
        (f'[{{"id":"{"x" * 5_000_000}"}}]', token, 413),
        ('[{"id":1}]', {**token, "Content-Encoding": "compress"}, 415),
    ]:
        outcome = browser.post(site, stream, body, headers)
        assert outcome.get("status") == status, outcome
        envelope = json.loads(outcome["body"])
        assert envelope["success"] is False and envelope["errors"][0]["message"], outcome
    assert browser.post(site, stream, '[{"id":1}]', token)["status"] == 200
    server.wait_delivered("guarded_copy", 1)


def test_a_page_reads_when_to_come_back(server, browser, site):
    stream = server.create_stream("guarded", http=http(site.origin, authentication=True))
    wrong = {"Authorization": "Bearer nobody-s"}

    def too_often():
        # An address that has shown too many wrong tokens is let try again soon, so the browser must be quick.
        while server.post(stream["id"], b"[]", wrong).status_code != 429:
            pass
        outcome = browser.post(site, stream, "[]", wrong)
        return outcome if outcome["status"] == 429 else None

    outcome = wait_until("the page is told to come back later", 30, too_often)
    assert outcome["retryAfter"] == "1" and json.loads(outcome["body"])["errors"][0]["message"], outcome
