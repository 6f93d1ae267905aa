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


def test_setup_with_a_catalog_ends_with_the_servers_reason_and_leaves_nothing(setup, server):
    run = setup("tables")
    run.stream(http=False)
    run.catalog_sink("lake-bucket", "events", server.token)
    run.create()
    run.terminal.expect("catalog sinks are not supported yet")
    run.decline("  Retry? (stream was created successfully)")
    assert "Cleaning up stream... done" in run.finish(code=1)
    assert resources(server) == []
    assert [b["name"] for b in server.call("GET", "r2/buckets")["result"]["buckets"]] == ["lake-bucket"]


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
