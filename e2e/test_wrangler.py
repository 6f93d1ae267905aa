"""The newest wrangler over the life of streams, sinks, pipelines and buckets."""

import json

import duckdb

from wrangler import created_id, execute, printed_curl

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
        assert by_name == by_id and (by_id["id"], by_id["name"]) == (id, name)
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


def test_wrangler_shows_the_servers_reasons(wrangler):
    assert "Stream" in wrangler.text("pipelines", "streams", "get", "nothing_here", code=1)
    assert "ink" in wrangler.text("pipelines", "sinks", "get", "nothing_here", code=1)
    wrangler.text("pipelines", "streams", "create", "events")
    wrangler.text("pipelines", "sinks", "create", "files", "--type", "r2", "--bucket", "a-bucket",
                  "--access-key-id", "a", "--secret-access-key", "b")
    text = wrangler.text("pipelines", "create", "bad", "--sql", "INSERT INTO files SELECT no_such_column FROM events", code=1)
    assert "SQL validation failed" in text and "no_such_column" in text
    text = wrangler.text("pipelines", "streams", "create", "events", code=1)
    assert "events" in text and "exist" in text
    text = wrangler.text("pipelines", "sinks", "create", "bad", "--type", "r2", "--bucket", "a-bucket", "--path", "../up",
                         "--access-key-id", "a", "--secret-access-key", "b", code=1)
    assert "path" in text


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


def test_a_wrong_token_is_refused_with_a_plain_error(wrangler):
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = "0" * 40
    text = wrangler.text("pipelines", "streams", "list", code=1)
    assert "10000" in text or "uthentication" in text
