"""A dead sink: ingest goes on while the log has room, then refuses before it accepts; nothing acknowledged is given up."""

import hashlib

import duckdb

from processes import free_port, wait_until

QUOTA_BYTES = 64 << 20
SEGMENT_BYTES = 16 << 20
LOG = f"[log]\nquota_bytes = {QUOTA_BYTES}\nsegment_bytes = {SEGMENT_BYTES}\n\n"
RECORDS_PER_REQUEST = 4
PAD_BYTES = 500_000


def batch(start: int) -> bytes:
    """A request of 2 MB whose records say who they are."""
    records = []
    for i in range(start, start + RECORDS_PER_REQUEST):
        pad = hashlib.sha256(str(i).encode()).hexdigest() * (PAD_BYTES // 64)
        records.append(f'{{"id":{i},"pad":"{pad}"}}')
    return f"[{','.join(records)}]".encode()


def test_a_dead_sink_fills_the_log_and_everything_acknowledged_arrives_once_it_is_back(make_server, seaweed, folder):
    seaweed.create_bucket("dead-for-a-while")
    alive = LOG + seaweed.configuration("dead-for-a-while")
    dead = alive.replace(seaweed.endpoint, f"http://127.0.0.1:{free_port()}")
    server = make_server(alive).start()
    stream = server.create_stream("events", {"fields": [
        {"name": "id", "type": "int64", "required": True}, {"name": "pad", "type": "string", "required": True},
    ]})
    server.create_sink("files", "dead-for-a-while", {"type": "parquet"})
    server.create_pipeline("copy", "INSERT INTO files SELECT * FROM events")
    assert server.post(stream["id"], batch(0)).status_code == 200
    server.wait_delivered("copy", RECORDS_PER_REQUEST)
    assert server.stop() == 0

    server.configuration.write_text(dead)
    server.start()
    accepted, sent_bytes, refused = RECORDS_PER_REQUEST, 0, None
    while refused is None:
        body = batch(accepted)
        answer = server.post(stream["id"], body)
        if answer.status_code == 200:
            accepted += RECORDS_PER_REQUEST
            sent_bytes += len(body)
            assert sent_bytes < 2 * QUOTA_BYTES, "the quota holds nobody back"
        else:
            refused = answer
    assert refused.status_code in (429, 503), refused.text
    assert int(refused.headers["retry-after"]) > 0 and refused.json()["success"] is False
    assert sent_bytes > QUOTA_BYTES // 3, f"refused after {sent_bytes} of {QUOTA_BYTES} bytes"
    used = sum(f.stat().st_size for f in (server.data_dir / "log").rglob("*") if f.is_file())
    # One segment is prepared ahead, beyond the quota.
    assert sent_bytes <= used <= QUOTA_BYTES + SEGMENT_BYTES + (1 << 20), f"{used} bytes of log for {sent_bytes} of records"
    ledger = server.ledger("copy")
    assert ledger["delivered"] == RECORDS_PER_REQUEST
    server.kill()

    server.configuration.write_text(alive)
    server.start()
    assert server.wait_quiet("copy", at_least=accepted, within=60)["delivered"] == accepted
    # Delivered segments make room again, although they are younger than the retention.
    wait_until("there is room again", 30, lambda: server.post(stream["id"], batch(accepted)).status_code == 200, every=0.5)
    accepted += RECORDS_PER_REQUEST
    server.wait_delivered("copy", accepted)
    names = ", ".join(f"'{file}'" for file in seaweed.download("dead-for-a-while", folder / "copies"))
    rows = duckdb.sql(f"SELECT id, pad = repeat(sha256(id::VARCHAR), {PAD_BYTES // 64}) FROM read_parquet([{names}]) ORDER BY id")
    assert rows.fetchall() == [(i, True) for i in range(accepted)]
