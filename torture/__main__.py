"""`python -m torture`: plan, run, verdict. Exit status 0 if nothing was found, 1 if something was, 2 if it cannot run here."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from lakehead import BINARY
from torture import plan
from torture.faults import unavailable
from torture.report import summary
from torture.run import Run, Wishes
from torture.volume import unavailable as no_volume

VOLUME_BYTES = 8 << 30
# Time of a run that is not faults of the plan.
LAST_LIFE_SHARE = 0.2
ON_VOLUME = {"disk_full", "power_cut"}


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed gives the same plan; random if absent")
    parser.add_argument("--minutes", type=float, default=10, help="of faults, about (default 10)")
    parser.add_argument("--kills", type=int, help="kill -9 at least so often (default: 6 a minute)")
    parser.add_argument("--acks", type=int, default=5000, help="requests that must have been acknowledged (default 5000)")
    parser.add_argument("--power", action="store_true", help="power cuts instead of mixed faults")
    parser.add_argument("--cuts", type=int, default=30, help="power cuts of a run (default 30)")
    parser.add_argument("--without", default="", help="faults to leave out, with commas between them")
    parser.add_argument("--only", default="", help="no faults but these and kills, with commas between them")
    parser.add_argument("--quick", action="store_true", help="short waits between faults, and no time of calm to speak of")
    parser.add_argument("--producers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.08, help="mean seconds between requests of a producer (default 0.08)")
    parser.add_argument("--no-keys", action="store_true", help="no producer sends Idempotency-Key")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    parser.add_argument("--keep", type=Path, help="folder to keep logs and output in")
    return parser.parse_args(words)


def wishes_of(options: argparse.Namespace) -> Wishes:
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    without = set(filter(None, options.without.split(",")))
    if options.only:
        without |= set(plan.MIXED) - set(options.only.split(","))
    unknown = (without | set(filter(None, options.only.split(",")))) - set(plan.MIXED)
    if unknown:
        raise SystemExit(f"torture: no such faults: {', '.join(sorted(unknown))}; there are {', '.join(plan.MIXED)}")
    seconds = options.minutes * 60
    kills = round(options.minutes * 6) if options.kills is None else options.kills
    if options.power:
        steps, last, kills = plan.power(seed, options.cuts), [], 0
    else:
        steps = plan.mixed(seed, seconds * (1 - LAST_LIFE_SHARE), kills, without, options.quick)
        last = plan.last_life(seed, seconds * LAST_LIFE_SHARE, without)
    kinds = {step.kind for step in [*steps, *last]}
    missing = unavailable(kinds)
    if kinds & ON_VOLUME and no_volume():
        missing.append(f"{', '.join(sorted(kinds & ON_VOLUME))}: {no_volume()}")
    if missing and not options.plan:
        raise SystemExit("torture: " + "; ".join(missing) + " (--without leaves faults out)")
    return Wishes(
        seed=seed, steps=steps, last_life=last, calm_seconds=5 if options.quick else 15,
        rests=1 if options.quick else 4, producers=options.producers,
        keyed=not options.no_keys, pause=options.pause, acks_min=options.acks, kills_min=kills,
        volume_bytes=VOLUME_BYTES if kinds & ON_VOLUME else None,
        # A server that has not worked for long still grows.
        memory_slack_bytes=(96 if options.quick else 40) << 20,
    )


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    wishes = wishes_of(options)
    print(f"seed {wishes.seed}: {plan.kinds([*wishes.steps, *wishes.last_life])}", flush=True)
    if options.plan:
        print("\n".join(map(str, [*wishes.steps, "last life:", *wishes.last_life])))
        return 0
    if not BINARY.exists():
        raise SystemExit(f"torture: {BINARY} does not exist: build it, or name it in LAKEHEAD_BIN")
    # A polite request to end cleans up like Ctrl-C, which a shell in the background would have us ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lakehead-torture-"))
    run = Run(wishes, folder, lambda text: print(f"[{time.monotonic() - began:6.0f}] {text}", flush=True))
    try:
        outcome = run.go()
        (folder / "summary.txt").write_text(summary(outcome))
        print(summary(outcome), flush=True)
        return 1 if outcome.findings else 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if run.world:
                run.world.close(keep=options.keep is not None)
            if options.keep:
                shutil.copytree(folder, options.keep / f"seed-{wishes.seed}", symlinks=True, dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns("*.sock"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
