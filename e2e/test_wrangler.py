"""The newest wrangler over the life of streams, sinks, pipelines and buckets."""

import json
import re

import duckdb

from wrangler import LEGACY_4, created_id, execute, printed_curl

SCHEMA = {"fields": [
    {"name": "user_id", "type": "string", "required": True},
    {"name": "visits", "type": "int64"},
    {"name": "amount", "type": "float64"},
    {"name": "at", "type": "timestamp", "unit": "millisecond"},
    {"name": "tags", "type": "list", "items": {"type": "string"}},
    {"name": "meta", "type": "struct", "fields": [{"name": "ip", "type": "string"}, {"name": "score", "type": "int32"}]},
    {"name": "extra", "type": "json"},
]}


def test_the_pinned_wrangler_is_the_one_that_runs(wrangler):
    assert wrangler.text("--version").strip().endswith("4.164.0")


def test_wrangler_creates_gets_lists_and_deletes_and_its_printed_curl_line_works(wrangler, server, folder):
    schema = folder / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    text = wrangler.text("pipelines", "streams", "create", "orders", "--schema-file", str(schema))
    stream = created_id(text, "stream", "orders")
    assert f"/ingest/{stream}" in text and "user_id" in text
    text = wrangler.text("pipelines", "streams", "create", "clicks", "--http-auth", "false", "--cors-origin", "https://a.example")
    clicks = created_id(text, "stream", "clicks")

    text = wrangler.text("r2", "bucket", "create", "my-lake")
    assert "Created bucket 'my-lake'" in text
    text = wrangler.text(
        "pipelines", "sinks", "create", "orders_files", "--type", "r2", "--bucket", "my-lake", "--path", "orders",
        "--partitioning", "day=%Y-%m-%d", "--roll-interval", "10", "--compression", "zstd",
        "--access-key-id", "an-id", "--secret-access-key", "a-secret-nobody-may-see",
    )
    sink = created_id(text, "sink", "orders_files")
    server.create_sink("click_lines", "my-lake", {"type": "json"})

    text = wrangler.text("pipelines", "create", "orders_copy", "--sql", "INSERT INTO orders_files SELECT * FROM orders")
    pipeline = created_id(text, "pipeline", "orders_copy")
    assert "References tables: " in text and "orders" in text
    curl = printed_curl(text)
    assert "YOUR_API_TOKEN" in curl and stream in curl
    status, body = execute(curl.replace("YOUR_API_TOKEN", server.token))
    assert (status, json.loads(body)) == (200, {"success": True, "result": {"committed": 1}})
    status, body = execute(curl)
    assert status == 401 and json.loads(body)["success"] is False
    # Without authentication the line works as it is printed.
    text = wrangler.text("basin", "pipelines", "create", "clicks_copy", "--sql", "INSERT INTO click_lines SELECT * FROM clicks;")
    clicks_pipeline = created_id(text, "pipeline", "clicks_copy")
    curl = printed_curl(text)
    assert "YOUR_API_TOKEN" not in curl
    status, body = execute(curl)
    assert (status, json.loads(body)) == (200, {"success": True, "result": {"committed": 1}})

    # By name, by id, in lists.
    for kind, name, id in [(["streams"], "orders", stream), (["sinks"], "orders_files", sink), ([], "orders_copy", pipeline)]:
        by_name, by_id = (wrangler.json("pipelines", *kind, "get", key) for key in (name, id))
        # What the pipeline has done meanwhile may differ.
        assert {**by_name, "counters": None} == {**by_id, "counters": None} and (by_id["id"], by_id["name"]) == (id, name)
        assert "a-secret-nobody-may-see" not in json.dumps(by_id)
        assert id in wrangler.text("pipelines", *kind, "list")
        if kind == ["streams"]:
            assert by_id["schema"]["fields"][5]["fields"][0]["name"] == "ip"
    assert {s["id"] for s in wrangler.json("pipelines", "streams", "list")} == {stream, clicks}
    assert [s["id"] for s in wrangler.json("pipelines", "streams", "list", "--pipeline-id", pipeline)] == [stream]
    assert {p["name"] for p in wrangler.json("pipelines", "list")} == {"orders_copy", "clicks_copy"}
    text = wrangler.text("pipelines", "get", "orders_copy")
    assert "orders_files" in text and "INSERT INTO" in text

    # The printed event has arrived, and `r2 object get` fetches its file.
    assert server.wait_delivered("orders_copy", 1)["delivered"] == 1
    files = [p for p in server.bucket("my-lake").rglob("*.parquet")]
    assert len(files) == 1
    key = files[0].relative_to(server.bucket("my-lake"))
    assert str(key).startswith("orders/day=20")
    copy = folder / "copy.parquet"
    copy.write_bytes(wrangler.run("r2", "object", "get", f"my-lake/{key}", "--remote", "--pipe"))
    assert copy.read_bytes() == files[0].read_bytes()
    (row,) = duckdb.sql(f"SELECT user_id, visits, tags, meta FROM read_parquet('{copy}')").fetchall()
    assert row[0] == "sample_user_id" and isinstance(row[1], int) and len(row[2]) == 2 and set(row[3]) == {"ip", "score"}
    missing = wrangler.text("r2", "object", "get", "my-lake/orders/nothing", "--remote", "--pipe", code=1)
    assert "nothing" in missing or "404" in missing or "not exist" in missing

    # The end of things.
    for kind, word, name, id in [
        ([], "pipeline", "orders_copy", pipeline), (["sinks"], "sink", "orders_files", sink),
        (["streams"], "stream", "orders", stream),
    ]:
        key = id if word == "sink" else name
        assert f"Successfully deleted {word} '{name}' with id '{id}'" in wrangler.text("pipelines", *kind, "delete", key, "--force")
    server.call("DELETE", f"pipelines/v1/pipelines/{clicks_pipeline}")
    assert [s["name"] for s in wrangler.json("pipelines", "streams", "list")] == ["clicks"]
    assert wrangler.json("pipelines", "list") == []
    assert "orders_files" not in wrangler.text("pipelines", "sinks", "list")
    assert files[0].exists(), "deleting a sink must keep its files"


def test_wrangler_manages_buckets(wrangler):
    assert "Created bucket 'first-bucket'" in wrangler.text("r2", "bucket", "create", "first-bucket")
    wrangler.text("r2", "bucket", "create", "second-bucket")
    text = wrangler.text("r2", "bucket", "list")
    assert "first-bucket" in text and "second-bucket" in text
    info = wrangler.json("r2", "bucket", "info", "first-bucket")
    assert info["name"] == "first-bucket"
    wrangler.text("r2", "bucket", "delete", "first-bucket")
    assert "first-bucket" not in wrangler.text("r2", "bucket", "list")
    assert "10006" in wrangler.text("r2", "bucket", "info", "first-bucket", code=1)
    assert "exist" in wrangler.text("r2", "bucket", "create", "second-bucket", code=1)


def test_wrangler_manages_the_catalogs_of_buckets(wrangler, server):
    catalog = ("r2", "bucket", "catalog")
    server.call("POST", "r2/buckets", {"name": "lake-bucket"})
    assert "is not enabled" in wrangler.text(*catalog, "get", "lake-bucket")
    text = wrangler.text(*catalog, "enable", "lake-bucket")
    assert "Successfully enabled" in text and f"Warehouse: '{server.account}_lake-bucket'" in text
    token = ("--token", server.token)
    assert "Successfully enabled" in wrangler.text(*catalog, "compaction", "enable", "lake-bucket", "--target-size", "64", *token)
    text = wrangler.text(*catalog, "snapshot-expiration", "enable", "lake-bucket", "--older-than-days", "7", "--retain-last", "3", *token)
    assert "Successfully enabled" in text
    seen = server.call("GET", "r2-catalog/lake-bucket")["result"]
    assert seen["status"] == "active" and server.token not in str(seen)
    assert seen["maintenance_config"]["compaction"]["state"] == "enabled"
    assert seen["maintenance_config"]["snapshot_expiration"]["max_snapshot_age"] == "7d"
    wrangler.refuses(
        ("[code: 1001]", *catalog, "compaction", "enable", "lake-bucket", "--token", "0" * 40),
        ("[code: 10006]", *catalog, "enable", "no-bucket"),
    )
    assert "Successfully disabled" in wrangler.text(*catalog, "disable", "lake-bucket")
    assert server.call("GET", "r2-catalog/lake-bucket")["result"]["status"] == "inactive"


def test_wrangler_finds_out_who_it_is(make_wrangler, server):
    newest, older = make_wrangler(), make_wrangler(LEGACY_4)
    server.create_stream("events")
    for wrangler in (newest, older):
        del wrangler.environment["CLOUDFLARE_ACCOUNT_ID"]
        text = wrangler.text("whoami")
        assert "User API Token" in text and server.account in text
    # The one account there is is taken without a question.
    assert [s["name"] for s in newest.json("pipelines", "streams", "list")] == ["events"]
    older.text("pipelines", "list")


def test_a_wrong_token_is_refused_with_a_plain_error(wrangler, server):
    server.create_stream("hidden")
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = "0" * 40
    for command in (("streams", "list"), ("streams", "get", "hidden"), ("create", "copy", "--sql", "INSERT INTO a SELECT * FROM hidden")):
        text = wrangler.text("pipelines", *command, code=1)
        assert "Authentication error [code: 10000]" in text
        # No traces of a stack, which two errors of the account calls would bring.
        assert not re.search(r"^\s+at \S+ \(", text, re.MULTILINE), text
    assert server.call("GET", "pipelines/v1/streams")["result_info"]["total_count"] == 1


def test_lists_have_pages_and_end(wrangler, server):
    streams = [server.create_stream(f"stream_{i}") for i in range(12)]
    for i in range(7):
        server.create_sink(f"sink_{i}", "a-bucket", {"type": "json"})
        server.create_pipeline(f"pipe_{i}", f"INSERT INTO sink_{i} SELECT * FROM stream_{i}")
    pages = [wrangler.json("pipelines", "streams", "list", "--page", str(page), "--per-page", "5") for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [5, 5, 2, 0]
    assert {s["id"] for page in pages for s in page} == {s["id"] for s in streams}
    assert "No streams found." in wrangler.text("pipelines", "streams", "list", "--page", "9")
    pages = [wrangler.json("pipelines", "list", "--page", page, "--per-page", "5") for page in ("1", "2")]
    assert sorted(p["name"] for page in pages for p in page) == [f"pipe_{i}" for i in range(7)] and len(pages[1]) == 2
    # Its --json is no JSON.
    pages = [wrangler.text("pipelines", "sinks", "list", "--page", page, "--per-page", "5") for page in ("1", "2", "3")]
    assert sorted(re.findall(r"sink_\d", "".join(pages))) == [f"sink_{i}" for i in range(7)] and "No sinks found." in pages[2]

    pipeline = server.call("GET", "pipelines/v1/pipelines", name="pipe_3")["result"][0]["id"]
    assert [s["name"] for s in wrangler.json("pipelines", "streams", "list", "--pipeline-id", pipeline)] == ["stream_3"]
    assert re.findall(r"sink_\d", wrangler.text("pipelines", "sinks", "list", "--pipeline-id", pipeline)) == ["sink_3"]
    assert wrangler.json("pipelines", "streams", "list", "--pipeline-id", "0" * 32) == []


def test_a_name_is_found_among_look_alikes(wrangler, server):
    like_an_id = "0123456789abcdef" * 2
    made = {name: server.create_stream(name)["id"] for name in ("order", "orders", "reorder", "ORDER_2", like_an_id)}
    for name in ("order", "ORDER_2", like_an_id):
        assert wrangler.json("pipelines", "streams", "get", name)["id"] == made[name]
    assert "not found" in wrangler.text("pipelines", "streams", "get", "rder", code=1)


def test_what_is_missing_taken_or_wrong_is_refused(wrangler, server, folder):
    keys = ("--access-key-id", "a", "--secret-access-key", "b")
    server.create_stream("events")
    sink = ("pipelines", "sinks", "create", "files", "--type", "r2", "--bucket", "a-bucket", *keys)
    wrangler.text(*sink)
    sql = "INSERT INTO files SELECT * FROM events"
    wrangler.text("pipelines", "create", "copy", "--sql", sql)
    before = {kind: server.call("GET", f"pipelines/v1/{kind}")["result"] for kind in ("streams", "sinks", "pipelines")}

    schema = folder / "schema.json"
    schema.write_text(json.dumps({"fields": [{"name": "n", "type": "int65"}]}))
    bad_sql = "INSERT INTO files SELECT no_such_column FROM events"
    catalog = ("--type", "r2-data-catalog", "--namespace", "default", "--table", "t", "--catalog-token", "hush")
    streams, sinks, pipelines = ("pipelines", "streams"), ("pipelines", "sinks"), ("pipelines",)
    wrangler.refuses(
        ("events", *streams, "create", "events"),
        ("files", *sink),
        ("copy", *pipelines, "create", "copy", "--sql", sql),
        # A name that wrangler itself lets through.
        ("name", *pipelines, "create", "not a table", "--sql", sql),
        ("name", *streams, "create", "a" * 129),
        ("SQL validation failed: ", *pipelines, "create", "bad", "--sql", bad_sql),
        ("no_such_column", *pipelines, "create", "bad", "--sql", bad_sql),
        ("int65", *streams, "create", "bad", "--schema-file", str(schema)),
        ("Failed to create sink 'bad': config.path", *sinks, "create", "bad", "--type", "r2", "--bucket", "a-bucket", *keys, "--path", "../up"),
        ("Parquet", *sinks, "create", "bad", "--bucket", "a-bucket", "--format", "json", *catalog),
        *(("not found", *kind, "delete", "nothing-here") for kind in (streams, sinks, pipelines)),
        *(("not found", *kind, "get", "nothing-here") for kind in (streams, sinks, pipelines)),
    )
    # Nobody has said yes.
    assert "Delete cancelled." in wrangler.text("pipelines", "streams", "delete", "events")
    assert before == {kind: server.call("GET", f"pipelines/v1/{kind}")["result"] for kind in before}

    # A stream takes the pipelines that read it along; sinks stay.
    wrangler.text("pipelines", "streams", "delete", "events", "--force")
    assert wrangler.json("pipelines", "list") == []
    assert server.call("GET", "pipelines/v1/sinks")["result"] == before["sinks"]


def test_the_sample_event_of_every_type_is_delivered_and_typed(wrangler, server, folder):
    inner = [{"name": "raw", "type": "bytes"}, {"name": "list", "type": "list", "items": {"type": "int64"}}]
    fields = [
        *({"name": f"{t}_field", "type": t, "required": True} for t in (
            "int32", "int64", "float32", "float64", "bool", "string", "json", "bytes")),
        {"name": "binary_field", "type": "binary"},
        *({"name": f"{unit}_field", "type": "timestamp", "unit": unit, "required": True} for unit in (
            "second", "millisecond", "microsecond", "nanosecond")),
        {"name": "list_field", "type": "list", "items": {"type": "string"}, "required": True},
        {"name": "struct_field", "type": "struct", "fields": inner, "required": True},
    ]
    schema = folder / "schema.json"
    schema.write_text(json.dumps({"fields": fields}))
    stream = created_id(wrangler.text("pipelines", "streams", "create", "everything", "--schema-file", str(schema)), "stream", "everything")
    server.create_sink("files", "a-bucket", {"type": "json"})
    text = wrangler.text("pipelines", "create", "copy", "--sql", "INSERT INTO files SELECT * FROM everything")
    curl = printed_curl(text)
    assert "9223372036854775807" in curl and "sample_item" in curl and "base64_encoded_bytes" in curl
    status, body = execute(curl.replace("YOUR_API_TOKEN", server.token))
    assert (status, json.loads(body)) == (200, {"success": True, "result": {"committed": 1}})
    assert server.wait_delivered("copy", 1)["delivered"] == 1
    (file,) = server.bucket("a-bucket").rglob("*.json*")
    row = json.loads(file.read_text())
    assert set(row) >= {f["name"] for f in fields} - {"binary_field"}
    assert row["int64_field"] == 9223372036854775807 and row["list_field"] == ["sample_item"] * 2

    # The generated types of a Worker with that stream.
    (wrangler.folder / "wrangler.json").write_text(json.dumps({
        "name": "worker", "compatibility_date": "2026-01-01", "pipelines": [{"binding": "STREAM", "stream": stream}],
    }))
    wrangler.text("types", "--include-runtime=false")
    types = (wrangler.folder / "worker-configuration.d.ts").read_text()
    assert 'STREAM: import("cloudflare:pipelines").Pipeline<Cloudflare.EverythingRecord>;' in types
    assert (
        "type EverythingRecord = { int32_field: number; int64_field: number; float32_field: number; float64_field: number; "
        "bool_field: boolean; string_field: string; json_field: Record<string, unknown>; bytes_field: string; binary_field?: unknown; "
        "second_field: string | number; millisecond_field: string | number; microsecond_field: string | number; "
        "nanosecond_field: string | number; list_field: Array<string>; struct_field: { raw?: string; list?: Array<number> } };"
    ) in types
