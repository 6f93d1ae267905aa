"""Starting programs of a test: free ports, readiness, an end that is certain."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """A port nobody listens on, whose +10000 (where SeaweedFS puts gRPC) is free as well."""
    for _ in range(200):
        with socket.socket() as low:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            if port > 50_000:
                continue
            with socket.socket() as high:
                try:
                    high.bind(("127.0.0.1", port + 10_000))
                except OSError:
                    continue
            return port
    # The range of short-lived ports may begin above 50,000.
    for port in range(20_000, 30_000):
        with socket.socket() as low, socket.socket() as high:
            try:
                low.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise RuntimeError("no free pair of ports")


def wait_until(what: str, within: float, done, every: float = 0.05):
    """Calls `done` until it returns something true and returns that; fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = done()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(every)


def end_of_input(child: subprocess.Popen):
    """Ends a program that reads its orders from standard input: by closing that, and by force if it does not heed it."""
    child.stdin.close()
    try:
        child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=15)


class Process:
    """A child process in its own session, its output in a file."""

    def __init__(self, command: list[str], output: Path, environment: dict[str, str] | None = None):
        self.command = [str(part) for part in command]
        self.output = output
        with output.open("ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def running(self) -> bool:
        return self.child.poll() is None

    def kill(self):
        if self.running():
            self.child.send_signal(signal.SIGKILL)
        self.child.wait(timeout=30)

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])
