"""One table, commit after commit: what a commit takes, what the server has in memory, and how much there is to load, at 10, 100 and
1,000 commits (1,000 with LAKEHEAD_TEST_FAULT_ROUNDS above 1). The figures are printed; a test of time would be one of the machine.

What grows for ever is checked: without upkeep the snapshots are as many as the commits, with it they are not."""

import json

import pytest

from catalogs import QUICK_TABLES, TableCopy, enable
from kept import resident_bytes
from lakehead import Server
from load import ROUNDS
from processes import wait_until

COMMITS = 1000 if ROUNDS > 1 else 50
# Every batch of records is as much as a file holds.
AT_ONCE = {"interval_seconds": 60, "file_size_bytes": 1000}


def seconds(server: Server, what: str = "sum") -> float:
    """What the commits have taken."""
    return sum(s.value for s in server.metrics().samples if s.name == f"sink_commit_duration_seconds_{what}")


def commits(server: Server) -> int:
    return int(seconds(server, "count"))


def send_until(copy: TableCopy, number: int):
    """Sends batch after batch until so many commits are made."""
    while commits(copy.server) < number:
        before = commits(copy.server)
        copy.send(20)
        wait_until("a commit", 30, lambda before=before: commits(copy.server) > before, every=0.005)


def seen(copy: TableCopy) -> dict:
    answer = copy.lake.http("GET", "~/namespaces/default/tables/events")
    metadata = answer.json()["metadata"]
    table = copy.table()
    return {
        "snapshots": len(metadata["snapshots"]), "log": len(metadata["metadata-log"]), "metadata_bytes": len(json.dumps(metadata)),
        "manifests": len(table.current_snapshot().manifests(table.io)),
        "files": len([path for path in copy.server.bucket(copy.bucket).rglob("*") if path.is_file()]),
        "rss_mib": resident_bytes(copy.server) / (1 << 20),
    }


@pytest.mark.parametrize("upkeep", [0, 1], ids=["no upkeep", "upkeep"])
def test_many_commits_into_one_table(make_server, upkeep):
    limits = f"upkeep_interval_seconds = {upkeep}\nsnapshots_max = 20\nmanifests_max = 20\nreaders_grace_seconds = 1\n" if upkeep else (
        "upkeep_interval_seconds = 0\n")
    server = make_server(QUICK_TABLES.rstrip() + "\n" + limits + "\n").start()
    copy = TableCopy(server, enable(server, "grown"), "grown", rolling_policy=AT_ONCE)
    figures = {}
    for number in sorted({10, min(100, COMMITS), COMMITS}):
        # Of the last tenth of them, what one takes.
        send_until(copy, number - number // 10)
        count, took = commits(server), seconds(server)
        send_until(copy, number)
        each = (seconds(server) - took) / (commits(server) - count)
        figures[number] = {"milliseconds": 1000 * each, **seen(copy)}
        print(f"{number} commits: " + ", ".join(f"{name} {value:,.1f}" for name, value in figures[number].items()), flush=True)
    server.stop()
    server.start()
    copy.finish()
    last = figures[COMMITS]
    if upkeep:
        # A look takes place each second; the commits of a few seconds may be over the bounds.
        assert last["snapshots"] < COMMITS, figures
    else:
        assert last["snapshots"] >= COMMITS and last["manifests"] >= COMMITS, figures
