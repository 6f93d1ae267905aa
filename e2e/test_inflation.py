"""Compressed bodies: cut short, with something behind them, in each other, in pieces, and those that grow without end."""

import gzip
import random
import time
import zlib

import brotli
import pytest
import zstandard

from kept import Kept, forget_peak, resident_bytes, said
from wire import Wire, ask, fresh_source, head, plain

LIMIT = 5_000_000
TOO_LARGE = (413, 10413, "the body has more than 5000000 bytes after decompression; the limit is 5000000")
UNKNOWN = (415, 10415, "the content encoding is not supported; one of gzip, zstd, br, deflate is")
# The library's way alone: the server's own reader leaves every encoding to it.
WAYS = ("plain", "close", "chunked")


def bare(content: bytes) -> bytes:
    """Deflate without its wrapper, as some clients send it."""
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(content) + deflate.flush()


def zstd(content: bytes, **parameters) -> bytes:
    """Without the length of the content in front."""
    made = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(**parameters)).compressobj()
    return made.compress(content) + made.flush()


# Name of the encoding, how to make it.
ENCODERS = {
    "gzip": ("gzip", gzip.compress), "deflate": ("deflate", zlib.compress), "deflate, bare": ("deflate", bare),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress), "zstd, no length": ("zstd", zstd),
    "br": ("br", lambda content: brotli.compress(content, quality=5)),
}


@pytest.fixture(scope="module")
def kept(lasting_server) -> Kept:
    return Kept(lasting_server)


@pytest.fixture(params=ENCODERS)
def encoding(request):
    """The header line, what encodes, and how a refusal of what is not so encoded begins."""
    name, encode = ENCODERS[request.param]
    return f"Content-Encoding: {name}", encode, (400, 1003, f"the body is not well-formed {name}")


def padded(length: int) -> bytes:
    """An array of one record, as long as said."""
    return b"[" + b" " * (length - 9) + b'{"n":1}]'


def noise(length: int) -> bytes:
    """Text that hardly shrinks, in a record."""
    return b'[{"n":"' + random.Random(1).randbytes(length // 2).hex().encode() + b'"}]'


def test_the_limit_holds_for_what_comes_out(kept, encoding):
    line, encode, _ = encoding
    for length in (LIMIT - 1, LIMIT):
        kept.accepts([{"n": 1}], encode(padded(length)), line, ways=WAYS)
    for length in (LIMIT + 1, 2 * LIMIT):
        kept.refuses(encode(padded(length)), TOO_LARGE, line)


def test_a_body_cut_short_is_refused(kept, encoding):
    line, encode, malformed = encoding
    whole = encode(b'[{"kept":false}]')
    for cut in range(len(whole)):
        said(ask(kept.server, plain(kept.target, line, body=whole[:cut])), malformed, f"cut at {cut}")
    kept.refuses(whole[:-1], malformed, line)
    # What was whole up to there is not taken either.
    long = encode(b'[{"kept":false}' + b',{"kept":false}' * 20_000 + b"]")
    kept.refuses(long[:len(long) // 2], malformed, line)


def test_what_is_not_so_compressed_is_refused(kept, encoding):
    line, encode, malformed = encoding
    for body in (b'[{"kept":false}]', b"", b"\0", b"this is not compressed", b"\xff" * 1000, b"[" * 100_000):
        kept.refuses(body, malformed, line)
    whole = bytearray(encode(b'[{"kept":false,"text":"' + b"abcdefgh" * 50 + b'"}]'))
    whole[0] ^= 0xFF
    kept.refuses(bytes(whole), malformed, line)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("behind", [b"\0", b"garbage", b"\0" * 100, b"[{}]"], ids=lambda behind: ascii(behind)[2:12])
def test_what_stands_behind_the_end_refuses_the_body(kept, name, behind):
    name, encode = ENCODERS[name]
    line, malformed = f"Content-Encoding: {name}", (400, 1003, f"the body is not well-formed {name}")
    kept.refuses(encode(b'[{"kept":false}]') + behind, malformed, line)


def test_an_empty_content_is_an_empty_body(kept, encoding):
    line, encode, _ = encoding
    kept.refuses(encode(b""), (400, 1003, "expected `[`, the start of an array of objects at byte 0, but the body ends there"), line)
    kept.accepts([], encode(b"[]"), line, ways=WAYS)


def test_a_body_compressed_twice_is_refused(kept, encoding):
    line, encode, _ = encoding
    twice = encode(encode(b'[{"kept":false}]'))
    name = line.removeprefix("Content-Encoding: ")
    kept.refuses(twice, UNKNOWN, f"{line}, {name}")
    kept.refuses(twice, UNKNOWN, line, line)
    kept.refuses(twice, UNKNOWN, f"{line}, identity")
    # As what it says it is, it holds no JSON.
    answer = ask(kept.server, plain(kept.target, line, body=twice))
    assert answer.error[:2] == (400, 1003), answer


def test_every_member_of_gzip_and_every_frame_of_zstd_is_read(kept):
    parts = (b'[{"a":1},', b'{"a":2}', b',{"a":3}]')
    expected = [{"a": 1}, {"a": 2}, {"a": 3}]
    members = b"".join(gzip.compress(part) for part in parts)
    kept.accepts(expected, members, "Content-Encoding: gzip", ways=WAYS)
    kept.accepts(expected, gzip.compress(b"") + members + gzip.compress(b""), "Content-Encoding: gzip", ways=WAYS)
    frames = b"".join(zstd(part) for part in parts)
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    kept.accepts(expected, frames, "Content-Encoding: zstd", ways=WAYS)
    kept.accepts(expected, skippable + frames + skippable, "Content-Encoding: zstd", ways=WAYS)
    lines = b"".join(gzip.compress(b'{"a":%d}\n' % n) for n in range(1000))
    kept.accepts([{"a": n} for n in range(1000)], lines, "Content-Encoding: gzip", "Content-Type: application/x-ndjson", ways=WAYS)


def test_every_member_is_checked_and_all_of_them_share_the_limit(kept):
    malformed = (400, 1003, "the body is not well-formed gzip")
    one, two = gzip.compress(b'[{"kept":false}'), gzip.compress(b"]")
    broken = bytearray(two)
    broken[-5] ^= 1
    for body in (one + two[:-1], one + two[:10], one + bytes(broken), one + b"\x1f\x8b", one + two + b"\x1f"):
        kept.refuses(body, malformed, "Content-Encoding: gzip")
    # A second array is no part of the first.
    whole = gzip.compress(b'[{"kept":false}]')
    kept.refuses(whole + whole, (400, 1003, "expected the end of the body behind the array at byte 16"), "Content-Encoding: gzip")
    kept.refuses(gzip.compress(b"[") + gzip.compress(b" " * 1_000_000) * 5, TOO_LARGE, "Content-Encoding: gzip")
    kept.refuses(zstd(b"[") + zstd(b" " * 1_000_000) * 5, TOO_LARGE, "Content-Encoding: zstd")


@pytest.mark.parametrize("log", [10, 17, 23])
def test_a_window_of_zstd_up_to_8_mib_is_taken(kept, log):
    kept.accepts([{"a": 1}], zstd(b'[{"a":1}]', window_log=log), "Content-Encoding: zstd", ways=WAYS)


@pytest.mark.parametrize("log", [24, 27, 31])
def test_a_larger_window_of_zstd_is_refused(kept, log):
    # By hand: the magic number, no length, the window, then one raw block as the last one.
    body = b'[{"kept":false}]'
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([log - 10 << 3]) + (len(body) << 3 | 1).to_bytes(3, "little") + body
    before = forget_peak(kept.server)
    kept.refuses(frame, (400, 1003, "the body is not well-formed zstd"), "Content-Encoding: zstd")
    assert resident_bytes(kept.server, "VmHWM") - before < 2 * LIMIT
    small = frame[:5] + bytes([23 - 10 << 3]) + frame[6:]
    kept.accepts([{"kept": False}], small, "Content-Encoding: zstd")


def bombs():
    """200 MB of spaces behind a record, in each encoding; they have a thousandth of that and less."""
    head_, piece, count = b'[{"kept":false}', b" " * 10_000_000, 20
    for name, made in (
        ("gzip", zlib.compressobj(wbits=31)), ("deflate", zlib.compressobj()), ("deflate, bare", zlib.compressobj(wbits=-15)),
        ("zstd", zstandard.ZstdCompressor().compressobj()),
    ):
        yield name, made.compress(head_) + b"".join(made.compress(piece) for _ in range(count)) + made.flush()
    made = brotli.Compressor(quality=1)
    yield "br", made.process(head_) + b"".join(made.process(piece) for _ in range(count)) + made.finish()


@pytest.fixture(scope="module")
def all_bombs() -> dict[str, bytes]:
    return dict(bombs())


@pytest.mark.parametrize("name", ["gzip", "deflate", "deflate, bare", "zstd", "br"])
def test_a_bomb_costs_neither_memory_nor_time(kept, all_bombs, name):
    bomb = all_bombs[name]
    assert len(bomb) < 200_000_000 / 900
    line = f"Content-Encoding: {ENCODERS[name][0]}"
    before, began = forget_peak(kept.server), time.monotonic()
    kept.refuses(bomb, TOO_LARGE, line)
    took, grown = time.monotonic() - began, resident_bytes(kept.server, "VmHWM") - before
    assert took < 3, f"{took} s"
    # A buffer that doubles as it grows, in each of three requests, and the first use of the code itself.
    assert grown <= 8 * LIMIT, f"{grown} bytes more than before"


def test_a_bomb_in_lines_and_a_bomb_of_records_are_refused(kept):
    lines = gzip.compress(b'{"kept":false}\n' * 1_000_000)
    kept.refuses(lines, TOO_LARGE, "Content-Encoding: gzip", "Content-Type: application/x-ndjson")
    wide = gzip.compress(b'[{"kept":"' + b"x" * 4_000_000 + b'"}]')
    kept.refuses(wide, (413, 10413, "record 0 at byte 1 has 4000011 bytes; the limit is 1048576"), "Content-Encoding: gzip")


def test_many_bombs_at_once_share_the_memory_there_is(kept, all_bombs):
    content = plain(kept.target, "Content-Encoding: zstd", body=all_bombs["zstd"])
    before, position = forget_peak(kept.server), kept.position()
    wires = [Wire(kept.server) for _ in range(60)]
    for wire in wires:
        wire.send(content)
    for wire in wires:
        said(wire.answer(), TOO_LARGE)
        wire.socket.close()
    # `ingest.in_flight_bytes_max` is 128 MiB.
    assert resident_bytes(kept.server, "VmHWM") - before <= 2 * (128 << 20)
    kept.is_as_before(position)


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "br"])
def test_whoever_may_not_send_is_refused_before_a_byte_is_inflated_or_read(kept, all_bombs, name):
    server = kept.server
    private = f"/ingest/{server.create_stream(f'private_{name}', authentication=True)['id']}"
    line = f"Content-Encoding: {name}"
    reader = server.call("POST", "tokens", {"name": "n", "permissions": ["read"]})["result"]["value"]
    before = forget_peak(server)
    for target in (private, "/ingest/" + "0" * 32):
        for shown, status in (([], 401), (["Authorization: Bearer wrong"], 401), ([f"Authorization: Bearer {reader}"], 403)):
            # The whole of it, and none of it: the answer does not wait.
            assert ask(server, plain(target, line, *shown, body=all_bombs[name])).error[0] == status
            with Wire(server, fresh_source()) as wire:
                began = time.monotonic()
                assert wire.send(head("POST", target, line, *shown, "Content-Length: 4000000")).answer().error[0] == status
                assert time.monotonic() - began < 1
            # What could not be read is not found out.
            assert ask(server, plain(target, "Content-Encoding: compress", *shown, body=b"x")).error[0] == status
    grown = resident_bytes(server, "VmHWM") - before
    assert grown <= 2_000_000 + 2 * len(all_bombs[name]), f"{grown} bytes more than before"


@pytest.mark.parametrize("value", [
    "compress", "x-compress", "snappy", "lz4", "none", "*", "gzip;q=1", "gzip,", ",gzip", "gzip gzip", "br, gzip", "identity, gzip", "chunked",
    "gzip\tx", "\xff", "a" * 10_000,
], ids=lambda value: ascii(value)[:20])
def test_an_encoding_that_is_not_known_is_refused(kept, value):
    kept.refuses(b'[{"kept":false}]', UNKNOWN, f"Content-Encoding: {value}")


@pytest.mark.parametrize(("value", "encode"), [
    ("GZIP", gzip.compress), ("x-gzip", gzip.compress), ("  gzip ", gzip.compress), ("Zstd", zstd), ("BR", brotli.compress),
    ("Deflate", zlib.compress), ("identity", bytes), ("Identity", bytes), ("", bytes),
], ids=lambda value: value if isinstance(value, str) else "")
def test_names_of_encodings_may_be_written_in_any_case(kept, value, encode):
    kept.accepts([{"a": 1}], encode(b'[{"a":1}]'), f"Content-Encoding: {value}", ways=WAYS)


def test_what_hardly_shrinks_is_taken_up_to_the_limit_of_both(kept):
    body = noise(900_000)
    kept.accepts([{"n": body[7:-3].decode()}], gzip.compress(body), "Content-Encoding: gzip")
    stored = zlib.compressobj(level=0, wbits=31)
    large = stored.compress(padded(LIMIT)) + stored.flush()
    assert len(large) > LIMIT
    kept.refuses(large, (413, 10413, "the body has more than 5000000 bytes, which is the limit of a request"), "Content-Encoding: gzip")


def test_what_was_acknowledged_is_delivered_and_nothing_else(kept):
    """Runs last."""
    kept.delivers()
