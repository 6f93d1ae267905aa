"""A store that takes bodies slowly or not at all, says the wrong thing about them, or keeps something else.

The deadline of a call is 60 s and a second for every 256 KiB, and cannot be set; so what waits for it runs only with
LAKEHEAD_TEST_FAULT_ROUNDS above 1.
"""

import time

import pytest

from fault_proxy import Alter, Call, Lose, Refuse, Slow
from load import QUICK, ROUNDS
from processes import wait_until
from test_disk_faults import resident
from test_multipart_faults import LARGE, at, finish, send_one_file
from test_store_faults import AT_ONCE, is_write, once

DEADLINE_SECONDS = 60
WRONG = {"ETag": '"00000000000000000000000000000000"'}
long = pytest.mark.skipif(ROUNDS == 1, reason="waits for deadlines of a minute; LAKEHEAD_TEST_FAULT_ROUNDS above 1 runs it")


def test_a_wrong_etag_changes_nothing_in_what_arrives(through_proxy, seaweed):
    """D-03: of an object, and of a part, which the store then will not complete."""
    copy, proxy = through_proxy("wrong-etag", policy=LARGE)
    for kind in ("part", "complete"):
        faults = proxy.faults()
        proxy.rule = at(kind, 1, Alter(WRONG))
        send_one_file(copy)
        copy.server.wait_delivered("copy", len(copy.sent))
        assert proxy.faults() == faults + 1
    proxy.rule = once(Alter(WRONG))
    copy.send(10)
    copy.server.wait_delivered("copy", len(copy.sent))
    finish(copy, proxy, seaweed)


@pytest.mark.parametrize("size", ["whole", "in parts"])
def test_a_body_that_the_store_finds_altered_is_sent_again(through_proxy, size):
    """D-03: other content on the way. Each body goes with its checksum, which S3 and R2 compare; SeaweedFS does not."""
    in_parts = size == "in parts"
    copy, proxy = through_proxy(f"altered-{size.replace(' ', '-')}", policy=LARGE if in_parts else AT_ONCE)
    altered = Refuse(400, "XAmzContentSHA256Mismatch")
    proxy.rule = at("part", 2, altered) if in_parts else once(altered)
    send_one_file(copy) if in_parts else copy.send(100)
    copy.server.wait_delivered("copy", len(copy.sent))
    assert proxy.faults() == 1
    bodies = [c for c in proxy.calls if c.kind in ("put", "part")]
    assert all(c.headers["x-amz-content-sha256"] == c.sha256 for c in bodies)
    copy.finish()


def test_an_object_of_which_the_store_kept_half_is_not_taken_for_delivered(through_proxy, seaweed):
    """D-03: 200, and the object is short."""
    copy, proxy = through_proxy("half", policy=AT_ONCE)
    halves = []

    def halve(call: Call):
        path = f"half/{call.key}"
        with seaweed.files.open_input_stream(path) as object:
            content = object.read()
        with seaweed.files.open_output_stream(path) as object:
            object.write(content[:len(content) // 2])
        halves.append(path)

    copy.send(1)
    copy.server.wait_delivered("copy", 1)
    proxy.rule = once(Alter(then=halve))
    copy.send(100)
    reason = copy.wait_status("failed", within=10)
    assert halves[0].removeprefix("half/") in reason, reason
    wait_until("they count as in flight", 5, lambda: copy.server.ledger("copy")["in_flight"] == 100)
    seaweed.files.delete_file(halves[0])
    copy.finish()


@long
@pytest.mark.parametrize("fault", [Slow(1024), Slow(1 << 20, stop_after=64 << 10), Lose("stall")], ids=["1 KB/s", "stops", "silent"])
def test_a_call_that_does_not_end_meets_its_deadline(through_proxy, seaweed, fault):
    """D-03: for a part of 8 MiB."""
    copy, proxy = through_proxy("slow", policy=LARGE)
    before = resident(copy.server)
    began = time.monotonic()
    proxy.rule = at("part", 1, fault)
    send_one_file(copy)
    copy.server.wait_delivered("copy", len(copy.sent), within=DEADLINE_SECONDS + 90)
    took = time.monotonic() - began
    print(f"{took:.0f} s, {resident(copy.server) - before >> 20} MiB more")
    # Where the receiver takes nothing, TCP gives up after half a minute already.
    assert 25 < took < DEADLINE_SECONDS + 32 + 30
    assert resident(copy.server) < before + (256 << 20)
    finish(copy, proxy, seaweed)


def test_a_store_that_never_answers_shows(through_proxy):
    """D-09: the reason is there within one retry cycle."""
    copy, proxy = through_proxy("mute", policy=AT_ONCE)
    proxy.rule = lambda call: Lose("stall")
    copy.send(10)
    assert "the bucket has not done in 15 seconds" in copy.wait_status("failed", within=30)


@long
def test_a_silent_answer_to_a_whole_object_meets_its_deadline_and_ingest_goes_on(through_proxy):
    """D-03."""
    copy, proxy = through_proxy("silent", policy={**QUICK, "file_size_bytes": 20_000})
    with copy.load(pause=0.05) as load:
        load.wait_acknowledged(100)
        proxy.rule = once(Lose("stall"), is_write)
        time.sleep(DEADLINE_SECONDS + 10)
        load.wait_acknowledged(100)
    assert set(load.statuses) == {200}
    copy.finish(within=90)
