"""The judge: reads all output with DuckDB, and holds it against what the oracle says is owed.

Everything is read from files, as somebody would who knows the product only by its output: the local folder, copies of the S3 objects
that were fetched past the proxy, and the dead letters.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from torture.oracle import Oracle
from torture.outlets import Outlet
from torture.records import text

SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """Something that must not be. `kind` is one word for those who count, `text` says all that is known."""

    kind: str
    text: str

    def __str__(self):
        return f"{self.kind}: {self.text}"


class Judge:
    """Of one run. `around(stream, moment)` says which positions were given out about then."""

    def __init__(self, oracle: Oracle, outlets: list[Outlet], around=lambda stream, moment: "", scratch: Path | None = None):
        self.oracle, self.outlets, self.around = oracle, outlets, around
        self.findings: list[Finding] = []
        self.delivered: dict[str, int] = {}
        self.letters: dict[str, int] = {}
        self.database = duckdb.connect()
        self.database.execute("SET TimeZone = 'UTC'; SET memory_limit = '4GB'; SET preserve_insertion_order = false")
        if scratch:
            self.database.execute(f"SET temp_directory = '{scratch}'")
        oracle.tell(self.database)

    def find(self, kind: str, text: str):
        self.findings.append(Finding(kind, text))

    def rows(self, sql: str) -> list[tuple]:
        return self.database.execute(sql).fetchall()

    # Reading.

    def read(self, outlet: Outlet, files: list[Path]):
        """Makes the table `out_{sink}`: id, file, and which columns are wrong. Files that cannot be read are findings."""
        table = f"out_{outlet.sink}"
        names = [name for name in outlet.columns if name != "id"]
        came = ", ".join(f"{name} AS out_{name}" for name in names)
        right = ", ".join(f"out_{name} IS NOT DISTINCT FROM ({outlet.columns[name][1]}) AS {name}_right" for name in names)
        wrong = " || ".join(f"CASE WHEN {name}_right THEN '' ELSE ' {name}' END" for name in names)
        self.database.execute(f"CREATE TABLE {table} (id VARCHAR, file VARCHAR, wrong VARCHAR)")
        for start in range(0, len(files), 50):
            self._read_some(outlet, files[start:start + 50], f"""
                INSERT INTO {table} WITH came AS (SELECT id AS out_id, filename AS file, {came} FROM {{reader}}),
                compared AS (SELECT out_id, file, {right} FROM came LEFT JOIN issued ON out_id = issued.id)
                SELECT out_id, file, {wrong} FROM compared
            """)

    def _read_some(self, outlet: Outlet, files: list[Path], sql: str):
        try:
            self.database.execute(sql.format(reader=_reader(outlet, files)))
        except duckdb.Error as error:
            if len(files) == 1:
                self.find("unreadable", f"{outlet.sink}: {files[0]}: {error}")
                return
            for file in files:
                self._read_some(outlet, [file], sql)

    def read_letters(self, outlet: Outlet, folder: Path):
        """Makes the table `letters_{sink}` of the dead letters below `folder`."""
        table = f"letters_{outlet.sink}"
        self.database.execute(
            f"CREATE TABLE {table} (position BIGINT, stage VARCHAR, reason VARCHAR, record VARCHAR, file VARCHAR, id VARCHAR)"
        )
        files = sorted(folder.rglob("*.ndjson"))
        if files:
            columns = "{position: 'BIGINT', stage: 'VARCHAR', reason: 'VARCHAR', record: 'VARCHAR'}"
            self.database.execute(
                f"INSERT INTO {table} SELECT position, stage, reason, record, filename, record->>'$.id' "
                f"FROM read_json({_list(files)}, format = 'newline_delimited', columns = {columns}, filename = true)"
            )

    # Holding against the oracle.

    def hold(self, outlet: Outlet):
        """All that is owed to one outlet, and nothing else."""
        sink = outlet.sink
        self.delivered[sink] = self.rows(f"SELECT count(*) FROM out_{sink}")[0][0]
        self.letters[sink] = self.rows(f"SELECT count(*) FROM letters_{sink}")[0][0]
        self.database.execute(f"""
            CREATE TABLE fates_{sink} AS SELECT id, request, outcome, pads, CASE
                WHEN poison IS NOT NULL THEN poison
                WHEN NOT ({outlet.wanted}) THEN 'filtered'
                WHEN {outlet.fails} THEN 'transform_error'
                ELSE 'delivered' END AS fate
            FROM issued WHERE stream = '{outlet.stream}'
        """)
        self.database.execute(f"""
            CREATE TABLE found_{sink} AS SELECT id, count(*) AS times, list(DISTINCT what) AS whats, list(DISTINCT file) AS files FROM (
                SELECT id, 'delivered' AS what, file FROM out_{sink} UNION ALL SELECT id, reason, file FROM letters_{sink}
            ) GROUP BY id
        """)
        self.report("never issued", sink, f"""
            SELECT o.id, NULL, NULL, o.files FROM found_{sink} o ANTI JOIN fates_{sink} f ON o.id = f.id
        """)
        self.report("lost", sink, f"""
            SELECT f.id, f.request, f.fate, NULL FROM fates_{sink} f ANTI JOIN found_{sink} o ON o.id = f.id
            WHERE outcome = 'acked' AND fate <> 'filtered'
        """)
        self.report("twice", sink, f"""
            SELECT o.id, f.request, f.fate, o.files FROM found_{sink} o JOIN fates_{sink} f ON o.id = f.id WHERE times > 1
        """)
        self.report("refused but stored", sink, f"""
            SELECT o.id, f.request, f.fate, o.files FROM found_{sink} o JOIN fates_{sink} f ON o.id = f.id WHERE outcome = 'refused'
        """)
        self.report("wrong fate", sink, f"""
            SELECT o.id, f.request, f.fate || ' but ' || array_to_string(whats, ','), o.files
            FROM found_{sink} o JOIN fates_{sink} f ON o.id = f.id WHERE times = 1 AND whats <> [fate]
        """)
        self.report("altered", sink, f"""
            SELECT o.id, f.request, 'wrong:' || o.wrong, [o.file] FROM out_{sink} o JOIN fates_{sink} f ON o.id = f.id
            WHERE o.wrong <> ''
        """)
        self.report("torn", sink, f"""
            WITH owed AS (
                SELECT f.request, f.id, o.id IS NOT NULL AS there FROM fates_{sink} f LEFT JOIN found_{sink} o ON o.id = f.id
                WHERE outcome = 'unknown' AND fate <> 'filtered'
            ), torn AS (SELECT request FROM owed GROUP BY request HAVING bool_or(there) AND NOT bool_and(there))
            SELECT id, request, 'a request that came out in part', NULL FROM owed JOIN torn USING (request) WHERE NOT there
        """)
        self.hold_letters(outlet)

    def hold_letters(self, outlet: Outlet):
        """A dead letter holds the record as it was sent."""
        letters = self.rows(
            f"SELECT l.id, l.record, l.stage, l.reason, l.file, f.pads, f.request FROM letters_{outlet.sink} l "
            f"JOIN fates_{outlet.sink} f ON l.id = f.id"
        )
        for id, record, stage, reason, file, pads, request in letters:
            if record != text(id, pads, outlet.stream == "events"):
                self.find("altered", f"dead letter of {id} in {file} is not what was sent in {self.about(request)}")
            if (stage == "transform") != (reason == "transform_error"):
                self.find("wrong fate", f"dead letter of {id} in {file}: stage {stage} with reason {reason}")

    def hold_together(self, stream: str):
        """A record of unknown outcome is in every outlet of its stream or in none; how many records of the stream are stored."""
        sinks = [outlet.sink for outlet in self.outlets if outlet.stream == stream]
        votes = " UNION ALL ".join(
            f"SELECT f.id, f.request, o.id IS NOT NULL AS there FROM fates_{s} f LEFT JOIN found_{s} o ON o.id = f.id "
            f"WHERE fate <> 'filtered'" for s in sinks
        )
        self.database.execute(f"""
            CREATE TABLE stored_{stream} AS SELECT id, any_value(request) AS request, bool_or(there) AS anywhere, bool_and(there) AS everywhere
            FROM ({votes}) GROUP BY id
        """)
        self.report("outlets disagree", stream, f"""
            SELECT s.id, s.request, 'in some outlets only', NULL FROM stored_{stream} s JOIN requests r USING (request)
            WHERE anywhere AND NOT everywhere AND r.outcome = 'unknown'
        """)
        return self.rows(f"SELECT count(*) FROM stored_{stream} WHERE anywhere")[0][0]

    def hold_ledger(self, pipeline: str, ledger: dict[str, int], stored: int):
        """The account at rest is what was found in files. `stored`: records of its stream."""
        sinks = [outlet.sink for outlet in self.outlets if outlet.pipeline == pipeline]
        expected = {
            "accepted": stored * len(sinks),
            "delivered": sum(self.delivered[s] for s in sinks),
            "dead_lettered": sum(self.letters[s] for s in sinks),
            "in_flight": 0,
        }
        expected["filtered"] = expected["accepted"] - expected["delivered"] - expected["dead_lettered"]
        if {name: ledger[name] for name in expected} != expected:
            self.find("ledger", f"{pipeline} says {ledger}, the files say {expected}")

    # Saying it.

    def about(self, request: int | None) -> str:
        """What is known of a request."""
        if request is None:
            return "no request"
        r = self.oracle.requests[request]
        stream = "events" if r.batch.typed else "raw"
        moment = time.strftime("%H:%M:%S", time.localtime(r.at)) + f"{r.at % 1:.3f}"[1:] if r.at else "never"
        return (
            f"request {request} of producer {r.batch.producer} ({r.batch.count} records, {r.outcome} at {moment} after {r.tries} tries"
            f"{', key ' + r.key if r.key else ''}; {self.around(stream, r.at or r.began)})"
        )

    def report(self, kind: str, where: str, sql: str):
        """A finding for what `sql` yields: id, request, fate, files."""
        self.database.execute(f"CREATE OR REPLACE TEMP TABLE culprits AS SELECT * FROM ({sql}) AS c(id, request, fate, files)")
        ((count, requests),) = self.rows("SELECT count(*), count(DISTINCT request) FROM culprits")
        if not count:
            return
        lines = [f"{where}: {count} records of {requests} requests"]
        examples = self.rows(f"SELECT any_value(id), request, count(*), any_value(fate), any_value(files) FROM culprits "
                             f"GROUP BY request ORDER BY request LIMIT {SHOWN}")
        for id, request, of_it, fate, files in examples:
            places = f"; in {', '.join(sorted(files)[:SHOWN])}" if files else ""
            lines.append(f"    {of_it}, e.g. {id} ({fate}) of {self.about(request)}{places}")
        self.find(kind, "\n".join(lines))


def _list(files: list[Path]) -> str:
    return "[" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "]"


def _reader(outlet: Outlet, files: list[Path]) -> str:
    """DuckDB's reader of the outlet's files; JSON is read with the types it must have."""
    if outlet.format == "parquet":
        return f"read_parquet({_list(files)}, hive_partitioning = false, filename = true)"
    types = ", ".join(f"{name}: '{type}'" for name, (type, _) in outlet.columns.items())
    return (
        f"read_json({_list(files)}, format = 'newline_delimited', columns = {{{types}}}, filename = true, hive_partitioning = false, "
        "maximum_object_size = 4194304)"
    )
