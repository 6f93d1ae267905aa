"""SIGTERM under load: whoever was heard gets an answer, the end comes in time, and the next start finds all in order.

LAKEHEAD_TEST_FAULT_ROUNDS=5 makes a hundred rounds of it.
"""

import re
import socket
import time

from lakehead import Server
from load import QUICK, ROUNDS, Copy, payload
from processes import wait_until

STOPS = 20 * ROUNDS
SMALL = {**QUICK, "file_size_bytes": 20_000}


def ready_status(server: Server) -> int:
    return server.http.get(f"{server.url}/readyz").status_code


def stop_under_load(server: Server) -> float:
    """How long it took."""
    began = time.monotonic()
    server.signal_stop()
    # Readiness says so first, while requests are still answered.
    wait_until("the server is not ready any more", 5, lambda: ready_status(server) == 503, every=0.01)
    assert server.process.child.wait(timeout=30) == 0
    server.kill()
    return time.monotonic() - began


def last_report(server: Server) -> dict[str, str]:
    """What the last start found in its log, as it says it."""
    line = [line for line in server.output.read_text().splitlines() if "log opened" in line][-1]
    return dict(re.findall(r"(\w+): (\[.*?\]|[^,\s}]+)", line))


def test_stops_under_load_answer_everybody_and_leave_nothing_to_recover(make_server):
    """R-10."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    server = copy.server
    slowest = 0.0
    with copy.load(producers=6) as load:
        for _ in range(STOPS):
            time.sleep(0.3)
            slowest = max(slowest, stop_under_load(server))
            server.start()
            report = last_report(server)
            assert report["torn_frames"] == "0" and report["lost"] == "[]" and report["damaged"] == "[]", report
            assert report["segments_read"] == "0", f"a closed segment was read again: {report}"
    rows = copy.finish()
    unanswered = load.ids(0)
    print(f"{STOPS} stops, the slowest {slowest:.1f} s; {load.statuses}; {len(rows)} records")
    assert slowest < 15
    # D-14 all the while.
    assert load.watch.scrapes > STOPS
    assert not unanswered & {row["id"] for row in rows}, "records of requests without an answer came out"
    assert len(load.acknowledged) > STOPS * 100


def test_a_request_that_is_under_way_when_the_stop_comes_gets_its_answer(make_server):
    """R-10: half of a body before SIGTERM, the rest after it."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    server = copy.server
    body = b'[{"id":0,"payload":"%s"}]' % payload(0).encode()
    head = f"POST /ingest/{copy.stream['id']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + body[:20])
        time.sleep(0.3)
        server.signal_stop()
        time.sleep(1.5)
        connection.sendall(body[20:])
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")), answer
    assert server.process.child.wait(timeout=30) == 0
    server.kill()
    server.start()
    if answer.startswith(b"HTTP/1.1 200"):
        copy.sent.add(0)
    print(answer.split(b"\r\n")[0])
    copy.finish()


def test_a_stop_while_the_store_is_away_ends_in_time_and_keeps_what_is_not_delivered(through_proxy):
    """R-10: nothing can be committed."""
    copy, proxy = through_proxy("stopped", policy=SMALL)
    with copy.load() as load:
        load.wait_acknowledged(200)
        proxy.close()
        load.wait_acknowledged(500)
        began = time.monotonic()
        copy.server.signal_stop()
        assert copy.server.process.child.wait(timeout=30) == 0
        print(f"stopped in {time.monotonic() - began:.1f} s")
        copy.server.kill()
    text = copy.server.configuration.read_text()
    copy.server.configuration.write_text(text.replace(proxy.endpoint, copy.store.endpoint))
    copy.server.start()
    copy.finish()
