"""The plan: which faults, in which order, with which numbers. It follows from the seed and the wishes alone."""

import random
from dataclasses import dataclass, field

from torture.proxy import FAULTS as PROXY_FAULTS

# Seconds a start after a fault takes, for the estimate of how long a plan is.
START_SECONDS = 0.5
# fault -> how likely it is in mixed weather, beside the others. Kills come on top, one before every other fault.
MIXED = {
    "pause": 5, "terminate": 4, "kill_stopping": 3, "edit": 5, "store_kill": 2, "disk_full": 2, "sync_error": 2, "clock": 2,
    "storm": 3, **{f"s3_{fault}": 2 for fault in PROXY_FAULTS},
}
# Those that end the server; the last life of a run is without them.
DEADLY = {"kill", "terminate", "kill_stopping", "sync_error", "clock", "power_cut"}
POWER = {"edit": 1, "kill": 1, "pause": 1}


@dataclass(frozen=True)
class Step:
    """One fault. `wait` seconds go before it."""

    kind: str
    wait: float
    numbers: dict = field(default_factory=dict)
    # About how long it takes, `wait` included.
    seconds: float = 0.0

    def __str__(self):
        numbers = ", ".join(f"{name}={value}" for name, value in self.numbers.items())
        return f"{self.kind}({numbers}) after {self.wait} s"


class Planner:
    """Draws steps from a seed."""

    def __init__(self, seed: int):
        self.dice = random.Random(f"plan/{seed}")

    def some(self, low: float, high: float) -> float:
        return round(self.dice.uniform(low, high), 2)

    def step(self, kind: str, quick: bool = False) -> Step:
        numbers, takes, wait = {}, 0.0, self.some(0.1, 2 if quick else 3)
        if kind in ("kill", "power_cut"):
            wait = self.some(0.2, 2.5 if quick else 8)
            # A quarter of the starts is killed as well.
            again = []
            while self.dice.random() < 0.25 and len(again) < 4:
                again.append(self.some(0, 0.4))
            numbers, takes = {"again": again}, START_SECONDS + sum(again)
            if kind == "power_cut":
                takes += 0.5
        elif kind == "pause":
            # Now and then longer than producers wait for an answer: what they sent is done when it goes on.
            long = not quick and self.dice.random() < 0.1
            numbers = {"seconds": self.some(22, 45) if long else self.some(0.2, 6)}
        elif kind == "kill_stopping":
            numbers = {"delay": self.some(0, 0.8)}
        elif kind == "store_kill":
            numbers, takes = {"seconds": self.some(0.5, 8)}, 4
        elif kind == "disk_full":
            numbers, takes = {"seconds": self.some(3, 9)}, 2
        elif kind == "sync_error":
            numbers, takes = {"nth": self.dice.choice([1, 2, 3, 5, 8, 20, 50, 100, 200])}, 8
        elif kind == "clock":
            jumps = [self.dice.choice([-86_400, -3600, -1, 1, 60, 86_400, 315_360_000, -315_360_000, 0]) for _ in range(3)]
            numbers, takes = {"jumps": jumps, "each": self.some(1, 3)}, 8
        elif kind == "storm":
            numbers = {"share": 0.37, "seconds": self.some(5, 15)}
        elif kind.startswith("s3_"):
            # Faults that hold a call hold a whole flow with it.
            long = kind in ("s3_stall", "s3_slow", "s3_unreachable")
            numbers = {"share": self.dice.choice([0.3, 1.0]) if long else self.dice.choice([0.2, 0.5, 1.0]), "seconds": self.some(3, 9)}
        takes += numbers.get("seconds", 0) if kind in ("pause", "store_kill", "disk_full") else 0
        takes += numbers.get("delay", 0) + START_SECONDS * (kind in DEADLY)
        return Step(kind, wait, numbers, round(wait + takes, 2))


def mixed(seed: int, seconds: float, kills: int, without: set[str], quick: bool = False) -> list[Step]:
    """Every kind at least once, kills as many as wanted, and so on until the time is filled."""
    planner = Planner(seed)
    kinds = {kind: weight for kind, weight in MIXED.items() if kind not in without}
    others = planner.dice.sample(sorted(kinds), len(kinds))
    steps: list[Step] = []
    length, planned = 0.0, 0
    while length < seconds or others or planned < kills:
        # While kills are behind, one goes before every other fault, or several.
        behind = planned / max(kills, 1) <= length / max(seconds, 1)
        if planned < kills and (behind or not others and length >= seconds):
            kind = "kill"
            planned += 1
        elif others:
            kind = others.pop()
        else:
            kind = planner.dice.choices(list(kinds), list(kinds.values()))[0]
        steps.append(planner.step(kind, quick))
        length += steps[-1].seconds
    return steps


def last_life(seed: int, seconds: float, without: set[str]) -> list[Step]:
    """Faults that the server lives through, so that what it holds can be measured afterwards."""
    planner = Planner(seed + 1)
    kinds = {kind: weight for kind, weight in MIXED.items() if kind not in without | DEADLY}
    steps: list[Step] = []
    while sum(step.seconds for step in steps) < seconds:
        steps.append(planner.step(planner.dice.choices(list(kinds), list(kinds.values()))[0], quick=True))
    return steps


def power(seed: int, cuts: int) -> list[Step]:
    """Power cuts, with a few other faults between them."""
    planner = Planner(seed)
    steps = []
    for _ in range(cuts):
        if planner.dice.random() < 0.3:
            steps.append(planner.step(planner.dice.choice(sorted(POWER)), quick=True))
        steps.append(planner.step("power_cut", quick=True))
    return steps


def kinds(steps: list[Step]) -> dict[str, int]:
    """How often each fault is planned."""
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.kind] = counts.get(step.kind, 0) + 1
    return counts
