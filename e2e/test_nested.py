"""Nested records with lists, nulls, big integers and every script: what comes out equals what went in."""

import gzip
import json
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from samples import github_events, tweets


def field(name: str, type: str, **more) -> dict:
    return {"name": name, "type": type, **more}


def strings(*names: str) -> list[dict]:
    return [field(name, "string") for name in names]


ACTOR = [field("id", "int64"), *strings("login", "gravatar_id", "avatar_url", "url")]
GITHUB_SCHEMA = {"fields": [
    field("id", "string", required=True),
    field("type", "string", required=True),
    field("created_at", "timestamp", unit="millisecond", required=True),
    field("public", "bool", required=True),
    field("actor", "struct", fields=ACTOR, required=True),
    field("repo", "struct", fields=[field("id", "int64"), *strings("name", "url")]),
    field("org", "struct", fields=ACTOR),
    field("payload", "json"),
]}

INDICES = field("indices", "list", items={"type": "int32"})
TWEET_SCHEMA = {"fields": [
    field("id", "int64", required=True),
    *strings("id_str", "text", "source", "created_at", "lang", "in_reply_to_screen_name"),
    field("in_reply_to_status_id", "int64"),
    field("truncated", "bool"),
    field("possibly_sensitive", "bool"),
    field("retweet_count", "uint32"),
    field("favorite_count", "float64"),
    field("metadata", "struct", fields=strings("result_type", "iso_language_code")),
    field("user", "struct", fields=[
        field("id", "uint64"), *strings("screen_name", "name", "location", "description", "url", "time_zone"),
        field("utc_offset", "int32"), field("followers_count", "int64"), field("verified", "bool"),
        field("entities", "json"),
    ]),
    field("entities", "struct", fields=[
        field("hashtags", "list", items={"type": "struct", "fields": [field("text", "string"), INDICES]}),
        field("symbols", "list", items={"type": "json"}),
        field("urls", "list", items={"type": "struct", "fields": [*strings("url", "expanded_url", "display_url"), INDICES]}),
        field("user_mentions", "list", items={
            "type": "struct", "fields": [field("id", "int64"), *strings("id_str", "name", "screen_name"), INDICES],
        }),
        field("media", "json"),
    ]),
    field("geo", "json"),
    field("place", "json"),
    field("retweeted_status", "json"),
]}

SAMPLES = {"github": (github_events, GITHUB_SCHEMA), "tweets": (tweets, TWEET_SCHEMA)}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def expected(value, kind: dict):
    """What a column of this type must hold for `value`: unknown keys gone, missing ones null, moments as moments."""
    if value is None:
        return None
    match kind["type"]:
        case "struct":
            return {f["name"]: expected(value.get(f["name"]), f) for f in kind["fields"]}
        case "list":
            return [expected(item, kind["items"]) for item in value]
        case "timestamp":
            return moment(value)
        case _:
            return value


def read(value, kind: dict, json_text: bool):
    """The same from a reader's value. `json_text`: json columns are text there (Parquet), not values (JSON lines)."""
    if value is None:
        return None
    match kind["type"]:
        case "struct":
            assert set(value) == {f["name"] for f in kind["fields"]}, f"{set(value)}"
            return {f["name"]: read(value[f["name"]], f, json_text) for f in kind["fields"]}
        case "list":
            return [read(item, kind["items"], json_text) for item in value]
        case "timestamp":
            value = moment(value) if isinstance(value, str) else value
            return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
        case "json":
            return json.loads(value) if json_text else value
        case _:
            return value


def files(folder: Path, suffix: str) -> list[Path]:
    found = [p for p in folder.rglob("*") if p.is_file()]
    assert found and all(p.name.endswith(suffix) for p in found), found
    return found


def json_lines(folder: Path, suffix: str) -> list:
    rows = []
    for file in files(folder, suffix):
        data = file.read_bytes()
        text = (gzip.decompress(data) if suffix.endswith(".gz") else data).decode("utf-8")
        assert text.endswith("\n")
        rows += [json.loads(line) for line in text.split("\n")[:-1]]
    return rows


def by_id(rows: list) -> list:
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("sample", SAMPLES)
def test_unstructured_records_come_out_equal_to_their_input(sample, server):
    records = SAMPLES[sample][0]()
    stream = server.create_stream("things")
    sinks = {
        "lines": {"type": "json"},
        "bare": {"type": "json", "unstructured": True, "compression": "gzip"},
        "columns": {"type": "parquet"},
    }
    for name, format in sinks.items():
        server.create_sink(name, f"out-{name}", format)
        server.create_pipeline(f"to_{name}", f"INSERT INTO {name} SELECT * FROM things")
    server.send_all(stream, records, batch=17)
    for name in sinks:
        assert server.wait_delivered(f"to_{name}", len(records))["delivered"] == len(records)

    lines = json_lines(server.bucket("out-lines"), ".json")
    assert all(list(row) == ["value"] for row in lines)
    assert by_id([row["value"] for row in lines]) == by_id(records)
    assert by_id(json_lines(server.bucket("out-bare"), ".json.gz")) == by_id(records)
    rows = duckdb.sql(f"SELECT value FROM read_parquet('{server.bucket('out-columns')}/**/*.parquet', hive_partitioning = false)")
    assert by_id([json.loads(text) for (text,) in rows.fetchall()]) == by_id(records)


@pytest.mark.parametrize("sample", SAMPLES)
def test_structured_records_come_out_equal_to_their_input(sample, server):
    load, schema = SAMPLES[sample]
    records = load()
    row_type = {"type": "struct", "fields": schema["fields"]}
    wanted = by_id([expected(record, row_type) for record in records])
    stream = server.create_stream("things", schema)
    sinks = {"lines": {"type": "json", "compression": "gzip"}, "columns": {"type": "parquet", "compression": "lz4"}}
    for name, format in sinks.items():
        server.create_sink(name, f"out-{name}", format)
        server.create_pipeline(f"to_{name}", f"INSERT INTO {name} SELECT * FROM things")
    server.send_all(stream, records, batch=17)
    for name in sinks:
        assert server.wait_delivered(f"to_{name}", len(records))["delivered"] == len(records)

    lines = json_lines(server.bucket("out-lines"), ".json.gz")
    assert by_id([read(row, row_type, json_text=False) for row in lines]) == wanted
    rows = []
    for file in files(server.bucket("out-columns"), ".parquet"):
        rows += pq.ParquetFile(file).read().to_pylist()
    assert by_id([read(row, row_type, json_text=True) for row in rows]) == wanted
    # DuckDB reads nested columns by itself.
    view = f"read_parquet('{server.bucket('out-columns')}/**/*.parquet', hive_partitioning = false)"
    nested = {"github": "actor.login", "tweets": "entities.hashtags[1].text"}[sample]
    seen = duckdb.sql(f"SELECT id, {nested} FROM {view} ORDER BY id").fetchall()
    if sample == "github":
        assert seen == [(row["id"], row["actor"]["login"]) for row in wanted]
    else:
        assert seen == [(r["id"], (r["entities"]["hashtags"] or [{"text": None}])[0]["text"]) for r in wanted]
        assert any(text and not text.isascii() for _, text in seen)


def test_records_that_do_not_fit_are_counted_and_do_not_hold_up_the_others(server):
    stream = server.create_stream("things", {"fields": [
        field("id", "int64", required=True),
        field("part", "struct", fields=[field("n", "int32", required=True)]),
        field("at", "timestamp"),
    ]})
    server.create_sink("columns", "out", {"type": "parquet"})
    server.create_pipeline("copy", "INSERT INTO columns SELECT * FROM things")
    good = [{"id": 1, "part": {"n": 5}}, {"id": "2", "at": "2026-01-02T03:04:05Z"}, {"id": 3.0, "unknown": {}}]
    bad = [{"part": {"n": 1}}, {"id": None}, {"id": True}, {"id": 4, "part": {"n": "x"}}, {"id": 5, "at": "yesterday"}]
    server.send(stream, [good[0], bad[0], bad[1], good[1], bad[2], bad[3], good[2], bad[4]])
    ledger = server.wait_delivered("copy", 8)
    assert (ledger["delivered"], ledger["dead_lettered"], ledger["filtered"]) == (3, 5, 0)
    metrics = server.metrics()
    reasons = {s.labels["reason"]: int(s.value) for s in metrics.samples if s.name == "pipeline_records_rejected_total"}
    assert {r: n for r, n in reasons.items() if n} == {
        "missing_field": 1, "null_value": 1, "type_mismatch": 1, "parse_failure": 2,
    }
    rows = duckdb.sql(f'SELECT id, part.n, "at" FROM read_parquet(\'{server.bucket("out")}/**/*.parquet\') ORDER BY id')
    assert rows.fetchall() == [(1, 5, None), (2, None, datetime(2026, 1, 2, 3, 4, 5)), (3, None, None)]
