"""Hosts that no variable of wrangler can move: one wrangler sees them elsewhere, through a hosts file of its own."""

import os
from pathlib import Path

from wrangler import Wrangler

# What stands for the browser: follows the one redirect that leads back to wrangler, and goes no farther.
BROWSER = """#!/bin/sh
target=$(curl --silent --show-error --cacert "$NODE_EXTRA_CA_CERTS" --output /dev/null --write-out '%{redirect_url}' "$1")
printf '%s\\n%s\\n' "$1" "$target" >> "$(dirname "$0")/visited"
curl --silent --show-error --output /dev/null "$target"
"""


def put_behind(wrangler: Wrangler, hosts: str, authority: Path) -> Path:
    """Runs this wrangler with these lines as its hosts file and this authority trusted; where the browser notes its visits.

    The hosts file is mounted in a private namespace, which needs root, or a kernel that lets users make namespaces.
    """
    lines = wrangler.folder / "hosts"
    lines.write_text(f"127.0.0.1 localhost\n{hosts}\n")
    browser = wrangler.folder / "bin/xdg-open"
    browser.parent.mkdir()
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    wrangler.program = [*unshare, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', lines, *wrangler.program]
    wrangler.environment["PATH"] = f"{browser.parent}:{wrangler.environment['PATH']}"
    wrangler.environment["NODE_EXTRA_CA_CERTS"] = str(authority)
    return browser.parent / "visited"
