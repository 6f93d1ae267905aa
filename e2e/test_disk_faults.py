"""A disk that does not keep, has no room, or is slow: what was acknowledged arrives once, and nothing else is acknowledged.

LAKEHEAD_TEST_FAULT_ROUNDS (default 1) tries more moments.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from lakehead import ApiError, Server
from load import QUICK, ROUNDS, Copy, Load, audit, record
from processes import wait_until
from syscall_faults import Tampered, injected, tmpfs

SMALL = {**QUICK, "file_size_bytes": 20_000}
EXIT_DISK_FAILED = 70
# Small enough to be used up in seconds.
SMALL_SEGMENTS = f"[log]\nsegment_bytes = {16 << 20}\n"


def fsync_failures(server: Server) -> list[str]:
    return [line for line in server.output.read_text().splitlines() if "fsync_failed" in line]


def end_by_failed_sync(copy: Copy, **tampering) -> tuple[Load, float]:
    """Loads the server until a sync fails, which must end it; then starts it again. The load, and when the sync failed."""
    server = copy.server
    before = len(fsync_failures(server))
    with copy.load(timeout=10) as load:
        load.wait_acknowledged(200)
        with Tampered(server, **tampering) as tampered:
            wait_until("the server ends", 30, lambda: not server.process.running(), every=0.01)
            ended = time.time()
        failed = tampered.injected()
        assert failed, "no sync failed"
        failed_at, path = failed[0]
        assert server.process.child.returncode == EXIT_DISK_FAILED, (path, server.process.child.returncode)
        assert ended - failed_at < 2, f"ended {ended - failed_at:.1f} s after the failure"
        assert len(fsync_failures(server)) == before + 1, f"lines about {path}: {fsync_failures(server)[before:]}"
        assert tampered.synced_after(failed_at, path) == [], f"{path} was synced again"
    server.kill()
    server.start()
    return load, failed_at


@pytest.mark.parametrize("when", [1, 2, 9, *range(3, 9 * ROUNDS if ROUNDS > 1 else 3)])
def test_a_failed_sync_of_the_log_ends_the_server_and_takes_back_nothing(make_server, when):
    """R-04: EIO from the log's fdatasync."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    load, failed_at = end_by_failed_sync(copy, calls="fdatasync", how=f"error=EIO:when={when}", thread="log-writer")
    # Nobody was told that this or a later group was kept.
    failed_at -= time.time() - time.monotonic()
    later = [a for a in load.answers if a.began > failed_at]
    assert all(a.status != 200 for a in later), later
    assert any(a.status in (0, 500) for a in load.answers), load.statuses
    copy.finish()


@pytest.mark.parametrize("calls", ["fdatasync", "fsync"])
def test_a_failed_sync_beside_the_log_ends_the_server_and_takes_back_nothing(make_server, calls):
    """R-04: EIO for a staged file (fdatasync), its folder and the metadata store (fsync), at every moment of a commit."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    for when in range(1, 4 * ROUNDS + 1 if calls == "fsync" else 2 * ROUNDS + 1):
        end_by_failed_sync(copy, calls=calls, how=f"error=EIO:when={when}", thread="feed-copy")
    copy.finish()


def test_a_failed_sync_of_a_change_is_not_called_done(make_server):
    """R-04: EIO for the metadata store within a call of the API, which may have been kept or not."""
    server = make_server().start()
    server.create_stream("before")
    with Tampered(server, "fsync", "error=EIO", paths=[server.data_dir / "meta.sqlite-wal"]) as tampered:
        for name in ("first", "second"):
            with pytest.raises((ApiError, httpx.HTTPError)) as refused:
                server.create_stream(name)
            assert not isinstance(refused.value, ApiError) or refused.value.status >= 500, refused.value
        assert tampered.injected()
    # The disk is well again; the store does not trust what it wrote there before it has read it again.
    with pytest.raises((ApiError, httpx.HTTPError)):
        server.create_stream("third")
    server.kill()
    server.start()
    names = {stream["name"] for stream in server.call("GET", "pipelines/v1/streams")["result"]}
    assert {"before"} <= names <= {"before", "first"}, names
    server.create_stream("after")


def test_a_failed_sync_of_a_bucket_folder_ends_the_server_and_takes_back_nothing(make_server):
    """R-04: the folder that a finished file was put into."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    copy.send(300)
    wait_until("there is a file", 10, copy.files)
    folder = copy.files()[0].parent
    end_by_failed_sync(copy, calls="fsync", how="error=EIO:when=1", paths=[folder])
    copy.finish()


def test_a_failed_sync_of_the_logs_folder_ends_the_server_and_takes_back_nothing(make_server):
    """R-04: the folder's entry of a new segment."""
    copy = Copy(make_server(SMALL_SEGMENTS).start(), "out")
    server = copy.server
    with copy.load(payload_bytes=64_000, timeout=10) as load:
        load.wait_acknowledged(50)
        with Tampered(server, "fsync", "error=EIO:when=1", paths=[server.data_dir / "log"]) as tampered:
            wait_until("the server ends", 30, lambda: not server.process.running(), every=0.01)
        assert tampered.injected(), "no sync failed"
        assert server.process.child.returncode == EXIT_DISK_FAILED
        assert len(fsync_failures(server)) == 1, fsync_failures(server)
    server.kill()
    server.start()
    copy.finish()


# Of a first start; every thread and each of the two calls is counted by itself. The 8th and the 12th are SQLite's own syncs of its folder,
# for the names of its journals; SQLite tells nobody how they went, and the server syncs the folder again behind them.
MOMENTS = [n for n in range(1, 17) if n not in (8, 12)] if ROUNDS > 1 else [1, 4, 7, 10, 13]


@pytest.mark.parametrize("when", MOMENTS)
def test_a_failed_sync_while_starting_refuses_and_the_next_start_is_whole(make_server, folder, when):
    """R-04: every sync of a first start."""
    server = make_server()
    server.runner = ["strace", "--seccomp-bpf", "-f", "-qq", "-y", "-ttt", "-e", "trace=fsync,fdatasync",
                     "-e", f"inject=fsync,fdatasync:error=EIO:when={when}", "-o", str(folder / "strace")]
    server.spawn()
    wait_until("the server has started or not", 20, lambda: not server.process.running() or ready(server), every=0.02)
    started = server.process.running()
    if started:
        # strace has no ear for signals while its child runs.
        (child,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
    code = server.process.child.wait(timeout=30)
    failed = injected(folder / "strace")
    # A thread that has fewer syncs than that goes on.
    assert code == 0 if not failed else not started and code in (EXIT_DISK_FAILED, 74), (failed, code)
    server.runner = []
    server.start()
    copy = Copy(server, "out", policy=SMALL)
    copy.send(100)
    server.wait_delivered("copy", 100)
    audit([], copy.rows(), copy.sent)
    assert server.stop() == 0


def ready(server: Server) -> bool:
    try:
        return server.http.get(f"{server.url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def small_disk(folder):
    """A file system of 176 MiB. The log leaves 64 MiB of it to others."""
    place = tmpfs(folder / "disk", 176)
    yield place
    for _ in range(100):
        if subprocess.run(["umount", place], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def server_on_small_disk(small_disk, make_server, folder):
    def make() -> Server:
        server = make_server(f"{SMALL_SEGMENTS}[buckets.out]\npath = \"{folder}/out\"\n")
        server.data_dir = small_disk / "data"
        server.bucket = lambda name: folder / name
        return server.start()

    yield make


def fill(place, mebibytes: int | None = None):
    """A file of that size, or of all that is free."""
    free = os.statvfs(place)
    with (place / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (mebibytes << 20) if mebibytes else free.f_bavail * free.f_frsize)


def send_until_refused(copy: Copy) -> httpx.Response:
    while True:
        first = len(copy.sent)
        ids = range(first, first + 4)
        body = httpx.Request("POST", copy.server.url, json=[record(i, 512_000) for i in ids]).content
        answer = copy.server.post(copy.stream["id"], body)
        if answer.status_code != 200:
            return answer
        copy.sent.update(ids)
        assert len(copy.sent) < 1000, "no room is never reached"


def is_well(server: Server):
    assert server.process.running(), f"ended with {server.process.child.returncode}"
    assert server.http.get(f"{server.url}/healthz").status_code == 200
    server.metrics()
    assert server.call("GET", "pipelines/v1/streams")["result"]


def room_for_more(copy: Copy) -> bool:
    try:
        return bool(copy.send(1, 512_000))
    except AssertionError:
        return False


def test_a_disk_filled_by_ingest_refuses_more_and_goes_on_with_the_rest(server_on_small_disk, small_disk):
    """R-05: full by ingest."""
    fill(small_disk, 24)
    server = server_on_small_disk()
    copy = Copy(server, "out", policy=SMALL, begins=False)
    refused = send_until_refused(copy)
    assert refused.status_code in (503, 507) and int(refused.headers["Retry-After"]) > 0, refused.text
    is_well(server)
    copy.begin()
    server.wait_delivered("copy", len(copy.sent))
    (small_disk / "ballast").unlink()
    wait_until("there is room again", 5, lambda: room_for_more(copy), every=0.2)
    copy.finish()


def test_what_is_delivered_makes_room_on_a_full_disk(server_on_small_disk):
    """R-05: nothing needs the log any more, but for its retention."""
    server = server_on_small_disk()
    copy = Copy(server, "out", policy=SMALL, begins=False)
    send_until_refused(copy)
    copy.begin()
    server.wait_delivered("copy", len(copy.sent))
    wait_until("delivered records make room", 10, lambda: room_for_more(copy), every=0.5)
    copy.finish()


def test_a_disk_filled_by_others_is_refused_until_there_is_room(server_on_small_disk, small_disk):
    """R-05: full to the last byte by a foreign file."""
    server = server_on_small_disk()
    copy = Copy(server, "out", policy=SMALL)
    copy.send(100)
    server.wait_delivered("copy", 100)
    fill(small_disk)
    with copy.load(payload_bytes=6400, batches=(20,)) as load:
        wait_until("ingest is refused", 30, lambda: load.ids(503, 507))
        for _ in range(2 * ROUNDS):
            time.sleep(1)
            is_well(server)
        (small_disk / "ballast").unlink()
        freed = time.monotonic()
        wait_until("ingest works again", 5, lambda: any(a.status == 200 and a.began > freed for a in load.answers))
    assert set(load.statuses) <= {200, 503, 507}, load.statuses
    copy.finish()


def test_a_change_that_finds_no_room_is_refused_and_harms_nothing(server_on_small_disk, small_disk):
    """R-05: a write of the API meets the full disk."""
    server = server_on_small_disk()
    copy = Copy(server, "out", policy=SMALL)
    copy.send(100)
    server.wait_delivered("copy", 100)
    fill(small_disk)
    for n in range(200):
        # Some fit into what SQLite's journal has already.
        try:
            server.create_stream(f"more_{n}", {"fields": [{"name": f"f{i}", "type": "string"} for i in range(100)]})
        except ApiError as refused:
            assert refused.status in (500, 503, 507), refused
            break
    else:
        raise AssertionError("there was room for everything")
    is_well(server)
    (small_disk / "ballast").unlink()
    wait_until("there is room again", 5, lambda: room_for_more(copy), every=0.2)
    server.wait_delivered("copy", len(copy.sent))
    server.create_stream("after")
    is_well(server)
    copy.finish()


@pytest.mark.parametrize("file", ["meta.sqlite-wal", "staging"])
def test_a_commit_that_finds_no_room_is_made_when_there_is(make_server, file):
    """R-05: ENOSPC amid a commit, in the metadata store or for a staged file."""
    copy = Copy(make_server().start(), "out", policy=SMALL)
    server = copy.server
    copy.send(100)
    server.wait_delivered("copy", 100)
    only = {"paths": [server.data_dir / file]} if file == "meta.sqlite-wal" else {"thread": "feed-copy"}
    calls = "pwrite64" if file == "meta.sqlite-wal" else "openat,mkdir,pwrite64,pwritev"
    with copy.load() as load:
        with Tampered(server, calls, "error=ENOSPC", **only) as tampered:
            time.sleep(3)
            assert tampered.injected(), "nothing was written"
            is_well(server)
            load.wait_acknowledged(100)
        load.wait_acknowledged(100)
    assert set(load.statuses) == {200}, load.statuses
    server.wait_quiet("copy", at_least=len(load.acknowledged), within=20)
    copy.finish()


def test_a_slow_disk_makes_waiting_and_nothing_worse(make_server):
    """R-09: every fdatasync takes two seconds."""
    server = make_server().start()
    copy = Copy(server, "out", policy=SMALL)
    sick = []
    with copy.load(producers=16, payload_bytes=6400, batches=(5, 20)) as load:
        load.wait_acknowledged(1000)
        before = resident(server)
        with Tampered(server, "fdatasync", "delay_enter=2000000"):
            began = time.monotonic()
            largest = 0
            while time.monotonic() - began < 6 * ROUNDS:
                asked = time.monotonic()
                sick += [] if server.http.get(f"{server.url}/healthz").status_code == 200 else [asked]
                sick += [asked] if time.monotonic() - asked > 1 else []
                largest = max(largest, resident(server))
                time.sleep(0.1)
        well = time.monotonic()
        time.sleep(2.5)
    slowest = max(a.seconds for a in load.answers)
    later = sorted(a.seconds for a in load.answers if a.began > well + 2)
    print(f"{before >> 20} MiB before, at most {largest >> 20}; slowest {slowest:.1f} s, afterwards p99 {later[-len(later) // 100]:.3f} s")
    assert not sick, "/healthz was slow or unwell"
    assert set(load.statuses) <= {200, 429, 503}, load.statuses
    assert slowest < 15 and largest < before + (256 << 20)
    assert later[-len(later) // 100] < 1
    copy.finish()


def resident(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
