"""Hosts that no variable of wrangler can move, played by the server: seen through a hosts file of the test's own."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from lakehead import BINARY, Server
from wrangler import Wrangler


def configuration(port: int) -> str:
    """Port 443 of a loopback address that no other server of the tests has."""
    return f'[hosts]\nlisten = "127.1.{port >> 8}.{port & 255}:443"\n'


class FixedHosts:
    """The names of what the server has now; made again, it sees new buckets, streams and pipelines.

    The hosts file is mounted in a private namespace, which needs root, or a kernel that lets users make namespaces.
    """

    def __init__(self, server: Server, folder: Path):
        command = [BINARY, "wrangler-hosts", "--config", server.configuration, "--data-dir", server.data_dir]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        authority = re.search(r"NODE_EXTRA_CA_CERTS='([^']+)'", done.stdout)
        assert authority, done.stdout
        self.authority = authority[1]
        folder.mkdir()
        hosts = folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{done.stdout}")
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        # Stands before any command that is to see them.
        self.inside = [*unshare, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        # The pages the browser was sent to, one a line.
        self.visited = folder / "visited"
        self.opener = folder / "bin/xdg-open"
        self.opener.parent.mkdir()
        browser = shlex.join([sys.executable, str(Path(__file__).parent / "allowing_browser.py")])
        self.opener.write_text(f'#!/bin/sh\nexec {browser} "$1" {shlex.quote(str(self.visited))}\n')
        self.opener.chmod(0o755)

    def show_to(self, wrangler: Wrangler):
        """This wrangler sees the names, trusts the authority, and has a browser that allows what it is asked."""
        wrangler.program = [*self.inside, *wrangler.program]
        wrangler.environment["PATH"] = f"{self.opener.parent}:{wrangler.environment['PATH']}"
        wrangler.environment["NODE_EXTRA_CA_CERTS"] = self.authority

    def pages(self) -> list[str]:
        return self.visited.read_text().splitlines() if self.visited.exists() else []

    def curl(self, *arguments: str) -> str:
        """What curl prints that sees the names and trusts the authority."""
        done = subprocess.run(
            [*self.inside, "curl", "--silent", "--show-error", "--cacert", self.authority, *arguments],
            capture_output=True, text=True, timeout=30, check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
