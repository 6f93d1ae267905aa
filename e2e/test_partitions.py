"""Files lie where the ingest time of their records says."""

import json
import time

import pytest

from processes import wait_until

SECONDS = 20


def test_a_backlog_over_more_partitions_than_files_may_be_open_is_delivered_each_record_in_its_own(server):
    stream = server.create_stream("events")
    sent = {}
    for n in range(SECONDS):
        before = int(time.time())
        server.send(stream, [{"n": n}])
        sent[n] = range(before, int(time.time()) + 1)
        time.sleep(1)
    server.create_sink("lines", "out", {"type": "json", "unstructured": True}, partitioning={"time_pattern": "%s"})
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    server.wait_delivered("copy", SECONDS)
    found = {}
    for file in server.bucket("out").rglob("*.json"):
        for line in file.read_text().splitlines():
            assert found.setdefault(json.loads(line)["n"], int(file.parent.name)) == int(file.parent.name)
    assert set(found) == set(sent)
    for n, second in found.items():
        assert second in sent[n], f"record {n} lies in {second}, sent in {sent[n]}"
    # Else the test says nothing: a writer holds at most 16 files.
    assert len(set(found.values())) > 16


@pytest.mark.parametrize("size", [{}, {"file_size_bytes": 10}], ids=["any size", "every file is full at once"])
def test_a_record_lost_amid_many_partitions_is_counted_as_lost(make_server, size):
    server = make_server().start()
    stream = server.create_stream("events")
    for n in range(SECONDS):
        server.send(stream, [{"n": f"record-{n:03}"}])
        time.sleep(0.005)
    server.kill()
    damaged = 0
    for segment in (server.data_dir / "log").rglob("*"):
        content = segment.read_bytes() if segment.is_file() else b""
        if b"record-002" in content:
            segment.write_bytes(content.replace(b"record-002", b"recorD-002"))
            damaged += 1
    assert damaged == 1
    server.configuration.write_text("[log]\naccept_loss = true\n")
    server.start()
    # A partition for every millisecond, so that one read of the log spans more of them than files may be open.
    policy = {"interval_seconds": 10, "inactivity_seconds": 1, **size}
    pattern = {"time_pattern": "%s%.3f"}
    server.create_sink("lines", "out", {"type": "json", "unstructured": True}, partitioning=pattern, rolling_policy=policy)
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")

    def settled():
        metrics = server.metrics()
        names = {s.labels.get("pipeline") for s in metrics.samples}
        return metrics if "copy" in names and metrics.sum("pipeline_lag_records", pipeline="copy") == 0 else None

    metrics = wait_until("everything is settled", 30, settled)
    assert metrics.sum("pipeline_records_lost_total", pipeline="copy") == 1
    assert metrics.sum("ledger_imbalance", pipeline="copy") == 0
    files = list(server.bucket("out").rglob("*.json"))
    found = sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())
    assert found == [f"record-{n:03}" for n in range(SECONDS) if n != 2]
    assert len({f.parent.name for f in files}) > 16
