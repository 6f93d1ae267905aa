"""Previews of SQL: over stored records and over given ones, through the API and with `lakehead sql`. Nothing moves by them."""

import json
import os
import subprocess

import pytest

from lakehead import BINARY, ApiError, Server
from processes import wait_until

FIELDS = {"fields": [
    {"name": "id", "type": "int64", "required": True},
    {"name": "amount", "type": "int64"},
    {"name": "city", "type": "string"},
]}
SQL = "INSERT INTO files SELECT id, 100 / amount AS share FROM orders WHERE city = 'Oslo'"


def preview(server: Server, sql: str, token: str | None = None, **wanted) -> list[dict]:
    return server.call("POST", "pipelines/v1/preview_sql", {"sql": sql, **wanted}, token=token)["result"]["statements"]


def sql(server: Server, *arguments, stdin: str = "") -> subprocess.CompletedProcess:
    """`lakehead sql …` for the server's data folder."""
    return subprocess.run(
        [BINARY, "sql", *arguments, "--data-dir", server.data_dir], capture_output=True, text=True, timeout=60,
        check=False, input=stdin, env=os.environ,
    )


def files_of(server: Server) -> set[str]:
    """Everything that pipelines write."""
    places = ("buckets", "staging", "dead_letters")
    return {str(path) for place in places for path in (server.data_dir / place).rglob("*") if path.is_file()}


@pytest.fixture
def orders(server) -> dict:
    """A stream with one record of each fate, twice over."""
    stream = server.create_stream("orders", FIELDS)
    for first in (0, 10):
        server.send(stream, [
            {"id": first, "amount": 4, "city": "Oslo"},
            {"id": first + 1, "amount": 4, "city": "Bergen"},
            {"id": first + 2, "amount": 0, "city": "Oslo"},
            {"amount": 1, "city": "Oslo"},
            {"id": first + 4, "amount": "x", "city": "Oslo"},
            {"id": first + 5, "amount": 50, "city": "Oslo"},
        ])
    return stream


def test_a_preview_tells_what_a_pipeline_would_do(server, orders):
    (made,) = preview(server, SQL)
    assert (made["stream"], made["sink"]) == ("orders", "files"), "a sink need not exist"
    assert [(f["name"], f["type"], f["required"]) for f in made["schema"]["fields"]] == [
        ("id", "int64", True), ("share", "int64", False),
    ]
    assert made["rows"] == [{"id": i, "share": s} for i, s in [(0, 25), (5, 2), (10, 25), (15, 2)]]
    assert made["counts"] == {"read": 12, "kept": 4, "filtered": 2, "rejected": 6}
    assert made["read"] == {"from": 0, "to": 12, "records": 12, "lost": 0}
    assert (made["rows_made"], made["truncated"], made["truncated_by"]) == (4, False, None)
    assert [(r["position"], r["stage"], r["reason"], r["path"]) for r in made["rejects"]] == [
        (2, "transform", "transform_error", ""), (3, "decode", "missing_field", "id"),
        (4, "decode", "parse_failure", "amount"), (8, "transform", "transform_error", ""),
        (9, "decode", "missing_field", "id"), (10, "decode", "parse_failure", "amount"),
    ]
    (last,) = preview(server, SQL, records_max=3, rows_max=0)
    assert last["counts"] == {"read": 3, "kept": 1, "filtered": 0, "rejected": 2}
    assert (last["read"]["from"], last["rows"], last["rows_made"]) == (9, [], 1)

    # The pipeline itself comes to the same.
    server.create_sink("files", "lake", {"type": "json"})
    pipeline = server.create_pipeline("p", SQL)
    ledger = server.wait_delivered("p", 12)
    assert (ledger["delivered"], ledger["filtered"], ledger["dead_lettered"]) == (4, 2, 6)

    def written() -> list[dict]:
        lines = [line for file in server.bucket("lake").rglob("*.json") for line in file.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    assert sorted(written(), key=lambda row: row["id"]) == made["rows"]
    letters = [
        json.loads(line) for file in (server.data_dir / "dead_letters" / pipeline["id"]).rglob("*.ndjson")
        for line in file.read_text().splitlines()
    ]
    told = ("position", "stage", "reason", "path", "detail")
    assert sorted(([x[k] for k in told] for x in letters)) == [[r[k] for k in told] for r in made["rejects"]]


def test_a_preview_moves_and_writes_nothing(server, orders):
    server.create_sink("files", "lake", {"type": "json"})
    server.create_pipeline("p", "INSERT INTO files SELECT id FROM orders")
    before = server.wait_delivered("p", 12)
    seen = files_of(server)
    assert seen, "the pipeline has written"
    for _ in range(5):
        assert preview(server, SQL)[0]["counts"]["read"] == 12
        assert preview(server, "INSERT INTO files SELECT * FROM orders")[0]["counts"]["kept"] == 8
    assert server.ledger("p") == before
    assert files_of(server) == seen
    assert server.call("GET", "pipelines/v1/pipelines")["result_info"]["total_count"] == 1
    server.kill()
    server.start()
    assert server.wait_delivered("p", 12) == before
    assert files_of(server) == seen
    assert preview(server, SQL)[0]["counts"] == {"read": 12, "kept": 4, "filtered": 2, "rejected": 6}


def test_a_select_stands_alone_and_time_of_receipt_can_be_seen(server, orders):
    (made,) = preview(server, "SELECT id, __ingest_ts AS at FROM orders WHERE id < 10")
    assert (made["sink"], made["counts"]["kept"]) == (None, 4)
    assert [f["type"] for f in made["schema"]["fields"]] == ["int64", "timestamp"]
    assert all(row["at"].startswith("20") and row["at"].endswith("Z") for row in made["rows"]), made["rows"]
    assert len({row["at"] for row in made["rows"]}) == 1, "they came in one request"


def test_given_records_are_tried_before_any_came(server):
    server.create_stream("orders", FIELDS)
    assert preview(server, SQL)[0]["counts"]["read"] == 0
    records = [{"id": "9223372036854775807", "amount": 3, "city": "Oslo"}, {"id": 1, "amount": 3}, {"id": {}}]
    (made,) = preview(server, SQL, records=records)
    assert made["rows"] == [{"id": 9223372036854775807, "share": 33}]
    assert made["counts"] == {"read": 3, "kept": 1, "filtered": 1, "rejected": 1}
    with pytest.raises(ApiError) as refused:
        preview(server, SQL, records=[{"id": 1}, "x"])
    assert (refused.value.status, refused.value.code) == (400, 1001) and refused.value.message.startswith("records: ")
    with pytest.raises(ApiError) as refused:
        preview(server, SQL, records=[{"city": "x" * (1 << 20)}])
    assert refused.value.status == 413


def test_who_may_read_may_preview_and_nobody_else(server, orders):
    def token(*permissions: str) -> str:
        return server.call("POST", "tokens", {"name": "t", "permissions": list(permissions)})["result"]["value"]

    assert preview(server, SQL, token=token("read"))[0]["counts"]["read"] == 12
    for permissions in (["send"], ["write"], ["write", "send"]):
        with pytest.raises(ApiError) as refused:
            preview(server, SQL, token=token(*permissions))
        assert (refused.value.status, refused.value.code) == (403, 100), permissions


def test_the_command_shows_schema_rows_and_counts(server, orders, folder):
    done = sql(server, "preview", "--sql", SQL, "--rows", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "orders → files"
    for line in ("column  type    required", "id      BIGINT  yes", "share   BIGINT  no", "id  share", "0   25", "5   2"):
        assert line in lines, done.stdout
    assert "12 records read, at positions 0 to 11: 4 kept, 2 filtered, 6 rejected" in lines
    assert "2 of 4 rows shown" in lines and "missing_field" in done.stdout
    from_stdin = sql(server, "preview", "--rows", "2", stdin=SQL)
    assert (from_stdin.returncode, from_stdin.stdout) == (0, done.stdout)
    records = folder / "records.ndjson"
    records.write_text('{"id": 1, "amount": 100, "city": "Oslo"}\n{"id": 2}\n')
    done = sql(server, "preview", "--sql", SQL, "--records", records, "--json")
    assert json.loads(done.stdout)["statements"][0]["rows"] == [{"id": 1, "share": 1}]


def test_the_command_shows_where_sql_is_wrong(server, orders, folder):
    server.create_sink("files", "lake", {"type": "json"})
    file = folder / "q.sql"
    file.write_text("INSERT INTO files\nSELECT id FRM orders")
    for command in ("preview", "validate"):
        done = sql(server, command, "--file", file)
        assert done.returncode == 1 and done.stdout == "", done
        place = done.stderr.splitlines()
        assert "line 2" in place[0] and "[code: 1004]" in place[0], done.stderr
        assert place[2] == "2 | SELECT id FRM orders" and place[3].rstrip("^") in ("  |           ", "  |               "), done.stderr
    file.write_text("INSERT INTO files SELECT nme FROM orders")
    done = sql(server, "validate", "--file", file)
    assert done.returncode == 1 and "nme" in done.stderr, done.stderr


def test_the_command_prints_what_checked_sql_does(server, orders):
    server.create_sink("files", "lake", {"type": "json"})
    server.create_sink("more", "lake", {"type": "json"}, path="more")
    text = "INSERT INTO files SELECT id FROM orders WHERE id > 1; INSERT INTO more SELECT * FROM orders"
    done = sql(server, "validate", "--sql", text)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "source: stream orders" and not any(line.startswith("source") for line in lines[1:])
    assert sum(line.lstrip().startswith("filter: ") for line in lines) == 1, done.stdout
    assert [line.strip() for line in lines if "sink: " in line] == ["sink: sink files", "sink: sink more"]


def test_a_pipeline_into_a_sink_of_another_schema_is_refused(server, orders):
    server.call("POST", "pipelines/v1/sinks", {
        "name": "strict", "type": "r2", "format": {"type": "parquet"},
        "config": {"bucket": "lake", "credentials": {"access_key_id": "unused", "secret_access_key": "unused"}},
        "schema": {"fields": [{"name": "id", "type": "int64", "required": True}, {"name": "city", "type": "string"}]},
    })
    for query, said in [
        ("SELECT id, amount AS city FROM orders", 'column "city" is int64, and the schema of sink "strict" has it as string'),
        ("SELECT city FROM orders", 'the schema of sink "strict" requires column "id" (int64)'),
        ("SELECT id, amount FROM orders", 'column "amount" (int64) is not in the schema of sink "strict", which has "id", "city"'),
    ]:
        for path, body in (("validate_sql", {}), ("pipelines", {"name": "p"})):
            with pytest.raises(ApiError) as refused:
                server.call("POST", f"pipelines/v1/{path}", {**body, "sql": f"INSERT INTO strict {query}"})
            assert (refused.value.status, refused.value.code) == (400, 1004), refused.value
            assert refused.value.message.startswith(said), refused.value
    server.create_pipeline("p", "INSERT INTO strict SELECT id FROM orders")
    wait_until("it runs", 10, lambda: server.call("GET", "pipelines/v1/pipelines")["result"][0]["status"] == "running")


def test_many_rejected_records_are_counted_and_twenty_of_them_told_of(server):
    stream = server.create_stream("orders", FIELDS)
    server.send_all(stream, [{"id": i, "amount": 0, "city": "Oslo"} for i in range(10_000)], batch=5_000)
    (made,) = preview(server, SQL, records_max=10_000)
    counts = made["counts"]
    assert counts["read"] == counts["rejected"] and len(made["rejects"]) == 20
    assert counts["read"] == 10_000 or made["truncated_by"] == "time"
