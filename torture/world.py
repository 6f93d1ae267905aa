"""Everything a run is done to: the server, the store and the proxy before it, the disk, and the resources of the pipelines."""

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import httpx

from catalogs import Lake, create_table_sink, enable
from lakehead import Server
from processes import wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Seaweed
from torture.outlets import EDITED, FORMATS, LOCAL, OUTLETS, REMOTE, ROLLING, BULKY, SQL, TABLES, edited_sql
from torture.proxy import Proxy
from torture.records import SCHEMA
from torture.volume import Volume

SETTINGS = "[log]\nquota_bytes = 402653184\nsegment_bytes = 16777216\nretention_seconds = 20\n" + (
    # Snapshots expire and files are compacted all the while.
    "[tables]\nroll_interval_seconds_min = 1\nupkeep_interval_seconds = 2\nsnapshots_max = 20\nmanifests_max = 20\n"
    "readers_grace_seconds = 5\n"
)
STOP_SECONDS = 40
# The kind of descriptor whose number depends on how much is in the log.
SEGMENTS = "segments of the log"


class Product(Server):
    """`lakehead serve`, with its data in a place of its own, and a count of its violent ends."""

    def __init__(self, folder: Path, data_dir: Path, configuration: str):
        super().__init__(folder, configuration)
        self.data_dir = data_dir
        self.kills = 0

    def spawn_once(self, runner: list[str] = (), variables: dict[str, str] | None = None):
        """Starts without waiting, for this life under another program or with other variables."""
        self.runner, self.variables = list(runner), variables or {}
        self.spawn()
        self.runner, self.variables = [], {}

    def kill(self):
        if self.process.running():
            super().kill()
            self.kills += self.process.child.returncode == -signal.SIGKILL

    def exit_status(self, within: float) -> int | None:
        """The status with which it ends by itself, `None` if it does not in time."""
        until = time.monotonic() + within
        while self.process.running() and time.monotonic() < until:
            time.sleep(0.02)
        return self.process.child.returncode

    def stop_in_time(self) -> int:
        """SIGTERM; the exit status."""
        self.signal_stop()
        status = self.exit_status(STOP_SECONDS)
        if status is None:
            self.kill()
            raise AssertionError(f"the server did not end within {STOP_SECONDS} s of SIGTERM")
        return status

    def resident_bytes(self) -> int:
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def descriptors(self) -> Counter[str]:
        """Its open file descriptors, by what they are: `socket`, or the name of a file; segments of the log are alike."""
        found: Counter[str] = Counter()
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue
            name = target.rsplit("/", 1)[-1] if target.startswith("/") else target.split(":")[0]
            found[SEGMENTS if ".seg" in name else name] += 1
        return found


class World:
    """Made once a run; `close` leaves nothing behind."""

    def __init__(self, folder: Path, seed: int, volume_bytes: int | None):
        self.folder = folder
        self.volume: Volume | None = None
        self.store: Seaweed | None = None
        self.proxy: Proxy | None = None
        self.server: Product | None = None
        self.version = 0
        try:
            self._build(seed, volume_bytes)
        except BaseException:
            self.close()
            raise

    def _build(self, seed: int, volume_bytes: int | None):
        disk = self.folder / "disk"
        if volume_bytes:
            self.volume = Volume(self.folder / "disk.img", disk, volume_bytes)
        else:
            disk.mkdir()
        self.store = Seaweed(self.folder / "store")
        self.store.create_bucket(REMOTE)
        self.proxy = Proxy(self.store.port, seed)
        settings = SETTINGS + (
            f"[buckets.{REMOTE}]\nendpoint = \"http://127.0.0.1:{self.proxy.port}\"\nregion = \"us-east-1\"\nbucket = \"{REMOTE}\"\n"
            f"access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n"
        )
        self.server = Product(self.folder / "server", disk / "data", settings)
        self.server.start()
        self._make_resources()

    def _make_resources(self):
        server = self.server
        self.streams = {True: server.create_stream("events", SCHEMA), False: server.create_stream("raw")}
        self.lake: Lake = enable(server, TABLES)
        server.call("POST", f"r2-catalog/{TABLES}/maintenance-configs", {"compaction": {"state": "enabled", "target_size_mb": "64"}})
        for outlet in OUTLETS:
            if outlet.bucket == TABLES:
                create_table_sink(server, outlet.sink, TABLES, outlet.sink, format=FORMATS[outlet.sink], rolling_policy={
                    key: value for key, value in ROLLING.items() if key != "inactivity_seconds"})
                continue
            policy = BULKY if outlet.sink == "bulk" else ROLLING
            server.create_sink(outlet.sink, outlet.bucket, FORMATS[outlet.sink], path=outlet.sink, rolling_policy=policy)
        self.pipelines = {name: server.create_pipeline(name, sql) for name, sql in SQL.items()}
        self.version = 1
        self.pipelines[EDITED] = server.create_pipeline(EDITED, edited_sql(1))

    @property
    def targets(self) -> dict[bool, str]:
        """Where producers post, for typed records and the others."""
        return {typed: f"/ingest/{stream['id']}" for typed, stream in self.streams.items()}

    def edit(self):
        """The next version of the pipeline that is edited."""
        body = {"sql": edited_sql(self.version + 1)}
        self.server.call("PATCH", f"pipelines/v1/pipelines/{self.pipelines[EDITED]['id']}", body)
        self.version += 1

    def ledger(self, pipeline: str) -> dict[str, int]:
        return self.server.ledger(pipeline)

    def lag(self) -> dict[str, int]:
        """Records that are not settled yet, of each pipeline; what is not answered counts as one."""
        try:
            return {name: self.ledger(name)["in_flight"] for name in self.pipelines}
        except (httpx.HTTPError, AssertionError):
            return {name: 1 for name in self.pipelines}

    def reasons(self) -> dict[str, str]:
        """Why pipelines fail, as far as they do."""
        found = {}
        for name, pipeline in self.pipelines.items():
            told = self.server.call("GET", f"pipelines/v1/pipelines/{pipeline['id']}")["result"]
            if told.get("failure_reason"):
                found[name] = told["failure_reason"]
        return found

    def wait_settled(self, within: float):
        """Until nothing is in flight in any pipeline, twice in a row."""
        try:
            for _ in range(2):
                wait_until("all pipelines have settled", within, lambda: not any(self.lag().values()), every=0.2)
                time.sleep(1.2)
            wait_until("all pipelines have settled", within, lambda: not any(self.lag().values()), every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; in flight {self.lag()}; reasons {self.reasons()}") from None

    # What is read in the end.

    def read_tables(self):
        """Reads every table through the server's catalog, while that runs, into a file for the judge."""
        for outlet in OUTLETS:
            if outlet.bucket == TABLES:
                self.table_file(outlet.sink).parent.mkdir(exist_ok=True)
                self.lake.duckdb().execute(f"COPY (SELECT * FROM lake.default.{outlet.sink}) TO '{self.table_file(outlet.sink)}'")

    def table_file(self, sink: str) -> Path:
        return self.folder / "tables" / f"{sink}.parquet"

    def files(self) -> dict[str, list[Path]]:
        """Every file of every sink; objects as copies."""
        copies = self.folder / "copies"
        self.store.download(REMOTE, copies)
        found = {}
        for outlet in OUTLETS:
            if outlet.bucket == TABLES:
                found[outlet.sink] = [self.table_file(outlet.sink)]
                continue
            root = (self.server.bucket(LOCAL) if outlet.bucket == LOCAL else copies) / outlet.sink
            found[outlet.sink] = sorted(path for path in root.rglob("*") if path.is_file())
        return found

    def visible_files(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file of the local bucket and of the dead letters."""
        found = {}
        for root in (self.server.bucket(LOCAL), self.server.data_dir / "dead_letters"):
            for path in root.rglob("*"):
                if path.is_file() and path.suffix != ".staging":
                    stat = path.stat()
                    found[str(path.relative_to(self.server.data_dir))] = (stat.st_size, stat.st_mtime_ns)
        return found

    def letters(self, pipeline: str, statement: int) -> Path:
        return self.server.data_dir / "dead_letters" / self.pipelines[pipeline]["id"] / str(statement)

    def left_over(self) -> list[str]:
        """Files that should be gone when everything is at rest."""
        staging = self.server.data_dir / "staging"
        found = [path for path in staging.rglob("*") if path.is_file()]
        found += (self.server.data_dir / "dead_letters").rglob("*.staging")
        return [str(path.relative_to(self.server.data_dir)) for path in found]

    def close(self, keep: bool = False):
        """Ends what was started and unmounts what was mounted; then the folder can go."""
        if self.server and self.server.process:
            # A stopped process dies of SIGKILL as well.
            self.server.process.kill()
        if self.server:
            self.server.http.close()
        if self.proxy:
            self.proxy.close()
        if self.store:
            self.store.process.kill()
        if self.volume:
            if keep and self.volume.mounted:
                shutil.copytree(self.volume.path, self.folder / "kept", symlinks=True, ignore=shutil.ignore_patterns("filler"))
            self.volume.close()
