"""One run, from an empty folder to a verdict.

    calm ─► baseline ─► faults of the plan ─► last life: faults without restarts ─► heal ─► fresh record ─► calm ─► measure ─► judge
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lakehead import BINARY
from processes import wait_until
from torture import plan
from torture.faults import Faults
from torture.judge import Finding, Judge
from torture.oracle import ACKED, REFUSED, UNKNOWN, Oracle
from torture.outlets import OUTLETS, REMOTE, ROLL_SECONDS
from torture.plan import Step
from torture.producers import Fleet, Producer
from torture.scraper import Scraper
from torture.world import SEGMENTS, World

SETTLE_SECONDS = 120
# Between two tries of the product when a store does not answer.
BACKOFF_SECONDS = 10
MEMORY_SHARE = 0.10
DESCRIPTORS_SLACK = 3
# Those of the quota, and one for each statement that reads.
SEGMENTS_MAX = 24 + len(OUTLETS)
# Longer than idle connections of either side last, and than the server's allocator keeps freed pages (10 s).
REST_SECONDS = 14


@dataclass(frozen=True)
class Wishes:
    """What a run is to be."""

    seed: int
    steps: list[Step]
    last_life: list[Step]
    calm_seconds: float
    # Several rests are compared, the lowest in the end with the highest of the beginning: what the allocator keeps varies.
    rests: int
    producers: int
    keyed: bool
    pause: float
    acks_min: int
    kills_min: int
    volume_bytes: int | None
    # What resident memory may grow by, if that is more than a tenth.
    memory_slack_bytes: int


@dataclass
class Measure:
    """What the server holds when nothing happens, at each rest."""

    resident_bytes: list[int]
    # By kind: sockets are one kind, files have their names.
    descriptors: list[Counter[str]]


@dataclass
class Outcome:
    findings: list[Finding] = field(default_factory=list)
    # What the summary shows, in its order.
    figures: dict[str, object] = field(default_factory=dict)

    def find(self, kind: str, texts: list[str]):
        self.findings += [Finding(kind, text) for text in texts]


class Run:
    """Call `go` once. `world` stays for whoever wants to keep what is in it."""

    def __init__(self, wishes: Wishes, folder: Path, say: Callable[[str], None]):
        self.wishes, self.folder, self.say = wishes, folder, say
        self.oracle = Oracle(f"seed {wishes.seed}")
        self.outcome = Outcome()
        self.world: World | None = None
        self.baseline: Measure | None = None
        self.after: Measure | None = None
        self.stuck = False

    def go(self) -> Outcome:
        began = time.monotonic()
        wishes = self.wishes
        self.world = World(self.folder, wishes.seed, wishes.volume_bytes)
        world = self.world
        port, targets = world.server.port, world.targets
        self.fleet = Fleet(wishes.seed, port, targets, self.oracle, wishes.producers, wishes.keyed, wishes.pause)
        self.prober = Producer(1, wishes.seed, port, targets, self.oracle)
        self.faults = Faults(world, self.prober)
        self.scraper = Scraper(world.server.url)
        self.scraper.start()
        self.say(f"everything runs after {time.monotonic() - began:.0f} s: {len(wishes.steps)} steps, then {len(wishes.last_life)} in one life")
        try:
            try:
                self.suffer()
            except AssertionError as error:
                # Such as a server that does not start again. What can be looked at is looked at.
                self.outcome.find("broken off", [f"{error}\n{world.server.process.tail(20)}"])
                self.fleet.stop(patience_seconds=5)
            self.examine()
        finally:
            for producer in self.fleet.producers:
                producer.give_up_at = 0
                producer.stop.set()
            self.scraper.stop.set()
        self.conclude(time.monotonic() - began)
        return self.outcome

    # The run itself.

    def suffer(self):
        """All faults, between two times of calm."""
        world, faults = self.world, self.faults
        self.baseline = self.calm()
        self.fleet.start()
        for number, step in enumerate(self.wishes.steps):
            self.do(step)
            if number % 20 == 19:
                self.say(f"{number + 1} of {len(self.wishes.steps)} steps, {world.server.kills} kills, "
                         f"{self.oracle.acknowledged()} requests acknowledged")
        world.server.kill()
        world.server.start()
        self.say(f"last life; {world.server.kills} kills, {self.oracle.acknowledged()} requests acknowledged")
        pid = world.server.process.pid
        for step in self.wishes.last_life:
            self.do(step)
        faults.heal()
        healed = time.monotonic()
        self.fleet.stop()
        self.fresh_record(healed)
        self.after = self.calm()
        if world.server.process.pid != pid:
            self.outcome.find("ended", ["the server did not live through faults that it must live through"])

    def do(self, step: Step):
        try:
            self.faults.do(step)
        except AssertionError as error:
            # What a fault demands and does not get. The run goes on as far as it can.
            self.outcome.find("fault", [f"{step}: {error}"])
            self.faults.heal()

    def calm(self) -> Measure:
        """Load without faults, then rest, and again; what the server holds then."""
        measure = Measure([], [])
        for _ in range(self.wishes.rests):
            self.fleet.start()
            time.sleep(self.wishes.calm_seconds)
            self.fleet.stop()
            self.settle()
            time.sleep(REST_SECONDS)
            measure.resident_bytes.append(self.world.server.resident_bytes())
            measure.descriptors.append(self.world.server.descriptors())
        return measure

    def settle(self):
        """Everything comes to rest. If it does not, that is found once, and looked at all the same."""
        if self.stuck:
            return
        try:
            self.world.wait_settled(SETTLE_SECONDS)
        except AssertionError as error:
            self.stuck = True
            self.outcome.find("stuck", [str(error)])

    def fresh_record(self, healed: float):
        """Life goes on: a record sent now is delivered within two roll intervals, and the longest pause between tries."""
        for typed in (True, False):
            wait_until("a fresh record is taken", 30, lambda typed=typed: self.prober.probe(typed) == 200, every=0.2)
        limit = 2 * ROLL_SECONDS + BACKOFF_SECONDS
        sent = time.monotonic()
        try:
            wait_until("the fresh record is delivered", limit, lambda: not any(self.world.lag().values()), every=0.1)
        except AssertionError as error:
            text = f"{error}; in flight {self.world.lag()}; reasons {self.world.reasons()}"
            self.settle()
            self.outcome.find("liveness", [f"{text}; at rest {time.monotonic() - sent:.0f} s after it was sent"])
        self.outcome.figures["fresh record delivered after"] = f"{time.monotonic() - sent:.1f} s ({time.monotonic() - healed:.1f} s after healing)"

    # Afterwards.

    def examine(self):
        """At rest: the ledger, what is left over; then the judge over all output."""
        world, outcome = self.world, self.outcome
        if not world.server.process.running():
            self.judge({}, {})
            return
        self.settle()
        ledgers = {}
        for pipeline in world.pipelines:
            try:
                ledgers[pipeline] = world.ledger(pipeline)
            except AssertionError as error:
                outcome.find("ledger", [str(error)])
        next_positions = {
            stream: world.server.metrics().sum("log_next_position", stream=stream) for stream in ("events", "raw")
        }
        self.scraper.stop.set()
        self.scraper.join(timeout=15)
        outcome.find("left over", world.left_over())
        self.audit()
        world.read_tables()
        try:
            status = world.server.stop_in_time()
            outcome.find("fault", [f"the last SIGTERM ended with {status}"] if status else [])
        except AssertionError as error:
            outcome.find("fault", [str(error)])
        outcome.find("left over", [f"{text} (after the stop)" for text in world.left_over()])
        self.uploads()
        log = world.server.output.read_text(errors="replace").splitlines()
        outcome.find("panic", [line for line in log if "panicked at" in line][:5])
        self.say("reading all output")
        self.judge(ledgers, next_positions)

    def audit(self):
        """The product's own recount, if it has one."""
        help = subprocess.run([BINARY, "audit", "--help"], capture_output=True, check=False, timeout=30)
        if help.returncode != 0:
            self.outcome.figures["lakehead audit"] = "this binary has no such command"
            return
        for pipeline in self.world.pipelines:
            done = subprocess.run(
                [BINARY, "audit", pipeline, "--data-dir", self.world.server.data_dir],
                capture_output=True, text=True, check=False, timeout=600,
            )
            if done.returncode != 0:
                self.outcome.find("audit", [f"lakehead audit {pipeline}: {done.returncode}\n{done.stdout}{done.stderr}"])
        self.outcome.figures["lakehead audit"] = f"of {len(self.world.pipelines)} pipelines"

    def uploads(self):
        """Multipart uploads left behind, also those whose id never arrived."""
        left = self.world.store.uploads(REMOTE)
        self.outcome.find("left over", [f"a multipart upload of {key}" for key in left])

    def judge(self, ledgers: dict[str, dict[str, int]], next_positions: dict[str, int]):
        scratch = self.folder / "scratch"
        judge = Judge(self.oracle, OUTLETS, self.scraper.around, scratch)
        files = self.world.files()
        for outlet in OUTLETS:
            judge.read(outlet, files[outlet.sink])
            judge.read_letters(outlet, self.world.letters(outlet.pipeline, outlet.statement))
            judge.hold(outlet)
        for stream in ("events", "raw"):
            stored = judge.hold_together(stream)
            if stored != next_positions.get(stream, stored):
                judge.find("ledger", f"stream {stream} has {next_positions[stream]} positions, and {stored} records came out")
            for pipeline in ledgers.keys() & {outlet.pipeline for outlet in OUTLETS if outlet.stream == stream}:
                judge.hold_ledger(pipeline, ledgers[pipeline], stored)
        self.outcome.findings += judge.findings
        figures = self.outcome.figures
        figures["files"] = {sink: len(found) for sink, found in files.items()}
        figures["rows"] = judge.delivered
        figures["dead letters"] = judge.letters
        figures["largest object"] = f"{max(f.stat().st_size for found in files.values() for f in found)} bytes"

    def conclude(self, seconds: float):
        """Findings of the others, the figures, and whether enough has happened for the run to say anything."""
        wishes, outcome, oracle = self.wishes, self.outcome, self.oracle
        outcome.find("answer", oracle.complaints[:50])
        outcome.find("fault", self.faults.findings)
        outcome.find("ledger", self.scraper.findings)
        counts = self.faults.counts()
        acks, kills = oracle.acknowledged(), self.world.server.kills
        outcome.figures = {
            "seed": wishes.seed, "duration": f"{seconds:.0f} s", "requests acknowledged": acks,
            "records acknowledged": oracle.records(ACKED), "records refused": oracle.records(REFUSED),
            "requests of unknown outcome": sum(r.outcome == UNKNOWN for r in oracle.requests),
            "kills": kills, "faults": dict(sorted(counts.items())), "producers": dict(sorted(oracle.counts.items())),
            "faults of the proxy by request": self.world.proxy.counts,
            "scrapes": self.scraper.scrapes, **outcome.figures,
        }
        self.compare_measures()
        planned = plan.kinds([*wishes.steps, *wishes.last_life])
        vacuous = [f"{kind} was planned {count} times and never seen" for kind, count in planned.items() if not counts.get(kind)]
        if acks < wishes.acks_min:
            vacuous.append(f"{acks} requests were acknowledged, {wishes.acks_min} are wanted")
        if kills < wishes.kills_min:
            vacuous.append(f"{kills} kills, {wishes.kills_min} are wanted")
        if wishes.keyed and not oracle.counts.get("retries by key"):
            vacuous.append("no request was ever repeated with its key")
        if self.scraper.scrapes < seconds / 10:
            vacuous.append(f"{self.scraper.scrapes} scrapes in {seconds:.0f} s")
        outcome.find("vacuous", vacuous)
        self.write_down()

    def write_down(self):
        """Every request, for whoever keeps the folder and looks for one."""
        with (self.folder / "requests.ndjson").open("w") as file:
            for r in self.oracle.requests:
                line = {"request": r.number, **asdict(r.batch), "key": r.key, "outcome": r.outcome, "began": r.began, "at": r.at, "tries": r.tries}
                file.write(json.dumps(line) + "\n")

    def compare_measures(self):
        """Memory and file descriptors are back at where they began."""
        before, after = self.baseline, self.after
        if not before or not after:
            return
        mib = [[f"{bytes >> 20}" for bytes in measure.resident_bytes] for measure in (before, after)]
        at_first, in_the_end = max(before.resident_bytes), min(after.resident_bytes)
        limit = at_first + max(MEMORY_SHARE * at_first, self.wishes.memory_slack_bytes)
        self.outcome.figures["resident MiB"] = f"{', '.join(mib[0])} at first; {', '.join(mib[1])} in the end; limit {limit / (1 << 20):.0f}"
        if in_the_end > limit:
            self.outcome.find("leak", [f"resident MiB {mib[0]} at first, {mib[1]} in the end"])
        first, last = before.descriptors[-1], after.descriptors[-1]
        # How many segments there are is up to the log's quota; readers hold one each.
        segments = [count.pop(SEGMENTS, 0) for count in (first, last)]
        self.outcome.figures["descriptors"] = f"{first.total()} at first, {last.total()} in the end; of segments {segments[0]} and {segments[1]}"
        if segments[1] > SEGMENTS_MAX:
            self.outcome.find("leak", [f"{segments[1]} descriptors of segments"])
        if last.total() > first.total() + DESCRIPTORS_SLACK:
            self.outcome.find("leak", [f"descriptors {first.total()} at first, {last.total()} in the end; more {dict(last - first)}"])
