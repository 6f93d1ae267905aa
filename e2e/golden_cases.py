"""The cases of the golden suite, as they lie in `golden/`, and what became of them.

    golden/{group}/schema.json        the stream's fields; without it the stream is unstructured
    golden/{group}/input.ndjson       the records, for all cases of the group; the stream is named like the group
    golden/{group}/{case}/query.sql   the SQL of one pipeline; it names its sinks, which no other case may use
    golden/{group}/{case}/expected.ndjson          the rows, as a sink writes them; of several sinks: expected.{sink}.ndjson
    golden/{group}/{case}/expected_dead.ndjson     position, stage and reason of each dead letter; no file: there are none
    golden/{group}/{case}/columns.json              for a Parquet sink, which the case then has: column -> type, as PyArrow names them

Rows are compared as a multiset, and with all that JSON tells apart: 1 is not 1.0, -0.0 is not 0.0, and columns have an order.
"""

import base64
import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent / "golden"
SINK = re.compile(r'^\s*INSERT\s+INTO\s+"?(\w+)"?', re.IGNORECASE | re.MULTILINE)


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split("\n")[:-1]


class Case:
    def __init__(self, folder: Path):
        self.folder, self.group, self.name = folder, folder.parent.name, folder.name
        self.sql = (folder / "query.sql").read_text(encoding="utf-8")
        self.sinks = list(dict.fromkeys(SINK.findall(self.sql)))
        types = folder / "columns.json"
        self.types = json.loads(types.read_text()) if types.exists() else None
        self.pipeline: dict = {}
        self.refusal: str | None = None

    def __repr__(self):
        return f"{self.group}/{self.name}"

    def expected(self, sink: str) -> list[dict]:
        name = "expected.ndjson" if len(self.sinks) == 1 else f"expected.{sink}.ndjson"
        return [json.loads(line) for line in lines(self.folder / name)]

    def expected_dead(self) -> list[dict]:
        file = self.folder / "expected_dead.ndjson"
        return [json.loads(line) for line in lines(file)] if file.exists() else []

    @property
    def format(self) -> dict:
        return {"type": "parquet"} if self.types else {"type": "json"}

    def rows(self, bucket: Path, sink: str) -> list[dict]:
        """What the sink's files hold, in the values that JSON knows."""
        files = sorted(path for path in (bucket / sink).rglob("*") if path.is_file())
        if not self.types:
            return [json.loads(line) for file in files for line in lines(file)]
        tables = [pq.ParquetFile(file).read() for file in files]
        for field in (field for table in tables for field in table.schema):
            if str(field.type) != self.types[field.name]:
                raise AssertionError(f"{field.name} is {field.type}, expected {self.types[field.name]}")
        return [plain(row) for table in tables for row in with_moments_as_text(table).to_pylist()]

    def letters(self, data: Path) -> list[dict]:
        """Its dead letters."""
        folder = data / "dead_letters" / self.pipeline["id"]
        return [json.loads(line) for file in folder.rglob("*.ndjson") for line in lines(file)]


class Group:
    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        schema = folder / "schema.json"
        self.schema = json.loads(schema.read_text()) if schema.exists() else None
        self.records = lines(folder / "input.ndjson")
        self.cases = [Case(query.parent) for query in sorted(folder.glob("*/query.sql"))]

    def part(self, number: int, of: int) -> list[str]:
        """One of several parts of the records, none of them empty."""
        count = len(self.records)
        return self.records[count * number // of:count * (number + 1) // of]


def groups() -> list[Group]:
    return [Group(folder) for folder in sorted(ROOT.iterdir()) if folder.is_dir()]


def with_moments_as_text(table: pa.Table) -> pa.Table:
    """The table with its columns of timestamps as JSON sinks write them: Python has no nanoseconds."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[field.type.unit]
            numbers = table[field.name].cast(pa.int64()).to_pylist()
            table = table.set_column(index, field.name, pa.array([n if n is None else moment(n, digits) for n in numbers]))
    return table


def moment(number: int, digits: int) -> str:
    """A number of units since 1970, of which a second has `10^digits`, in the form of RFC 3339."""
    seconds, fraction = divmod(number, 10**digits)
    text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
    return f"{text}.{fraction:0{digits}}Z" if digits else f"{text}Z"


def plain(value):
    """A value of PyArrow as the value of JSON that stands for it."""
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            return value


def differences(found: list[dict], expected: list[dict]) -> list[str]:
    """What differs between two multisets of rows, by column where one id says which rows belong together."""
    counted: dict[str, int] = {}
    for rows, sign in ((found, 1), (expected, -1)):
        for row in rows:
            text = json.dumps(row, ensure_ascii=False)
            counted[text] = counted.get(text, 0) + sign
    extra = [json.loads(text) for text, count in sorted(counted.items()) for _ in range(count)]
    missing = [json.loads(text) for text, count in sorted(counted.items()) for _ in range(-count)]
    said = []
    for row in list(missing):
        pairs = [other for other in extra if "id" in row and other.get("id") == row["id"] and list(other) == list(row)]
        if len(pairs) == 1:
            said += [
                f"id {row['id']}: {column} is {json.dumps(pairs[0][column], ensure_ascii=False)},"
                f" expected {json.dumps(value, ensure_ascii=False)}"
                for column, value in row.items() if json.dumps(pairs[0][column]) != json.dumps(value)
            ]
            missing.remove(row)
            extra.remove(pairs[0])
    said += [f"missing: {json.dumps(row, ensure_ascii=False)}" for row in missing]
    return said + [f"not expected: {json.dumps(row, ensure_ascii=False)}" for row in extra]
