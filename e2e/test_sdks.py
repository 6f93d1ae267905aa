"""The official SDKs, unmodified."""

import cloudflare
import pytest


def code_of(error: cloudflare.APIStatusError) -> int:
    return error.errors[0].code


def test_python_sdk_streams(server, client):
    streams = client.pipelines.streams
    account = server.account
    made = [streams.create(account_id=account, name=f"stream_{i}") for i in range(7)]
    assert len({s.id for s in made}) == 7
    first = made[0]
    assert first.http.enabled and first.http.authentication and first.worker_binding.enabled
    assert first.version == 1 and first.created_at is not None and first.created_at.tzinfo is not None
    assert first.endpoint == f"{server.url}/ingest/{first.id}"
    assert streams.get(first.id, account_id=account).name == "stream_0"

    schema = {"fields": [{"name": "n", "type": "int64", "required": True}, {"name": "t", "type": "timestamp", "unit": "second"}]}
    typed = streams.create(account_id=account, name="typed", schema=schema, http={"enabled": False, "authentication": False})
    assert [f.name for f in typed.schema_.fields] == ["n", "t"] and not typed.http.enabled
    assert server.post(typed.id, b"[]", server.bearer).status_code == 404

    # Automatic paging walks every page and ends.
    for per_page in (1, 3, 8, 50):
        names = [s.name for s in streams.list(account_id=account, per_page=per_page)]
        assert sorted(names) == sorted([*(s.name for s in made), "typed"]), per_page
    assert [s.name for s in streams.list(account_id=account, name="STREAM_3")] == ["stream_3"]
    page = streams.list(account_id=account, page=9, per_page=5)
    assert page.result == [] and page.result_info is not None

    changed = streams.update(first.id, account_id=account, http={"enabled": True, "authentication": False})
    assert not changed.http.authentication and changed.version == 2
    assert server.post(first.id, b"[{}]").status_code == 200
    assert server.post(made[1].id, b"[{}]").status_code == 401

    streams.delete(first.id, account_id=account)
    with pytest.raises(cloudflare.NotFoundError) as missing:
        streams.get(first.id, account_id=account)
    assert code_of(missing.value) == 1016
    with pytest.raises(cloudflare.NotFoundError):
        streams.delete(first.id, account_id=account)
    # Who has no token does not learn that it is gone.
    assert server.post(first.id, b"[{}]").status_code == 401
    assert server.post(first.id, b"[{}]", server.bearer).status_code == 404


def test_python_sdk_sinks_and_pipelines(server, client):
    account = server.account
    api = client.pipelines
    stream = api.streams.create(account_id=account, name="events")
    sink = api.sinks.create(
        account_id=account, name="files", type="r2", format={"type": "parquet", "compression": "snappy"},
        config={
            "account_id": account, "bucket": "a-bucket", "path": "p",
            "credentials": {"access_key_id": "an-id", "secret_access_key": "hush-hush"},
            "rolling_policy": {"interval_seconds": 10},
        },
    )
    other = api.sinks.create(
        account_id=account, name="lines", type="r2", format={"type": "json"},
        config={"account_id": account, "bucket": "a-bucket", "credentials": {"access_key_id": "a", "secret_access_key": "hush-hush"}},
    )
    got = api.sinks.get(sink.id, account_id=account)
    assert (got.name, got.type, got.config.bucket, got.config.path) == ("files", "r2", "a-bucket", "p")
    for answer in (got, *api.sinks.list(account_id=account)):
        assert "hush-hush" not in answer.model_dump_json()
    assert {s.name for s in api.sinks.list(account_id=account, per_page=1)} == {"files", "lines"}

    checked = api.validate_sql(account_id=account, sql="INSERT INTO files SELECT * FROM events")
    assert set(checked.tables) == {"files", "events"}
    with pytest.raises(cloudflare.BadRequestError):
        api.validate_sql(account_id=account, sql="SELECT FROM WHERE")
    pipeline = api.create_v1(account_id=account, name="copy", sql="INSERT INTO files SELECT * FROM events")
    got = api.get_v1(pipeline.id, account_id=account)
    assert got.sql == "INSERT INTO files SELECT * FROM events" and got.status
    assert {(t.name, t.type) for t in got.tables} == {("files", "sink"), ("events", "stream")}
    assert [p.name for p in api.list_v1(account_id=account, per_page=1)] == ["copy"]
    assert [s.name for s in api.sinks.list(account_id=account, pipeline_id=pipeline.id)] == ["files"]
    assert [s.name for s in api.streams.list(account_id=account, pipeline_id=pipeline.id)] == ["events"]

    with pytest.raises(cloudflare.APIStatusError) as again:
        api.create_v1(account_id=account, name="copy", sql="INSERT INTO files SELECT * FROM events")
    assert again.value.status_code == 400 or again.value.response.headers["x-should-retry"] == "false"

    api.delete_v1(pipeline.id, account_id=account)
    for call, code in [
        (lambda: api.get_v1(pipeline.id, account_id=account), 1000),
        (lambda: api.get_v1("no-such-id", account_id=account), 1000),
        (lambda: api.sinks.get("no-such-id", account_id=account), 1015),
        (lambda: api.streams.get("no_such_id", account_id=account), 1016),
    ]:
        with pytest.raises(cloudflare.NotFoundError) as missing:
            call()
        assert code_of(missing.value) == code
    for id in (sink.id, other.id):
        api.sinks.delete(id, account_id=account)
    api.streams.delete(stream.id, account_id=account)
    assert list(api.sinks.list(account_id=account)) == []


def test_python_sdk_creates_the_sink_of_the_documentation(server, client):
    """Every parameter of the reference page, with the intervals this server needs."""
    config = {
        "account_id": server.account, "bucket": "bucket",
        "file_naming": {"prefix": "prefix", "strategy": "serial", "suffix": "suffix"}, "jurisdiction": "jurisdiction",
        "partitioning": {"time_pattern": "year=%Y/month=%m/day=%d/hour=%H"}, "path": "path",
        "rolling_policy": {"file_size_bytes": 0, "inactivity_seconds": 1, "interval_seconds": 10},
    }
    format = {"type": "json", "decimal_encoding": "number", "timestamp_format": "rfc3339", "unstructured": True}
    field = {"type": "int32", "metadata_key": "metadata_key", "name": "name", "required": True, "sql_name": "sql_name"}
    sink = client.pipelines.sinks.create(
        account_id=server.account, name="my_sink", type="r2", format=format,
        config={**config, "credentials": {"access_key_id": "access_key_id", "secret_access_key": "secret_access_key"}},
        schema={"fields": [field], "format": format, "inferred": True},
    )
    assert sink.name == "my_sink" and sink.created_at.tzinfo is not None
    for answer in (sink, client.pipelines.sinks.get(sink.id, account_id=server.account)):
        shown = answer.model_dump(mode="json", exclude_none=True)
        assert shown["config"] == config and shown["type"] == "r2"
        assert format.items() <= shown["format"].items()
        assert [f["name"] for f in shown["schema_"]["fields"]] == ["name"]


def test_python_sdk_gets_an_exception_for_each_refusal(server, client):
    account, api = server.account, client.pipelines
    asked = []
    # With its usual retries: what they cannot cure is asked for once.
    patient = cloudflare.Cloudflare(
        api_token=server.token, base_url=client.base_url,
        http_client=cloudflare.DefaultHttpxClient(event_hooks={"request": [asked.append]}),
    )
    stream = api.streams.create(account_id=account, name="events")
    config = {"account_id": account, "bucket": "a-bucket", "credentials": {"access_key_id": "a", "secret_access_key": "b"}}
    api.sinks.create(account_id=account, name="files", type="r2", config=config, format={"type": "json"})
    sql = "INSERT INTO files SELECT * FROM events"
    api.create_v1(account_id=account, name="copy", sql=sql)
    bad, missing = cloudflare.BadRequestError, cloudflare.NotFoundError
    calls = [
        # Taken.
        (bad, 1003, lambda p: p.streams.create(account_id=account, name="events")),
        (bad, 1003, lambda p: p.sinks.create(account_id=account, name="files", type="r2", config=config)),
        (bad, 1003, lambda p: p.create_v1(account_id=account, name="copy", sql=sql)),
        # Not possible.
        (bad, 1001, lambda p: p.streams.create(account_id=account, name="no-table")),
        (bad, 1001, lambda p: p.streams.create(account_id=account, name="")),
        (bad, 1001, lambda p: p.streams.create(account_id=account, name="n", schema={"fields": [{"name": "n", "type": "int65"}]})),
        (bad, 1001, lambda p: p.sinks.create(account_id=account, name="n", type="r2")),
        (bad, 1001, lambda p: p.sinks.create(account_id=account, name="n", type="s3", config=config)),
        (bad, 1001, lambda p: p.sinks.create(account_id=account, name="n", type="r2", config={**config, "bucket": "Not A Bucket"})),
        (bad, 1001, lambda p: p.streams.update(stream.id, account_id=account, http={
            "enabled": True, "authentication": False, "cors": {"origins": ["no-scheme.example"]}})),
        (bad, 1004, lambda p: p.validate_sql(account_id=account, sql="INSERT INTO files SELECT no_such_column FROM events")),
        (bad, 1004, lambda p: p.create_v1(account_id=account, name="n", sql="INSERT INTO files SELECT * FROM nowhere")),
        # Missing.
        (missing, 1016, lambda p: p.streams.update("0" * 32, account_id=account, http={"enabled": True, "authentication": True})),
        (missing, 1016, lambda p: p.streams.delete("0" * 32, account_id=account)),
        (missing, 1015, lambda p: p.sinks.delete("no such sink", account_id=account)),
        (missing, 1000, lambda p: p.delete_v1("copy", account_id=account)),
    ]
    for error, code, call in calls:
        asked.clear()
        with pytest.raises(error) as refused:
            call(patient.pipelines)
        assert code_of(refused.value) == code and refused.value.errors[0].message, refused.value
        assert len(asked) == 1, refused.value
    # The limit of the account.
    for number in range(19):
        api.streams.create(account_id=account, name=f"stream_{number}")
    with pytest.raises(cloudflare.BadRequestError) as refused:
        api.streams.create(account_id=account, name="one_too_many")
    assert code_of(refused.value) == 1006 and "20" in refused.value.errors[0].message
    assert len(list(api.streams.list(account_id=account, per_page=7))) == 20
    assert [s.name for s in api.sinks.list(account_id=account)] == ["files"]
    assert [p.name for p in api.list_v1(account_id=account)] == ["copy"]


def test_python_sdk_pages_through_every_list_and_filters_by_pipeline(server, client):
    account, api = server.account, client.pipelines
    for i in range(6):
        server.create_stream(f"stream_{i}")
        server.create_sink(f"sink_{i}", "a-bucket", {"type": "json"})
        server.create_pipeline(f"pipe_{i}", f"INSERT INTO sink_{i} SELECT * FROM stream_{i}")
    for word, call in (("stream", api.streams.list), ("sink", api.sinks.list), ("pipe", api.list_v1)):
        first = call(account_id=account, per_page=5)
        assert len(first.result) == 5 and first.result_info.total_count == 6
        assert sorted(item.name for item in first) == [f"{word}_{i}" for i in range(6)]
    two = {p.name: p.id for p in api.list_v1(account_id=account)}["pipe_2"]
    assert [s.name for s in api.streams.list(account_id=account, pipeline_id=two)] == ["stream_2"]
    assert [s.name for s in api.sinks.list(account_id=account, pipeline_id=two)] == ["sink_2"]
    assert list(api.sinks.list(account_id=account, pipeline_id="no such pipeline")) == []
    # What depends on a deleted sink goes with it; the rest stays.
    api.sinks.delete(api.sinks.list(account_id=account, name="SINK_2").result[0].id, account_id=account)
    assert sorted(p.name for p in api.list_v1(account_id=account, per_page=2)) == [f"pipe_{i}" for i in (0, 1, 3, 4, 5)]
    assert len(list(api.streams.list(account_id=account))) == 6


def test_python_sdk_changes_a_streams_http_and_binding(server, client):
    account, streams = server.account, client.pipelines.streams
    made = streams.create(account_id=account, name="events", http={"enabled": True, "authentication": False})
    changed = streams.update(made.id, account_id=account, worker_binding={"enabled": False})
    assert not changed.worker_binding.enabled and not changed.http.authentication and changed.version == 2
    origins = ["https://a.example"]
    changed = streams.update(made.id, account_id=account, http={"enabled": True, "authentication": True, "cors": {"origins": origins}})
    assert changed.http.cors.origins == origins and not changed.worker_binding.enabled and changed.version == 3
    assert changed.created_at == made.created_at and changed.modified_at >= made.modified_at and changed.endpoint == made.endpoint
    # Each object replaces the old one as a whole.
    changed = streams.update(made.id, account_id=account, http={"enabled": False, "authentication": True})
    assert changed.http.cors is None or changed.http.cors.origins in (None, [])
    assert server.post(made.id, b"[{}]", server.bearer).status_code == 404
    assert streams.get(made.id, account_id=account).version == 4


def test_python_sdk_buckets_catalogs_and_catalog_sinks(server, client):
    account, catalogs = server.account, client.r2_data_catalog
    assert client.r2.buckets.create(account_id=account, name="lake-bucket").name == "lake-bucket"
    assert [b.name for b in client.r2.buckets.list(account_id=account).buckets] == ["lake-bucket"]
    assert client.r2.buckets.get("lake-bucket", account_id=account).name == "lake-bucket"
    with pytest.raises(cloudflare.NotFoundError) as missing:
        catalogs.get("lake-bucket", account_id=account)
    assert code_of(missing.value) == 40401
    assert catalogs.enable("lake-bucket", account_id=account).name == f"{account}_lake-bucket"
    got = catalogs.get("lake-bucket", account_id=account)
    assert (got.name, got.bucket, got.status) == (f"{account}_lake-bucket", "lake-bucket", "active")
    assert [w.bucket for w in catalogs.list(account_id=account).warehouses] == ["lake-bucket"]
    catalogs.credentials.create("lake-bucket", account_id=account, token=server.token)
    configs = catalogs.maintenance_configs
    configs.update("lake-bucket", account_id=account, compaction={"state": "enabled", "target_size_mb": "64"})
    shown = configs.get("lake-bucket", account_id=account).maintenance_config
    assert (shown.compaction.state, shown.compaction.target_size_mb) == ("enabled", "64")

    # Both spellings of the type.
    table = {"account_id": account, "bucket": "lake-bucket", "namespace": "space", "table_name": "events", "token": "hush-hush"}
    for number, type in enumerate(("r2_data_catalog", "basin_catalog")):
        sink = client.pipelines.sinks.create(
            account_id=account, name=f"table_{number}", type=type, config={**table, "table_name": f"events_{number}"},
            format={"type": "parquet", "compression": "zstd"},
        )
        got = client.pipelines.sinks.get(sink.id, account_id=account)
        assert (got.config.namespace, got.config.table_name) == ("space", f"events_{number}")
        assert "hush-hush" not in sink.model_dump_json() + got.model_dump_json()
        client.pipelines.sinks.delete(sink.id, account_id=account)
    catalogs.disable("lake-bucket", account_id=account)
    assert catalogs.get("lake-bucket", account_id=account).status == "inactive"
    with pytest.raises(cloudflare.NotFoundError) as missing:
        catalogs.enable("no-bucket", account_id=account)
    assert code_of(missing.value) == 10006
    client.r2.buckets.delete("lake-bucket", account_id=account)
    assert client.r2.buckets.list(account_id=account).buckets == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_who_is_not_let_in_gets_an_authentication_error_in_the_sdk(server, client):
    address = client.base_url
    refusals = (cloudflare.AuthenticationError, cloudflare.PermissionDeniedError)
    server.create_stream("hidden")
    wrong = cloudflare.Cloudflare(api_token="0" * 40, base_url=address, max_retries=0).pipelines
    own = server.account
    for call in (
        lambda: wrong.streams.list(account_id=own), lambda: wrong.sinks.get("x", account_id=own), lambda: wrong.list_v1(account_id=own),
        lambda: wrong.create_v1(account_id=own, name="n", sql="SELECT 1"), lambda: wrong.list(account_id=own),
        lambda: wrong.delete("n", account_id=own), lambda: client.pipelines.streams.list(account_id="0" * 32),
    ):
        with pytest.raises(refusals) as refused:
            call()
        assert code_of(refused.value) == 10000
    # The older way to say who one is.
    keyed = cloudflare.Cloudflare(api_key=server.token, api_email="someone@example.com", base_url=address, max_retries=0)
    assert [s.name for s in keyed.pipelines.streams.list(account_id=own)] == ["hidden"]


def test_typescript_sdk(server, run_script):
    seen = run_script("sdk.mjs")
    assert seen["streams"] == 6 and seen["endpoint"].startswith(f"{server.url}/ingest/")
