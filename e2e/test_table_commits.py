"""Commits into a table of a catalog elsewhere: answers that are lost, late or untrue, and others who commit in between.

What goes wrong is played by a proxy before the catalog (`table_faults.py`); catalogs, store and the other writers are real.
LAKEHEAD_TEST_FAULT_ROUNDS above 1 makes them longer.
"""

import threading

import pytest
from pyiceberg.types import StringType

from catalogs import TableCopy
from fault_proxy import Answer, Call, Drop, Fault, Lose
from lakehead import settle
from load import ROUNDS
from processes import wait_until
from table_faults import (
    KINDS, LONG_KINDS, Faulty, Once, agrees, append, change, compact, compact_by_duckdb, expire, foreign_ids, goes_on_taking, is_commit,
    is_data_file, noting, ours, set_properties, watermarks,
)

# The catalog did as it was asked, and says something else or nothing. 409: as a gateway hears it that has asked twice.
APPLIED = [Lose(how) for how in (500, 502, 503, 504, 409, "reset", "truncate", "stall")] + [
    Lose(503, headers={"Retry-After": "1"})]
# It did not.
NOT_APPLIED = [Answer(status, b"{}") for status in (500, 502, 503, 504, 409)] + [
    Answer(429, headers={"Retry-After": "1"}), Answer(503, headers={"Retry-After": "1"}), Drop("reset"), Drop("stall")]


def send_through(faulty: Faulty, rule: Once, count: int = 5):
    """Sends records that are committed in spite of the rule, once each."""
    copy = faulty.copy
    faulty.catalog.rule = rule
    copy.send(count)
    try:
        copy.server.wait_delivered("copy", len(copy.sent), within=40)
    except AssertionError as error:
        raise AssertionError(f"{rule.fault}: {error}; status {copy.status()}") from None
    rule.check()
    rows = copy.rows()
    assert sorted(row["id"] for row in rows) == sorted(copy.sent), (rule.fault, len(rows), len(copy.sent))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_becomes_of_a_commits_answer_its_rows_are_added_once(tables, kind):
    """D-08."""
    faulty = tables.far(kind, request_seconds=2)
    send_through(faulty, Once(lambda call: False, times=0))
    # Ours is the same code whatever the catalog is; in the short form the second one is tried with some of them.
    faults = (APPLIED + NOT_APPLIED) * ROUNDS
    for fault in faults if ROUNDS > 1 or kind == KINDS[0] else faults[::3]:
        before = len(ours(faulty.copy))
        send_through(faulty, Once(is_commit, fault))
        # What was not told apart from a failure was not made again.
        assert len(ours(faulty.copy)) == before + 1, fault
    faulty.heal()
    faulty.copy.finish()
    faulty.check_nothing_is_left_over()
    agrees(faulty.copy)


def grown(copy: TableCopy):
    append(copy, 1)
    compact(copy)
    append(copy, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_others_go_on_from_a_commit_whose_answer_was_lost(tables, kind):
    """D-08: up to three foreign snapshots, compaction or expiry before we look again; the property stays."""
    faulty = tables.far(kind)
    copy = faulty.copy
    send_through(faulty, Once(lambda call: False, times=0))
    append(copy, 0)
    added = [0]

    def appends(count: int):
        for _ in range(count):
            added.append(added[-1] + 1)
            append(copy, added[-1])

    def gone():
        appends(1)
        expire(copy)

    failed: list[str] = []
    meanwhile = {
        "1 append": lambda: appends(1), "3 appends": lambda: appends(3), "PyIceberg compacts": lambda: compact(copy),
        "DuckDB compacts": lambda: compact_by_duckdb(copy), "ours expires": gone,
        "a column comes": lambda: change(copy, lambda table: table.update_schema().add_column("theirs", StringType()).commit()),
    }
    for how in ("reset", 504):
        for name, work in meanwhile.items():
            if how != "reset" and (name == "a column comes" or (ROUNDS == 1 and kind != KINDS[0])):
                continue
            print(how, name)
            send_through(faulty, Once(is_commit, Lose(how, then=noting(failed, lambda _, work=work: work()))))
            assert not failed, failed[0]
            assert foreign_ids(copy) == added, name
    faulty.heal()
    goes_on_taking(copy)
    copy.server.wait_delivered("copy", len(copy.sent))
    assert sorted(row["id"] for row in copy.rows()) == sorted(copy.sent)


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_a_commit_of_which_nobody_can_say_whether_it_was_made_waits_for_a_person(tables, kind):
    """D-08: its snapshot has expired, and somebody took the table's property away."""
    faulty = tables.far(kind)
    copy = faulty.copy
    send_through(faulty, Once(lambda call: False, times=0))
    kept, failed = {}, []

    def forget(_: Call):
        kept.update(watermarks(copy))
        append(copy, 1)
        set_properties(copy, {key: None for key in kept})
        expire(copy)

    rule = faulty.catalog.rule = Once(is_commit, Lose("reset", then=noting(failed, forget)))
    copy.send(5)
    reason = copy.wait_status("failed", within=30)
    rule.check()
    assert not failed, failed[0]
    assert kept and not watermarks(copy) and next(iter(kept)) in reason, reason
    before = faulty.data_files()
    goes_on_taking(copy)
    settle(2)
    # Nothing later is committed, nothing twice, and no file is taken away in doubt.
    assert sorted(row["id"] for row in copy.rows()) == list(range(10))
    assert faulty.data_files() >= before
    assert copy.status()["status"] == "failed"
    set_properties(copy, kept)
    copy.wait_status("running", within=40)
    copy.server.wait_delivered("copy", len(copy.sent), within=40)
    copy.finish()


@pytest.mark.parametrize("kind", LONG_KINDS)
@pytest.mark.parametrize("first", ["the late one", "the second"])
def test_a_commit_that_arrives_after_it_was_given_up_is_not_made_twice(tables, kind, first):
    """D-08: "absent" after a lost answer is no proof."""
    faulty = tables.far(kind)
    copy = faulty.copy
    send_through(faulty, Once(lambda call: False, times=0))
    now, late, failed = threading.Event(), [], []

    def arrive(_: Call):
        now.set()
        wait_until("the late commit has arrived", 10, lambda: late[0].status)

    def rule(call: Call) -> Fault | None:
        if not is_commit(call) or len(late) > 1:
            return None
        late.append(call)
        if len(late) == 1:
            return Drop(later=now)
        if first == "the late one":
            noting(failed, arrive)(call)
        return None

    faulty.catalog.rule = rule
    copy.send(5)
    copy.server.wait_delivered("copy", 10, within=30)
    now.set()
    wait_until("the late commit has arrived", 10, lambda: late[0].status)
    assert not failed, failed[0]
    assert len(late) == 2 and sorted(call.status for call in late) == [200, 409], [call.status for call in late]
    faulty.heal()
    copy.send(5)
    copy.finish()
    faulty.check_nothing_is_left_over()


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_many_commits_of_others_in_a_row_delay_ours_and_no_file_is_written_again(tables, kind):
    """D-07: each between our load and our commit."""
    faulty = tables.far(kind)
    copy, count = faulty.copy, 50 if ROUNDS > 1 else 12
    send_through(faulty, Once(lambda call: False, times=0))
    added = iter(range(count))
    rule = Once(is_commit, before=lambda _: append(copy, next(added)), times=count)
    faulty.catalog.rule = rule
    began = len(faulty.store.calls)
    copy.send(5)
    reason = copy.wait_status("failed", within=60)
    # After as many attempts as are made in a row.
    print(f"failed after {rule.played} conflicts: {reason}")
    assert rule.played >= 10 and "events" in reason, reason
    goes_on_taking(copy)
    wait_until("all are in", 120, lambda: rule.played == count, every=0.2)
    copy.wait_status("running", within=60)
    copy.server.wait_delivered("copy", 15, within=30)
    rule.check()
    copy.finish()
    assert foreign_ids(copy) == list(range(count))
    # Of those that others wrote, PyIceberg made the names.
    stored = [call for call in faulty.store.calls[began:] if is_data_file(call) and call.status == 200]
    puts = [call.key for call in stored if "/00000-" not in call.key]
    assert len(puts) == len(set(puts)) == 2, puts
    agrees(copy)
    faulty.check_nothing_is_left_over()


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_a_commit_onto_what_others_have_replaced_meanwhile_is_made_anew(tables, kind):
    """D-07: foreign compaction, overwrite and deletes between our load and our commit."""
    faulty = tables.far(kind)
    copy = faulty.copy
    send_through(faulty, Once(lambda call: False, times=0))
    append(copy, 1, 2, 3)

    def delete(_: Call):
        copy.lake.duckdb(writes=True).execute(f"DELETE FROM lake.default.events WHERE id = {10**15 + 2}")

    for work in (lambda _: compact(copy), lambda _: compact_by_duckdb(copy), delete, lambda _: grown(copy)):
        rule = Once(is_commit, before=work)
        send_through(faulty, rule)
        assert any(is_commit(call) and call.status == 409 for call in faulty.catalog.calls), "no conflict"
        faulty.catalog.calls.clear()
    assert foreign_ids(copy) == [1, 1, 2, 3]
