"""Iceberg REST catalogs, as their users open them: with PyIceberg, DuckDB, ClickHouse and plain HTTP; and sinks that write
tables into them."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import duckdb_extensions
import httpx
import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

from clickhouse import clickhouse
from lakehead import Server
from load import SCHEMA, Copy
from processes import wait_until
from seaweed import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Seaweed

# The operator allows tables to be committed to every second.
QUICK_TABLES = "[tables]\nroll_interval_seconds_min = 1\n\n"
EVERY_SECOND = {"interval_seconds": 1}
# From here on are the ids of rows that somebody else adds to the table of a sink.
FOREIGN = 10**15


@dataclass
class Lake:
    """A catalog: where, which warehouse, by which token. `store`: the keys its users need for the store, if it hands out none."""

    uri: str
    warehouse: str
    token: str
    store: dict[str, str] = field(default_factory=dict)

    def pyiceberg(self, **more) -> RestCatalog:
        return RestCatalog("lake", **{"uri": self.uri, "warehouse": self.warehouse, "token": self.token, **self.store, **more})

    def table(self, namespace: str, name: str) -> Table:
        return self.pyiceberg().load_table((namespace, name))

    def duckdb(self, writes: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection with the catalog attached as `lake`."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for extension in ("httpfs", "avro", "iceberg"):
            duckdb_extensions.import_extension(extension, con=connection)
            connection.execute(f"LOAD {extension}")
        if self.store:
            connection.execute(
                f"CREATE SECRET store (TYPE s3, KEY_ID '{self.store['s3.access-key-id']}', "
                f"SECRET '{self.store['s3.secret-access-key']}', ENDPOINT '{self.store['s3.endpoint'].split('//')[1]}', "
                f"URL_STYLE 'path', USE_SSL false, REGION '{self.store['s3.region']}')")
        connection.execute(f"CREATE SECRET catalog (TYPE iceberg, TOKEN '{self.token}')")
        connection.execute(
            f"ATTACH '{self.warehouse}' AS lake (TYPE iceberg, ENDPOINT '{self.uri}', SECRET catalog, READ_ONLY {not writes})")
        return connection

    def clickhouse(self, *statements: str, vended: bool = False) -> list[pa.Table | None]:
        """Statements for a ClickHouse with the catalog as database `lake`. `vended`: the catalog hands out keys."""
        keys, settings = "", "" if vended else ", vended_credentials = 0"
        if self.store:
            keys = f", '{self.store['s3.access-key-id']}', '{self.store['s3.secret-access-key']}'"
            settings += f", storage_endpoint = '{self.store['s3.endpoint']}/{self.warehouse.removeprefix('s3://')}'"
        return clickhouse(
            f"CREATE DATABASE lake ENGINE = DataLakeCatalog('{self.uri}/v1'{keys}) SETTINGS catalog_type = 'rest', "
            f"warehouse = '{self.warehouse}', auth_header = 'Authorization: Bearer {self.token}'{settings}", *statements)[1:]

    def http(self, method: str, path: str, body=None, token: str | None = None, headers=None, **params) -> httpx.Response:
        """A request below `/v1`; one whose path begins with `~` below the prefix of the warehouse."""
        if path.startswith("~"):
            path = f"{self.prefix()}{path[1:]}"
        return httpx.request(
            method, f"{self.uri}/v1/{path}", json=body, params=params, timeout=30, trust_env=False,
            headers={"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})},
        )

    def prefix(self) -> str:
        answer = self.http("GET", "config", warehouse=self.warehouse)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return answer.json()["overrides"]["prefix"]


def enable(server: Server, bucket: str) -> Lake:
    """Gives a bucket of the server a catalog, as wrangler does it; makes the bucket if the configuration names none like it."""
    if bucket not in [found["name"] for found in server.call("GET", "r2/buckets")["result"]["buckets"]]:
        server.call("POST", "r2/buckets", {"name": bucket})
    name = server.call("POST", f"r2-catalog/{bucket}/enable")["result"]["name"]
    assert name == f"{server.account}_{bucket}"
    return Lake(f"{server.url}/catalog", name, server.token)


def seaweed_lake(store: Seaweed, warehouse: str) -> Lake:
    """A new warehouse in SeaweedFS's catalog, which hands out no keys."""
    store.create_warehouse(warehouse)
    answer = httpx.post(f"{store.catalog_uri}/v1/oauth/tokens", trust_env=False, data={
        "grant_type": "client_credentials", "client_id": ACCESS_KEY_ID, "client_secret": SECRET_ACCESS_KEY, "scope": "catalog",
    })
    assert answer.status_code == 200, answer.text
    return Lake(store.catalog_uri, f"s3://{warehouse}", answer.json()["access_token"], {
        "s3.endpoint": store.endpoint, "s3.access-key-id": ACCESS_KEY_ID, "s3.secret-access-key": SECRET_ACCESS_KEY,
        "s3.region": "us-east-1", "s3.path-style-access": "true",
    })


def external_catalog(store: Seaweed, warehouse: str, token: str | None = None, uri: str | None = None) -> str:
    """The sections of the server's configuration that put a bucket of the warehouse's name there, tables and all; with the
    store's keys as an OAuth client, or with a token. `uri`: of something in between."""
    who = f"token = \"{token}\"\n" if token else (
        f"client_id = \"{ACCESS_KEY_ID}\"\nclient_secret = \"{SECRET_ACCESS_KEY}\"\n")
    return (f"{store.configuration(warehouse)}\n[buckets.{warehouse}.catalog]\nuri = \"{uri or store.catalog_uri}\"\n"
            f"warehouse = \"s3://{warehouse}\"\n{who}\n")


def create_table_sink(server: Server, name: str, bucket: str, table: str, namespace: str = "default", type: str = "r2_data_catalog",
                      format: dict | None = None, **config) -> dict:
    return server.call("POST", "pipelines/v1/sinks", {
        "name": name, "type": type, "format": {"type": "parquet", **(format or {})},
        "config": {
            "bucket": bucket, "namespace": namespace, "table_name": table, "token": server.token,
            **({"rolling_policy": EVERY_SECOND} | config),
        },
    })["result"]


class TableCopy(Copy):
    """A stream that a pipeline copies into the table `default.events` of a bucket's catalog."""

    def __init__(self, server: Server, lake: Lake, bucket: str, format: dict | None = None, schema: dict = SCHEMA, **config):
        self.server, self.lake, self.bucket = server, lake, bucket
        self.stream = server.create_stream("events", schema)
        self.sink = create_table_sink(server, "files", bucket, "events", format=format, **config)
        self.pipeline: dict = {}
        self.begin()
        self.loads, self.sent = [], set()

    def table(self) -> Table:
        return self.lake.table("default", "events")

    def wait_table(self, within: float = 30) -> Table:
        """Waits until the table exists."""
        catalog = self.lake.pyiceberg()
        wait_until("the table exists", within, lambda: catalog.table_exists(("default", "events")), every=0.2)
        return self.table()

    def files(self) -> list[str]:
        """The locations of the data files of the table as it is."""
        return [task.file.file_path for task in self.table().scan().plan_files()]

    def rows(self) -> list[dict]:
        """As DuckDB reads them; without those that `foreign` writers have added."""
        found = self.lake.duckdb().execute(f"SELECT id, payload FROM lake.default.events WHERE id < {FOREIGN}").fetchall()
        return [{"id": id, "payload": text} for id, text in found]

    def finish(self, within: float = 60) -> list[dict]:
        rows = super().finish(within)
        table = self.table()
        counted = self.lake.duckdb().execute("SELECT count(*), count(DISTINCT id) FROM lake.default.events").fetchone()
        assert counted[0] == counted[1] == total_records(table), (counted, total_records(table))
        return rows


def foreign_rows(table: Table, ids) -> pa.Table:
    """Rows as somebody else would add them to the table of a `TableCopy`."""
    now = datetime.now(UTC)
    rows = [{"id": FOREIGN + i, "payload": "foreign", "__ingest_ts": now} for i in ids]
    return pa.Table.from_pylist(rows, schema=table.schema().as_arrow())


def total_records(table: Table) -> int:
    snapshot = table.current_snapshot()
    return int(snapshot.summary["total-records"]) if snapshot else 0


def microseconds(moment: datetime) -> int:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def comparable(value):
    """The same for equal values of any reader: text and bytes are bytes, moments microseconds, whole decimals integers."""
    match value:
        case str():
            return value.encode()
        case datetime():
            return microseconds(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else value
        case dict():
            return {name: comparable(item) for name, item in value.items()}
        case list():
            return [comparable(item) for item in value]
        case _:
            return value


def rows_by(answer: pa.Table, key: str) -> dict:
    """The rows by a column that tells them apart, each value as `comparable` makes it."""
    rows = [comparable(row) for row in answer.to_pylist()]
    found = {row[key]: row for row in rows}
    assert len(found) == len(rows), json.dumps([row[key] for row in rows])
    return found
