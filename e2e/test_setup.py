"""`wrangler pipelines setup` in a terminal."""

import hashlib
import json
import subprocess

import duckdb
import pytest

from catalogs import Lake
from lakehead import BINARY
from wizard import Setup
from wrangler import NEWEST, execute, printed_curl

FIELDS = [
    ("user_id", "string", True),
    ("at", "timestamp", False, "second"),
    ("tags", "list", False, ("tag", "string", False)),
    ("meta", "struct", True, [("raw", "bytes", False), ("extra", "json", True)]),
]


@pytest.fixture
def start():
    """Starts the wizard for a pipeline's name; what still runs is ended with the test."""
    runs = []

    def begin(wrangler, name: str) -> Setup:
        runs.append(Setup(wrangler, name))
        return runs[-1]

    yield begin
    for run in runs:
        run.terminal.end()


@pytest.fixture
def setup(start, wrangler):
    return lambda name: start(wrangler, name)


def resources(server) -> list[str]:
    return [r["name"] for kind in ("streams", "sinks", "pipelines") for r in server.call("GET", f"pipelines/v1/{kind}")["result"]]


def test_setup_with_a_catalog_from_the_first_question_to_a_row(setup, server):
    run = setup("tables")
    run.stream(schema=FIELDS)
    run.catalog_sink("lake-bucket", "events", server.token)
    run.create()
    run.simple_sql()
    text = run.finish()
    assert "Setup complete" in text and resources(server) == ["tables_stream", "tables_sink", "tables"]
    sink = server.call("GET", "pipelines/v1/sinks")["result"][0]
    assert sink["type"] == "r2_data_catalog" and server.token not in str(sink)
    shown = {"bucket": "lake-bucket", "namespace": "default", "table_name": "events"}
    assert shown.items() <= sink["config"].items()
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 104_857_600, "interval_seconds": 300}
    assert server.call("GET", "r2-catalog/lake-bucket")["result"]["status"] == "active"
    assert execute(printed_curl(text))[0] == 200
    # What has come is committed before the server ends.
    assert server.stop() == 0
    server.start()
    lake = Lake(f"{server.url}/catalog", f"{server.account}_lake-bucket", server.token)
    rows = lake.duckdb().execute("SELECT user_id, tags FROM lake.default.events").fetchall()
    assert rows == [("sample_user_id", ["sample_tag", "sample_tag"])]


def test_setup_removes_the_stream_again_if_the_sink_is_refused(setup, server):
    server.create_sink("tables_sink", "other-bucket", {"type": "json"})
    run = setup("tables")
    run.stream()
    run.catalog_sink("lake-bucket", "events", server.token)
    run.create()
    run.decline("  Retry? (stream was created successfully)")
    text = run.finish(code=1)
    assert "tables_sink" in text and "exists" in text and "Cleaning up stream... done" in text
    assert resources(server) == ["tables_sink"]


def test_setup_asks_again_for_a_token_the_server_refuses(setup, server):
    run = setup("tables")
    run.stream(authentication=True, origins="*")
    run.catalog_sink("lake-bucket", "events", "0" * 40)
    run.terminal.expect("Token invalid or missing permissions.")
    run.decline("Would you like to try again?")
    assert "Catalog API token validation failed" in run.finish(code=1)
    assert resources(server) == []


def test_setup_that_is_cancelled_makes_nothing(setup, server):
    run = setup("tables")
    run.stream()
    run.catalog_sink_with_options("lake-bucket", "space", "events", server.token, "snappy", 5, 60)
    run.create(False)
    assert "Setup cancelled" in run.finish(code=1)
    assert resources(server) == []


def test_setup_refuses_a_name_no_table_can_have(setup, server):
    assert "name" in setup("my-pipeline").finish(code=1)
    assert resources(server) == []


def test_setup_with_a_bucket_from_the_first_question_to_a_row(start, played):
    server, wrangler = played.server, played.wrangler(NEWEST)
    run = start(wrangler, "clicks")
    run.stream(authentication=True, origins="https://a.example, https://b.example", schema=FIELDS)
    run.r2_sink("my-bucket")
    run.create()
    run.simple_sql()
    text = run.finish()
    assert "Setup complete" in text and "pipelineName=clicks-sink\n" in wrangler.visited.read_text()
    (stream,) = server.call("GET", "pipelines/v1/streams")["result"]
    assert stream["name"] == "clicks_stream"
    assert stream["http"] == {"enabled": True, "authentication": True, "cors": {"origins": ["https://a.example", "https://b.example"]}}
    assert [(f["name"], f["type"], f.get("required")) for f in stream["schema"]["fields"]] == [f[:3] for f in FIELDS]
    (sink,) = server.call("GET", "pipelines/v1/sinks")["result"]
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 104_857_600, "interval_seconds": 300}
    (pipeline,) = server.call("GET", "pipelines/v1/pipelines")["result"]
    assert pipeline["sql"] == "INSERT INTO clicks_sink SELECT * FROM clicks_stream;"

    status, body = execute(printed_curl(text).replace("YOUR_API_TOKEN", server.token))
    assert (status, json.loads(body)["result"]) == (200, {"committed": 1})
    assert server.stop() == 0
    (file,) = server.bucket("my-bucket").rglob("*.parquet")
    (row,) = duckdb.sql(f"SELECT user_id, tags FROM read_parquet('{file}')").fetchall()
    assert row == ("sample_user_id", ["sample_tag", "sample_tag"])


def test_setup_with_keys_of_ones_own(start, played):
    server, wrangler = played.server, played.wrangler(NEWEST)
    command = [BINARY, "tokens", "create", "--name", "keys", "--allow", "read", "--json", "--data-dir", server.data_dir]
    token = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    # Cloudflare's rule.
    secret = hashlib.sha256(token["value"].encode()).hexdigest()
    run = start(wrangler, "lines")
    run.stream()
    run.r2_sink_with_keys("my-bucket", "p/q", "d=%F", "JSON", "gzip", 7, 12, token["id"], "wrong")
    run.terminal.expect("Credentials invalid or missing permissions.")
    run.terminal.confirm("Would you like to try again?", True)
    run.keys(token["id"], secret)
    run.create()
    run.sql("INSERT INTO lines_sink", "SELECT * FROM lines_stream")
    text = run.finish()
    assert not wrangler.visited.exists(), "a page was opened"
    (sink,) = server.call("GET", "pipelines/v1/sinks")["result"]
    assert sink["format"]["type"] == "json" and sink["format"]["compression"] == "gzip"
    assert (sink["config"]["path"], sink["config"]["partitioning"]) == ("p/q", {"time_pattern": "d=%F"})
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 7 << 20, "interval_seconds": 12}
    (pipeline,) = server.call("GET", "pipelines/v1/pipelines")["result"]
    assert pipeline["sql"] == "INSERT INTO lines_sink SELECT * FROM lines_stream"
    assert execute(printed_curl(text))[0] == 200
