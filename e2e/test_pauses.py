"""A server that is stopped for a while, or that the system ends for its memory, amid commits: the audit is exact.

LAKEHEAD_TEST_FAULT_ROUNDS above 1 pauses for a minute.
"""

import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from fault_proxy import Call, Lose
from load import QUICK, ROUNDS, Copy
from processes import wait_until

PAUSE_SECONDS = 3 if ROUNDS == 1 else 60
SMALL = {**QUICK, "file_size_bytes": 20_000}
MEMORY = Path("/sys/fs/cgroup/memory")


def pause(pid: int, seconds: float):
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(seconds, os.kill, (pid, signal.SIGCONT)).start()


def nth(wanted, number: int):
    """Whether a call is the `number`th wanted one from now on."""
    seen = []

    def is_it(call: Call) -> bool:
        if wanted(call):
            seen.append(call)
            return len(seen) == number
        return False

    return is_it


def is_write(call: Call) -> bool:
    return call.kind == "put" and call.key != ".lakehead-probe"


@pytest.mark.parametrize("applied", [False, True], ids=["before the store did it", "after"])
def test_a_pause_amid_a_commit_changes_nothing(through_proxy, applied):
    """R-12: SIGSTOP while a file is being published."""
    copy, proxy = through_proxy(f"paused-{applied}".lower(), policy=SMALL)
    pid = copy.server.process.pid
    paused = []

    def stop(call: Call):
        paused.append(call)
        pause(pid, PAUSE_SECONDS)

    with copy.load(timeout=PAUSE_SECONDS + 30) as load:
        is_it = nth(is_write, 3)

        def rule(call: Call):
            if is_it(call):
                if applied:
                    return Lose("reset", then=stop)
                stop(call)
            return None

        proxy.rule = rule
        wait_until("it was paused", 30, lambda: paused)
        time.sleep(PAUSE_SECONDS)
        load.wait_acknowledged(500)
        # And at any moment.
        pause(pid, 1)
        time.sleep(1.5)
        load.wait_acknowledged(200)
    assert max(a.seconds for a in load.answers) > PAUSE_SECONDS - 1, "nobody noticed"
    copy.finish()


def limit_memory(pid: int):
    """Takes the process's memory away, by a control group or else by a limit of its address space."""
    if (MEMORY / "memory.limit_in_bytes").exists():
        group = MEMORY / f"lakehead-test-{pid}"
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
        # What it has is counted where it was; what it needs from now on is counted here.
        (group / "memory.limit_in_bytes").write_text(str(2 << 20))
    else:
        resource.prlimit(pid, resource.RLIMIT_AS, (16 << 20, 16 << 20))


def release(pid: int):
    group = MEMORY / f"lakehead-test-{pid}"
    if group.exists():
        wait_until("the group is empty", 10, lambda: not (group / "cgroup.procs").read_text().strip())
        group.rmdir()


def test_an_end_for_want_of_memory_amid_a_commit_loses_and_repeats_nothing(through_proxy):
    """R-12: out of memory."""
    copy, proxy = through_proxy("memory", policy=SMALL)
    with copy.load(payload_bytes=6400) as load:
        for applied in [False, True] * ROUNDS:
            load.wait_acknowledged(500)
            pid = copy.server.process.pid
            is_it = nth(is_write, 2)

            def rule(call: Call, is_it=is_it, pid=pid, applied=applied):
                if is_it(call):
                    if applied:
                        return Lose("reset", then=lambda _: limit_memory(pid))
                    limit_memory(pid)
                return None

            proxy.rule = rule
            wait_until("the server is ended", 30, lambda: not copy.server.process.running())
            code = copy.server.process.child.returncode
            assert code in (-signal.SIGKILL, -signal.SIGABRT), code
            proxy.rule = lambda call: None
            release(pid)
            copy.server.kill()
            copy.server.start()
    copy.finish()
