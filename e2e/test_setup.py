"""`wrangler pipelines setup` in a terminal."""

import pytest

from wizard import Setup

@pytest.fixture
def setup(wrangler):
    """Starts the wizard for a pipeline's name; what still runs is ended with the test."""
    runs = []

    def start(name: str) -> Setup:
        runs.append(Setup(wrangler, name))
        return runs[-1]

    yield start
    for run in runs:
        run.terminal.end()


def resources(server) -> list[str]:
    return [r["name"] for kind in ("streams", "sinks", "pipelines") for r in server.call("GET", f"pipelines/v1/{kind}")["result"]]


def test_setup_with_a_catalog_ends_where_the_server_cannot_write_tables_yet(setup, server):
    run = setup("tables")
    run.stream(http=False)
    run.catalog_sink("lake-bucket", "events", server.token)
    run.create()
    run.simple_sql()
    run.terminal.expect('sink "tables_sink" is a table, which cannot be written yet')
    run.terminal.expect("Retry with different SQL?")
    run.terminal.type("n")
    assert "setup cannot continue without valid pipeline SQL" in run.finish(code=1)
    assert resources(server) == ["tables_stream", "tables_sink"]
    sink = server.call("GET", "pipelines/v1/sinks")["result"][0]
    assert sink["type"] == "r2_data_catalog" and server.token not in str(sink)
    shown = {"bucket": "lake-bucket", "namespace": "default", "table_name": "events"}
    assert shown.items() <= sink["config"].items()
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 104_857_600, "interval_seconds": 300}
    assert server.call("GET", "r2-catalog/lake-bucket")["result"]["status"] == "active"


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
