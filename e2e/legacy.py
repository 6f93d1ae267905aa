"""Pipelines of the older product: what defines one, and the objects it writes, read by Python alone."""

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from processes import wait_until

DEFAULT_BATCH = {"max_bytes": 100_000_000, "max_duration_s": 300, "max_rows": 10_000_000}
# The shortest wait the product allows.
AT_ONCE = {"max_duration_s": 0.25}
SUFFIXES = {"none": "json", "gzip": "json.gz", "deflate": "json.deflate"}
ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEY = re.compile(
    rf"(?:(?P<prefix>.+)/)?event_date=(?P<date>\d{{4}}-\d\d-\d\d)/hr=(?P<hour>\d\d)/(?P<ulid>[{ULID_DIGITS}]{{26}})\.(?P<suffix>json.*)"
)


def definition(name: str, bucket: str, compression: str = "gzip", prefix: str | None = None, batch: dict | None = None,
               authentication: bool = False, origins: list[str] | None = None) -> dict:
    """The body of a create, as wrangler sends it."""
    http = {"type": "http", "format": "json", "authentication": authentication}
    return {
        "name": name, "metadata": {}, "transforms": [],
        "source": [{**http, "cors": {"origins": origins}} if origins else http, {"type": "binding", "format": "json"}],
        "destination": {
            "type": "r2", "format": "json", "compression": {"type": compression}, "batch": batch or {},
            "path": {"bucket": bucket, **({"prefix": prefix} if prefix else {})},
            "credentials": {
                "endpoint": "https://account.r2.cloudflarestorage.com", "access_key_id": "an-id", "secret_access_key": "hush-hush",
            },
        },
    }


def create(server, name: str, bucket: str, **more) -> dict:
    return server.call("POST", "pipelines", definition(name, bucket, **more))["result"]


def get(server, name: str) -> dict:
    return server.call("GET", f"pipelines/{name}")["result"]


def replace(server, pipeline: dict) -> dict:
    return server.call("PUT", f"pipelines/{pipeline['name']}", pipeline)["result"]


@dataclass
class Object:
    """One file of a pipeline."""

    key: str
    prefix: str | None
    compression: str
    lines: list[str]

    @property
    def records(self) -> list:
        return [json.loads(line) for line in self.lines]


def ulid_time(ulid: str) -> datetime:
    milliseconds = 0
    for digit in ulid[:10]:
        milliseconds = milliseconds * 32 + ULID_DIGITS.index(digit)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def read_object(bucket: Path, path: Path) -> Object:
    """Fails unless name, folder and content are what the product promises."""
    key = str(path.relative_to(bucket))
    match = KEY.fullmatch(key)
    assert match, f"not a key of the older product: {key}"
    now = datetime.now(UTC)
    hour = datetime.fromisoformat(f"{match['date']}T{match['hour']}:00:00Z")
    assert now - timedelta(hours=2) < hour <= now, f"{key}, now {now}"
    assert now - timedelta(minutes=10) < ulid_time(match["ulid"]) <= now + timedelta(seconds=1), f"{key}, now {now}"
    compression = next((c for c, suffix in SUFFIXES.items() if suffix == match["suffix"]), None)
    assert compression, f"unknown ending: {key}"
    content = {"none": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress}[compression](path.read_bytes())
    assert content.endswith(b"\n") and b"\n\n" not in content, f"{key}: {content[-80:]!r}"
    return Object(key, match["prefix"], compression, content.decode().splitlines())


def objects(server, bucket: str) -> list[Object]:
    """Every file of a bucket of the server's own, oldest name first."""
    return objects_below(server.bucket(bucket))


def objects_below(folder: Path) -> list[Object]:
    """The same for any folder that holds a bucket's files."""
    return [read_object(folder, path) for path in sorted(folder.rglob("*"), key=lambda p: p.name) if path.is_file()]


def wait_records(server, bucket: str, count: int, within: float = 30) -> list[Object]:
    """Waits for `count` records in the bucket; more of them fail."""
    found: list[Object] = []

    def all_there():
        found[:] = objects(server, bucket)
        seen = sum(len(o.lines) for o in found)
        assert seen <= count, f"{seen} records in {bucket}, {count} were sent"
        return seen == count

    wait_until(f"{count} records in {bucket}", within, all_there)
    return found
