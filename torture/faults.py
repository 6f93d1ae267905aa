"""Doing what the plan says: each fault, what is demanded during it, and healing."""

import os
import shutil
import signal
import time
from collections import Counter

import httpx

from torture.plan import Step
from torture.producers import Producer
from torture.world import World

EXIT_DISK_FAILED = 70
# Before the server is ready: it has not begun.
EXIT_NO_START = 74
# The errors a storm is made of, as shares of it.
STORM = {"refuse_503": 0.81, "refuse_500": 0.135, "refuse_429": 0.055}
BACK_AFTER_FULL_SECONDS = 5
FULL_SECONDS_MAX = 20
WEATHER_SECONDS = 20
SYNC_ERROR_SECONDS = 20
LIBFAKETIME = ("libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1")


class Faults:
    """Does steps one after the other. `seen` counts what really happened, `findings` what must not have."""

    def __init__(self, world: World, prober: Producer):
        self.world, self.prober = world, prober
        self._visible: dict[str, tuple[int, int]] = {}
        self.seen: Counter[str] = Counter()
        self.findings: list[str] = []

    @property
    def server(self):
        return self.world.server

    def do(self, step: Step):
        """After its wait; afterwards the server runs."""
        until = time.monotonic() + step.wait
        while time.monotonic() < until:
            time.sleep(min(0.05, max(0, until - time.monotonic())))
            if not self.server.process.running():
                self.unexpected_end("before")
        if step.kind.startswith("s3_"):
            self.wait_for_weather()
            self.world.proxy.weather({step.kind.removeprefix("s3_"): step.numbers["share"]}, step.numbers["seconds"])
        else:
            getattr(self, step.kind)(**step.numbers)

    def wait_for_weather(self):
        """The weather before has hit somebody, if anybody was there."""
        until = time.monotonic() + WEATHER_SECONDS
        while self.world.proxy.pending() and time.monotonic() < until:
            time.sleep(0.05)

    def unexpected_end(self, when: str):
        self.findings.append(
            f"the server ended by itself {when} a fault, with {self.server.process.child.returncode}:\n{self.server.process.tail(20)}"
        )
        self.server.start()

    # Ends of the process.

    def kill(self, again: list[float]):
        self.server.kill()
        self.check_visible_files()
        for delay in again:
            self.server.spawn()
            time.sleep(delay)
            self.server.kill()
        self.seen["kill"] += 1
        self.server.start()

    def check_visible_files(self):
        """While nobody writes: a file, once visible, stays as it is."""
        now = self.world.visible_files()
        for name, state in self._visible.items():
            if now.get(name) != state:
                self.findings.append(f"visible file {name} was {state}, and is {now.get(name)} (bytes, nanoseconds)")
        self._visible = now

    def power_cut(self, again: list[float]):
        """The disk loses its power, and with it what was not synced; then the machine comes back."""
        volume = self.world.volume
        volume.cut_power()
        # What runs on for a moment sees errors, and must not acknowledge anything any more.
        time.sleep(0.05)
        status = self.server.exit_status(0)
        self.server.kill()
        self.seen[f"exit {status} in a power cut" if status is not None else "killed in a power cut"] += 1
        volume.restore_power()
        for delay in again:
            self.server.spawn()
            time.sleep(delay)
            volume.cut_power()
            self.server.kill()
            volume.restore_power()
            self.seen["power_cut"] += 1
        self.seen["power_cut"] += 1
        self.server.start()

    def terminate(self):
        status = self.server.stop_in_time()
        if status != 0:
            self.findings.append(f"SIGTERM ended with {status}, not 0:\n{self.server.process.tail(20)}")
        self.seen["terminate"] += 1
        self.server.start()

    def kill_stopping(self, delay: float):
        self.server.signal_stop()
        time.sleep(delay)
        self.server.kill()
        self.seen["kill_stopping"] += 1
        self.server.start()

    def sync_error(self, nth: int):
        """A life in which the nth sync of a thread fails: the process ends with its own exit status, and soon."""
        self.server.kill()
        said = self.server.output.stat().st_size
        self.server.spawn_once([
            # -D: the tracer is nobody's parent, so the server stays the child that is waited for.
            "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fdatasync,fsync",
            "-e", f"inject=fdatasync,fsync:error=EIO:when={nth}", "-o", "/dev/null",
        ])
        status = self.server.exit_status(SYNC_ERROR_SECONDS)
        words = self.server.output.read_bytes()[said:]
        if status == EXIT_NO_START and b"ready address" not in words:
            self.seen["sync_error"] += 1
            self.seen["sync_error at a start"] += 1
        elif status is None:
            # Some threads sync too seldom to reach their nth.
            self.server.kill()
            self.seen["sync_error not reached"] += 1
        elif status != EXIT_DISK_FAILED:
            self.findings.append(f"a failed sync ended the server with {status}, not {EXIT_DISK_FAILED}:\n{self.server.process.tail(20)}")
        else:
            # It has said which file, and what the system said.
            if b"fsync_failed" not in words:
                self.findings.append(f"a failed sync ended the server without a line that says so:\n{self.server.process.tail(20)}")
            self.seen["sync_error"] += 1
        self.server.start()

    def clock(self, jumps: list[int], each: float):
        """A life in which the wall clock jumps; the monotonic one does not."""
        file = self.world.folder / "faketime"
        file.write_text("+0")
        self.server.kill()
        self.server.spawn_once(variables={
            "LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_DONT_RESET": "1",
        })
        self.server.wait_ready()
        for jump in jumps:
            time.sleep(each)
            file.write_text(f"{jump:+d}")
            self.seen["clock"] += 1
        time.sleep(each)
        self.server.kill()
        self.server.start()

    # Things it lives through.

    def pause(self, seconds: float):
        self.server.process.child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.server.process.child.send_signal(signal.SIGCONT)
        self.seen["pause"] += 1

    def edit(self):
        self.world.edit()
        self.seen["edit"] += 1

    def disk_full(self, seconds: float):
        """A foreign file takes the disk: the server lives and answers, and takes records again soon after the file is gone."""
        volume = self.world.volume
        volume.fill()
        refused, until = 0, time.monotonic() + seconds
        while time.monotonic() < until or not refused and time.monotonic() < until + FULL_SECONDS_MAX:
            # Large ones: the log has space of its own, prepared ahead.
            status = self.prober.probe(typed=False, pads=0 if refused else 12_000)
            refused += status in (429, 503, 507)
            try:
                if self.server.http.get(f"{self.server.url}/metrics").status_code != 200:
                    self.findings.append("/metrics does not answer 200 while the disk is full")
            except httpx.HTTPError as error:
                self.findings.append(f"/metrics does not answer while the disk is full: {error!r}")
            if refused:
                time.sleep(0.2)
        volume.free()
        freed = time.monotonic()
        if not self.server.process.running():
            self.unexpected_end("while the disk was full, in")
        while self.prober.probe(typed=False) != 200:
            if time.monotonic() > freed + BACK_AFTER_FULL_SECONDS:
                self.findings.append(f"no record is taken {BACK_AFTER_FULL_SECONDS} s after the disk has space again")
                break
            time.sleep(0.1)
        self.seen["disk_full"] += 1
        self.seen["refused on a full disk"] += refused
        if not refused:
            self.findings.append("a full disk refused no record")

    def store_kill(self, seconds: float):
        store = self.world.store
        store.process.kill()
        time.sleep(seconds)
        store.start()
        self.seen["store_kill"] += 1

    def storm(self, share: float, seconds: float):
        self.wait_for_weather()
        self.world.proxy.weather({fault: share * part for fault, part in STORM.items()}, seconds)
        self.seen["storm"] += 1

    # Afterwards.

    def heal(self):
        """All is well again; the server runs on as it does."""
        self.wait_for_weather()
        self.world.proxy.clear()
        if self.world.volume:
            self.world.volume.free()
        if not self.world.store.process.running():
            self.world.store.start()
        if not self.server.process.running():
            self.unexpected_end("after")

    def counts(self) -> dict[str, int]:
        """How often each fault happened, those of the proxy included."""
        proxied = {f"s3_{fault}": sum(by.values()) for fault, by in self.world.proxy.counts.items()}
        return {**self.seen, **proxied}


def libfaketime() -> str:
    """Where the library is that lies about the time."""
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"):
        for name in LIBFAKETIME:
            if os.path.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
    raise RuntimeError("clock jumps need libfaketime (package faketime)")


def unavailable(kinds: set[str]) -> list[str]:
    """What is missing here for these faults."""
    missing = []
    if "sync_error" in kinds and shutil.which("strace") is None:
        missing.append("sync_error needs strace")
    if "clock" in kinds:
        try:
            libfaketime()
        except RuntimeError as error:
            missing.append(str(error))
    return missing
