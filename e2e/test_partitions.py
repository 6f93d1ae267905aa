"""Files lie where the ingest time of their records says."""

import json
import time

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
