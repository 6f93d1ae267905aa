"""The judge finds what it is there to find: output made by hand, right in one test, and wrong in one way in each other."""

import gzip
import json

import pytest

from torture.judge import Judge
from torture.oracle import ACKED, REFUSED, UNKNOWN, Oracle
from torture.outlets import OUTLETS
from torture.records import Batch, text

RAW = [outlet for outlet in OUTLETS if outlet.stream == "raw"]


class Made:
    """Three requests to the raw stream (acknowledged, refused, unknown), and the files a faultless server would write."""

    def __init__(self, folder):
        self.folder = folder
        self.oracle = Oracle("made")
        self.requests = []
        for number, outcome in enumerate((ACKED, REFUSED, UNKNOWN)):
            request = self.oracle.issue(Batch("made", 1, number * 10, 10, 1, False), None)
            self.oracle.settle(request, outcome)
            self.requests.append(request)
        self.lines = {outlet.sink: self.texts(0) + self.texts(2) for outlet in RAW}

    def texts(self, request: int) -> list[str]:
        return self.requests[request].batch.texts()

    def judge(self) -> Judge:
        judge = Judge(self.oracle, RAW)
        for outlet in RAW:
            half = len(self.lines[outlet.sink]) // 2
            files = []
            for number, lines in enumerate((self.lines[outlet.sink][:half], self.lines[outlet.sink][half:])):
                files.append(self.folder / f"{outlet.sink}-{number}.json.gz")
                with gzip.open(files[-1], "wt", encoding="utf-8") as file:
                    file.writelines(line + "\n" for line in lines)
            judge.read(outlet, files)
            judge.read_letters(outlet, self.folder / "no letters")
            judge.hold(outlet)
        judge.stored = judge.hold_together("raw")
        return judge

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.judge().findings]


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


def test_right_output_is_right(made):
    judge = made.judge()
    assert judge.findings == [] and judge.stored == 20
    ledger = {"accepted": 20, "delivered": 20, "filtered": 0, "dead_lettered": 0, "in_flight": 0}
    judge.hold_ledger("raw_copy", ledger, judge.stored)
    assert judge.findings == []
    judge.hold_ledger("raw_copy", {**ledger, "delivered": 19, "filtered": 1}, judge.stored)
    assert [finding.kind for finding in judge.findings] == ["ledger"]


def test_an_unknown_request_may_be_absent(made):
    made.lines = {sink: made.texts(0) for sink in made.lines}
    assert made.kinds() == []


def test_a_missing_record_is_lost(made):
    missing = made.lines["bulk"].pop(3)
    judge = made.judge()
    assert [finding.kind for finding in judge.findings] == ["lost"]
    said = judge.findings[0].text
    assert "bulk: 1 records of 1 requests" in said and json.loads(missing)["id"] in said and "request 0 of producer 1" in said


def test_a_record_that_came_twice_is_found_with_its_files(made):
    made.lines["bulk"].append(made.lines["bulk"][0])
    judge = made.judge()
    assert [finding.kind for finding in judge.findings] == ["twice"]
    assert "bulk-0.json.gz" in judge.findings[0].text and "bulk-1.json.gz" in judge.findings[0].text


@pytest.mark.parametrize("field, value", [
    ("n", 7), ("amount", 0.1), ("name", "x"), ("flag", None), ("made", 0), ("divisor", 99), ("tags", ["a"]), ("pad", ""), ("seal", ""),
])
def test_an_altered_field_is_found(made, field, value):
    record = json.loads(made.lines["raw_lines"][5])
    made.lines["raw_lines"][5] = json.dumps({**record, field: value})
    judge = made.judge()
    assert [finding.kind for finding in judge.findings] == ["altered"] and f"wrong: {field}" in judge.findings[0].text


def test_a_record_nobody_sent_is_found(made):
    made.lines["bulk"].append(text("0" * 32, 0, False))
    assert made.kinds() == ["never issued"]


def test_a_refused_request_that_came_out_is_found(made):
    for lines in made.lines.values():
        lines += made.texts(1)
    assert made.kinds() == ["refused but stored"] * 2


def test_an_unknown_request_that_came_out_in_part_is_found(made):
    for lines in made.lines.values():
        del lines[-4:]
    assert made.kinds() == ["torn", "torn"]


def test_an_unknown_request_in_one_outlet_only_is_found(made):
    made.lines["bulk"] = made.texts(0)
    assert made.kinds() == ["outlets disagree"]


def test_a_file_that_is_no_output_is_found(made):
    made.lines["bulk"].insert(2, '{"id": "half a re')
    assert "unreadable" in made.kinds()


# Dead letters, with the typed stream and JSON outlets of it.

SPLIT = next(outlet for outlet in OUTLETS if outlet.sink == "split_all")


def typed(tmp_path, change=lambda lines, letters: None) -> list:
    """Findings over the outlet's files and letters of one acknowledged request, after `change`."""
    oracle = Oracle("typed")
    request = oracle.issue(Batch("typed", 2, 0, 2000, 0, True), None)
    oracle.settle(request, ACKED)
    records = [json.loads(t) for t in request.batch.texts()]
    reasons = {}
    for record in records:
        if "n" not in record:
            reasons[record["id"]] = "missing_field"
        elif record["n"] is None:
            reasons[record["id"]] = "null_value"
        elif record["n"] is True:
            reasons[record["id"]] = "type_mismatch"
        elif record["n"] == "seven":
            reasons[record["id"]] = "parse_failure"
    assert set(reasons.values()) == {"missing_field", "null_value", "type_mismatch", "parse_failure"}
    lines = [{name: record[name] for name in SPLIT.columns} for record in records if record["id"] not in reasons]
    letters = [
        {"position": i, "stage": "decode", "reason": reasons[id], "record": text(id, 0, True)}
        for i, id in enumerate(request.batch.ids) if id in reasons
    ]
    change(lines, letters)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "0.ndjson").write_text("".join(json.dumps(letter) + "\n" for letter in letters))
    (tmp_path / "out.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    judge = Judge(oracle, [SPLIT])
    judge.read(SPLIT, [tmp_path / "out.json"])
    judge.read_letters(SPLIT, tmp_path / "letters")
    judge.hold(SPLIT)
    return judge.findings


def test_poison_with_its_letters_is_right(tmp_path):
    assert typed(tmp_path) == []


@pytest.mark.parametrize("kind, change", [
    ("lost", lambda lines, letters: letters.pop()),
    ("twice", lambda lines, letters: letters.append(letters[0])),
    ("wrong fate", lambda lines, letters: letters[0].update(reason="null_value" if letters[0]["reason"] != "null_value" else "parse_failure")),
    ("wrong fate", lambda lines, letters: letters[0].update(stage="transform")),
    ("altered", lambda lines, letters: letters[0].update(record=letters[0]["record"].replace('"flag"', '"flab"'))),
    ("wrong fate", lambda lines, letters: letters.append({**letters[0], "record": text(lines.pop()["id"], 0, True)})),
])
def test_a_wrong_letter_is_found(tmp_path, kind, change):
    assert [finding.kind for finding in typed(tmp_path, change)] == [kind]
