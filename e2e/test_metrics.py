"""What /metrics says of what is there, and no longer of what is gone."""

import legacy
from processes import wait_until


def test_a_deleted_pipeline_is_shown_no_more(server):
    stream = server.create_stream("events")
    server.create_sink("lines", "out", {"type": "json", "unstructured": True})
    pipeline = server.create_pipeline("copy", "INSERT INTO lines SELECT * FROM events")
    legacy.create(server, "older", "my-bucket")
    server.send(stream, [{"n": 1}])
    server.wait_delivered("copy", 1)

    def gauges() -> set[str]:
        """Names of streams and pipelines that have gauges."""
        states = [s for s in server.metrics().samples if s.name.startswith(("pipeline_lag", "pipeline_failing", "log_next"))]
        return {value for s in states for value in s.labels.values()}

    wait_until("both are shown", 5, lambda: gauges() == {"copy", "events", "legacy:older"})
    server.call("DELETE", f"pipelines/v1/pipelines/{pipeline['id']}")
    server.call("DELETE", "pipelines/older")
    wait_until("neither is shown", 5, lambda: gauges() == {"events"})
