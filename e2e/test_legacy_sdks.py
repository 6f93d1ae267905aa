"""The older product through the deprecated methods of the SDKs."""

import cloudflare
import pytest

import legacy

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_python_sdk(server, client):
    account, api = server.account, client.pipelines

    def arguments(name: str, **more) -> dict:
        body = legacy.definition(name, "py-bucket", **more)
        return {"account_id": account, **{key: body[key] for key in ("name", "source", "destination")}}

    made = api.create(**arguments("py-0", authentication=True, origins=["https://a.example"]))
    assert made.endpoint == f"{server.url}/ingest/{made.id}"
    assert made.destination.batch.model_dump() == legacy.DEFAULT_BATCH and made.destination.compression.type == "gzip"
    got = api.get("py-0", account_id=account)
    assert (got.id, got.version, got.source[0].cors.origins) == (made.id, made.version, ["https://a.example"])
    assert "hush-hush" not in got.model_dump_json()
    for i in range(1, 6):
        api.create(**arguments(f"py-{i}"))
    pages = [api.list(account_id=account, page=str(page), per_page="5", search="py-") for page in (1, 2, 3)]
    assert [len(page.results) for page in pages] == [5, 1, 0]
    assert all(page.success and page.result_info.total_count == 6 for page in pages)
    assert sorted(p.name for page in pages for p in page.results) == [f"py-{i}" for i in range(6)]
    assert api.list(account_id=account, search="y-1").results == []

    # The whole of it is replaced; a fraction of a second is possible here only.
    changed = api.update("py-0", **arguments("py-0", compression="deflate", prefix="p", batch=legacy.AT_ONCE))
    assert (changed.id, changed.endpoint, changed.version) == (made.id, made.endpoint, made.version + 1)
    assert changed.source[0].authentication is False and changed.source[0].cors is None
    assert changed.destination.batch.model_dump() == {**legacy.DEFAULT_BATCH, **legacy.AT_ONCE}
    assert server.post(made.id, b'[{"n":1}]').status_code == 200
    (object,) = legacy.wait_records(server, "py-bucket", 1)
    assert (object.prefix, object.compression, object.records) == ("p", "deflate", [{"n": 1}])

    bad, missing = cloudflare.BadRequestError, cloudflare.NotFoundError
    for error, call in (
        (bad, lambda: api.create(**arguments("py-0"))),
        (bad, lambda: api.create(**arguments("no_dash"))),
        (bad, lambda: api.create(**arguments("n", compression="zstd"))),
        (bad, lambda: api.update("py-0", **arguments("py-0", batch={"max_duration_s": 301}))),
        (missing, lambda: api.get("nothing", account_id=account)),
        (missing, lambda: api.update("nothing", **arguments("nothing"))),
        (missing, lambda: api.delete("nothing", account_id=account)),
    ):
        with pytest.raises(error) as refused:
            call()
        assert error is bad or refused.value.errors[0].code == 1000
    assert api.get("py-0", account_id=account).version == changed.version
    for i in range(6):
        assert api.delete(f"py-{i}", account_id=account) is None
    assert api.list(account_id=account).results == []


def test_typescript_sdk(server, run_script):
    left = run_script("legacy.mjs")
    assert left == legacy.get(server, "ts-0")
    assert server.post(left["id"], b'[{"n":1}]').status_code == 200
    (object,) = legacy.wait_records(server, "ts-other", 1)
    assert (object.prefix, object.compression, object.records) == ("p", "none", [{"n": 1}])
