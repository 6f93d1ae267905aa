"""The server under test and its management API."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from processes import Process, free_port, wait_until

BINARY = Path(os.environ.get("LAKEHEAD_BIN", "target/release/lakehead")).resolve()
# Longer than the server takes to bring its figures up to date.
QUIET_SECONDS = 2
UNSTRUCTURED = {"type": "json", "unstructured": True}


class ApiError(AssertionError):
    def __init__(self, status: int, body: str):
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body

    @property
    def code(self) -> int:
        return json.loads(self.body)["errors"][0]["code"]

    @property
    def message(self) -> str:
        return json.loads(self.body)["errors"][0]["message"]


@dataclass
class Sample:
    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    """One scrape, in Prometheus' text format; names without the product's prefix."""

    LINE = re.compile(r"^(?:lakehead_)?(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?$")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text: str):
        self.samples = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = self.LINE.match(line)
            assert match, f"not a Prometheus sample: {line!r}"
            name, labels, value = match.groups()
            self.samples.append(Sample(name, dict(self.LABEL.findall(labels or "")), float(value)))

    def sum(self, name: str, **labels: str) -> int:
        """The sum of all samples with these labels; a metric that does not exist fails the test."""
        assert any(s.name == name for s in self.samples), f"/metrics has no {name}"
        return int(sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()))


class Server:
    """`lakehead serve` on a free port. The port and the folder stay the same over restarts."""

    def __init__(self, folder: Path, configuration: str = ""):
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.output = folder / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.configuration = folder / "lakehead.toml"
        self.configuration.write_text(configuration)
        self.process: Process | None = None
        # What runs the server, and what it finds in its environment.
        self.runner: list[str] = []
        self.variables: dict[str, str] = {}
        self.http = httpx.Client(trust_env=False, timeout=30)
        self._account: dict[str, str] | None = None

    # Life and death.

    def spawn(self) -> "Server":
        """Starts without waiting."""
        self.process = Process([
            *self.runner, BINARY, "serve", "--config", self.configuration, "--data-dir", self.data_dir,
            "--listen", f"127.0.0.1:{self.port}",
        ], self.output, self.variables)
        return self

    def start(self) -> "Server":
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            assert self.process.running(), f"the server ended with {self.process.child.returncode}"
            try:
                return self.http.get(f"{self.url}/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        wait_until("the server is ready", 30, ready, every=0.02)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.http.close()
        self.http = httpx.Client(trust_env=False, timeout=30)

    def signal_stop(self):
        self.process.child.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """SIGTERM; the exit status. More than 30 s is a failure."""
        self.signal_stop()
        try:
            return self.process.child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not end within 30 s of SIGTERM") from None

    # Who we are.

    def environment(self) -> dict[str, str]:
        """What `eval "$(lakehead env)"` sets."""
        if self._account is None:
            run = subprocess.run(
                [BINARY, "env", "--data-dir", self.data_dir], capture_output=True, text=True, timeout=30, check=False,
            )
            assert run.returncode == 0, f"lakehead env: {run.returncode}\n{run.stdout}\n{run.stderr}"
            variables = {}
            for line in run.stdout.splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "export" and len(words) == 2, f"not an export: {line!r}"
                    name, value = words[1].split("=", 1)
                    variables[name] = value
            self._account = variables
        return self._account

    @property
    def token(self) -> str:
        return self.environment()["CLOUDFLARE_API_TOKEN"]

    @property
    def bearer(self) -> dict[str, str]:
        """The header of requests to ingest endpoints that may send, and learn what exists."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def account(self) -> str:
        return self.environment()["CLOUDFLARE_ACCOUNT_ID"]

    # Management API.

    def call(self, method: str, path: str, body=None, token: str | None = None, **params) -> dict:
        """One call below the account; the envelope. An error answer raises ApiError."""
        answer = self.http.request(
            method, f"{self.url}/client/v4/accounts/{self.account}/{path}", json=body, params=params,
            headers={"Authorization": f"Bearer {token or self.token}"},
        )
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, answer.text)
        envelope = answer.json()
        assert envelope["success"] is True and envelope["errors"] == [], envelope
        return envelope

    def create_stream(self, name: str, schema: dict | None = None, authentication: bool = False, **more) -> dict:
        body = {
            "name": name,
            "http": {"enabled": True, "authentication": authentication},
            "format": {"type": "json"} if schema else UNSTRUCTURED,
            **more,
        }
        if schema:
            body["schema"] = schema
        return self.call("POST", "pipelines/v1/streams", body)["result"]

    def create_sink(self, name: str, bucket: str, format: dict, **config) -> dict:
        config.setdefault("rolling_policy", {"interval_seconds": 10, "inactivity_seconds": 1})
        config.setdefault("credentials", {"access_key_id": "unused", "secret_access_key": "unused"})
        return self.call("POST", "pipelines/v1/sinks", {
            "name": name, "type": "r2", "format": format, "config": {"bucket": bucket, **config},
        })["result"]

    def create_pipeline(self, name: str, sql: str) -> dict:
        return self.call("POST", "pipelines/v1/pipelines", {"name": name, "sql": sql})["result"]

    # Records in and out.

    def post(self, stream: str, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(f"{self.url}/ingest/{stream}", content=content, headers=headers or {})

    def send(self, stream: dict, records: list):
        """Sends them in one request and checks the answer."""
        answer = self.post(stream["id"], json.dumps(records, ensure_ascii=False).encode())
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        assert answer.json() == {"success": True, "result": {"committed": len(records)}}, answer.text

    def send_all(self, stream: dict, records: list, batch: int = 500):
        for start in range(0, len(records), batch):
            self.send(stream, records[start:start + batch])

    def bucket(self, name: str) -> Path:
        """Where a bucket is that is mapped nowhere else."""
        return self.data_dir / "buckets" / name

    def metrics(self) -> Metrics:
        answer = self.http.get(f"{self.url}/metrics")
        assert answer.status_code == 200, answer.text
        return Metrics(answer.text)

    def ledger(self, pipeline: str) -> dict[str, int]:
        """The pipeline's account of its records; every scrape must balance."""

        def first_account():
            scrape = self.metrics()
            return scrape if any(s.labels.get("pipeline") == pipeline for s in scrape.samples) else None

        metrics = wait_until(f"pipeline {pipeline} has metrics", 5, first_account)
        ledger = {
            "accepted": metrics.sum("pipeline_records_in_total", pipeline=pipeline),
            "delivered": metrics.sum("pipeline_records_out_total", pipeline=pipeline),
            "filtered": metrics.sum("pipeline_records_filtered_total", pipeline=pipeline),
            "dead_lettered": metrics.sum("pipeline_records_dead_lettered_total", pipeline=pipeline),
            "in_flight": metrics.sum("pipeline_lag_records", pipeline=pipeline),
        }
        outcomes = sum(ledger[k] for k in ("delivered", "filtered", "dead_lettered", "in_flight"))
        assert ledger["accepted"] == outcomes, f"the ledger of {pipeline} does not balance: {ledger}"
        assert metrics.sum("ledger_imbalance", pipeline=pipeline) == 0
        return ledger

    def wait_delivered(self, pipeline: str, accepted: int, within: float = 60) -> dict[str, int]:
        """Waits until the pipeline has settled `accepted` records; its ledger."""
        seen = {}

        def settled():
            seen.update(self.ledger(pipeline))
            assert seen["accepted"] <= accepted, f"more accepted than sent ({accepted}): {seen}"
            return seen["accepted"] == accepted and seen["in_flight"] == 0

        try:
            wait_until(f"{pipeline} settles {accepted} records", within, settled, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; ledger {seen}") from None
        return seen

    def wait_quiet(self, pipeline: str, at_least: int, within: float = 60) -> dict[str, int]:
        """Waits until nothing is in flight any more, for sends whose number is not certain; the ledger."""
        quiet_since = None
        seen: dict[str, int] = {}

        def quiet():
            nonlocal quiet_since, seen
            before, seen = seen, self.ledger(pipeline)
            if seen != before or seen["in_flight"] or seen["accepted"] < at_least:
                quiet_since = None
                return False
            quiet_since = quiet_since or time.monotonic()
            return time.monotonic() - quiet_since > QUIET_SECONDS

        try:
            wait_until(f"{pipeline} settles at least {at_least} records", within, quiet, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; ledger {seen}") from None
        return seen


def settle(seconds: float):
    """Time in which something that must not happen could happen."""
    time.sleep(seconds)
