"""`wrangler pipelines setup` in a terminal."""

import pytest

from wizard import Setup

FIELDS = [
    ("user_id", "string", True),
    ("at", "timestamp", False, "second"),
    ("tags", "list", False, ("item", "string", False)),
    ("meta", "struct", True, [("raw", "bytes", False), ("extra", "json", True)]),
]


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
    run.stream(authentication=True, origins="https://a.example, https://b.example", schema=FIELDS)
    run.choose_catalog("lake-bucket")
    text = run.finish(code=1)
    assert "catalogs are not supported yet" in text
    assert resources(server) == []
    assert [b["name"] for b in server.call("GET", "r2/buckets")["result"]["buckets"]] == ["lake-bucket"]


def test_setup_refuses_a_name_no_table_can_have(setup, server):
    assert "name" in setup("my-pipeline").finish(code=1)
    assert resources(server) == []
