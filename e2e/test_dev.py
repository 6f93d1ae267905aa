"""`lakehead dev`: a newcomer sees files land within 15 seconds."""

import re
import time

import duckdb

from lakehead import BINARY
from processes import Process, free_port, wait_until


def test_dev_lands_readable_files_within_15_seconds_and_says_what_to_try(folder):
    data = folder / "data"
    port = free_port()
    begun = time.monotonic()
    process = Process([BINARY, "dev", "--data-dir", data, "--listen", f"127.0.0.1:{port}"], folder / "dev.log")
    try:
        def landed():
            assert process.running(), "`lakehead dev` ended"
            return [p for p in (data / "buckets").rglob("*") if p.suffix in (".parquet", ".json", ".gz")]

        files = wait_until("files land", 15, landed)
        print(f"first file after {time.monotonic() - begun:.1f} s")
        reader = "read_parquet" if files[0].suffix == ".parquet" else "read_json"
        rows = duckdb.sql(f"SELECT * FROM {reader}('{files[0]}')").fetchall()
        assert len(rows) > 0
        text = process.output.read_text()
        # What is printed must work here: the address, an ingest endpoint, the variables for wrangler.
        assert f"127.0.0.1:{port}" in text
        assert re.search(rf"http://127\.0\.0\.1:{port}/ingest/[0-9a-f]{{32}}", text), text
        assert "lakehead env" in text, text
    except AssertionError as error:
        raise AssertionError(f"{error}\n{process.tail()}") from None
    finally:
        process.kill()
