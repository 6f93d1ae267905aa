"""A program in a terminal whose questions are read and answered one by one."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

DOWN = "\x1b[B"
ENTER = "\r"
# Colours, cursor movements, titles.
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|[78=>])|\r")
# An open question, and one that has been answered.
OPEN, DONE = "? ", "✔ "
SETTLED_SECONDS = 0.1


class Terminal:
    def __init__(self, command: list, folder: Path, environment: dict[str, str]):
        self.screen, inside = pty.openpty()
        # Wide enough that no question is broken over lines.
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 400, 0, 0))
        self.child = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env={**environment, "TERM": "xterm"}, stdin=inside, stdout=inside,
            stderr=inside, start_new_session=True,
        )
        os.close(inside)
        self.raw = b""
        # What was printed, without colours and movements.
        self.transcript = ""
        # Where the answered part of the transcript ends.
        self.seen = 0

    def read(self, seconds: float) -> bool:
        """Takes in what is printed within `seconds`; whether there was anything."""
        ready, _, _ = select.select([self.screen], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.screen, 65536)
        except OSError:
            # The program has closed its side.
            return False
        self.raw += data
        self.transcript = ESCAPE.sub("", self.raw.decode(errors="replace"))
        return bool(data)

    def expect(self, text: str, seconds: float = 30) -> int:
        """Waits for a text after what was seen; its end."""
        deadline = time.monotonic() + seconds
        while (at := self.transcript.find(text, self.seen)) < 0:
            running = self.child.poll() is None
            if not self.read(0.2) and not running:
                raise AssertionError(f"ended with {self.child.returncode} before {text!r}:\n{self.transcript}")
            assert time.monotonic() < deadline, f"not within {seconds} s: {text!r}\n{self.transcript}"
        return at + len(text)

    def type(self, keys: str):
        os.write(self.screen, keys.encode())

    def _answered(self, question: str) -> str:
        """Waits until the question is closed; what the program shows as the answer."""
        end = self.expect(DONE + question)
        while "\n" not in self.transcript[end:]:
            assert self.read(5), f"no line after {question!r}:\n{self.transcript}"
        self.seen = self.transcript.index("\n", end)
        return self.transcript[end:self.seen].strip(" ›…")

    def answer(self, question: str, keys: str = "") -> str:
        """Types an answer to a question (nothing: takes what is offered); the answer as it is shown."""
        self.expect(OPEN + question)
        self.type(keys + ENTER)
        return self._answered(question)

    def confirm(self, question: str, yes: bool) -> None:
        self.expect(OPEN + question)
        # A single key, without Enter.
        self.type("y" if yes else "n")
        shown = self._answered(question)
        assert shown == ("yes" if yes else "no"), f"{question!r}: {shown!r}\n{self.transcript}"

    def choose(self, question: str, title: str) -> None:
        """Walks down a list until the pointer stands before a title."""
        self.seen = self.expect(OPEN + question)
        for _ in range(20):
            while self.read(SETTLED_SECONDS):
                pass
            pointed = self.transcript.rfind("❯")
            assert pointed > 0, self.transcript
            if self.transcript[pointed + 1:].lstrip().startswith(title):
                self.type(ENTER)
                shown = self._answered(question)
                assert shown.startswith(title), f"{question!r}: {shown!r}\n{self.transcript}"
                return
            self.type(DOWN)
        raise AssertionError(f"{question!r} offers no {title!r}:\n{self.transcript}")

    def finish(self, code: int = 0, seconds: float = 30) -> str:
        """Waits for the end; all that was printed."""
        deadline = time.monotonic() + seconds
        while self.read(0.2) or self.child.poll() is None:
            assert time.monotonic() < deadline, f"still running:\n{self.transcript}"
        os.close(self.screen)
        assert self.child.returncode == code, f"ended with {self.child.returncode}:\n{self.transcript}"
        return self.transcript

    def end(self):
        """Kills it, if it still runs."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(timeout=30)
