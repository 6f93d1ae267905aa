"""The older product through the wranglers that create its pipelines (4.36.0, 3.109.3) and the newest, which only manages them."""

import json
import re

import legacy
from wrangler import LEGACY_3, LEGACY_4, execute, printed_curl

KEYS = ("--r2-access-key-id", "an-id", "--r2-secret-access-key", "hush-hush")
ORIGIN = "https://a.example"


def words(text: str) -> str:
    return " ".join(text.split())


def created(text: str, name: str) -> str:
    match = re.search(rf'Successfully created pipeline "{name}" with id ([0-9a-f]{{32}})', text, re.IGNORECASE)
    assert match, text
    return match[1]


def preflight(server, endpoint: str, origin: str) -> str | None:
    answer = server.http.options(endpoint, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    return answer.headers.get("access-control-allow-origin")


def send_printed_event(text: str):
    """The curl line as printed."""
    status, body = execute(printed_curl(text))
    assert (status, json.loads(body)) == (200, {"success": True, "result": {"committed": 1}})


def test_wrangler_4_creates_with_defaults_and_the_event_it_prints_arrives(make_wrangler, server):
    wrangler = make_wrangler(LEGACY_4)
    assert LEGACY_4 in wrangler.text("--version")
    assert "my-clickstream-pipeline" not in wrangler.text("pipelines", "list")
    text = wrangler.text("pipelines", "create", "my-clickstream-pipeline", "--r2-bucket", "my-bucket", *KEYS)
    id = created(text, "my-clickstream-pipeline")
    shown = (
        f"Id: {id} Name: my-clickstream-pipeline Sources: HTTP: Endpoint: {server.url}/ingest/{id} Authentication: off Format: JSON"
        " Worker: Format: JSON Destination: Type: R2 Bucket: my-bucket Format: newline-delimited JSON Compression: GZIP"
        " Batch hints: Max bytes: 100 MB Max duration: {seconds} seconds Max records: 10,000,000"
    )
    assert shown.format(seconds=300) in words(text)
    assert printed_curl(text) == f"""curl "{server.url}/ingest/{id}" -d '[{{"foo": "bar"}}]'"""
    assert '"pipeline": "my-clickstream-pipeline"' in text and '"binding": "PIPELINE"' in text

    # The update that changes one thing leaves the rest, and the event waits no five minutes.
    updated = wrangler.text("pipelines", "update", "my-clickstream-pipeline", "--batch-max-seconds", "1")
    assert f'Successfully updated pipeline "my-clickstream-pipeline" with ID {id}' in updated
    send_printed_event(text)
    (object,) = legacy.wait_records(server, "my-bucket", 1)
    assert (object.prefix, object.compression, object.lines) == (None, "gzip", ['{"foo":"bar"}'])

    assert shown.format(seconds=1) in words(wrangler.text("pipelines", "get", "my-clickstream-pipeline"))
    listed = wrangler.text("pipelines", "list")
    assert "my-clickstream-pipeline" in listed and id in listed and f"/ingest/{id}" in listed
    deleted = wrangler.text("pipelines", "delete", "my-clickstream-pipeline")
    assert "Deleted pipeline my-clickstream-pipeline." in deleted
    assert id not in wrangler.text("pipelines", "list")
    # Without a token nobody learns what exists.
    assert execute(printed_curl(text))[0] == 401
    assert server.post(id, b'[{"foo": "bar"}]', server.bearer).status_code == 404


def test_wrangler_4_creates_and_updates_with_every_flag(make_wrangler, server):
    wrangler = make_wrangler(LEGACY_4)
    text = wrangler.text(
        "pipelines", "create", "every-flag", "--source", "http", "worker", "--require-http-auth", "true",
        "--cors-origins", ORIGIN, "http://localhost:8787", "--batch-max-mb", "10", "--batch-max-rows", "1000",
        "--batch-max-seconds", "1", "--r2-bucket", "first-bucket", *KEYS, "--r2-prefix", "raw/clicks", "--compression", "none",
        "--shard-count", "3",
    )
    id = created(text, "every-flag")
    assert "Authentication: on CORS Origins: https://a.example, http://localhost:8787 Format: JSON" in words(text)
    assert "Prefix: raw/clicks Compression: NONE Batch hints: Max bytes: 10 MB Max duration: 1 seconds Max records: 1,000" in words(text)
    before = legacy.get(server, "every-flag")
    endpoint = f"{server.url}/ingest/{id}"
    assert before == {
        "id": id, "name": "every-flag", "version": before["version"], "endpoint": endpoint, "metadata": {"shards": 3}, "transforms": [],
        "source": [
            {"type": "http", "format": "json", "authentication": True, "cors": {"origins": [ORIGIN, "http://localhost:8787"]}},
            {"type": "binding", "format": "json"},
        ],
        "destination": {
            "type": "r2", "format": "json", "compression": {"type": "none"},
            "batch": {"max_bytes": 10_000_000, "max_duration_s": 1, "max_rows": 1000},
            "path": {"bucket": "first-bucket", "prefix": "raw/clicks"},
        },
    }
    printed = wrangler.text("pipelines", "get", "every-flag", "--format", "json")
    assert json.loads(printed[printed.index("{"):]) == before

    # The printed line carries no token; with one the event is taken.
    assert execute(printed_curl(text))[0] == 401
    assert server.post(id, b'[{"n":1}]', server.bearer).status_code == 200
    (object,) = legacy.wait_records(server, "first-bucket", 1)
    assert (object.prefix, object.compression, object.lines) == ("raw/clicks", "none", ['{"n":1}'])
    assert preflight(server, endpoint, ORIGIN) == ORIGIN
    assert preflight(server, endpoint, "https://b.example") is None

    text = wrangler.text(
        "pipelines", "update", "every-flag", "--source", "http", "--cors-origins", "https://b.example", "--batch-max-mb", "20",
        "--batch-max-rows", "2000", "--batch-max-seconds", "2", "--r2-bucket", "second-bucket", *KEYS, "--r2-prefix", "cooked",
        "--compression", "deflate", "--shard-count", "4",
    )
    assert f'Successfully updated pipeline "every-flag" with ID {id}' in text
    after = legacy.get(server, "every-flag")
    assert (after["id"], after["endpoint"]) == (id, endpoint) and after["version"] == before["version"] + 1
    assert after["metadata"] == {"shards": 4}
    assert after["source"] == [{"type": "http", "format": "json", "authentication": True, "cors": {"origins": ["https://b.example"]}}]
    assert after["destination"] == {
        "type": "r2", "format": "json", "compression": {"type": "deflate"},
        "batch": {"max_bytes": 20_000_000, "max_duration_s": 2, "max_rows": 2000},
        "path": {"bucket": "second-bucket", "prefix": "cooked"},
    }
    assert server.post(id, b'[{"n":2}]', server.bearer).status_code == 200
    (object,) = legacy.wait_records(server, "second-bucket", 1)
    assert (object.prefix, object.compression, object.lines) == ("cooked", "deflate", ['{"n":2}'])
    assert preflight(server, endpoint, "https://b.example") == "https://b.example"
    assert preflight(server, endpoint, ORIGIN) is None

    # `none` takes CORS away; without the HTTP source the endpoint is gone, and it is the same one afterwards.
    wrangler.text("pipelines", "update", "every-flag", "--cors-origins", "none")
    assert preflight(server, endpoint, "https://b.example") is None
    wrangler.text("pipelines", "update", "every-flag", "--source", "worker")
    assert server.post(id, b'[{"n":3}]', server.bearer).status_code == 404
    assert legacy.get(server, "every-flag")["source"] == [{"type": "binding", "format": "json"}]
    wrangler.text("pipelines", "update", "every-flag", "--source", "http")
    assert server.post(id, b'[{"n":4}]').status_code == 200
    objects = legacy.wait_records(server, "second-bucket", 2)
    assert [o.records for o in objects] == [[{"n": 2}], [{"n": 4}]]
    assert len(legacy.objects(server, "first-bucket")) == 1


def test_wrangler_4_shows_the_servers_reasons(make_wrangler, server):
    wrangler = make_wrangler(LEGACY_4)
    create, to = ("pipelines", "create"), ("--r2-bucket", "a-bucket", *KEYS)
    wrangler.text(*create, "taken", *to)
    wrangler.refuses(
        ("taken", *create, "taken", *to),
        *(("name", *create, name, *to) for name in ("under_score", "dash-last-", "a" * 64)),
        ("The R2 bucket [no-bucket] doesn't exist", *create, "new", "--r2-bucket", "no-bucket"),
        ("transform", *create, "worked-on", *to, "--transform-worker", "my-worker.Transform"),
        ("[code: 1000]", "pipelines", "get", "nothing-here"),
        ("[code: 1000]", "pipelines", "update", "nothing-here", "--compression", "none"),
        ("[code: 1000]", "pipelines", "delete", "nothing-here"),
    )
    assert [p["name"] for p in server.call("GET", "pipelines")["result"]] == ["taken"]
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = "0" * 40
    assert "Authentication error [code: 10000]" in wrangler.text("pipelines", "list", code=1)


def test_wrangler_3_creates_shows_lists_updates_and_deletes(make_wrangler, server):
    wrangler = make_wrangler(LEGACY_3)
    assert LEGACY_3 in wrangler.text("--version")
    text = wrangler.text("pipelines", "create", "plain", "--r2-bucket", "plain-bucket", *KEYS, "--batch-max-seconds", "1")
    plain = created(text, "plain")
    assert printed_curl(text) == f"""curl "{server.url}/ingest/{plain}" -d '[{{"foo": "bar"}}]'"""
    send_printed_event(text)
    (object,) = legacy.wait_records(server, "plain-bucket", 1)
    assert (object.prefix, object.compression, object.records) == (None, "gzip", [{"foo": "bar"}])

    text = wrangler.text(
        "pipelines", "create", "full", "--enable-worker-binding", "true", "--enable-http", "true", "--require-http-auth", "true",
        "--cors-origins", "*", "--batch-max-mb", "1", "--batch-max-rows", "100", "--batch-max-seconds", "1",
        "--r2-bucket", "full-bucket", *KEYS, "--r2-prefix", "p", "--compression", "deflate",
    )
    id = created(text, "full")
    shown = wrangler.text("pipelines", "show", "full")
    before = json.loads(shown[shown.index("{"):])
    assert before == legacy.get(server, "full") and "hush-hush" not in shown
    assert before["id"] == id and before["metadata"] == {} and before["transforms"] == []
    assert sorted(before["source"], key=lambda s: s["type"]) == [
        {"type": "binding", "format": "json"},
        {"type": "http", "format": "json", "authentication": True, "cors": {"origins": ["*"]}},
    ]
    assert before["destination"] == {
        "type": "r2", "format": "json", "compression": {"type": "deflate"}, "path": {"bucket": "full-bucket", "prefix": "p"},
        "batch": {"max_bytes": 1_000_000, "max_duration_s": 1, "max_rows": 100},
    }
    assert server.post(id, b'[{"n":1}]').status_code == 401
    assert server.post(id, b'[{"n":1}]', server.bearer).status_code == 200
    (object,) = legacy.wait_records(server, "full-bucket", 1)
    assert (object.prefix, object.compression, object.records) == ("p", "deflate", [{"n": 1}])

    listed = wrangler.text("pipelines", "list")
    assert all(part in listed for part in ("plain", plain, "full", id, f"/ingest/{id}"))

    text = wrangler.text(
        "pipelines", "update", "full", "--enable-worker-binding", "false", "--cors-origins", ORIGIN, "--batch-max-mb", "2",
        "--batch-max-rows", "200", "--batch-max-seconds", "2", "--r2-bucket", "other-bucket", *KEYS, "--r2-prefix", "q",
        "--compression", "none",
    )
    assert f'Successfully updated Pipeline "full" with ID {id}' in text
    after = legacy.get(server, "full")
    assert after["id"] == id and after["version"] == before["version"] + 1
    assert after["source"] == [{"type": "http", "format": "json", "authentication": True, "cors": {"origins": [ORIGIN]}}]
    assert after["destination"] == {
        "type": "r2", "format": "json", "compression": {"type": "none"}, "path": {"bucket": "other-bucket", "prefix": "q"},
        "batch": {"max_bytes": 2_000_000, "max_duration_s": 2, "max_rows": 200},
    }
    assert server.post(id, b'[{"n":2}]', server.bearer).status_code == 200
    (object,) = legacy.wait_records(server, "other-bucket", 1)
    assert (object.prefix, object.compression, object.records) == ("q", "none", [{"n": 2}])

    assert "Deleted Pipeline full." in wrangler.text("pipelines", "delete", "full")
    to = ("--r2-bucket", "plain-bucket", *KEYS)
    wrangler.refuses(
        ("[code: 1000]", "pipelines", "show", "full"),
        ("[code: 1000]", "pipelines", "update", "full", "--compression", "gzip"),
        ("[code: 1000]", "pipelines", "delete", "full"),
        ("plain", "pipelines", "create", "plain", *to),
        # Names of one's own for folders and files are not possible.
        ("filepath", "pipelines", "create", "new", *to, "--partition-template", "d=${date}"),
        ("filename", "pipelines", "create", "new", *to, "--file-template", "x-${slug}"),
    )
    listed = wrangler.text("pipelines", "list")
    assert "plain" in listed and id not in listed and "new" not in listed
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = "0" * 40
    assert "Authentication error [code: 10000]" in wrangler.text("pipelines", "list", code=1)


def test_the_newest_wrangler_lists_gets_updates_and_deletes_what_it_cannot_create(wrangler, server):
    assert "Unknown argument" in wrangler.text("pipelines", "create", "old", "--r2-bucket", "a-bucket", code=1)
    old = legacy.create(server, "old", "a-bucket", batch=legacy.AT_ONCE)
    legacy.create(server, "older", "a-bucket")
    server.create_stream("events")
    server.create_sink("files", "v1-bucket", {"type": "json"})
    new = server.create_pipeline("new", "INSERT INTO files SELECT * FROM events")

    listed = wrangler.json("pipelines", "list")
    assert [p["id"] for p in listed["pipelines"]] == [new["id"]]
    assert {p["name"]: p for p in listed["legacyPipelines"]} == {name: legacy.get(server, name) for name in ("old", "older")}
    table = wrangler.text("pipelines", "list")
    assert old["id"] in table and new["id"] in table and "Legacy" in table
    assert wrangler.json("pipelines", "get", "old") == legacy.get(server, "old")
    text = words(wrangler.text("pipelines", "get", "old"))
    assert f"Endpoint: {server.url}/ingest/{old['id']}" in text and "Compression: GZIP" in text

    text = wrangler.text(
        "pipelines", "update", "old", "--source", "http", "--require-http-auth", "true", "--cors-origins", ORIGIN,
        "--batch-max-mb", "3", "--batch-max-rows", "300", "--batch-max-seconds", "1", "--r2-bucket", "b-bucket", *KEYS,
        "--r2-prefix", "new/home", "--compression", "none", "--shard-count", "5",
    )
    assert f'Successfully updated pipeline "old" with ID {old["id"]}' in text
    after = legacy.get(server, "old")
    assert (after["id"], after["endpoint"], after["version"]) == (old["id"], old["endpoint"], old["version"] + 1)
    assert after["metadata"] == {"shards": 5}
    assert after["source"] == [{"type": "http", "format": "json", "authentication": True, "cors": {"origins": [ORIGIN]}}]
    assert after["destination"] == {
        "type": "r2", "format": "json", "compression": {"type": "none"}, "path": {"bucket": "b-bucket", "prefix": "new/home"},
        "batch": {"max_bytes": 3_000_000, "max_duration_s": 1, "max_rows": 300},
    }
    # Without a bucket no credentials are sent: the stored ones stay in use.
    wrangler.text("pipelines", "update", "old", "--compression", "gzip")
    assert server.post(old["id"], b'[{"n":1}]', server.bearer).status_code == 200
    (object,) = legacy.wait_records(server, "b-bucket", 1)
    assert (object.prefix, object.compression, object.records) == ("new/home", "gzip", [{"n": 1}])

    assert "cannot be updated" in wrangler.text("pipelines", "update", new["id"], "--compression", "none", code=1)
    assert server.call("GET", f"pipelines/v1/pipelines/{new['id']}")["result"]["sql"] == new["sql"]

    assert "eleted legacy pipeline 'old'" in wrangler.text("pipelines", "delete", "old", "--force")
    # Without a terminal the question is answered with yes.
    assert "eleted legacy pipeline 'older'" in wrangler.text("pipelines", "delete", "older")
    assert [p["id"] for p in wrangler.json("pipelines", "list")] == [new["id"]]
    missing = 'Pipeline "old" not found.'
    wrangler.refuses(
        (missing, "pipelines", "get", "old"), (missing, "pipelines", "delete", "old"),
        (missing, "pipelines", "update", "old", "--compression", "none"),
    )
