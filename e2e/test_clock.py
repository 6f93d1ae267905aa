"""Clocks that jump, midnight, and other time zones. The clock is faketime's: the server sees what a file says it should."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fault_proxy import Refuse
from lakehead import Server
from load import JSON, PARQUET, QUICK, ROUNDS, SCHEMA, Copy, Load, audit, payload, rows_of
from processes import wait_until

AT_ONCE = {**QUICK, "file_size_bytes": 10}
DAY = 24 * 3600
# Retention is by the clock; small segments, so that there is something to throw away.
SMALL_SEGMENTS = f"[log]\nsegment_bytes = {16 << 20}\nretention_seconds = 60\n\n"


class Clock:
    """The server's clock, which differs from ours by `ahead` seconds. Elapsed time is the machine's."""

    def __init__(self, server: Server, zone: str | None = None):
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "faketime is not installed; install.sh installs it"
        self.file = server.data_dir.parent / "clock"
        self.jump(0)
        server.variables = {
            "LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", **({"TZ": zone} if zone else {}),
        }

    def jump(self, ahead: float):
        # As a whole: the server may read it at any moment.
        new = self.file.with_suffix(".new")
        new.write_text(f"{ahead:+.6f}")
        new.rename(self.file)
        self.ahead = ahead

    def jump_to(self, moment: datetime):
        self.jump((moment - datetime.now(UTC)).total_seconds())

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


def test_a_clock_that_jumps_loses_nothing_and_stops_nothing(make_server):
    """R-11: a day back, ten years on, back again, while running and over restarts."""
    server = make_server()
    clock = Clock(server)
    copy = Copy(server.start(), "out")
    with copy.load(pause=0.02) as load:
        for ahead in [0, -DAY, -1, 3650 * DAY, 0] * ROUNDS:
            for restart in (False, True):
                clock.jump(ahead)
                if restart:
                    server.kill()
                    server.start()
                load.wait_acknowledged(200)
    # What comes rarely is rolled by elapsed time, wherever the clock goes in between.
    for ahead in (-DAY, 3650 * DAY, 0):
        copy.send(10)
        clock.jump(ahead)
        wait_until("a file is rolled", 5, lambda: {row["id"] for row in copy.rows()} >= copy.sent, every=0.3)
    rows = copy.finish()
    # Positions are dense.
    assert server.metrics().sum("log_next_position", stream="events") == len(rows)
    # The server believed its clock: what came in ten years lies there.
    assert {row["id"] for f in copy.files() if f"year={clock.now().year + 10}" in f.parts for row in rows_of([f])}
    names = [file.name for file in copy.files()]
    assert len(names) == len(set(names))
    busy = sum(float(n) for n in Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    time.sleep(2)
    after = sum(float(n) for n in Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    assert after - busy < 100, "an idle server is busy"


def test_a_clock_that_jumps_on_throws_away_nothing_that_is_not_delivered(through_proxy):
    """R-11: retention is over for everything, and the store is away."""
    copy, proxy = through_proxy("clock", configuration=SMALL_SEGMENTS, policy=QUICK)
    server = copy.server
    server.kill()
    clock = Clock(server)
    server.start()
    proxy.rule = lambda call: Refuse(503)
    for _ in range(20):
        copy.send(6, 512_000)
    clock.jump(3650 * DAY)
    copy.send(6, 512_000)
    time.sleep(3)
    server.kill()
    server.start()
    time.sleep(2)
    # Signatures are of the present.
    clock.jump(0)
    proxy.rule = lambda call: None
    server.kill()
    server.start()
    copy.finish(within=90)
    # Now it may go. A running server measures age by elapsed time, so a start is needed to believe the clock.
    clock.jump(3650 * DAY)
    server.kill()
    server.start()
    wait_until("the log is trimmed", 20, lambda: server.metrics().sum("log_oldest_position", stream="events") > 0)


@pytest.mark.parametrize(("zone", "edge", "pattern"), [
    ("UTC", datetime(2027, 1, 1, tzinfo=UTC), None),
    # Where the hour from one to two o'clock comes twice.
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC), "%Y-%m-%dT%H"),
], ids=["midnight", "daylight saving"])
def test_records_around_an_edge_lie_where_their_ingest_time_says(make_server, zone, edge, pattern):
    """D-12: two seconds before the edge of a partition and two after it, as JSON and as Parquet."""
    server = make_server()
    clock = Clock(server, zone)
    clock.jump_to(edge - timedelta(seconds=3))
    server.start()
    clock.jump_to(edge - timedelta(seconds=2))
    stream = server.create_stream("events", SCHEMA)
    more = {"partitioning": {"time_pattern": pattern}} if pattern else {}
    for name, format in (("lines", JSON), ("tables", PARQUET)):
        server.create_sink(name, name, format, **more)
    server.create_pipeline("copy", "; ".join(
        f"INSERT INTO {sink} SELECT id, payload, __ingest_ts AS at FROM events" for sink in ("lines", "tables")))
    with Load(server.port, stream, pause=0.01) as load:
        wait_until("the edge has passed", 20, lambda: clock.now() > edge + timedelta(seconds=2))
    server.wait_quiet("copy", at_least=2 * len(load.acknowledged))
    offset = clock.ahead + time.time() - time.monotonic()
    before = {i for a in load.answers if a.began + a.seconds + offset < edge.timestamp() - 0.01 for i in a.ids}
    after = {i for a in load.answers if a.began + offset > edge.timestamp() + 0.01 for i in a.ids}
    assert len(before) > 50 and len(after) > 50, (len(before), len(after))
    shape = pattern or "year=%Y/month=%m/day=%d"
    earlier, later = ((edge + timedelta(seconds=by)).strftime(shape) for by in (-1, 1))
    for sink in ("lines", "tables"):
        place, found = server.bucket(sink), {}
        for file in (p for p in place.rglob("*") if p.is_file()):
            folder = str(file.parent.relative_to(place))
            for row in rows_of([file]):
                at = row["at"] if isinstance(row["at"], datetime) else datetime.fromisoformat(str(row["at"]))
                at = at if at.tzinfo else at.replace(tzinfo=UTC)
                assert at.astimezone(UTC).strftime(shape) == folder, (sink, row, folder)
                found[row["id"]] = folder
        assert {found[i] for i in before} == {earlier} and {found[i] for i in after} == {later}, sink
        rows = rows_of([p for p in place.rglob("*") if p.is_file()])
        audit([load], rows)


def test_late_records_lie_where_their_ingest_time_says(make_server):
    """D-12: delivered three days after they came."""
    server = make_server()
    clock = Clock(server)
    copy = Copy(server.start(), "out")
    copy.send(10)
    server.wait_delivered("copy", 10)
    place = server.bucket("out")
    place.rename(place.with_name("aside"))
    place.write_text("not a folder")
    days = [clock.now().strftime("year=%Y/month=%m/day=%d")]
    copy.send(10)
    for n in (1, 3):
        clock.jump(n * DAY)
        days.append(clock.now().strftime("year=%Y/month=%m/day=%d"))
        copy.send(10)
    server.kill()
    place.unlink()
    place.with_name("aside").rename(place)
    server.start()
    copy.finish()
    found = {row["id"]: str(file.parent.relative_to(place)) for file in copy.files() for row in rows_of([file])}
    expected = {i: days[max(0, i // 10 - 1)] for i in range(40)}
    assert found == expected, json.dumps({i: (found[i], expected[i]) for i in expected if found[i] != expected[i]})
