"""Bodies too large, and lengths that lie.

Every refusal is compared between the server's own reader of plain requests and the library behind it, keeps nothing, and is
followed by a request that works.
"""

import threading
import time

import pytest

from kept import Kept, peak_of, said
from wire import WAYS, Answer, Wire, chunked, head, in_chunks, plain

REQUEST_BYTES_MAX = 5_000_000
RECORD_BYTES_MAX = 1 << 20
MEMORY_BYTES_MAX = 6 * REQUEST_BYTES_MAX
TOO_LARGE = (413, 10413, "the body has more than 5000000 bytes, which is the limit of a request")
EARLY = (400, 10400, "the body ended early")
SLOW = (408, 10408, "the body arrived too slowly")
LINES = "Content-Type: application/x-ndjson"


@pytest.fixture(scope="module")
def kept(lasting_server) -> Kept:
    return Kept(lasting_server)


def record_of(bytes_: int) -> bytes:
    return b'{"pad":"' + b"x" * (bytes_ - 10) + b'"}'


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [REQUEST_BYTES_MAX - 1, REQUEST_BYTES_MAX])
def test_a_body_up_to_the_limit_is_taken(kept, length, way):
    body = b"[" + b" " * (length - 12) + b'{"fits":1}]'
    assert len(body) == length
    kept.accepts([{"fits": 1}], body, ways=[way])


def test_a_body_over_the_limit_is_refused(kept):
    body = b"[" + b" " * (REQUEST_BYTES_MAX - 11) + b'{"fits":1}]'
    assert len(body) == REQUEST_BYTES_MAX + 1
    kept.refuses(body, TOO_LARGE)


@pytest.mark.parametrize("lines", [[], ["Connection: close"], ["Expect: 100-continue"], ["Content-Encoding: gzip"]], ids=str)
@pytest.mark.parametrize("length", [REQUEST_BYTES_MAX + 1, 10**9, 10**10, 10**18, 2**63])
def test_a_length_over_the_limit_is_refused_before_the_body_is_sent(kept, length, lines):
    before = kept.position()
    with Wire(kept.server) as wire:
        answer = wire.send(head("POST", kept.target, *lines, f"Content-Length: {length}")).answer()
        said(answer, TOO_LARGE)
        assert answer.header("connection") == "close" and wire.end().is_closed()
    kept.is_as_before(before)


def test_chunks_over_the_limit_are_refused_before_the_last_one(kept):
    before = kept.position()
    with Wire(kept.server) as wire:
        wire.send(head("POST", kept.target, "Transfer-Encoding: chunked"))
        wire.send(b"%x\r\n[" % (REQUEST_BYTES_MAX + 1) + b" " * REQUEST_BYTES_MAX)
        said(wire.answer(), TOO_LARGE)
    kept.is_as_before(before)


def test_what_follows_a_body_too_large_is_never_a_request(kept):
    for write in WAYS.values():
        before = kept.position()
        inner = plain(kept.target, body=b'[{"kept":false}]') * 50_000
        with Wire(kept.server) as wire:
            said(wire.send(write(kept.target, body=inner)).answer(), TOO_LARGE)
            assert wire.is_closed()
        kept.is_as_before(before)


@pytest.mark.parametrize("way", WAYS)
def test_memory_for_a_body_is_bounded(kept, way):
    full = b"[" + b",".join([record_of(99_998)] * 49) + b"]"
    kept.records += [{"pad": "x" * 99_988}] * 49
    for body in (full, b"[" + b" " * (REQUEST_BYTES_MAX - 2) + b"]", b"[" + b" " * REQUEST_BYTES_MAX + b"]", full[:-1], b"[" * 4_000_000):
        answer, grown = peak_of(kept.server, WAYS[way](kept.target, body=body))
        assert answer.status in (200, 400, 413)
        assert grown <= MEMORY_BYTES_MAX, f"{grown} bytes more than before"


def test_a_record_may_have_a_mebibyte(kept):
    assert len(record_of(RECORD_BYTES_MAX)) == RECORD_BYTES_MAX
    kept.accepts([{"pad": "x" * (RECORD_BYTES_MAX - 10)}], b"[" + record_of(RECORD_BYTES_MAX) + b"]", ways=WAYS)
    kept.accepts([{"pad": "x" * (RECORD_BYTES_MAX - 10)}], record_of(RECORD_BYTES_MAX) + b"\n", LINES, ways=WAYS)


@pytest.mark.parametrize(("body", "lines", "message"), [
    (b"[" + record_of(RECORD_BYTES_MAX + 1) + b"]", [], "record 0 at byte 1 has 1048577 bytes; the limit is 1048576"),
    (record_of(RECORD_BYTES_MAX + 1), [LINES], "record 0 at byte 0 has 1048577 bytes; the limit is 1048576"),
    (b'[{"a":1},{},' + record_of(RECORD_BYTES_MAX + 1) + b",{}]", [], "record 2 at byte 12 has 1048577 bytes; the limit is 1048576"),
    (b"[" + record_of(REQUEST_BYTES_MAX - 2) + b"]", [], "record 0 at byte 1 has 4999998 bytes; the limit is 1048576"),
    (b'[{"a":' + b" " * RECORD_BYTES_MAX + b"1}]", [], "record 0 at byte 1 has 1048583 bytes; the limit is 1048576"),
    (b'[{"' + b"k" * RECORD_BYTES_MAX + b'":1}]', [], "record 0 at byte 1 has 1048582 bytes; the limit is 1048576"),
], ids=["one byte more", "in lines", "among others", "one string of 5 MB", "white space", "a key"])
def test_a_record_too_large_refuses_the_request(kept, body, lines, message):
    kept.refuses(body, (413, 10413, message), *lines)


def test_a_million_tiny_records_are_taken_and_delivered(lasting_server):
    server = lasting_server
    target = f"/ingest/{server.create_stream('tiny')['id']}"
    body = b"[" + b"{}," * 999_999 + b"{}]"
    answer, grown = peak_of(server, plain(target, body=body))
    assert answer.committed == 1_000_000
    assert grown <= MEMORY_BYTES_MAX, f"{grown} bytes more than before"
    server.create_sink("tiny_lines", "out", {"type": "json", "unstructured": True}, path="tiny")
    server.create_pipeline("tiny_copy", "INSERT INTO tiny_lines SELECT * FROM tiny")
    assert server.wait_delivered("tiny_copy", 1_000_000)["delivered"] == 1_000_000
    lines = b"".join(file.read_bytes() for file in (server.bucket("out") / "tiny").rglob("*.json"))
    assert lines == b"{}\n" * 1_000_000


# Lengths that lie.


@pytest.mark.parametrize("lines", [
    ["Content-Length: 16", "Content-Length: 17"], ["Content-Length: 16, 16"], ["Content-Length: +16"], ["Content-Length: -16"],
    ["Content-Length: 0x10"], ["Content-Length: 1 6"], ["Content-Length: 16.0"], ["Content-Length: 1e1"], ["Content-Length:"],
    ["Content-Length: 18446744073709551616"], ["Content-Length: 9" + "9" * 40], ["Content-Length : 16"], ["Content-Length: sixteen"],
    ["Content-Length: \xb916"], ["Content-Length: 16;"], ["Transfer-Encoding: identity", "Content-Length: 16"],
    ["Transfer-Encoding: xchunked"], ["Transfer-Encoding: chunked, gzip", "Content-Length: 16"], ["X: a", "\tfolded", "Content-Length: 16"],
], ids=ascii)
def test_lengths_that_can_be_read_in_two_ways_are_no_request(kept, lines):
    before = kept.position()
    with Wire(kept.server) as wire:
        answer = wire.send(head("POST", kept.target, *lines) + b'[{"kept":false}]').answer()
        assert (answer.status, answer.body, answer.header("connection")) == (400, b"", "close"), answer
        assert wire.is_closed()
    kept.is_as_before(before)


ONE_HOST = "Host: one header with the name of the host is needed"
ONE_CODING = "Transfer-Encoding: only `chunked`, once, is understood"


@pytest.mark.parametrize(("lines", "message"), [
    ([], ONE_HOST), (["Host: localhost", "Host: localhost"], ONE_HOST), (["Host: localhost", "Host: other.example"], ONE_HOST),
    (["Host: localhost", "Transfer-Encoding: chunked, chunked"], ONE_CODING), (["Host: localhost", "Transfer-Encoding: gzip, chunked"], ONE_CODING),
    (["Host: localhost", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], ONE_CODING),
], ids=ascii)
@pytest.mark.parametrize("path", ["ingest", "/openapi.json"])
def test_heads_that_can_be_read_in_two_ways_are_refused_in_words(kept, path, lines, message):
    before = kept.position()
    target = kept.target if path == "ingest" else path
    length = [] if any("Transfer" in line for line in lines) else ["Content-Length: 16"]
    start = "\r\n".join([f"POST {target} HTTP/1.1", *lines, *length]).encode() + b"\r\n\r\n"
    with Wire(kept.server) as wire:
        said(wire.send(start + (b'[{"kept":false}]' if length else chunked(b'[{"kept":false}]'))).answer(), (400, 10400, message))
    kept.is_as_before(before)


def test_chunks_count_where_a_length_stands_beside_them_and_nothing_can_follow(kept):
    both = ["Content-Length: 16", "Transfer-Encoding: chunked"]
    before = kept.position()
    with Wire(kept.server) as wire:
        said(wire.send(head("POST", kept.target, *both) + b'[{"kept":false}]').answer(), EARLY)
    kept.is_as_before(before)
    following = plain(kept.target, body=b'[{"kept":false}]')
    with Wire(kept.server) as wire:
        answer = wire.send(head("POST", kept.target, *both) + chunked(b'[{"both":1}]') + following).answer()
        assert answer.committed == 1 and answer.header("connection") == "close" and wire.is_closed()
    kept.records.append({"both": 1})
    kept.is_as_before((before[0] + 2, kept.position()[1]))


@pytest.mark.parametrize("chunks", [
    b'zz\r\n[{"kept":false}]\r\n0\r\n\r\n', b'-10\r\n[{"kept":false}]\r\n0\r\n\r\n', b'ffffffffffffffffff\r\n[{"kept":false}]\r\n0\r\n\r\n',
    b'2\r\n[{"kept":false}]\r\n0\r\n\r\n', b'11\r\n[{"kept":false}]\r\n0\r\n\r\n', b'\r\n[{"kept":false}]\r\n0\r\n\r\n',
    b'10[{"kept":false}]\r\n0\r\n\r\n', b'10\r\n[{"kept":false}]0\r\n\r\n', b'0x10\r\n[{"kept":false}]\r\n0\r\n\r\n', b'[{"kept":false}]',
    b'10\n[{"kept":false}]\n0\n\n',
], ids=repr)
def test_chunks_that_lie_are_refused(kept, chunks):
    answer = kept.refuses_request(head("POST", kept.target, "Transfer-Encoding: chunked") + chunks, EARLY)
    assert answer.header("connection") == "close"


@pytest.mark.parametrize("content", [
    b'10\r\n[{"kept":false}]\r\n', b'10\r\n[{"kept":false}]', b'10\r\n[{"kept"', b"1", b"", b'10\r\n[{"kept":false}]\r\n0\r\n',
], ids=repr)
def test_chunks_that_end_early_are_refused(kept, content):
    before = kept.position()
    with Wire(kept.server) as wire:
        said(wire.send(head("POST", kept.target, "Transfer-Encoding: chunked") + content).end().answer(), EARLY)
    kept.is_as_before(before)


@pytest.mark.parametrize("lines", [[], ["Connection: close"], ["Content-Encoding: identity"]], ids=str)
@pytest.mark.parametrize("sent", [b"", b"[", b'[{"kept":false}'])
def test_a_body_that_ends_before_its_length_is_refused(kept, sent, lines):
    before = kept.position()
    with Wire(kept.server) as wire:
        said(wire.send(head("POST", kept.target, *lines, "Content-Length: 16") + sent).end().answer(), EARLY)
    kept.is_as_before(before)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_goes_away_leaves_nothing(kept, way):
    before = kept.position()
    content = WAYS[way](kept.target, body=b'[{"kept":false}]')
    for cut in (1, 20, content.index(b"\r\n\r\n") + 2, len(content) - 12, len(content) - 1):
        with Wire(kept.server) as wire:
            wire.send(content[:cut])
    kept.is_as_before(before)


@pytest.mark.parametrize("write", [plain, in_chunks], ids=["plain", "chunked"])
def test_what_follows_the_length_is_read_as_the_next_request(kept, write):
    with Wire(kept.server) as wire:
        answer = wire.send(write(kept.target, body=b'[{"n":1}]') + b'[{"kept":false}]\r\n\r\n').answer()
        assert answer.committed == 1
        answer = wire.answer()
        assert (answer.status, answer.body) == (400, b"") and wire.is_closed()
    kept.records.append({"n": 1})
    # What is one is answered, in order.
    with Wire(kept.server) as wire:
        wire.send(write(kept.target, body=b'[{"n":1}]') + write(kept.target, body=b'[{"n":2},{"n":2}]') + write(kept.target, body=b"[]"))
        assert [wire.answer().committed for _ in range(3)] == [1, 2, 0]
    kept.records += [{"n": 1}, {"n": 2}, {"n": 2}]


def test_who_sends_less_than_it_says_is_told_after_the_minimum_rate(kept):
    before = kept.position()
    origin = "Origin: https://a.example"
    heads = {
        "plain": head("POST", kept.target, "Content-Length: 16"),
        "close": head("POST", kept.target, "Content-Length: 16", "Connection: close"),
        "chunked": head("POST", kept.target, "Transfer-Encoding: chunked") + b"10\r\n",
        "compressed": head("POST", kept.target, "Content-Length: 16", "Content-Encoding: gzip"),
        "a page": head("POST", kept.target, "Content-Length: 16", origin, f"Authorization: Bearer {kept.server.token}"),
    }
    answers: dict[str, Answer] = {}

    def wait(name: str):
        with Wire(kept.server) as wire:
            answers[name] = wire.send(heads[name] + b'[{"kept":false}').answer()
            assert wire.is_closed()

    began = time.monotonic()
    threads = [threading.Thread(target=wait, args=(name,)) for name in heads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert 9.9 < time.monotonic() - began < 15
    assert set(answers) == set(heads)
    for name, answer in answers.items():
        said(answer, SLOW, name)
        assert answer.header("connection") == "close"
        assert answer.header("vary") == ("Origin" if name == "a page" else None)
    assert answers["plain"].said == answers["close"].said == answers["chunked"].said
    kept.is_as_before(before)


def test_what_was_acknowledged_is_delivered_and_nothing_else(kept):
    """Runs last."""
    kept.delivers()
