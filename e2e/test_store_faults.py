"""An S3 store that fails, answers late or wrongly, or is gone: everything acknowledged arrives in it exactly once.

The store is SeaweedFS; what it does wrong is played by a proxy before it (`fault_proxy.py`). The case of the reliability
catalogue is named in each test. LAKEHEAD_TEST_FAULT_ROUNDS (default 1) makes them longer.
"""

import itertools
import json
import random
import time
from copy import deepcopy

import legacy
from fault_proxy import PROBE, Answer, Call, Lose, Refuse
from load import JSON, QUICK, ROUNDS, SEED, Copy
from processes import wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY

# A file as soon as there is something to write.
AT_ONCE = {**QUICK, "file_size_bytes": 10}
SMALL = {**QUICK, "file_size_bytes": 20_000}


def is_write(call: Call) -> bool:
    return call.kind == "put" and call.key != PROBE


def once(fault, wanted=is_write):
    """A rule that plays `fault` with the first wanted call and leaves the others alone."""
    left = [fault]
    return lambda call: left.pop() if left and wanted(call) else None


def test_a_storm_of_refusals_and_an_outage_delay_and_change_nothing(through_proxy, seaweed):
    """D-01."""
    copy, proxy = through_proxy("storm", policy=SMALL)
    server, dice = copy.server, random.Random(SEED)

    def storm(call: Call):
        chance = dice.random()
        return Refuse(503) if chance < 0.30 else Refuse(500, "InternalError") if chance < 0.35 else (
            Refuse(429, "TooManyRequests") if chance < 0.37 else None)

    with copy.load() as load:
        load.wait_acknowledged(500)
        proxy.rule = storm
        began = time.monotonic()
        wait_until("the storm has struck", 60 * ROUNDS, lambda: proxy.faults() >= 12 * ROUNDS)
        stormy, refused = proxy.count(since=began), proxy.faults()
        proxy.rule = lambda call: None
        seaweed.process.kill()
        gone = time.monotonic()
        acknowledged, lag = len(load.acknowledged), server.ledger("copy")["in_flight"]
        reason = copy.wait_status("failed", within=30)
        shown = time.monotonic() - gone
        time.sleep(2 * ROUNDS)
        asked, outage = proxy.count(since=gone), time.monotonic() - gone
        assert server.ledger("copy")["in_flight"] > lag
        assert len(load.acknowledged) > acknowledged + 100 * outage, "ingest does not go on"
        seaweed.start()
        load.wait_acknowledged(200)
    assert set(load.statuses) == {200}, load.statuses
    back = time.monotonic()
    rows = copy.finish()
    # Every object came about once; of those of a commit that was tried again there is one each.
    assert len(seaweed.keys("storm")) == len({(f.parent, f.name) for f in copy.files()})
    copy.wait_status("running", within=5)
    print(f"{len(rows)} records in {len(copy.files())} files; storm: {refused} of {stormy} calls refused; outage of {outage:.0f} s: "
          f"{asked} calls, failed after {shown:.1f} s: {reason}; quiet after {time.monotonic() - back:.1f} s")
    assert asked < 5 * outage, (asked, outage)
    # D-14 all the while.
    assert load.watch.scrapes > 20


def test_an_answer_that_is_lost_after_the_store_did_as_asked_makes_no_second_object(through_proxy, seaweed):
    """D-02 for whole objects."""
    copy, proxy = through_proxy("lost-answers", policy=SMALL)
    ways = itertools.cycle(["reset", 500, "truncate", 503, 412, 409, 504])

    def every_third(call: Call):
        return Lose(next(ways)) if call.number % 3 == 1 and call.kind in ("put", "head", "delete") else None

    proxy.rule = every_third
    with copy.load(batches=(5, 20)) as load:
        wait_until("puts were lost in every way", 60 * ROUNDS,
                   lambda: sum(is_write(c) and c.fault is not None for c in list(proxy.calls)) >= 7 * ROUNDS)
        load.wait_acknowledged(100)
    copy.finish()
    placed = {c.key for c in proxy.calls if is_write(c)}
    assert set(seaweed.keys("lost-answers")) - {PROBE} == placed
    assert len(placed) == copy.server.metrics().sum("sink_files_total", pipeline="copy")


def test_a_store_in_doubt_about_a_conditional_put_is_asked_again(through_proxy):
    """D-05: 409 before anything happened, and 412 for the server's own object."""
    copy, proxy = through_proxy("in-doubt", policy=AT_ONCE)
    for fault in (Refuse(409, "ConditionalRequestConflict"), Lose(412), Lose(409)):
        proxy.rule = once(fault)
        copy.send(10)
        copy.server.wait_delivered("copy", len(copy.sent))
    copy.finish()


def test_a_foreign_object_under_the_key_stays_and_the_pipeline_names_it(through_proxy, seaweed):
    """D-05: 412 for somebody else's object."""
    copy, proxy = through_proxy("foreign", policy=AT_ONCE)
    taken = []

    def take(call: Call):
        if is_write(call) and not taken:
            taken.append(call.key)
            with seaweed.files.open_output_stream(f"foreign/{call.key}") as out:
                out.write(b"mine")

    copy.send(1)
    copy.server.wait_delivered("copy", 1)
    proxy.rule = take
    copy.send(10)
    reason = copy.wait_status("failed", within=10)
    assert taken[0] in reason and "not overwritten" in reason, reason
    copy.send(10)
    time.sleep(2)
    with seaweed.files.open_input_stream(f"foreign/{taken[0]}") as object:
        assert object.read() == b"mine"
    seaweed.files.delete_file(f"foreign/{taken[0]}")
    # A person has moved it away: things go on by themselves.
    copy.finish()
    copy.wait_status("running", within=5)


def test_a_store_that_refuses_conditions_is_written_to_without_them(through_proxy, seaweed):
    """D-05: 501."""
    copy, proxy = through_proxy("no-conditions", policy=AT_ONCE)
    proxy.rule = lambda call: Refuse(501, "NotImplemented") if "if-none-match" in call.headers else None
    # A restart, because the store was probed when the pipeline was made.
    copy.server.kill()
    copy.server.start()
    for fault in (None, Lose("reset"), Lose(500)):
        before = proxy.rule
        lost = once(fault, lambda call: is_write(call) and "if-none-match" not in call.headers)
        proxy.rule = lambda call, before=before, lost=lost: before(call) or lost(call)
        copy.send(10)
        copy.server.wait_delivered("copy", len(copy.sent))
    copy.finish()


def test_a_store_that_ignores_conditions_loses_nothing_of_others(through_proxy, seaweed):
    """D-05: a store without conditional PUT that does not say so."""
    copy, proxy = through_proxy("ignores", policy=AT_ONCE)

    def forget(call: Call):
        # What lies there is replaced: the condition always holds.
        if call.kind == "put" and "if-none-match" in call.headers and f"{call.key}" in seaweed.keys("ignores"):
            seaweed.files.delete_file(f"ignores/{call.key}")

    proxy.rule = forget
    copy.server.kill()
    copy.server.start()
    for fault in (None, Lose("reset"), Lose(500)):
        lost = once(fault)
        proxy.rule = lambda call, lost=lost: forget(call) or lost(call)
        copy.send(10)
        copy.server.wait_delivered("copy", len(copy.sent))
    assert not any("if-none-match" in c.headers for c in proxy.calls[-8:]), "the probe did not notice"
    taken = []

    def take(call: Call):
        # At the look before the put.
        if call.kind == "head" and not taken and call.key not in seaweed.keys("ignores"):
            taken.append(call.key)
            with seaweed.files.open_output_stream(f"ignores/{call.key}") as out:
                out.write(b"mine")
        return forget(call)

    proxy.rule = take
    copy.send(10)
    reason = copy.wait_status("failed", within=10)
    assert taken[0] in reason and "not overwritten" in reason, reason
    with seaweed.files.open_input_stream(f"ignores/{taken[0]}") as object:
        assert object.read() == b"mine"
    seaweed.files.delete_file(f"ignores/{taken[0]}")
    copy.finish()


def test_lists_that_lie_change_nothing(through_proxy):
    """D-06: every list is empty."""
    copy, proxy = through_proxy("lists-lie", policy=SMALL)
    empty = b"<?xml version=\"1.0\"?><ListBucketResult><Name>lists-lie</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
    lost = itertools.cycle([Lose("reset"), None, None])

    def lie(call: Call):
        return Answer(200, empty, {"Content-Type": "application/xml"}) if call.kind in ("list", "uploads") else (
            next(lost) if is_write(call) else None)

    proxy.rule = lie
    with copy.load() as load:
        for _ in range(2 * ROUNDS):
            load.wait_acknowledged(500)
            copy.server.kill()
            copy.server.start()
    copy.finish()
    print(f"{proxy.count('list', 'uploads')} lists of {proxy.count()} calls")
    assert proxy.faults() > 0


def test_a_bucket_that_is_gone_shows_and_is_used_again_when_it_is_back(through_proxy, seaweed):
    """D-09: bucket deleted."""
    copy, proxy = through_proxy("gone", policy=AT_ONCE)
    # SeaweedFS would make a bucket anew for whoever may; so the proxy says what S3 and R2 would.
    seaweed.delete_bucket("gone")
    proxy.rule = lambda call: Refuse(404, "NoSuchBucket")
    with copy.load(batches=(5,)) as load:
        began = time.monotonic()
        reason = copy.wait_status("failed", within=15)
        print(f"failed after {time.monotonic() - began:.1f} s: {reason}")
        assert "bucket" in reason, reason
        load.wait_acknowledged(100)
        seaweed.create_bucket("gone")
        proxy.rule = lambda call: None
        back = time.monotonic()
        copy.wait_status("running", within=15)
        print(f"running again after {time.monotonic() - back:.1f} s")
    assert set(load.statuses) == {200}, load.statuses
    copy.finish()


def test_refused_credentials_show_and_heal_without_a_restart(through_proxy):
    """D-09: permission lost."""
    copy, proxy = through_proxy("refused", policy=AT_ONCE)
    copy.send(10)
    copy.server.wait_delivered("copy", 10)
    proxy.rule = lambda call: Refuse(403, "AccessDenied")
    with copy.load(batches=(5,)) as load:
        began = time.monotonic()
        reason = copy.wait_status("failed", within=15)
        print(f"failed after {time.monotonic() - began:.1f} s: {reason}")
        assert "403" in reason or "AccessDenied" in reason or "enied" in reason, reason
        load.wait_acknowledged(100)
        time.sleep(2 * ROUNDS)
        proxy.rule = lambda call: None
        back = time.monotonic()
        copy.wait_status("running", within=15)
        print(f"running again after {time.monotonic() - back:.1f} s")
    assert set(load.statuses) == {200}, load.statuses
    copy.finish()


def keyless(seaweed, bucket: str) -> str:
    """The bucket's place without keys: those of the sink are used."""
    return "".join(line for line in seaweed.configuration(bucket).splitlines(True) if "access_key" not in line)


def test_new_keys_come_with_a_new_sink_without_a_restart(make_server, seaweed):
    """D-09: the pipeline is led to another sink, and the old one deleted."""
    seaweed.create_bucket("other-keys")
    server = make_server(keyless(seaweed, "other-keys")).start()
    wrong = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": "another"}
    copy = Copy(server, "other-keys", seaweed, policy=AT_ONCE, credentials=wrong)
    copy.send(10)
    reason = copy.wait_status("failed", within=15)
    assert "another" not in reason, "the secret is in the reason"
    right = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
    server.create_sink("renewed", "other-keys", JSON, rolling_policy=AT_ONCE, credentials=right)
    sql = {"sql": "INSERT INTO renewed SELECT * FROM events"}
    server.call("PATCH", f"pipelines/v1/pipelines/{copy.pipeline['id']}", sql)
    copy.send(10)
    began = time.monotonic()
    server.call("DELETE", f"pipelines/v1/sinks/{copy.sink['id']}")
    server.wait_delivered("copy", 20, within=30)
    print(f"delivered {time.monotonic() - began:.1f} s after the change")
    copy.finish()
    copy.wait_status("running", within=5)


def is_failing(server, pipeline: str) -> bool:
    failing = (s for s in server.metrics().samples if s.name == "pipeline_failing" and s.labels["pipeline"] == pipeline)
    return any(sample.value for sample in failing)


def test_keys_replaced_in_a_legacy_pipeline_take_effect_without_a_restart(make_server, seaweed):
    """D-09: new credentials, of a legacy pipeline."""
    seaweed.create_bucket("new-keys")
    server = make_server(keyless(seaweed, "new-keys")).start()
    definition = legacy.definition("old", "new-keys", compression="none", batch={"max_duration_s": 0.25})
    keys = definition["destination"]["credentials"]
    keys.update(access_key_id=ACCESS_KEY_ID, secret_access_key=SECRET_ACCESS_KEY)
    wrong = deepcopy(definition)
    wrong["destination"]["credentials"]["secret_access_key"] = "another"
    pipeline = server.call("POST", "pipelines", wrong)["result"]
    server.send(pipeline, [{"id": i} for i in range(10)])
    wait_until("the refusal shows", 15, lambda: is_failing(server, "legacy:old"))
    server.send(pipeline, [{"id": i} for i in range(10, 20)])
    began = time.monotonic()
    server.call("PUT", "pipelines/old", definition)
    server.wait_delivered("legacy:old", 20, within=20)
    print(f"delivered {time.monotonic() - began:.1f} s after the change")
    wait_until("all is well", 5, lambda: not is_failing(server, "legacy:old"))
    files = seaweed.download("new-keys", server.data_dir.parent / "copies")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == list(range(20))


def test_keys_replaced_in_a_sink_take_effect_without_a_restart(make_server, seaweed):
    """D-09: new credentials, of a sink."""
    seaweed.create_bucket("patched-keys")
    server = make_server(keyless(seaweed, "patched-keys")).start()
    stream = server.create_stream("events")
    sink = server.create_sink("lines", "patched-keys", {"type": "json", "unstructured": True}, credentials={
        "access_key_id": ACCESS_KEY_ID, "secret_access_key": "another",
    })
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    server.send(stream, [{"id": i} for i in range(10)])
    wait_until("the refusal shows", 15, lambda: is_failing(server, "copy"))
    server.send(stream, [{"id": i} for i in range(10, 20)])
    server.call("PATCH", f"pipelines/v1/sinks/{sink['id']}", {"config": {"credentials": {
        "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY,
    }}})
    server.wait_delivered("copy", 20, within=20)
    wait_until("all is well", 5, lambda: not is_failing(server, "copy"))
    files = seaweed.download("patched-keys", server.data_dir.parent / "copies")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(line["value"]["id"] if "value" in line else line["id"] for line in lines) == list(range(20))
