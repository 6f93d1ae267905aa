"""Uploads in parts that are cut off between any two calls: the object comes about once and whole, and no part stays behind.

The proxy before the store (`fault_proxy.py`) loses answers or kills the server at a chosen call of a chosen kind.
LAKEHEAD_TEST_FAULT_ROUNDS above 1 tries every way at every call.
"""

import itertools
import os
import signal
from collections import defaultdict

from fault_proxy import Answer, Call, Lose, Refuse
from load import QUICK, ROUNDS, Copy
from processes import wait_until

RECORD_BYTES = 512_000
RECORDS_PER_REQUEST = 6
# Three parts of 8 MiB, 8 MiB and the rest; a file is finished as soon as it is that large.
REQUESTS = 6
LARGE = {**QUICK, "file_size_bytes": 17_500_000}
# Calls of one upload, by kind and number.
CALLS = [("create", 1), ("part", 1), ("part", 2), ("part", 3), ("complete", 1)]
LOSSES = ["reset", 500, "truncate"]


def send_one_file(copy: Copy):
    for _ in range(REQUESTS):
        copy.send(RECORDS_PER_REQUEST, RECORD_BYTES)


def at(kind: str, number: int, fault):
    """A rule that plays a fault (or what the function `fault` says) with the `number`th call of a kind from now on, once."""
    seen = itertools.count(1)

    def rule(call: Call):
        if call.kind != kind or next(seen) != number:
            return None
        return fault(call) if callable(fault) else fault

    return rule


def check_parts(calls: list[Call]):
    """As R2 wants it: all parts of an upload are as large as each other, the last may be smaller."""
    uploads = defaultdict(dict)
    for call in calls:
        if call.kind == "part":
            uploads[call.query["uploadId"][0]][int(call.query["partNumber"][0])] = call.body_bytes
    assert uploads
    for parts in uploads.values():
        # An upload that was cut off early may lack any of them; the sizes tell the last one.
        sizes = sorted(parts.values(), reverse=True)
        assert all(size == 8 << 20 for size in sizes[:-1]) and sizes[-1] <= 8 << 20, parts


def finish(copy: Copy, proxy, seaweed):
    copy.finish(within=90)
    assert len(set(seaweed.keys(copy.bucket)) - {".lakehead-probe"}) == len(copy.files())
    check_parts(proxy.calls)
    assert proxy.count("complete") > 0
    assert seaweed.uploads(copy.bucket) == [], "uploads that nobody will complete"


def test_lost_answers_within_an_upload_make_one_object_and_leave_no_parts(through_proxy, seaweed):
    """D-02 for uploads in parts, but for the first call of one."""
    copy, proxy = through_proxy("parts-lost", policy=LARGE)
    calls = [call for call in CALLS if call[0] != "create"]
    ways = itertools.cycle(LOSSES)
    sweep = itertools.product(calls, LOSSES) if ROUNDS > 1 else [(call, next(ways)) for call in calls]
    for (kind, number), how in sweep:
        faults = proxy.faults()
        proxy.rule = at(kind, number, Lose(how))
        send_one_file(copy)
        copy.server.wait_delivered("copy", len(copy.sent))
        assert proxy.faults() == faults + 1, f"{kind} {number} was not lost"
    finish(copy, proxy, seaweed)


def test_an_upload_whose_id_was_lost_with_the_answer_is_not_left_behind(through_proxy, seaweed):
    """D-02 and D-04: CreateMultipartUpload was done, and nobody was told its id."""
    copy, proxy = through_proxy("id-lost", policy=LARGE)
    proxy.rule = at("create", 1, Lose("reset"))
    send_one_file(copy)
    copy.server.wait_delivered("copy", len(copy.sent))
    assert proxy.faults() == 1
    finish(copy, proxy, seaweed)


def test_lists_of_uploads_that_lie_change_nothing(through_proxy):
    """D-06: the list that finds uploads of lost ids is refused, empty, or names an upload that is over."""
    copy, proxy = through_proxy("uploads-lie", policy=LARGE)

    def stale(call: Call) -> Answer:
        key = call.query.get("prefix", [""])[0]
        return Answer(200, f"<ListMultipartUploadsResult><Bucket>{copy.bucket}</Bucket><IsTruncated>false</IsTruncated><Upload>"
                      f"<Key>{key}</Key><UploadId>gone</UploadId></Upload></ListMultipartUploadsResult>".encode(),
                      {"Content-Type": "application/xml"})

    lies = [Refuse(501, "NotImplemented"), Answer(200, b"<html>"), stale, Refuse(403, "AccessDenied")]
    for lie in lies if ROUNDS > 1 else lies[:3]:
        lost = at("create", 1, Lose("reset"))

        def rule(call: Call, lie=lie, lost=lost):
            return (lie(call) if callable(lie) else lie) if call.kind == "uploads" else lost(call)

        proxy.rule = rule
        send_one_file(copy)
        copy.server.wait_delivered("copy", len(copy.sent))
    print(f"{proxy.count('uploads')} lists")
    copy.finish()


def kill_at(copy: Copy, proxy, kind: str, number: int, applied: bool):
    """Kills the server when it makes the call, which reaches the store or does not; then starts it again."""
    pid = copy.server.process.pid

    def kill(_):
        os.kill(pid, signal.SIGKILL)
        return Refuse(503)

    proxy.rule = at(kind, number, Lose("reset", then=kill) if applied else kill)
    send_one_file(copy)
    wait_until(f"the server is killed at {kind} {number}", 20, lambda: not copy.server.process.running())
    proxy.rule = lambda call: None
    copy.server.kill()
    copy.server.start()
    copy.server.wait_delivered("copy", len(copy.sent))


def test_a_kill_between_any_two_calls_of_an_upload_leaves_one_object_and_no_parts(through_proxy, seaweed):
    """D-04, but for an upload that was begun and whose id nobody was told."""
    copy, proxy = through_proxy("parts-killed", policy=LARGE)
    steps = [("create", 1, False), *((kind, n, applied) for kind, n in CALLS[1:] for applied in (False, True))]
    for kind, number, applied in steps if ROUNDS > 1 else [steps[0], ("part", 2, True), *steps[-2:]]:
        kill_at(copy, proxy, kind, number, applied)
    finish(copy, proxy, seaweed)


def test_a_kill_right_after_an_upload_was_begun_leaves_no_parts(through_proxy, seaweed):
    """D-04."""
    copy, proxy = through_proxy("begun", policy=LARGE)
    kill_at(copy, proxy, "create", 1, applied=True)
    finish(copy, proxy, seaweed)
