"""A stream and what it has acknowledged: the account that refused requests must leave as it was."""

import json

from lakehead import Server
from wire import WAYS, Answer, ask


class Kept:
    """A stream without authentication. All requests to it go through here, so that what it must deliver is known."""

    def __init__(self, server: Server, name: str = "events"):
        self.server = server
        self.name = name
        self.target = f"/ingest/{server.create_stream(name)['id']}"
        self.records: list[dict] = []
        # From the first record on there are figures.
        self.accepts([{"first": True}])

    def position(self) -> tuple[int, int]:
        """Records and bytes acknowledged, as the server counts them."""
        metrics = self.server.metrics()
        return metrics.sum("ingest_records_total", stream=self.name), metrics.sum("ingest_bytes_total", stream=self.name)

    def accepts(self, records: list[dict], body: bytes | None = None, *lines: str, ways=("plain",)):
        """Sends `body`, or else the records as JSON, in each of the ways; they are acknowledged."""
        body = json.dumps(records).encode() if body is None else body
        for way in ways:
            assert ask(self.server, WAYS[way](self.target, *lines, body=body)).committed == len(records), way
            self.records += records

    def refuses(self, body: bytes, expected: tuple[int, int, str], *lines: str, ways=tuple(WAYS)) -> Answer:
        """Sends `body` in each of the ways: refused with status, code and the start of the message, in the very same answer;
        nothing of it is kept, and the server goes on."""
        before = self.position()
        answers = {way: ask(self.server, WAYS[way](self.target, *lines, body=body)) for way in ways}
        for way, answer in answers.items():
            said(answer, expected, way)
        assert len({answer.said for answer in answers.values()}) == 1, answers
        self.is_as_before(before)
        return answer

    def refuses_request(self, content: bytes, expected: tuple[int, int, str], method: str = "POST") -> Answer:
        """The same for a request as a whole."""
        before = self.position()
        answer = said(ask(self.server, content, method), expected)
        self.is_as_before(before)
        return answer

    def is_as_before(self, before: tuple[int, int]):
        assert self.position() == before, "something was kept"
        self.accepts([{"after": len(self.records)}])

    def delivers(self):
        """A pipeline behind the stream gives out what was acknowledged, and nothing else."""
        server, name = self.server, self.name
        server.create_sink(f"{name}_lines", "out", {"type": "json", "unstructured": True}, path=name)
        server.create_pipeline(f"{name}_copy", f"INSERT INTO {name}_lines SELECT * FROM {name}")
        ledger = server.wait_delivered(f"{name}_copy", len(self.records))
        assert ledger["delivered"] == ledger["accepted"], ledger
        rows = []
        for file in (server.bucket("out") / name).rglob("*.json"):
            rows += file.read_text(encoding="utf-8").split("\n")[:-1]
        assert sorted(json.dumps(json.loads(row), sort_keys=True) for row in rows) == sorted(
            json.dumps(record, sort_keys=True) for record in self.records
        )


def said(answer: Answer, expected: tuple[int, int, str], what: str = "") -> Answer:
    status, code, message = expected
    assert answer.error[:2] == (status, code) and answer.error[2].startswith(message), (what, answer)
    return answer


def resident_bytes(server: Server, what: str = "VmRSS") -> int:
    """What the server has in memory; `VmHWM`: had at most since `forget_peak`."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def forget_peak(server: Server) -> int:
    """What is resident now, which is the peak from now on."""
    with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return resident_bytes(server)

