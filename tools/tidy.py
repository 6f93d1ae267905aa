#!/usr/bin/env python3
"""Checks the rules of the repository that no compiler knows. Prints every violation; exit status 1 if there is one.

- Crates: no edges between the crates that hold the steps of the data flow; heavy dependencies only in the crates that may name them;
  versions only in the workspace's Cargo.toml, where each says what it is for.
- Names that say nothing are not names of files or modules.
- Files end somewhere.
- Nothing names a path of somebody's machine or the host of a package registry.

`tools/test_tidy.py` shows each rule a tree that breaks it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

# The steps of the data flow know the model, and nothing of each other.
STEPS = {"lakehead-log", "lakehead-meta", "lakehead-decode", "lakehead-transform", "lakehead-sink"}
# Heavy dependencies (prefixes of package names) and the crates that may name them.
ONLY_IN = {
    "datafusion": ("lakehead-transform",),
    "parquet": ("lakehead-sink", "lakehead-table"),
    "iceberg": ("lakehead-table",),
    "object_store": ("lakehead-sink",),
    "rusqlite": ("lakehead-meta",),
}
# crate -> prefixes of what it must not depend on.
NEVER = {
    "lakehead-model": ("arrow", "tokio", "hyper", "axum", "lakehead-"),
    "lakehead-cli": ("lakehead-server",),
    "lakehead-hosts": ("arrow", "datafusion", "lakehead-server", "lakehead-log", "lakehead-meta"),
    "lakehead-log": ("arrow",),
    "lakehead-meta": ("arrow", "http", "hyper", "axum"),
}
BANNED_NAMES = {
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "core", "types", "models",
}
LINES_MAX = 700
# path -> lines it has today. May only shrink; a file that has become shorter must be entered with its new length.
RATCHET: dict[str, int] = {}
SOURCE_SUFFIXES = {".rs", ".py", ".sh", ".mjs", ".js", ".ts", ".html", ".css"}
# Written with a class of one letter, so that this file does not name them either.
FOREIGN = re.compile(
    r"/[r]oot/|/[w]ork/|/home/[a-z]+/|(?:registry|files|static|index|deb)\.(?:[n]pmjs|[p]ythonhosted|[c]rates|[d]ebian)\.|[p]ypi\.org"
)
# Written by a program that always names the index.
FOREIGN_ALLOWED = {"Cargo.lock"}


def manifests(root: Path, files: list[str]) -> dict[str, dict]:
    """Cargo.toml of every package, by path."""
    found = {}
    for file in files:
        if Path(file).name == "Cargo.toml":
            manifest = tomllib.loads((root / file).read_text())
            if "package" in manifest:
                found[file] = manifest
    return found


def dependencies(manifest: dict) -> dict[str, dict | str]:
    """Name of the package (not of its alias) -> entry, of every kind of dependency."""
    tables = [manifest, *manifest.get("target", {}).values()]
    found = {}
    for table in tables:
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            for alias, entry in table.get(kind, {}).items():
                name = entry.get("package", alias) if isinstance(entry, dict) else alias
                found[name] = entry
    return found


def check_crates(root: Path, files: list[str]):
    for file, manifest in manifests(root, files).items():
        crate = manifest["package"]["name"]
        folder = Path(file).parent.name
        if crate not in (folder, f"lakehead-{folder}"):
            yield f"{file}: crate {crate} lives in a folder of another name"
        for name, entry in dependencies(manifest).items():
            if crate in STEPS and name in STEPS and name != crate:
                yield f"{file}: {crate} must not depend on {name}: steps of the data flow do not know each other"
            for prefix, owners in ONLY_IN.items():
                if name.startswith(prefix) and crate not in owners:
                    yield f"{file}: only {' and '.join(owners)} may depend on {name}"
            if name.startswith(NEVER.get(crate, ())):
                yield f"{file}: {crate} must not depend on {name}"
            # A crate may name itself by path, to switch a feature of its own on for its tests.
            if name != crate and not (isinstance(entry, dict) and entry.get("workspace") is True):
                yield f"{file}: {name} must be `workspace = true`; versions are in the root Cargo.toml"


def check_workspace_comments(root: Path, files: list[str]):
    if "Cargo.toml" not in files:
        return
    inside = False
    for number, line in enumerate((root / "Cargo.toml").read_text().splitlines(), 1):
        if line.startswith("["):
            inside = line.strip() == "[workspace.dependencies]"
        elif inside and re.match(r"[\w-]+\s*=", line) and "path = " not in line and not re.search(r"#\s*\S", line):
            yield f"Cargo.toml:{number}: the dependency does not say what it is for"


def check_names(root: Path, files: list[str]):
    for file in files:
        path = Path(file)
        for part in (*path.parent.parts, path.name.split(".")[0]):
            if part.lower() in BANNED_NAMES:
                yield f"{file}: {part!r} says nothing; name it by what it holds"
        if path.suffix == ".rs":
            for number, line in enumerate((root / file).read_text().splitlines(), 1):
                module = re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)", line)
                if module and module[1].lower() in BANNED_NAMES:
                    yield f"{file}:{number}: module {module[1]!r} says nothing; name it by what it holds"


def check_length(root: Path, files: list[str], ratchet: dict[str, int]):
    for file in files:
        if Path(file).suffix not in SOURCE_SUFFIXES:
            continue
        lines = len((root / file).read_text().splitlines())
        if lines > ratchet.get(file, LINES_MAX):
            yield f"{file}: {lines} lines, {ratchet.get(file, LINES_MAX)} are allowed"
        if file in ratchet and lines < ratchet[file]:
            yield f"{file}: {lines} lines, but the ratchet still says {ratchet[file]}; lower it"
    for file in ratchet:
        if file not in files:
            yield f"{file}: is in the ratchet and does not exist"


def check_foreign(root: Path, files: list[str]):
    for file in files:
        if file in FOREIGN_ALLOWED:
            continue
        data = (root / file).read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = FOREIGN.search(line)
            if match:
                yield f"{file}:{number}: names {match[0]!r}, which exists only elsewhere"


def check(root: Path, files: list[str], ratchet: dict[str, int] = RATCHET) -> list[str]:
    return [
        *check_crates(root, files),
        *check_workspace_comments(root, files),
        *check_names(root, files),
        *check_length(root, files, ratchet),
        *check_foreign(root, files),
    ]


def tracked(root: Path) -> list[str]:
    """Files under version control, and new ones that are not ignored; deleted ones not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    return sorted({file for file in listed if file and (root / file).is_file()})


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    files = tracked(root)
    if "Cargo.toml" not in files:
        print("tidy: Cargo.toml is not among the files: nothing was checked")
        return 1
    violations = check(root, files)
    for violation in violations:
        print(violation)
    print(f"tidy: {len(files)} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
