"""The torture harness in short: kills, pauses, edits and faults of the store with a fixed seed, as far as no root is needed.

`make torture` is the long form.
"""

import os
import subprocess
import sys
from pathlib import Path

from lakehead import BINARY

ROOT = Path(__file__).resolve().parent.parent
SEED = os.environ.get("SEED", "20261122")


def test_a_short_run_of_the_torture_harness_finds_nothing():
    run = subprocess.run(
        [sys.executable, "-m", "torture", "--seed", SEED, "--minutes", "0.4", "--kills", "10", "--acks", "600", "--quick",
         "--without", "disk_full,sync_error,clock,s3_stall,s3_slow"],
        cwd=ROOT, env={**os.environ, "LAKEHEAD_BIN": str(BINARY)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=400, check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4000:]
    assert "PASSED" in run.stdout
