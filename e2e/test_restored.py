"""One data folder and two servers, an old copy of the folder put back, and files of a later version."""

import shutil
import sqlite3
import subprocess
import time

import pytest

from lakehead import BINARY, Server
from load import QUICK, Copy, audit
from processes import free_port, wait_until

EXIT_TEMPORARY = 75
EXIT_IO = 74
AT_ONCE = {**QUICK, "file_size_bytes": 10}


def run_beside(server: Server) -> subprocess.CompletedProcess:
    """Starts another server on the same data folder; it must not stay."""
    return subprocess.run(
        [BINARY, "serve", "--data-dir", server.data_dir, "--listen", f"127.0.0.1:{free_port()}"],
        capture_output=True, text=True, timeout=20, check=False,
    )


def test_a_second_server_on_the_data_folder_is_refused_and_the_first_goes_on(make_server):
    """R-08: two processes."""
    copy = Copy(make_server().start(), "out", policy=AT_ONCE)
    with copy.load() as load:
        load.wait_acknowledged(200)
        second = run_beside(copy.server)
        assert second.returncode == EXIT_TEMPORARY, second
        assert "log" in second.stderr and str(copy.server.data_dir) in second.stderr, second.stderr
        load.wait_acknowledged(200)
    copy.finish()
    # Whatever the second one touched: a start finds everything whole.
    copy.server.kill()
    copy.server.start()
    copy.finish()


def put_back(server: Server, copy_of_data):
    """The data folder as it was, but for the bucket's files."""
    buckets = server.data_dir.with_name("buckets")
    shutil.move(server.data_dir / "buckets", buckets)
    shutil.rmtree(server.data_dir)
    shutil.copytree(copy_of_data, server.data_dir)
    shutil.rmtree(server.data_dir / "buckets", ignore_errors=True)
    shutil.move(buckets, server.data_dir / "buckets")


def exactly_once_or_stopped(copy: Copy, least: set[int]) -> str:
    """Waits until the restored server has said what it makes of it: the reason why the pipeline has failed, or empty."""
    outcome = []

    def settled():
        status = copy.status()
        if status["status"] == "failed":
            outcome.append(status["failure_reason"])
        elif copy.server.ledger("copy")["in_flight"] == 0 and least <= {row["id"] for row in copy.rows()}:
            outcome.append("")
        return outcome

    wait_until("the restored server delivers or gives a reason", 30, settled, every=0.2)
    rows = [row["id"] for row in copy.rows()]
    assert len(rows) == len(set(rows)), f"{len(rows) - len(set(rows))} records are in the bucket twice; reason: {outcome[0]!r}"
    return outcome[0]


@pytest.mark.parametrize("committed", [False, True], ids=["behind", "committed"])
def test_an_old_copy_of_the_data_folder_repeats_nothing_in_the_bucket(make_server, folder, committed):
    """R-08: the bucket has newer files than the data folder that is put back knows of.

    `behind`: its log has records that the bucket has already. `committed`: it has none; its positions are given out again."""
    copy = Copy(make_server().start(), "out", policy={"interval_seconds": 10, "inactivity_seconds": 1})
    server = copy.server
    copy.send(100)
    if committed:
        server.wait_delivered("copy", 100)
    server.kill()
    shutil.copytree(server.data_dir, folder / "yesterday")
    server.start()
    copy.send(50)
    server.wait_delivered("copy", 150)
    before = {f: f.read_bytes() for f in copy.files()}
    audit([], copy.rows(), copy.sent)
    server.kill()

    put_back(server, folder / "yesterday")
    server.start()
    # Those that came after the copy was made are not in its log; new ones take their positions.
    added = copy.send(70)
    reason = exactly_once_or_stopped(copy, added)
    print(f"reason: {reason!r}; {len(before)} files before, {len(copy.files())} now")
    if reason:
        assert any(str(n) in reason for n in (100, 150, 170)) or any(f.name in reason for f in before), reason
    assert all(f.read_bytes() == content for f, content in before.items()), "files in the bucket were changed"


def test_an_old_metadata_store_beside_a_newer_log_repeats_nothing(make_server, folder):
    """R-08: only meta.sqlite is put back: the log is further on than the flow's position there."""
    copy = Copy(make_server().start(), "out", policy=AT_ONCE)
    server = copy.server
    copy.send(100)
    server.wait_delivered("copy", 100)
    assert server.stop() == 0
    shutil.copy(server.data_dir / "meta.sqlite", folder / "meta.sqlite")
    server.start()
    copy.send(50)
    server.wait_delivered("copy", 150)
    assert server.stop() == 0
    shutil.copy(folder / "meta.sqlite", server.data_dir / "meta.sqlite")
    for name in ("meta.sqlite-wal", "meta.sqlite-shm"):
        (server.data_dir / name).unlink(missing_ok=True)
    server.start()
    print(f"reason: {exactly_once_or_stopped(copy, copy.sent)!r}")


def test_a_log_that_ends_before_the_committed_position_stops_the_pipeline(make_server, folder):
    """R-08: only the log is put back. The next records would take positions that are delivered already."""
    copy = Copy(make_server().start(), "out", policy=AT_ONCE)
    server = copy.server
    copy.send(100)
    server.wait_delivered("copy", 100)
    assert server.stop() == 0
    shutil.copytree(server.data_dir / "log", folder / "log")
    server.start()
    copy.send(50)
    server.wait_delivered("copy", 150)
    assert server.stop() == 0
    shutil.rmtree(server.data_dir / "log")
    shutil.copytree(folder / "log", server.data_dir / "log")
    server.start()
    reason = copy.wait_status("failed", within=10)
    assert "150" in reason and "100" in reason, reason
    audit([], copy.rows(), copy.sent)


def refused_start(server: Server, *words: str):
    server.spawn()
    code = server.process.child.wait(timeout=20)
    said = server.process.tail(3)
    assert code == EXIT_IO and all(word in said for word in words), (code, said)


def crc32c(content: bytes) -> int:
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def test_files_of_a_later_version_are_refused_and_left_as_they_are(make_server):
    """R-10: version N on the data of N+1."""
    copy = Copy(make_server().start(), "out", policy=AT_ONCE)
    server = copy.server
    copy.send(100)
    server.wait_delivered("copy", 100)
    assert server.stop() == 0

    (segment,) = (p for p in (server.data_dir / "log").glob("*.seg") if p.read_bytes().strip(b"\0"))
    whole = segment.read_bytes()
    # Header: magic, checksum of eight zeros and all behind it, version, bytes of a copy; two copies.
    bytes_of_copy = int.from_bytes(whole[12:16], "little")
    head = bytearray(whole[:bytes_of_copy])
    version = int.from_bytes(head[8:12], "little")
    assert int.from_bytes(head[4:8], "little") == crc32c(bytes(8) + head[8:]), "the header is not as this test thinks"
    head[8:12] = (version + 1).to_bytes(4, "little")
    head[4:8] = crc32c(bytes(8) + head[8:]).to_bytes(4, "little")
    later = bytes(head) * 2 + whole[2 * bytes_of_copy:]
    segment.write_bytes(later)
    refused_start(server, segment.name, str(version + 1))
    assert segment.read_bytes() == later
    segment.write_bytes(whole)

    database = server.data_dir / "meta.sqlite"
    with sqlite3.connect(database) as connection:
        (format,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {format + 1}")
    connection.close()
    refused_start(server, "meta.sqlite", str(format + 1))
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA user_version = {format}")
    connection.close()

    server.start()
    copy.send(10)
    server.wait_delivered("copy", 110)
    copy.finish()
