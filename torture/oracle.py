"""The oracle: one line for each request, and from these what every record's fate must be."""

import itertools
import threading
import time
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from torture.records import FIELDS, POISON_SQL, SEAL_SQL, Batch

NAMES = ["request", "producer", "first", "count", "pads", "stream", "outcome", "settled", "key", "tries"]
TYPES = [pa.int64(), pa.int32(), pa.int64(), pa.int32(), pa.int32(), pa.string(), pa.string(), pa.float64(), pa.string(), pa.int32()]
# What is known of a request.
ACKED, REFUSED, UNKNOWN = "acked", "refused", "unknown"


@dataclass
class Request:
    """A request and what was answered. `at` is the wall clock's second of the last word."""

    number: int
    batch: Batch
    key: str | None
    outcome: str = UNKNOWN
    at: float = 0.0
    began: float = 0.0
    tries: int = 0


@dataclass
class Oracle:
    """Collects from all producers."""

    run: str
    requests: list[Request] = field(default_factory=list)
    # Things no server should say or do, as text.
    complaints: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def issue(self, batch: Batch, key: str | None) -> Request:
        """Before the first byte of it is sent."""
        with self._lock:
            request = Request(next(self._numbers), batch, key, began=time.time())
            self.requests.append(request)
        return request

    def settle(self, request: Request, outcome: str):
        request.outcome, request.at = outcome, time.time()

    def complain(self, text: str):
        with self._lock:
            self.complaints.append(text)

    def count(self, what: str, by: int = 1):
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def acknowledged(self) -> int:
        return sum(request.outcome == ACKED for request in list(self.requests))

    def records(self, outcome: str, typed: bool | None = None) -> int:
        return sum(
            request.batch.count for request in list(self.requests)
            if request.outcome == outcome and typed in (None, request.batch.typed)
        )

    def tell(self, database: duckdb.DuckDBPyConnection):
        """Makes the tables `requests` and `issued`: every id that was ever sent, with its fields and its outcome."""
        database.execute(
            "CREATE TABLE requests (request BIGINT, producer INT, first BIGINT, count INT, pads INT, stream VARCHAR, "
            "outcome VARCHAR, settled DOUBLE, key VARCHAR, tries INT)"
        )
        rows = [
            (r.number, r.batch.producer, r.batch.first, r.batch.count, r.batch.pads, "events" if r.batch.typed else "raw",
             r.outcome, r.at, r.key, r.tries) for r in self.requests
        ]
        told = pa.Table.from_arrays([pa.array(column, type) for column, type in zip(zip(*rows), TYPES)], names=NAMES)
        database.register("told", told)
        database.execute("INSERT INTO requests SELECT * FROM told")
        database.unregister("told")
        fields = ", ".join(f"{sql} AS {name}" for name, sql in FIELDS.items())
        database.execute(f"""
            CREATE TABLE issued AS
            WITH numbers AS (
                SELECT request, producer, stream, outcome, pads, unnest(range(first, first + count)) AS number FROM requests
            ), ids AS (SELECT *, md5('{self.run}/' || producer || '/' || number) AS id FROM numbers),
            hashes AS (SELECT *, sha256(id) AS hash FROM ids),
            fields AS (SELECT *, {fields} FROM hashes)
            SELECT *, {SEAL_SQL} AS seal, CASE WHEN stream = 'events' THEN {POISON_SQL} END AS poison FROM fields
        """)
