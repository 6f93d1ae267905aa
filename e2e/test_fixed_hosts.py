"""The commands that contact hosts no variable can move, as they are documented: keys come from a page in the browser."""

import hashlib
import json
import subprocess

import duckdb
import pytest

import legacy
from fixed_hosts import FixedHosts, configuration
from lakehead import BINARY, Server
from processes import free_port
from wizard import Setup
from wrangler import LEGACY_3, LEGACY_4, execute, printed_curl

FIELDS = [
    ("user_id", "string", True),
    ("at", "timestamp", False, "second"),
    ("tags", "list", False, ("tag", "string", False)),
    ("meta", "struct", True, [("raw", "bytes", False), ("extra", "json", True)]),
]


@pytest.fixture
def server(make_server) -> Server:
    """Plays the hosts, and has the bucket of the documentation."""
    server = make_server(configuration(free_port())).start()
    server.call("POST", "r2/buckets", {"name": "my-bucket"})
    return server


@pytest.fixture
def hosts(server, folder) -> FixedHosts:
    return FixedHosts(server, folder / "hosts")


def asked(server, hosts) -> list[str]:
    """For which pipelines the browser was asked for a key of the bucket."""
    start = f"https://oauth.pipelines.cloudflare.com/oauth/login?accountId={server.account}&bucketName=my-bucket&pipelineName="
    assert all(page.startswith(start) for page in hosts.pages()), hosts.pages()
    return [page.removeprefix(start) for page in hosts.pages()]


@pytest.mark.parametrize("version", [LEGACY_4, LEGACY_3])
def test_the_commands_of_the_older_documentation(server, hosts, folder, make_wrangler, version):
    wrangler = make_wrangler(version)
    hosts.show_to(wrangler)
    text = wrangler.text("pipelines", "create", "my-clickstream-pipeline", "--r2-bucket", "my-bucket")
    assert 'Authorizing R2 bucket "my-bucket"' in text and 'Checking access to R2 bucket "my-bucket"' in text
    assert asked(server, hosts) == ["my-clickstream-pipeline"]
    status, body = execute(printed_curl(text))
    assert (status, json.loads(body)["result"]) == (200, {"committed": 1})

    wrangler.text("pipelines", "create", "guarded", "--r2-bucket", "my-bucket", "--require-http-auth", "true")
    assert asked(server, hosts) == ["my-clickstream-pipeline", "guarded"]
    # The address of the documentation, which the names make known now.
    guarded = legacy.get(server, "guarded")["id"]
    again = FixedHosts(server, folder / "hosts-again")
    send = (
        f"https://{guarded}.pipelines.cloudflare.com", "-H", "Content-Type: application/json",
        "-d", '[{"foo":"bar"}, {"foo":"bar"}, {"foo":"bar"}]',
    )
    assert json.loads(again.curl(*send))["errors"][0]["code"] == 10000
    assert json.loads(again.curl(*send, "-H", f"Authorization: Bearer {server.token}")) == {"success": True, "result": {"committed": 3}}

    for origins in (["https://mydomain.com", "http://localhost:8787"], ["*"]):
        wrangler.text("pipelines", "update", "guarded", "--cors-origins", *origins)
        assert [s.get("cors") for s in legacy.get(server, "guarded")["source"] if s["type"] == "http"] == [{"origins": origins}]
    # An update that names the bucket asks for a new key.
    wrangler.text("pipelines", "update", "guarded", "--r2-bucket", "my-bucket", "--compression", "none")
    assert asked(server, hosts) == ["my-clickstream-pipeline", "guarded", "guarded"]
    assert server.stop() == 0
    written = legacy.objects(server, "my-bucket")
    assert sum(len(o.lines) for o in written) == 4 and {line for o in written for line in o.lines} == {'{"foo":"bar"}'}


def test_the_newest_wrangler_gets_keys_for_a_sink(server, hosts, wrangler):
    hosts.show_to(wrangler)
    text = wrangler.text("pipelines", "sinks", "create", "my_sink", "--type", "r2", "--bucket", "my-bucket")
    assert "Successfully created sink 'my_sink'" in text
    assert len(hosts.pages()) == 1
    (sink,) = server.call("GET", "pipelines/v1/sinks")["result"]
    assert sink["config"]["bucket"] == "my-bucket" and "credentials" not in sink["config"]


def test_setup_with_a_bucket_from_the_first_question_to_a_row(server, hosts, wrangler):
    hosts.show_to(wrangler)
    run = Setup(wrangler, "clicks")
    try:
        run.stream(authentication=True, origins="https://a.example, https://b.example", schema=FIELDS)
        run.r2_sink("my-bucket")
        run.create()
        run.simple_sql()
        text = run.finish()
    finally:
        run.terminal.end()
    assert "Setup complete" in text and asked(server, hosts) == ["clicks-sink"]
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


def test_setup_with_keys_of_ones_own(server, hosts, wrangler):
    hosts.show_to(wrangler)
    command = [BINARY, "tokens", "create", "--name", "keys", "--allow", "read", "--json", "--data-dir", server.data_dir]
    token = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    # Cloudflare's rule.
    secret = hashlib.sha256(token["value"].encode()).hexdigest()
    run = Setup(wrangler, "lines")
    try:
        run.stream()
        run.r2_sink_with_keys("my-bucket", "p/q", "d=%F", "JSON", "gzip", 7, 12, token["id"], "wrong")
        run.terminal.expect("Credentials invalid or missing permissions.")
        run.terminal.confirm("Would you like to try again?", True)
        run.keys(token["id"], secret)
        run.create()
        run.sql("INSERT INTO lines_sink", "SELECT * FROM lines_stream")
        text = run.finish()
    finally:
        run.terminal.end()
    assert hosts.pages() == []
    (sink,) = server.call("GET", "pipelines/v1/sinks")["result"]
    assert sink["format"]["type"] == "json" and sink["format"]["compression"] == "gzip"
    assert (sink["config"]["path"], sink["config"]["partitioning"]) == ("p/q", {"time_pattern": "d=%F"})
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 7 << 20, "interval_seconds": 12}
    (pipeline,) = server.call("GET", "pipelines/v1/pipelines")["result"]
    assert pipeline["sql"] == "INSERT INTO lines_sink SELECT * FROM lines_stream"
    assert execute(printed_curl(text))[0] == 200
