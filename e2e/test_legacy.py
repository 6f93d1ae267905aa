"""The older product itself: its rules, what it writes and when, and updates under load."""

import itertools
import json
import threading

import httpx
import pytest

import legacy
from lakehead import ApiError, settle
from processes import wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY


def refused(server, method: str, path: str, body=None) -> ApiError:
    with pytest.raises(ApiError) as error:
        server.call(method, path, body)
    return error.value


def changed(body: dict, path: str, value) -> dict:
    """A copy with one value replaced; the path in dots."""
    body = json.loads(json.dumps(body))
    *folders, last = path.split(".")
    inner = body
    for folder in folders:
        inner = inner[int(folder)] if isinstance(inner, list) else inner[folder]
    inner[last] = value
    return body


def test_what_a_create_leaves_out_is_filled_in_and_secrets_never_come_back(server):
    made = legacy.create(server, "minimal", "a-bucket")
    assert made == {
        "id": made["id"], "name": "minimal", "version": made["version"], "endpoint": f"{server.url}/ingest/{made['id']}",
        "metadata": {}, "transforms": [],
        "source": [{"type": "http", "format": "json", "authentication": False}, {"type": "binding", "format": "json"}],
        "destination": {
            "type": "r2", "format": "json", "compression": {"type": "gzip"}, "batch": legacy.DEFAULT_BATCH, "path": {"bucket": "a-bucket"},
        },
    }
    assert isinstance(made["version"], int)
    assert legacy.get(server, "minimal") == made
    assert legacy.replace(server, made) == {**made, "version": made["version"] + 1}
    for answer in (made, server.call("GET", "pipelines"), legacy.get(server, "minimal")):
        assert "hush-hush" not in json.dumps(answer) and "credentials" not in json.dumps(answer)


def test_a_bad_definition_is_refused_and_the_field_is_named(server):
    good = legacy.definition("good", "a-bucket")
    cases = [
        ("name", "under_score"), ("name", ""), ("name", "-first"), ("name", "last-"), ("name", "a" * 64), ("name", "white space"),
        ("transforms", [{"script": "my-worker", "entrypoint": "Transform"}]),
        ("source", []), ("source", [{"type": "carrier-pigeon", "format": "json"}]),
        ("source.0.cors", {"origins": ["no-scheme.example"]}),
        ("destination.type", "s3"), ("destination.format", "parquet"), ("destination.compression.type", "zstd"),
        ("destination.path.bucket", "Not A Bucket"), ("destination.path.prefix", "../up"),
        ("destination.batch.max_bytes", 999), ("destination.batch.max_bytes", 100_000_001),
        ("destination.batch.max_duration_s", 0.24), ("destination.batch.max_duration_s", 300.5),
        ("destination.batch.max_rows", 99), ("destination.batch.max_rows", 10_000_001),
    ]
    legacy.create(server, "good", "a-bucket")
    before = legacy.get(server, "good")
    for path, value in cases:
        created = changed(good, path, value) if path == "name" else changed({**good, "name": "other"}, path, value)
        error = refused(server, "POST", "pipelines", created)
        field = path.split(".")[-1] if path.split(".")[-1] != "type" else path.split(".")[-2]
        assert error.status == 400 and field in error.message, (path, value, error.body)
        if path != "name":
            error = refused(server, "PUT", "pipelines/good", changed(good, path, value))
            assert error.status == 400 and field in error.message, (path, value, error.body)
    assert legacy.get(server, "good") == before and server.call("GET", "pipelines")["result"] == [before]
    # The limits themselves are within.
    for batch in ({"max_bytes": 1000, "max_duration_s": 0.25, "max_rows": 100}, legacy.DEFAULT_BATCH):
        assert legacy.replace(server, changed(good, "destination.batch", batch))["destination"]["batch"] == batch


def test_names_are_unique_and_fixed(server):
    legacy.create(server, "taken", "a-bucket")
    assert refused(server, "POST", "pipelines", legacy.definition("taken", "b-bucket")).status == 400
    assert refused(server, "PUT", "pipelines/taken", legacy.definition("renamed", "a-bucket")).status == 400
    assert [p["name"] for p in server.call("GET", "pipelines")["result"]] == ["taken"]
    first = legacy.get(server, "taken")["id"]
    server.call("DELETE", "pipelines/taken")
    assert legacy.create(server, "taken", "a-bucket")["id"] != first


def test_what_does_not_exist_is_code_1000(server):
    for method, body in (("GET", None), ("PUT", legacy.definition("nothing-here", "a-bucket")), ("DELETE", None)):
        error = refused(server, method, "pipelines/nothing-here", body)
        assert (error.status, error.code) == (404, 1000), method
    made = legacy.create(server, "short-lived", "a-bucket")
    assert server.post(made["id"], b"[{}]").status_code == 200
    server.call("DELETE", "pipelines/short-lived")
    assert server.post(made["id"], b"[{}]", server.bearer).status_code == 404
    assert refused(server, "GET", "pipelines/short-lived").code == 1000
    # Both products keep to themselves.
    for kind, code in (("pipelines", 1000), ("streams", 1016), ("sinks", 1015)):
        assert server.call("GET", f"pipelines/v1/{kind}")["result"] == []
        assert refused(server, "GET", f"pipelines/v1/{kind}/{made['id']}").code == code


def test_lists_have_pages_and_search_by_prefix(server):
    names = [f"{word}-{i}" for word in ("alpha", "beta") for i in range(4)]
    for name in names:
        legacy.create(server, name, "a-bucket")

    def listed(**query: str) -> list[str]:
        envelope = server.call("GET", "pipelines", **query)
        assert envelope["result"] == envelope["results"]
        info = envelope["result_info"]
        assert set(info) >= {"count", "page", "per_page", "total_count"} and info["count"] == len(envelope["result"])
        return [p["name"] for p in envelope["result"]]

    assert sorted(listed()) == names
    pages = [listed(page=str(page), per_page="3") for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 2, 0]
    assert sorted(itertools.chain(*pages)) == names
    assert sorted(listed(search="beta-")) == names[4:]
    assert listed(search="eta") == []
    assert server.call("GET", "pipelines", search="alpha", per_page="2")["result_info"]["total_count"] == 4


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_records_are_written_as_they_were_sent(server, compression):
    made = legacy.create(server, "verbatim", "a-bucket", compression=compression, prefix="deep/er", batch=legacy.AT_ONCE)
    lines = [
        '{"foo":"bar"}', '{"b":1,"a":2,"b":3}', '{"big":123456789012345678901234567890,"small":1e-7,"zero":-0.0,"one":1.0}',
        r'{"text":"\u00e9 é \ud83d\ude00 😀 \/ \n"}', '{}', '{"deep":{"list":[1,[2,{"x":null}],true]}}',
    ]
    # Only the space between tokens is not kept; a record is one line.
    spaced = '{\n  "over": [1,\n    2],\t"in text":" , : "\r\n}'
    body = "[ " + " ,\n".join(lines) + f" , {spaced} ]"
    answer = server.post(made["id"], body.encode())
    assert (answer.status_code, answer.json()) == (200, {"success": True, "result": {"committed": 7}})
    found = legacy.wait_records(server, "a-bucket", 7)
    assert {(o.compression, o.prefix) for o in found} == {(compression, "deep/er")}
    written = [line for o in found for line in o.lines]
    assert written == [*lines, '{"over":[1,2],"in text":" , : "}']


def test_a_file_ends_at_the_first_batch_hint(server):
    rows = legacy.create(server, "rows", "rows", batch={"max_rows": 100})
    size = legacy.create(server, "size", "size", batch={"max_bytes": 1000})
    time = legacy.create(server, "time", "time", batch={"max_duration_s": 0.5})
    waiting = legacy.create(server, "waiting", "waiting")
    record = {"pad": "x" * 90}
    for pipeline in (rows, size, time, waiting):
        server.send_all(pipeline, [record] * 300, batch=50)
    by_rows, by_size, by_time = (legacy.wait_records(server, bucket, 300) for bucket in ("rows", "size", "time"))
    assert [len(o.lines) for o in by_rows] == [100, 100, 100]
    # Rough maxima, before compression: 300 records of 100 bytes are about 30 files of 1,000 bytes.
    assert 15 <= len(by_size) <= 30, [len(o.lines) for o in by_size]
    # No file for less than a request.
    assert len(by_time) <= 6
    assert legacy.objects(server, "waiting") == []
    # A stop keeps nothing back.
    assert server.stop() == 0
    assert sum(len(o.lines) for o in legacy.objects(server, "waiting")) == 300


def test_who_may_send(server):
    made = legacy.create(server, "guarded", "a-bucket", authentication=True, origins=["https://a.example"], batch=legacy.AT_ONCE)
    for headers in ({}, {"Authorization": "Bearer " + "0" * 40}):
        answer = server.post(made["id"], b"[{}]", {**headers, "Origin": "https://a.example"})
        assert answer.status_code == 401 and answer.headers["access-control-allow-origin"] == "https://a.example"
    assert server.post(made["id"], b"[{}]", server.bearer).status_code == 200
    # Only the SDKs can turn it off.
    open_to_all = legacy.replace(server, changed(legacy.get(server, "guarded"), "source.0.authentication", False))
    assert open_to_all["source"][0]["authentication"] is False
    assert server.post(made["id"], b"[{}]").status_code == 200
    for bad in (b"{}", b"[1]", b"[{]", b""):
        assert server.post(made["id"], bad).status_code == 400, bad
    assert [o.records for o in legacy.wait_records(server, "a-bucket", 2)] in ([[{}, {}]], [[{}], [{}]])


def test_keys_given_with_the_pipeline_are_used_and_kept(make_server, seaweed, folder):
    """The bucket is configured without keys, so those of the pipeline decide whether anything arrives."""
    seaweed.create_bucket("keyed")
    server = make_server(f'[buckets.keyed]\nendpoint = "{seaweed.endpoint}"\nregion = "us-east-1"\nbucket = "keyed"\n').start()
    right = {"endpoint": "https://ignored.example", "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
    body = legacy.definition("keyed", "keyed", batch=legacy.AT_ONCE)
    made = server.call("POST", "pipelines", changed(body, "destination.credentials", right))["result"]

    def arrived() -> list[int]:
        seaweed.download("keyed", folder / "copies")
        return [record["n"] for o in legacy.objects_below(folder / "copies") for record in o.records]

    def expect(numbers: list[int]):
        wait_until(f"{numbers} arrive", 30, lambda: len(arrived()) >= len(numbers), every=0.2)
        assert sorted(arrived()) == numbers

    server.send(made, [{"n": 1}])
    expect([1])
    # As wrangler does it: what was read goes back, without keys.
    legacy.replace(server, changed(legacy.get(server, "keyed"), "destination.compression.type", "none"))
    server.send(made, [{"n": 2}])
    expect([1, 2])
    # Other keys take the place of the old ones; what they keep out waits for better ones.
    wrong = changed(legacy.get(server, "keyed"), "destination.credentials", {**right, "secret_access_key": "not the secret"})
    legacy.replace(server, wrong)
    server.send(made, [{"n": 3}])
    settle(2)
    assert sorted(arrived()) == [1, 2]
    legacy.replace(server, changed(legacy.get(server, "keyed"), "destination.credentials", right))
    expect([1, 2, 3])
    assert SECRET_ACCESS_KEY not in server.output.read_text() + json.dumps(server.call("GET", "pipelines"))


class Producer(threading.Thread):
    """Posts numbered records, a few a request, until it is told to stop. A refusal ends it; so does silence, unless `patient`."""

    def __init__(self, endpoint: str, name: str, patient: bool):
        super().__init__()
        self.endpoint = endpoint
        self.prefix = name
        self.patient = patient
        self.acknowledged: list[str] = []
        # Sent, and never answered.
        self.unknown: list[str] = []
        self.failure: str | None = None
        self.enough = threading.Event()

    def run(self):
        with httpx.Client(trust_env=False, timeout=30) as http:
            for number in itertools.count():
                ids = [f"{self.prefix}-{number}-{i}" for i in range(number % 7 + 1)]
                try:
                    answer = http.post(self.endpoint, json=[{"id": id} for id in ids])
                    if answer.status_code != 200:
                        self.failure = f"{answer.status_code} {answer.text}"
                        return
                    self.acknowledged += ids
                except httpx.HTTPError as error:
                    if not self.patient:
                        self.failure = repr(error)
                        return
                    self.unknown += ids
                if self.enough.wait(0.003):
                    return


@pytest.mark.parametrize("kills", [(), (5, 11)], ids=["running", "killed"])
def test_updates_under_load_lose_nothing_and_double_nothing(server, kills):
    """`kills`: after which updates the server is killed and started again."""
    buckets = ("first", "second", "third")
    made = legacy.create(server, "busy", buckets[0], batch=legacy.AT_ONCE)
    producers = [Producer(made["endpoint"], f"p{i}", bool(kills)) for i in range(2)]
    for producer in producers:
        producer.start()
    places = {("gzip", None, buckets[0])}
    batches = [legacy.AT_ONCE, {"max_duration_s": 1, "max_rows": 100}, {"max_bytes": 1000, "max_duration_s": 2}, legacy.DEFAULT_BATCH]
    variants = list(itertools.product(("none", "deflate", "gzip"), ("a", "b/c"), buckets))
    for number in range(len(variants)):
        # 7 steps at a time: all of them, each unlike the one before.
        compression, prefix, bucket = variants[number * 7 % len(variants)]
        pipeline = legacy.get(server, "busy")
        pipeline["destination"].update(
            compression={"type": compression}, path={"bucket": bucket, "prefix": prefix}, batch=batches[number % len(batches)],
        )
        updated = legacy.replace(server, pipeline)
        assert (updated["version"], updated["id"], updated["endpoint"]) == (made["version"] + number + 1, made["id"], made["endpoint"])
        places.add((compression, prefix, bucket))
        # Some follow at once, some after files of this one.
        settle(0.6 if number % 3 == 0 else 0.05)
        if number in kills:
            server.kill()
            server.start()
    pipeline["destination"]["batch"] = legacy.AT_ONCE
    legacy.replace(server, pipeline)
    for producer in producers:
        producer.enough.set()
        producer.join(timeout=30)
        assert not producer.is_alive() and producer.failure is None, producer.failure
    acknowledged = {id for producer in producers for id in producer.acknowledged}
    unknown = {id for producer in producers for id in producer.unknown}
    assert len(acknowledged) > 1000, "too little load for a test"
    assert bool(unknown) == bool(kills)

    def found() -> list[tuple[str, str, legacy.Object]]:
        return [(r["id"], b, o) for b in buckets for o in legacy.objects(server, b) for r in o.records]

    wait_until("every record is in a file", 60, lambda: acknowledged <= {id for id, _, _ in found()}, every=0.3)
    settle(1)
    records = found()
    ids = [id for id, _, _ in records]
    assert len(ids) == len(set(ids)), f"{len(ids) - len(set(ids))} records are doubled"
    assert acknowledged <= set(ids) <= acknowledged | unknown
    assert server.ledger("legacy:busy")["delivered"] == len(ids)
    assert {(o.compression, o.prefix, bucket) for _, bucket, o in records} <= places
    # What comes after the last update goes where it says.
    server.send(made, [{"id": "last"}])
    last = pipeline["destination"]
    wait_until("the last record", 10, lambda: "last" in {id for id, _, _ in found()}, every=0.1)
    (place,) = ((o.compression, o.prefix, bucket) for id, bucket, o in found() if id == "last")
    assert place == (last["compression"]["type"], last["path"]["prefix"], last["path"]["bucket"])
