"""Bodies too deep, of the wrong shape, with the wrong method, and what is no HTTP at all.

Every refusal is compared between the server's own reader of plain requests and the library behind it, keeps nothing, and is
followed by a request that works.
"""

import json
import time

import pytest

from kept import Kept, forget_peak, resident_bytes
from wire import WAYS, Closed, Wire, ask, head, plain, request

METHOD = (405, 10405, "records are sent with POST")
LINES = "Content-Type: application/x-ndjson"
# Six times a request's limit.
MEMORY_BYTES_MAX = 30_000_000


@pytest.fixture(scope="module")
def kept(lasting_server) -> Kept:
    return Kept(lasting_server)


# How deep.


def nested(levels: int, kind: str) -> bytes:
    """An array with a record of as many levels, its own braces counted."""
    inner = levels - 1
    arrays, objects = (b"[" * inner, b"]" * inner), (b'{"b":' * (inner - 1) + b"{", b"}" * inner)
    mixed = (b'[{"b":' * (inner // 2) + b"[" * (inner % 2), b"]" * (inner % 2) + b"}]" * (inner // 2))
    start, end = {"arrays": arrays, "objects": objects, "both": mixed}[kind]
    if kind == "both" and inner % 2 == 0:
        start += b"0"
    return b'[{"a":' + start + end + b"}]"


@pytest.mark.parametrize("kind", ["arrays", "objects", "both"])
def test_64_levels_are_taken_and_65_are_not(kept, kind):
    for levels in (2, 63, 64):
        body = nested(levels, kind)
        kept.accepts(json.loads(body), body, ways=WAYS)
        kept.accepts(json.loads(body), body[1:-1] + b"\n", LINES, ways=WAYS)
    for levels in (65, 66, 100, 10_000):
        kept.refuses(nested(levels, kind), (400, 1003, "record 0 nests deeper than 64 levels at byte "))
        kept.refuses(b"{}\n" + nested(levels, kind)[1:-1], (400, 1003, "record 1 nests deeper than 64 levels at byte "), LINES)


DEEP = "record 0 nests deeper than 64 levels at byte "


@pytest.mark.parametrize(("body", "lines", "expected"), [
    (b"[" * 1_000_000, [], (400, 1004, "expected `{`, the start of a record at byte 1 (record 0)")),
    (b"[" * 1_000_000 + b"]" * 1_000_000, [], (400, 1004, "expected `{`, the start of a record at byte 1 (record 0)")),
    (b"[" * 1_000_000, [LINES], (400, 1004, "expected `{`, the start of a record at byte 0 (record 0)")),
    (b'{"a":' * 900_000, [], (400, 1003, "expected `[`, the start of an array of objects at byte 0")),
    (b'{"a":' * 900_000, [LINES], (400, 1003, DEEP)),
    (b"[" + b'{"a":' * 900_000, [], (400, 1003, DEEP)),
    (b'[{"a":' + b"[" * 1_000_000, [], (400, 1003, DEEP)),
    (b'[{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}]", [], (400, 1003, DEEP)),
    (b'[{"a":' + b'[{"a":' * 800_000, [], (400, 1003, DEEP)),
    (b'[{"a":' + b"[ " * 1_000_000, [], (400, 1003, DEEP)),
    (b'[{"a":' + b"[]," * 1_000_000, [], (400, 1003, "expected `\"`, the start of a key at byte ")),
    (b"]" * 1_000_000, [], (400, 1003, "expected `[`, the start of an array of objects at byte 0")),
    (b"}" * 1_000_000, [], (400, 1003, "expected `[`, the start of an array of objects at byte 0")),
], ids=[
    "arrays", "arrays, closed", "arrays as a line", "objects alone", "objects as a line", "objects", "arrays in a record", "the same, closed",
    "both", "with spaces", "beside each other", "closings", "closing braces",
])
def test_a_million_levels_cost_neither_stack_nor_time(kept, body, lines, expected):
    before, began = forget_peak(kept.server), time.monotonic()
    kept.refuses(body, expected, *lines)
    assert time.monotonic() - began < 2
    assert resident_bytes(kept.server, "VmHWM") - before <= MEMORY_BYTES_MAX


def test_brackets_in_texts_are_no_levels(kept):
    text = "[{" * 100_000
    kept.accepts([{"a": text, text: "\\\"" * 10}], ways=WAYS)


# Which shape.


def shape(body: bytes, status: int, code: int, message: str, *lines: str):
    return pytest.param(body, (status, code, message), lines, id=f"{lines[0].split('/')[1] if lines else 'array'}: {ascii(body)[2:40]}")


ARRAY, RECORD = "expected `[`, the start of an array of objects at byte 0", "expected `{`, the start of a record at byte "


@pytest.mark.parametrize(("body", "expected", "lines"), [
    shape(b"", 400, 1003, ARRAY + ", but the body ends there"),
    shape(b" \n", 400, 1003, "expected `[`, the start of an array of objects at byte 2, but the body ends there"),
    shape(b'{"a":1}', 400, 1004, ARRAY),
    shape(b'{"a":1}\n{"a":2}\n', 400, 1003, ARRAY),
    shape(b'{"records":[{"a":1}]}', 400, 1004, ARRAY),
    shape(b'"text"', 400, 1004, ARRAY),
    shape(b"null", 400, 1004, ARRAY),
    shape(b"true", 400, 1004, ARRAY),
    shape(b"-1.5e3", 400, 1004, ARRAY),
    shape(b"nonsense", 400, 1003, ARRAY),
    shape(b"a=1&b=2", 400, 1003, ARRAY, "Content-Type: application/x-www-form-urlencoded"),
    shape(b"<a/>", 400, 1003, ARRAY, "Content-Type: text/xml"),
    shape(b"\x1f\x8b\x08\x00", 400, 1003, "expected UTF-8 at byte 1"),
    shape(b"[[]]", 400, 1004, RECORD + "1 (record 0)"),
    shape(b"[[{}]]", 400, 1004, RECORD + "1 (record 0)"),
    shape(b"[null]", 400, 1004, RECORD + "1 (record 0)"),
    shape(b"[1]", 400, 1004, RECORD + "1 (record 0)"),
    shape(b'["{}"]', 400, 1004, RECORD + "1 (record 0)"),
    shape(b'[{"a":1},"x"]', 400, 1004, RECORD + "9 (record 1)"),
    shape(b'[{"a":1},{"a":2},[{"a":3}]]', 400, 1004, RECORD + "17 (record 2)"),
    shape(b'[{"a":1},2,{"a":3}]', 400, 1004, RECORD + "9 (record 1)"),
    shape(b"[{},]", 400, 1003, RECORD + "4 (record 1)"),
    shape(b"[,{}]", 400, 1003, RECORD + "1 (record 0)"),
    shape(b"[", 400, 1003, RECORD + "1 (record 0), but the body ends there"),
    shape(b"[{}", 400, 1003, "expected `,` or `]` behind a record at byte 3 (record 1), but the body ends there"),
    shape(b"[{}{}]", 400, 1003, "expected `,` or `]` behind a record at byte 3 (record 1)"),
    shape(b"[{}}", 400, 1003, "expected `,` or `]` behind a record at byte 3 (record 1)"),
    shape(b"[{]", 400, 1003, "expected `\"`, the start of a key at byte 2 (record 0)"),
    shape(b"[]]", 400, 1003, "expected the end of the body behind the array at byte 2"),
    shape(b"[] []", 400, 1003, "expected the end of the body behind the array at byte 3"),
    shape(b"[{}] x", 400, 1003, "expected the end of the body behind the array at byte 5"),
    shape(b"[{}]\0", 400, 1003, "expected the end of the body behind the array at byte 4"),
    shape(b"[{}]//x", 400, 1003, "expected the end of the body behind the array at byte 4"),
    shape(b"/**/[{}]", 400, 1003, ARRAY),
    shape(b"[{'a':1}]", 400, 1003, "expected `\"`, the start of a key at byte 2 (record 0)"),
    shape(b"[{a:1}]", 400, 1003, "expected `\"`, the start of a key at byte 2 (record 0)"),
    shape(b'[{"a"}]', 400, 1003, "expected `:` behind a key at byte 5 (record 0)"),
    shape(b'[{"a":}]', 400, 1003, "expected a value at byte 6 (record 0)"),
    shape(b'[{"a":1,}]', 400, 1003, "expected `\"`, the start of a key at byte 8 (record 0)"),
    shape(b'[{"a":1 "b":2}]', 400, 1003, "expected `,` or `}` at byte 8 (record 0)"),
    shape(b'[{"a":[1 2]}]', 400, 1003, "expected `,` or `]` at byte 9 (record 0)"),
    shape(b'[{"a":nul}]', 400, 1003, "expected a value at byte 6 (record 0)"),
    shape(b'[{"a":TRUE}]', 400, 1003, "expected a value at byte 6 (record 0)"),
    shape(b'[{"a":undefined}]', 400, 1003, "expected a value at byte 6 (record 0)"),
    shape(b'[{1:2}]', 400, 1003, "expected `\"`, the start of a key at byte 2 (record 0)"),
    shape(b"[{}]", 400, 1004, RECORD + "0 (record 0)", LINES),
    shape(b'{"a":1}\n[{"a":2}]\n', 400, 1004, RECORD + "8 (record 1)", LINES),
    shape(b'{"a":1}\n1\n', 400, 1004, RECORD + "8 (record 1)", LINES),
    shape(b'{"a":1}\nnull', 400, 1004, RECORD + "8 (record 1)", LINES),
    shape(b'{"a":1}{"a":2}', 400, 1003, "expected the end of the line behind a record at byte 7 (record 1)", LINES),
    shape(b'{"a":1},\n{"a":2}', 400, 1003, "expected the end of the line behind a record at byte 7 (record 1)", LINES),
    shape(b'{"a":\n1}', 400, 1003, "expected a value at byte 5 (record 0)", LINES),
    shape(b'{"a":1}\n{"a":', 400, 1003, "expected a value at byte 13 (record 1), but the body ends there", LINES),
    shape(b'\x1e{"a":1}\n', 400, 1003, ARRAY, "Content-Type: application/json-seq"),
])
def test_what_is_no_array_of_objects_and_no_lines_is_refused_whole(kept, body, expected, lines):
    kept.refuses(body, expected, *lines)


@pytest.mark.parametrize("content_type", [
    None, "", "application/json", "APPLICATION/JSON; charset=utf-8", "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", "application/octet-stream", "application/jsonl", "application/x-ndjsonx", "nonsense", "a/b/c", ";", "\xff",
])
def test_an_array_is_one_under_any_type_but_that_of_lines(kept, content_type):
    lines = [] if content_type is None else [f"Content-Type: {content_type}"]
    kept.accepts([{"a": 1}, {}], b' [\t{"a":1} ,\r\n{ } ] \n', *lines, ways=WAYS)
    kept.accepts([], b"[]", *lines, ways=WAYS)
    kept.accepts([], b" [ \n ] ", *lines, ways=WAYS)


@pytest.mark.parametrize("content_type", [
    "application/x-ndjson", "application/ndjson", "Application/X-NDJSON;charset=utf-8", " application/ndjson ; x=y",
])
def test_lines_are_named_so(kept, content_type):
    line = f"Content-Type: {content_type}"
    kept.accepts([{"a": 1}, {"b": [2]}], b'{"a":1}\n{"b":[2]}\n', line, ways=WAYS)
    kept.accepts([{"a": 1}, {"b": [2]}], b'\r\n\n {"a":1}\r\n\n\n\t{ "b" : [2] } ', line, ways=WAYS)
    for empty in (b"", b"\n", b"\r\n\r\n", b" "):
        kept.accepts([], empty, line, ways=WAYS)


# Which method.


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY", "PROPFIND", "post", "POSTS"])
def test_records_are_sent_with_post_alone(kept, method):
    for lines in ([], ["Connection: close"], ["X-HTTP-Method-Override: POST"], [f"Authorization: Bearer {kept.server.token}"]):
        answer = kept.refuses_request(request(method, kept.target, *lines, body=b'[{"kept":false}]'), METHOD, method)
        assert answer.header("allow") == "POST"
    # Who may not send learns as much.
    missing = request(method, "/ingest/" + "0" * 32, body=b'[{"kept":false}]')
    assert kept.refuses_request(missing, METHOD, method).said == answer.said


def test_head_is_answered_with_a_head(kept):
    before = kept.position()
    with Wire(kept.server) as wire:
        answer = wire.send(head("HEAD", kept.target)).answer("HEAD")
        assert (answer.status, answer.header("allow"), answer.body) == (405, "POST", b"")
        assert int(answer.header("content-length")) > 0
        # No body stands in the way of the next answer.
        assert wire.send(plain(kept.target, body=b"[]")).answer().committed == 0
    kept.is_as_before(before)


@pytest.mark.parametrize("content", [
    b"", b"\r\n" * 1000, b"nonsense\r\n\r\n", b"POST\r\n\r\n", b"POST {target}\r\n\r\n[{}]", b"POST {target} HTTP/9.9\r\n\r\n[{}]",
    b"POST {target} HTTP/1.1 x\r\nHost: a\r\nContent-Length: 4\r\n\r\n[{}]", b"P\0ST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n[{}]",
    b"POST {target} HTTP/1.1\r\nHost: a\r\n: x\r\nContent-Length: 4\r\n\r\n[{}]", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n", bytes(range(256)) * 20,
], ids=lambda content: ascii(content)[2:50])
def test_what_is_no_http_is_refused_or_cut_off(kept, content):
    before = kept.position()
    with Wire(kept.server) as wire:
        wire.send(content.replace(b"{target}", kept.target.encode())).end()
        try:
            answer = wire.answer()
        except Closed:
            pass
        else:
            assert (answer.status, answer.body) == (400, b"") and wire.is_closed(), answer
    kept.is_as_before(before)


@pytest.mark.parametrize("count", [32, 33, 99])
def test_many_headers_are_taken_up_to_a_hundred(kept, count):
    kept.accepts([{"headers": count}], None, *[f"X-{n}: y" for n in range(count - 2)])


def test_more_than_a_hundred_headers_are_refused(kept):
    before = kept.position()
    answer = ask(kept.server, plain(kept.target, *[f"X-{n}: y" for n in range(99)], body=b"[{}]"))
    assert (answer.status, answer.body) == (431, b"")
    kept.is_as_before(before)


def test_what_was_acknowledged_is_delivered_and_nothing_else(kept):
    """Runs last."""
    kept.delivers()
