"""`python -m torture.bugs [NAME …]`: plants each bug, builds, tortures, and tells by what it was caught.

The copy of the tree is built into a target folder of its own, below the usual one, which begins with the dependencies built there.
Cargo takes the copy's crates for those of the tree: in a common target folder, a binary with a planted bug would be the product's,
and up to date. Both folders stay, so that a second run builds only what differs.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from torture.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
COPY = TARGET / "torture-bugs/tree"
OWN_TARGET = TARGET / "torture-bugs/target"
# What compiled code is in; links to it are enough, for compilers replace these and do not write into them.
COMPILED = {".rlib", ".rmeta", ".so"}
BUILD = ["cargo", "build", "--release", "--locked", "--workspace", "--bins"]


def copy_tree():
    """Makes the copy like the tree. Only what differs is written: its time tells cargo what to build."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode().split("\0")
    wanted = {name for name in listed if name and (ROOT / name).is_file() and not name.startswith("e2e/")}
    for name in wanted:
        source, copy = ROOT / name, COPY / name
        content = source.read_bytes()
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for path in COPY.rglob("*"):
        if path.is_file() and str(path.relative_to(COPY)) not in wanted:
            path.unlink()


def plant(bug: Bug) -> str | None:
    """Patches the copy; why not, if it cannot be done."""
    done = subprocess.run(
        ["git", "apply", "--verbose", Path(__file__).with_name(f"{bug.name}.patch")], cwd=COPY, capture_output=True, text=True,
        # The copy may lie inside a repository, of which it is no part.
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(COPY.parent)}, check=False,
    )
    return None if done.returncode == 0 else f"the patch does not apply: {done.stderr.strip()}"


def begin_with_dependencies():
    """Gives the copy's target folder what the usual one has of other people's crates: theirs do not differ."""
    for part in (".fingerprint", "build", "deps"):
        for source in (TARGET / "release" / part).glob("*"):
            own = OWN_TARGET / "release" / part / source.name
            if own.exists() or source.name.startswith(("lakehead", "liblakehead")):
                continue
            own.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, own, symlinks=True)
            elif source.suffix in COMPILED:
                os.link(source, own)
            elif source.suffix == ".d":
                shutil.copy2(source, own)


def build() -> str | None:
    """The copy, into its own target folder; what the compiler says, if it fails."""
    done = subprocess.run(
        BUILD, cwd=COPY, env={**os.environ, "CARGO_TARGET_DIR": str(OWN_TARGET)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    return None if done.returncode == 0 else f"it does not build:\n{done.stdout[-3000:]}"


def torture(bug: Bug, binary: Path) -> tuple[int, str]:
    """Exit status and output of the harness."""
    done = subprocess.run(
        [sys.executable, "-m", "torture", *bug.words.split()], cwd=ROOT, env={**os.environ, "LAKEHEAD_BIN": str(binary)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    return done.returncode, done.stdout


def caught(bug: Bug) -> tuple[bool, str]:
    """Whether the harness finds the bug, and what it says."""
    copy_tree()
    why = plant(bug) or build()
    if why:
        return False, why
    status, output = torture(bug, OWN_TARGET / "release/lakehead")
    found = [line for line in output.splitlines() if line.startswith("FOUND ")]
    hits = [line for line in found if line.removeprefix("FOUND ").startswith(tuple(f"{kind}:" for kind in bug.kinds))]
    if status == 1 and hits:
        return True, f"{len(hits)} findings of the kind expected, {len(found)} in all; the first: {hits[0]}"
    return False, f"exit status {status}, {len(found)} findings, none of them {' or '.join(bug.kinds)}\n{output[-3000:]}"


def main() -> int:
    wanted = sys.argv[1:] or [bug.name for bug in BUGS]
    chosen = [bug for bug in BUGS if bug.name in wanted]
    if len(chosen) != len(wanted):
        raise SystemExit(f"torture.bugs: there are {', '.join(bug.name for bug in BUGS)}")
    missed = 0
    begin_with_dependencies()
    for bug in chosen:
        began = time.monotonic()
        hit, text = caught(bug)
        missed += not hit
        print(f"{'CAUGHT' if hit else 'MISSED'} {bug.name} ({time.monotonic() - began:.0f} s): {text}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} planted bugs were caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
