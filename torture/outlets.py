"""The outlets: every statement that writes, where its files lie, and what it owes for a record."""

from dataclasses import dataclass

ROLLING = {"file_size_bytes": 400_000, "interval_seconds": 10, "inactivity_seconds": 1}
# More than one part of an upload (8 MiB).
BULKY = {"file_size_bytes": 10_000_000, "interval_seconds": 10, "inactivity_seconds": 5}
ROLL_SECONDS = 10
LOCAL, REMOTE = "here", "lake"
# A bucket with a catalog; its tables are read through that, into one file each.
TABLES = "tables"
EDITED = "edited"


@dataclass(frozen=True)
class Outlet:
    """One INSERT of a pipeline. Conditions and columns are DuckDB's SQL over the issued records (`oracle.py`)."""

    sink: str
    pipeline: str
    statement: int
    stream: str
    bucket: str
    format: str
    # What comes out: column -> (type as read, expected value).
    columns: dict[str, tuple[str, str]]
    wanted: str = "true"
    # Records whose evaluation fails, with `transform_error`.
    fails: str = "false"


ALL = {
    "id": ("VARCHAR", "id"), "n": ("BIGINT", "n"), "amount": ("DOUBLE", "amount"), "name": ("VARCHAR", "name"),
    "flag": ("BOOLEAN", "flag"), "made": ("BIGINT", "made"), "divisor": ("BIGINT", "divisor"), "tags": ("VARCHAR[]", "tags"),
    "pad": ("VARCHAR", "repeat(hash, pads::BIGINT)"), "seal": ("VARCHAR", "seal"),
}
SOME = {name: ALL[name] for name in ("id", "n", "seal")}
OUTLETS = [
    Outlet("raw_lines", "raw_copy", 0, "raw", LOCAL, "json", ALL),
    Outlet("bulk", "bulk_copy", 0, "raw", REMOTE, "json", ALL),
    Outlet("typed_files", "typed", 0, "events", REMOTE, "parquet", {
        **ALL, "made": ("TIMESTAMP", "make_timestamp(made * 1000)"), "doubled": ("BIGINT", "n * 2"),
        "quotient": ("BIGINT", "1000 // nullif(divisor, 0)"), "big": ("VARCHAR", "upper(name)"),
    }, wanted="n % 3 <> 0", fails="divisor = 0"),
    Outlet("split_yes", "split", 0, "events", LOCAL, "parquet", {**SOME, "tag": ("VARCHAR", "tags[2]")}, wanted="flag"),
    Outlet("split_all", "split", 1, "events", REMOTE, "json", {**SOME, "flag": ALL["flag"]}),
    Outlet("table_rows", "to_table", 0, "events", TABLES, "parquet", {**SOME, "made": (
        "TIMESTAMP WITH TIME ZONE", "make_timestamptz(made * 1000)"), "tags": ALL["tags"]}),
    Outlet("edited_files", EDITED, 0, "events", LOCAL, "json", SOME),
]
SQL = {
    "raw_copy": "INSERT INTO raw_lines SELECT * FROM raw",
    "bulk_copy": "INSERT INTO bulk SELECT * FROM raw",
    "typed": "INSERT INTO typed_files SELECT *, n * 2 AS doubled, 1000 / divisor AS quotient, upper(name) AS big "
             "FROM events WHERE n % 3 <> 0",
    "split": "INSERT INTO split_yes SELECT id, n, seal, tags[2] AS tag FROM events WHERE flag; "
             "INSERT INTO split_all SELECT id, n, seal, flag FROM events",
    "to_table": "INSERT INTO table_rows SELECT id, n, seal, made, tags FROM events",
}
FORMATS = {
    "raw_lines": {"type": "json", "unstructured": True, "compression": "gzip"},
    "bulk": {"type": "json", "unstructured": True},
    "typed_files": {"type": "parquet", "row_group_bytes": 65_536},
    "split_yes": {"type": "parquet", "compression": "snappy"},
    "split_all": {"type": "json"},
    "table_rows": {"type": "parquet", "row_group_bytes": 65_536},
    "edited_files": {"type": "json"},
}


def edited_sql(version: int) -> str:
    """The pipeline that is edited: each version writes its number."""
    return f"INSERT INTO edited_files SELECT id, n, seal, {version} AS version FROM events"
