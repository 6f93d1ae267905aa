"""ClickHouse as a library, each time in a process of its own: it keeps one state per process, and takes half a gigabyte."""

import json
import subprocess
import sys

import pyarrow as pa

# Text and bytes are one type to it; as bytes, both come whole.
SETTINGS = ["SET allow_database_iceberg = 1", "SET allow_insert_into_iceberg = 1", "SET output_format_arrow_string_as_string = 0"]


class ClickHouseError(Exception):
    pass


def clickhouse(*statements: str) -> list[pa.Table | None]:
    """Runs the statements one after the other; what each answers."""
    # It reads files below its working folder only.
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps([*SETTINGS, *statements]).encode(), cwd="/", capture_output=True, timeout=120,
        check=False,
    )
    if done.returncode:
        raise ClickHouseError(done.stderr.decode(errors="replace"))
    answers, rest = [], done.stdout
    while rest:
        length, rest = int.from_bytes(rest[:8], "big"), rest[8:]
        answers.append(pa.ipc.open_stream(rest[:length]).read_all() if length else None)
        rest = rest[length:]
    return answers[len(SETTINGS):]


def main():
    from chdb.session import Session

    session = Session()
    for statement in json.load(sys.stdin):
        answer = session.query(statement, "ArrowStream").bytes() or b""
        sys.stdout.buffer.write(len(answer).to_bytes(8, "big") + answer)


if __name__ == "__main__":
    main()
