"""When files end."""

import time

from lakehead import settle


def test_a_slow_stream_waits_for_the_interval_of_its_sink(server):
    stream = server.create_stream("events")
    policy = {"interval_seconds": 300}
    server.create_sink("lines", "out", {"type": "json", "unstructured": True}, rolling_policy=policy)
    server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    # Longer than a stretch without rows may stay uncommitted.
    time.sleep(11)
    for n in range(2):
        server.send(stream, [{"n": n}])
        settle(1.5)
    assert list(server.bucket("out").rglob("*.json")) == []
    assert server.stop() == 0
    (file,) = server.bucket("out").rglob("*.json")
    assert file.read_text() == '{"n":0}\n{"n":1}\n'
