"""Columns of a table that others change while a server writes it: what no longer fits waits and says why, nothing is lost, and what
still fits goes on (D-10)."""

import pytest
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import DoubleType, FloatType, LongType, StringType

from catalogs import TableCopy
from lakehead import settle
from load import ROUNDS, SCHEMA, record
from processes import wait_until
from table_faults import LONG_KINDS, Once, agrees, change, is_commit

PLACES = ["embedded", *LONG_KINDS]
COLUMNS = {"fields": [
    *SCHEMA["fields"],
    {"name": "note", "type": "string"},
    {"name": "score", "type": "float64"},
    {"name": "visits", "type": "int32"},
]}


class Columns:
    """One update of the table's columns."""

    def __init__(self, copy: TableCopy):
        self.copy = copy

    def by(self, *steps):
        """Each step is an update of its own: a name may be given again after it was taken away."""
        for step in steps:
            def work(table, step=step):
                with table.update_schema(allow_incompatible_changes=True) as update:
                    step(update)
            change(self.copy, work)


# What others do, what puts it right, and the column.
MISFITS = {
    "dropped": ([lambda u: u.delete_column("note")], [lambda u: u.add_column("note", StringType())], "note"),
    "renamed": ([lambda u: u.rename_column("note", "remark")], [lambda u: u.rename_column("remark", "note")], "note"),
    "narrowed": ([lambda u: u.delete_column("score"), lambda u: u.add_column("score", FloatType())],
                 [lambda u: u.update_column("score", DoubleType())], "score"),
    "of another kind": ([lambda u: u.delete_column("score"), lambda u: u.add_column("score", StringType())],
                        [lambda u: u.delete_column("score"), lambda u: u.add_column("score", DoubleType())], "score"),
    "made required": ([lambda u: u.update_column("note", required=True)],
                      [lambda u: u.update_column("note", required=False)], "note"),
}


def send(copy: TableCopy, count: int = 5) -> set[int]:
    first = len(copy.sent)
    ids = range(first, first + count)
    copy.server.send(copy.stream, [{**record(i), "score": i / 4, "visits": i, **({"note": f"n{i}"} if i % 2 else {})} for i in ids])
    copy.sent.update(ids)
    return set(ids)


def values(copy: TableCopy) -> dict[int, tuple]:
    """Of each row."""
    found = copy.lake.duckdb().execute("SELECT id, note, score, visits FROM lake.default.events").fetchall()
    assert len({row[0] for row in found}) == len(found), "rows came twice"
    return {row[0]: row[1:] for row in found}


def as_sent(ids) -> dict[int, tuple]:
    return {i: (f"n{i}" if i % 2 else None, i / 4, i) for i in ids}


def delivered(copy: TableCopy):
    copy.server.wait_delivered("copy", len(copy.sent), within=40)


@pytest.mark.parametrize("where", PLACES)
def test_rows_that_no_longer_fit_wait_until_the_table_is_put_right(tables, where):
    faulty = tables.of(where, schema=COLUMNS)
    copy = faulty.copy
    columns = Columns(copy)
    first = send(copy)
    delivered(copy)
    assert values(copy) == as_sent(first)
    for name, (wrong, right, column) in MISFITS.items():
        if where != "embedded" and ROUNDS == 1 and name not in ("narrowed", "made required"):
            continue
        columns.by(*wrong)
        waiting = send(copy)
        reason = copy.wait_status("failed", within=30)
        print(f"{name}: {reason}")
        assert column in reason, (name, reason)
        # Ingest goes on, also over a restart, and the table gets nothing half.
        waiting |= send(copy)
        if name == "made required":
            copy.server.kill()
            copy.server.start()
            assert column in copy.wait_status("failed", within=30), name
        count = copy.lake.duckdb().execute("SELECT count(*) FROM lake.default.events").fetchone()[0]
        assert count == len(copy.sent) - len(waiting), name
        columns.by(*right)
        copy.wait_status("running", within=40)
        delivered(copy)
        found = values(copy)
        assert set(found) == copy.sent, name
        assert {i: found[i] for i in waiting} == as_sent(waiting), name
        waiting = send(copy)
        delivered(copy)
        assert {i: row for i, row in values(copy).items() if i in waiting} == as_sent(waiting), name
    copy.finish()
    agrees(copy)


@pytest.mark.parametrize("where", PLACES if ROUNDS > 1 else PLACES[:1])
def test_rows_that_still_fit_go_on(tables, where):
    """A wider column, one more, another order, one that may be absent now, another partitioning."""
    faulty = tables.of(where, schema=COLUMNS)
    copy = faulty.copy
    columns = Columns(copy)
    send(copy)
    delivered(copy)

    def partitioned(table):
        with table.update_spec() as update:
            update.add_field("id", BucketTransform(3), "id_bucket")

    changes = {
        "wider": lambda: columns.by(lambda u: u.update_column("visits", LongType())),
        "one more": lambda: columns.by(lambda u: u.add_column("theirs", StringType())),
        "another order": lambda: columns.by(lambda u: u.move_first("note")),
        "optional": lambda: columns.by(lambda u: u.update_column("payload", required=False)),
        "another partitioning": lambda: change(copy, partitioned),
    }
    for name, work in changes.items():
        work()
        send(copy)
        try:
            delivered(copy)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}; {copy.status()}") from None
        assert values(copy) == as_sent(copy.sent), name
    copy.wait_status("running", within=10)
    copy.finish()


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_a_column_that_goes_between_our_load_and_our_commit_takes_no_row_with_it(tables, kind):
    faulty = tables.far(kind, schema=COLUMNS)
    copy = faulty.copy
    columns = Columns(copy)
    send(copy)
    delivered(copy)
    rule = faulty.catalog.rule = Once(is_commit, before=lambda _: columns.by(lambda u: u.delete_column("note")))
    send(copy)
    wait_until("the column is gone", 20, lambda: rule.played)
    send(copy)
    assert "note" in copy.wait_status("failed", within=30)
    rule.check()
    settle(1)
    columns.by(lambda u: u.add_column("note", StringType()))
    copy.wait_status("running", within=40)
    delivered(copy)
    found = values(copy)
    # What was in the column that went, went with it.
    assert set(found) == copy.sent and {i: found[i] for i in range(10, 15)} == as_sent(range(10, 15))
    copy.finish()
