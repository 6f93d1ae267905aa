"""The documented SQL, case by case: what a query makes of its input, through a kill -9 in the middle.

The cases lie in `golden/` (`golden_cases.py` says how). All of them run side by side on as few servers as the limits on sinks
allow. A third of the input is sent and delivered, a second third is sent and the server killed at once; after the restart comes
the rest. Then every case must have exactly its rows and its dead letters.
"""

import re
import tempfile
import time
from pathlib import Path

import pytest

from conftest import ending
from golden_cases import ROOT, Group, differences, groups, lines
from lakehead import ApiError, Server
from processes import wait_until

# Streams, sinks and pipelines an account may have, each.
RESOURCES_MAX = 20
# Longer than the server takes to bring its figures up to date.
QUIET_SECONDS = 1.5
GROUPS = groups()
CASES = [case for group in GROUPS for case in group.cases]


def shared_out(all_groups: list[Group]) -> list[list[Group]]:
    """The groups of each server, as many as its limits allow."""
    shares: list[list[Group]] = []
    for group in sorted(all_groups, key=lambda g: -sum(len(case.sinks) for case in g.cases)):
        for share in shares:
            if sum(len(case.sinks) for g in [*share, group] for case in g.cases) <= RESOURCES_MAX:
                share.append(group)
                break
        else:
            shares.append([group])
    return shares


class World:
    """A server with its groups, from the first record to the last."""

    def __init__(self, server: Server, share: list[Group]):
        self.server, self.groups = server, share
        self.streams = {group.name: server.create_stream(group.name, group.schema) for group in share}
        for case in self.cases():
            for sink in case.sinks:
                server.create_sink(sink, "out", case.format, path=sink)
            try:
                case.pipeline = server.create_pipeline(case.name, case.sql)
            except ApiError as error:
                case.refusal = error.message

    def cases(self):
        return [case for group in self.groups for case in group.cases]

    def send(self, part: int):
        for group in self.groups:
            records = group.part(part, of=3)
            answer = self.server.post(self.streams[group.name]["id"], f"[{','.join(records)}]".encode())
            assert answer.status_code == 200, answer.text

    def has_delivered(self) -> bool:
        return any(self.server.bucket("out").rglob("*.json"))

    def restart(self):
        self.server.kill()
        self.server.start()

    def settled(self) -> bool:
        """Whether every pipeline has settled every record that was sent."""
        metrics = self.server.metrics()
        for group in self.groups:
            for case in group.cases:
                if not case.refusal:
                    name = case.name
                    if metrics.sum("pipeline_records_in_total", pipeline=name) < len(group.records):
                        return False
                    if metrics.sum("pipeline_lag_records", pipeline=name):
                        return False
        return True

    def wait_settled(self, within: float = 30):
        """Or for as long as is reasonable: what is missing then is said by the cases it is missing from."""
        deadline, since = time.monotonic() + within, None
        while time.monotonic() < deadline:
            try:
                since = (since or time.monotonic()) if self.settled() else None
            except AssertionError:
                since = None
            if since and time.monotonic() - since > QUIET_SECONDS:
                return
            time.sleep(0.2)


@pytest.fixture(scope="module")
def worlds(request):
    with tempfile.TemporaryDirectory(prefix="lakehead-e2e-") as path:
        shares = shared_out(GROUPS)
        servers = [Server(Path(path) / f"server-{number}") for number in range(len(shares))]
        request.node.servers = servers
        with ending(servers):
            all_worlds = [World(server.start(), share) for server, share in zip(servers, shares)]
            for world in all_worlds:
                world.send(0)
            for world in all_worlds:
                wait_until("something is delivered before the restart", 30, world.has_delivered)
                world.send(1)
                world.restart()
                world.send(2)
            for world in all_worlds:
                world.wait_settled()
            yield {group.name: world.server for world in all_worlds for group in world.groups}


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_query_gives_what_is_documented(case, worlds):
    server = worlds[case.group]
    assert case.refusal is None, f"the SQL was refused: {case.refusal}"
    problems = []
    for sink in case.sinks:
        problems += [f"{sink}: {said}" for said in differences(case.rows(server.bucket("out"), sink), case.expected(sink))]
    letters = case.letters(server.data_dir)
    dead = [{key: letter[key] for key in ("position", "stage", "reason")} for letter in letters]
    wrong = differences(dead, case.expected_dead())
    problems += [f"dead letters: {said}" for said in wrong]
    problems += [f"{letter['position']}: {letter['detail']}" for letter in letters if wrong]
    assert not problems, "\n" + "\n".join(problems)


def code_of(sql: str) -> str:
    """The SQL without comments and without what stands between quotes."""
    return re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"", " ", sql, flags=re.DOTALL).lower()


def test_every_documented_function_occurs_in_a_case():
    used = {name for case in CASES for name in re.findall(r"\b(\w+)\s*\(", code_of(case.sql))}
    documented = [line for line in lines(ROOT / "functions.txt") if line and not line.startswith("#")]
    assert len(documented) > 200 and len(documented) == len(set(documented))
    assert not [name for name in documented if name not in used]


def test_names_of_cases_and_sinks_are_used_once():
    for names in ([case.name for case in CASES], [sink for case in CASES for sink in case.sinks], [g.name for g in GROUPS]):
        assert len(names) == len(set(names)), sorted(names)


def test_every_part_of_the_input_has_records():
    assert all(group.part(number, of=3) for group in GROUPS for number in range(3))
