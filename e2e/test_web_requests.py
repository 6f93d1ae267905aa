"""9,999 real web requests through SQL to Parquet, on local disk and on S3; DuckDB and PyArrow must find what Python finds."""

from datetime import datetime, timezone

import duckdb
import pyarrow.parquet as pq
import pytest

from samples import web_requests
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY

SCHEMA = {"fields": [
    {"name": "request_id", "type": "string", "required": True},
    {"name": "ts", "type": "timestamp", "unit": "millisecond", "required": True},
    {"name": "client_ip", "type": "string", "required": True},
    {"name": "method", "type": "string", "required": True},
    {"name": "path", "type": "string", "required": True},
    {"name": "protocol", "type": "string"},
    {"name": "status", "type": "int32", "required": True},
    {"name": "bytes", "type": "int64"},
    {"name": "referer", "type": "string"},
    {"name": "user_agent", "type": "string"},
]}
COLUMNS = [field["name"] for field in SCHEMA["fields"]]
ERRORS_SQL = (
    "INSERT INTO errors SELECT request_id, ts, upper(method) AS method, path, status, bytes AS size, referer "
    "FROM requests WHERE status >= 400 AND path <> '/favicon.ico'"
)


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def utc(value: datetime) -> datetime:
    """Readers give a timestamp with or without a zone; the moment is what counts."""
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def duck(files: list) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    names = ", ".join(f"'{file}'" for file in files)
    connection.execute(f"CREATE VIEW output AS SELECT * FROM read_parquet([{names}], hive_partitioning = false)")
    return connection


def check_all(files: list, requests: list[dict]):
    """Every request is there once, with every value and the right types."""
    connection = duck(files)
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE output").fetchall()}
    assert list(types) == COLUMNS
    assert types["status"] == "INTEGER" and types["bytes"] == "BIGINT" and types["path"] == "VARCHAR"
    assert types["ts"].startswith("TIMESTAMP")
    assert connection.execute("SELECT count(*), sum(bytes), count(bytes), sum(status), count(referer) FROM output").fetchone() == (
        len(requests),
        sum(r["bytes"] or 0 for r in requests),
        sum(r["bytes"] is not None for r in requests),
        sum(r["status"] for r in requests),
        sum(r["referer"] is not None for r in requests),
    )
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM output ORDER BY request_id").fetchall()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    for row in rows:
        row["ts"] = utc(row["ts"])
    expected = [{**r, "ts": moment(r["ts"])} for r in sorted(requests, key=lambda r: r["request_id"])]
    assert rows == expected


def check_errors(files: list, requests: list[dict]):
    """The filtered pipeline, read by PyArrow."""
    wanted = {
        r["request_id"]: {
            "request_id": r["request_id"], "ts": moment(r["ts"]), "method": r["method"].upper(), "path": r["path"],
            "status": r["status"], "size": r["bytes"], "referer": r["referer"],
        }
        for r in requests if r["status"] >= 400 and r["path"] != "/favicon.ico"
    }
    assert 100 < len(wanted) < len(requests) - 1000
    tables = [pq.ParquetFile(file).read() for file in files]
    for table in tables:
        assert table.schema.names == ["request_id", "ts", "method", "path", "status", "size", "referer"]
        assert [str(table.schema.field(n).type) for n in ("status", "size")] == ["int32", "int64"]
        assert str(table.schema.field("ts").type).startswith("timestamp[ms")
    rows = [{**row, "ts": utc(row["ts"])} for table in tables for row in table.to_pylist()]
    assert len(rows) == len(wanted)
    assert {row["request_id"]: row for row in rows} == wanted


@pytest.mark.parametrize("place", ["local", "s3"])
def test_real_web_requests_come_out_as_parquet_as_python_reads_them(place, make_server, request, folder):
    requests = web_requests()
    assert len(requests) == 9_999
    configuration, store = "", None
    if place == "s3":
        store = request.getfixturevalue("seaweed")
        for bucket in ("requests-all", "requests-errors"):
            store.create_bucket(bucket)
            configuration += store.configuration(bucket)
    server = make_server(configuration).start()
    keys = {"credentials": {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}}
    stream = server.create_stream("requests", SCHEMA)
    server.create_sink("everything", "requests-all", {"type": "parquet", "compression": "zstd"}, path="web/raw", **keys)
    server.create_sink("errors", "requests-errors", {"type": "parquet", "compression": "snappy"},
                       partitioning={"time_pattern": "d=%Y-%m-%d"}, file_naming={"prefix": "err"}, **keys)
    server.create_pipeline("all_requests", "INSERT INTO everything SELECT * FROM requests")
    # Half of the input is there before the second pipeline exists: it must read it nevertheless.
    server.send_all(stream, requests[:5_000])
    server.create_pipeline("failed_requests", ERRORS_SQL)
    server.send_all(stream, requests[5_000:], batch=777)

    ledger = server.wait_delivered("all_requests", len(requests))
    assert ledger["delivered"] == len(requests)
    ledger = server.wait_delivered("failed_requests", len(requests))
    assert ledger["filtered"] == len(requests) - ledger["delivered"] and ledger["dead_lettered"] == 0

    if store:
        everything = store.download("requests-all", folder / "all")
        errors = store.download("requests-errors", folder / "errors")
        assert not server.bucket("requests-all").exists(), "a bucket on S3 must not become a folder"
        keys = store.keys("requests-all") + store.keys("requests-errors")
    else:
        everything = [p for p in server.bucket("requests-all").rglob("*") if p.is_file()]
        errors = [p for p in server.bucket("requests-errors").rglob("*") if p.is_file()]
        keys = [str(p.relative_to(server.bucket("requests-all"))) for p in everything]
        keys += [str(p.relative_to(server.bucket("requests-errors"))) for p in errors]
    today = datetime.now(timezone.utc)
    for key in keys:
        assert key.endswith(".parquet"), f"only finished files may be visible: {key}"
        if key.startswith("web/"):
            assert key.startswith(f"web/raw/year={today:%Y}/month={today:%m}/day="), key
        else:
            assert key.startswith(f"d={today:%Y-%m}-") and key.split("/")[1].startswith("err-"), key
    check_all(everything, requests)
    check_errors(errors, requests)
