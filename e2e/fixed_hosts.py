"""Hosts that no variable of wrangler can move: one wrangler sees them elsewhere, through a hosts file of its own."""

import os
import shlex
import sys
from pathlib import Path

from wrangler import Wrangler


def put_behind(wrangler: Wrangler, hosts: str, authority: Path) -> Path:
    """Runs this wrangler with these lines as its hosts file, this authority trusted and a browser that allows what it is asked.

    Returns the file in which the browser notes the pages it was sent to. The hosts file is mounted in a private namespace, which
    needs root, or a kernel that lets users make namespaces.
    """
    lines = wrangler.folder / "hosts"
    lines.write_text(f"127.0.0.1 localhost\n{hosts}\n")
    notes = wrangler.folder / "visited"
    opener = wrangler.folder / "bin/xdg-open"
    opener.parent.mkdir()
    script = Path(__file__).parent / "allowing_browser.py"
    opener.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(script)])} "$1" {shlex.quote(str(notes))}\n')
    opener.chmod(0o755)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    wrangler.program = [*unshare, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', lines, *wrangler.program]
    wrangler.environment["PATH"] = f"{opener.parent}:{wrangler.environment['PATH']}"
    wrangler.environment["NODE_EXTRA_CA_CERTS"] = str(authority)
    return notes
