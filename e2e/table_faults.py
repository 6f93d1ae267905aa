"""Servers that write a table while something is wrong: with a proxy before a catalog elsewhere and one before its store; and what
others do to the table meanwhile."""

import itertools
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from catalogs import FOREIGN, QUICK_TABLES, Lake, TableCopy, enable, foreign_rows, seaweed_lake
from fault_proxy import Call, Fault, FaultProxy
from lakehead import Server
from load import ROUNDS
from seaweed import Seaweed
from test_audit import audit

# The catalogs that a server can be told to use: SeaweedFS's, and the one that another Lakehead serves.
KINDS = ["seaweed", "lakehead"]
# Where one of them is enough for the short form of the tests.
LONG_KINDS = KINDS if ROUNDS > 1 else KINDS[:1]
# A commit as soon as there is something to commit.
AT_ONCE = {"interval_seconds": 1, "file_size_bytes": 10}
WATERMARK = "lakehead.watermark."
NUMBERS = itertools.count(1)


def is_commit(call: Call) -> bool:
    return call.kind == "post" and call.key.endswith(("/tables/events", "/transactions/commit"))


def is_data_file(call: Call) -> bool:
    return call.kind == "put" and call.key.endswith(".parquet")


@dataclass
class Once:
    """A rule: plays a fault with the first wanted call, or has the test do something just before the store sees it."""

    wanted: Callable[[Call], bool]
    fault: Fault | None = None
    before: Callable[[Call], None] | None = None
    times: int = 1
    played: int = 0
    failed: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> Fault | None:
        if self.played >= self.times or not self.wanted(call):
            return None
        self.played += 1
        if self.before:
            noting(self.failed, self.before)(call)
        return self.fault

    def check(self):
        assert self.played == self.times, f"played {self.played} of {self.times} times"
        assert not self.failed, self.failed[0]


def noting(failed: list[str], work: Callable) -> Callable:
    """The same, for a thread whose errors nobody would see."""

    def run(*arguments):
        try:
            work(*arguments)
        except Exception:
            failed.append(traceback.format_exc())

    return run


@dataclass
class Faulty:
    """A table that a server writes, with what is between the two."""

    copy: TableCopy
    # None: the server's own.
    catalog: FaultProxy | None
    # None: a folder.
    store: FaultProxy | None
    # The server whose catalog it is, if that is another one.
    host: Server | None = None

    def heal(self):
        for proxy in (self.catalog, self.store):
            if proxy:
                proxy.rule = lambda call: None

    def data_files(self) -> set[str]:
        """Keys of the data files that are in the table's folder, whether they are the table's or not."""
        keys = [path.split("?")[0] for path in self.objects()]
        return {key for key in keys if key.endswith(".parquet") and "/data/" in key}

    def objects(self) -> list[str]:
        if self.store:
            return self.copy.store_keys()
        folder = self.copy.server.bucket(self.copy.bucket)
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]

    def check_nothing_is_left_over(self):
        """Every data file in the folder is in the table: what was tried again was not written again."""
        within = {path.split(f"/{self.copy.bucket}/", 1)[1] for path in self.copy.files()}
        assert self.data_files() == within, (sorted(self.data_files() - within), sorted(within - self.data_files()))


class Tables:
    """Makes tables for one test."""

    def __init__(self, make_server, seaweed: Seaweed):
        self.make_server, self.seaweed = make_server, seaweed
        self.proxies: list[FaultProxy] = []
        self.buckets: list[str] = []

    def proxy(self, endpoint: str) -> FaultProxy:
        self.proxies.append(FaultProxy(endpoint))
        return self.proxies[-1]

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        for bucket in self.buckets:
            self.seaweed.delete_bucket(bucket)

    def far(self, kind: str, configuration: str = "", sinks_token: bool = False, request_seconds: int = 20, **more) -> Faulty:
        """In a catalog elsewhere. `sinks_token`: the catalog is asked with the token that was given with the sink."""
        more.setdefault("rolling_policy", AT_ONCE)
        bucket = f"faulty{next(NUMBERS)}"
        host, store = None, self.proxy(self.seaweed.endpoint)
        if kind == "seaweed":
            lake = seaweed_lake(self.seaweed, bucket)
        else:
            host, lake = self.hosted(bucket, store)
        catalog = self.proxy(lake.uri.removesuffix("/catalog"))
        uri = lake.uri.replace(lake.uri.removesuffix("/catalog"), catalog.endpoint)
        place = self.place(bucket, store)
        who = "" if sinks_token else f"token = \"{lake.token}\"\n"
        place += f"[buckets.{bucket}.catalog]\nuri = \"{uri}\"\nwarehouse = \"{lake.warehouse}\"\nrequest_seconds = {request_seconds}\n{who}\n"
        server = self.make_server(QUICK_TABLES + configuration + place, f"server-of-{bucket}").start()
        copy = TableCopy(server, lake, bucket, **({"token": lake.token} if sinks_token else {}), **more)
        copy.store_keys = lambda: self.seaweed.keys(bucket)
        return Faulty(copy, catalog, store, host)

    def place(self, bucket: str, store: FaultProxy) -> str:
        return self.seaweed.configuration(bucket).replace(self.seaweed.endpoint, store.endpoint)

    def bucket(self) -> str:
        self.buckets.append(f"faulty{next(NUMBERS)}")
        self.seaweed.create_bucket(self.buckets[-1])
        return self.buckets[-1]

    def hosted(self, bucket: str, store: FaultProxy) -> tuple[Server, Lake]:
        """Another server's own catalog, of a bucket in the store, whose keys it hands out."""
        self.seaweed.create_bucket(bucket)
        self.buckets.append(bucket)
        host = self.make_server(self.place(bucket, store), f"host-of-{bucket}").start()
        return host, enable(host, bucket)

    def near(self, configuration: str = "", in_store: bool = False, **more) -> Faulty:
        """In the server's own catalog; in a folder, or in the store."""
        more.setdefault("rolling_policy", AT_ONCE)
        if not in_store:
            server = self.make_server(QUICK_TABLES + configuration).start()
            return Faulty(TableCopy(server, enable(server, "faulty"), "faulty", **more), None, None)
        bucket, store = self.bucket(), self.proxy(self.seaweed.endpoint)
        server = self.make_server(QUICK_TABLES + configuration + self.place(bucket, store), f"server-of-{bucket}").start()
        copy = TableCopy(server, enable(server, bucket), bucket, **more)
        copy.store_keys = lambda: self.seaweed.keys(bucket)
        return Faulty(copy, None, store)

    def of(self, where: str, **more) -> Faulty:
        """`embedded`, `embedded in a store`, or one of `KINDS`."""
        if where in KINDS:
            return self.far(where, **more)
        return self.near(in_store=where != "embedded", **more)


# What others do. Each is tried again when our server was first.


def change(copy: TableCopy, work: Callable[[Table], object], tries: int = 100):
    """Changes the table as it is."""
    for _ in range(tries):
        try:
            return work(copy.table())
        except CommitFailedException:
            continue
    raise AssertionError(f"no commit in {tries} tries")


def append(copy: TableCopy, *ids: int):
    change(copy, lambda table: table.append(foreign_rows(table, ids)))


def compact(copy: TableCopy):
    """Replaces all files by one, as maintenance by others does."""
    change(copy, lambda table: table.overwrite(table.scan().to_arrow()))


def compact_by_duckdb(copy: TableCopy):
    """Rewrites every row by an update; needs foreign rows. Our rows stay, theirs are written anew."""
    lake = copy.lake.duckdb(writes=True)
    lake.execute(f"UPDATE lake.default.events SET payload = payload || '.' WHERE id >= {FOREIGN}")


def expire(copy: TableCopy, keep: int = 1):
    """Ends all snapshots but the newest."""

    def work(table: Table):
        ids = [s.snapshot_id for s in sorted(table.snapshots(), key=lambda s: s.sequence_number)]
        if ids[:-keep]:
            table.maintenance.expire_snapshots().by_ids(ids[:-keep]).commit()

    change(copy, work)


def watermarks(copy: TableCopy) -> dict[str, str]:
    return {key: value for key, value in copy.table().properties.items() if key.startswith(WATERMARK)}


def set_properties(copy: TableCopy, properties: dict[str, str | None]):
    """None: removes it."""

    def work(table: Table):
        with table.transaction() as transaction:
            if gone := [key for key, value in properties.items() if value is None]:
                transaction.remove_properties(*gone)
            if there := {key: value for key, value in properties.items() if value is not None}:
                transaction.set_properties(there)

    change(copy, work)


def foreign_ids(copy: TableCopy) -> list[int]:
    found = copy.lake.duckdb().execute(f"SELECT id FROM lake.default.events WHERE id >= {FOREIGN}").fetchall()
    return sorted(id - FOREIGN for (id,) in found)


def ours(copy: TableCopy) -> list[int]:
    """The snapshots that a server of ours has made, oldest first."""
    found = [s for s in copy.table().snapshots() if s.summary and "lakehead.pipeline" in s.summary.additional_properties]
    return [s.snapshot_id for s in sorted(found, key=lambda s: s.sequence_number)]


def agrees(copy: TableCopy):
    """The server's own recount finds nothing."""
    told = audit(copy.server, "copy")
    assert told.returncode == 0, f"{told.returncode}\n{told.stdout}\n{told.stderr}"


def goes_on_taking(copy: TableCopy, count: int = 5):
    """Ingest does not mind what the pipeline has."""
    copy.send(count)


def beside(work: Callable[[threading.Event], None]) -> tuple[threading.Thread, threading.Event, list[str]]:
    """Runs something until its event is set; what went wrong in it."""
    ended, failed = threading.Event(), []
    thread = threading.Thread(target=noting(failed, work), args=(ended,), daemon=True)
    thread.start()
    return thread, ended, failed
