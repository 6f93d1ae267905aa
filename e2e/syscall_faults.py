"""Failing and slow system calls of a running server, by strace."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from lakehead import Server
from processes import Process, wait_until


def thread_of(server: Server, name: str) -> int:
    """The thread of that name, as far as the kernel keeps names (15 bytes)."""

    def find():
        for task in Path(f"/proc/{server.process.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name[:15]:
                return int(task.name)
        return None

    return wait_until(f"the server has a thread {name}", 10, find)


def injected(output: Path) -> list[tuple[float, str]]:
    """The calls that strace tampered with: when (wall clock), and on which file, if the line says it."""
    found = []
    for line in output.read_text().splitlines() if output.exists() else []:
        match = re.match(r"(?:\d+ +)?([\d.]+) (?:\w+\((?:\d+<(.*?)>)?|<\.\.\. \w+ resumed>).*\(INJECTED\)", line)
        if match:
            found.append((float(match[1]), match[2] or ""))
    return found


class Tampered:
    """While the block runs, system calls of the server fail or take long, as strace's `--inject` says.

    `thread`: only those of the thread of that name. `paths`: only those on these files.
    """

    def __init__(self, server: Server, calls: str, how: str, thread: str | None = None, paths: list[Path] = ()):
        self.output = server.output.with_name("strace")
        self.output.unlink(missing_ok=True)
        self.pid = thread_of(server, thread) if thread else server.process.pid
        of = ["-p", str(self.pid)] if thread else ["-f", "-p", str(self.pid)]
        only = [word for path in paths for word in ("-P", str(path))]
        self.server = server
        self.command = ["strace", "-qq", "-y", "-ttt", *of, *only, "-e", f"trace={calls}", "-e", f"inject={calls}:{how}",
                        "-o", str(self.output)]

    def __enter__(self) -> "Tampered":
        self.process = Process(self.command, self.output.with_name("strace.log"))
        status = Path(f"/proc/{self.pid}/status")

        def attached():
            try:
                return not self.server.process.running() or "TracerPid:\t0" not in status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                # What it was to do is done already: the server is ending.
                return True

        wait_until("strace is attached", 10, attached)
        # To the other threads as well.
        time.sleep(0.1)
        return self

    def __exit__(self, *_):
        # It lets go of the server on SIGINT, and ends by itself with the server.
        if self.process.running():
            self.process.child.send_signal(signal.SIGINT)
        try:
            self.process.child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def injected(self) -> list[tuple[float, str]]:
        return injected(self.output)

    def synced_after(self, moment: float, path: str) -> list[str]:
        """Calls on a file that succeeded after a moment."""
        lines = self.output.read_text().splitlines()
        calls = [re.match(r"(?:\d+ +)?([\d.]+) \w+\(\d+<(.*?)>\) += 0$", line) for line in lines]
        return [m[0] for m in calls if m and float(m[1]) > moment and m[2] == path]


def tmpfs(folder: Path, mebibytes: int) -> Path:
    """Mounts a file system of that size, which whoever asked must unmount."""
    assert os.geteuid() == 0, "this test mounts a small file system and must run as root"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}M", "lakehead-test", folder], check=True)
    return folder
