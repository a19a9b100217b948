"""Asks for known holes in all that is locked, file by file: pip-audit knows of Python's, npm of Node's.

    python .ci/audit.py PIP-AUDIT NPM [LOCK ...]        all lock files of the repository, unless some are named

Two services look as if there were no holes: one that cannot be reached, and a mirror that answers and knows of none. So
each is also asked about a release that is known for its holes; a service that knows nothing of those was not asked.

Ends with 1 if holes are known, with 3 if nobody could be asked about some file, which is no good news, and with 0
otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
HOLES, UNKNOWN = 1, 3
PATIENCE_S = 300
PIP_FLAGS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "-r")
NPM_FLAGS = ("audit", "--json", "--package-lock-only")
NODE_LOCK = "package-lock.json"
FAMOUS_PYTHON = f"urllib3==1.24.1 --hash=sha256:{0:064}\n"
FAMOUS_NODE = {"name": "famous", "version": "0.0.0", "dependencies": {"lodash": "4.17.4"}}
FAMOUS_NODE_LOCK = {
    "name": "famous", "version": "0.0.0", "lockfileVersion": 3, "requires": True,
    "packages": {"": FAMOUS_NODE, "node_modules/lodash": {"version": "4.17.4"}},
}  # fmt: skip


DOUBT = "the service knows of no hole in a release that is known for its holes"


class Unasked(Exception):
    """Nobody could be asked; why."""


class Answer(NamedTuple):
    asked: int
    holes: list[str]
    """One line each."""
    unknown: list[str]
    """Packages that the service has never heard of."""


def main(pip_audit: str, npm: str, *locks: str) -> int:
    services = {
        False: Service(lambda lock: asked_of_pip_audit(pip_audit, lock), "famous.lock", FAMOUS_PYTHON),
        True: Service(lambda lock: asked_of_npm(npm, lock), NODE_LOCK, json.dumps(FAMOUS_NODE_LOCK)),
    }
    found = {told(lock, services[lock.name == NODE_LOCK]) for lock in map(Path, locks or all_locks(ROOT))}
    return next((worst for worst in (HOLES, UNKNOWN) if worst in found), 0)


def all_locks(root: Path) -> Iterator[Path]:
    """Those below a folder, but for what is installed or built."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("node_modules", "build"))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".lock") or name == NODE_LOCK)


class Service:
    """Knows of holes, or does not."""

    def __init__(self, ask: Callable[[Path], Answer], name: str, famous: str) -> None:
        """`famous` is a lock file of this name for a release that is known for its holes."""
        self._ask = ask
        self._name, self._famous = name, famous

    def asked(self, lock: Path) -> Answer:
        """Raises `Unasked`."""
        if self._doubt:
            raise Unasked(self._doubt)
        return self._ask(lock)

    @cached_property
    def _doubt(self) -> str:
        """Why nothing that it says is to be believed; empty if it knows of famous holes."""
        with TemporaryDirectory() as folder:
            lock = Path(folder, self._name)
            lock.write_text(self._famous)
            lock.with_name("package.json").write_text(json.dumps(FAMOUS_NODE))
            try:
                return "" if self._ask(lock).holes else DOUBT
            except Unasked as reason:
                return f"{DOUBT}: {reason}"


def told(lock: Path, service: Service) -> int:
    """Says what is known about a file. Returns HOLES, UNKNOWN or 0."""
    try:
        answer = service.asked(lock)
    except Unasked as reason:
        print(f"COULD NOT ASK about {named(lock)}, so that nothing is known about it: {str(reason)[:300]}")
        return UNKNOWN
    for hole in answer.holes:
        print(f"KNOWN HOLE: {named(lock)}: {hole}")
    if answer.unknown:
        print(f"It knows nothing of {', '.join(answer.unknown)}")
    print(f"{answer.asked} packages of {named(lock)} were asked about: {len(answer.holes)} known holes")
    return HOLES if answer.holes else 0


def named(lock: Path) -> str:
    return str(lock.relative_to(ROOT)) if lock.is_relative_to(ROOT) else str(lock)


def asked_of_pip_audit(program: str, lock: Path) -> Answer:
    """Raises `Unasked`."""
    found = said_by([program, *PIP_FLAGS, str(lock)], lock.parent)
    asked = [package for package in found["dependencies"] if "skip_reason" not in package]
    unknown = [package["name"] for package in found["dependencies"] if "skip_reason" in package]
    if not asked:
        raise Unasked(f"it knows none of {len(unknown)} packages")
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for package in asked
        for hole in package["vulns"]
    ]
    return Answer(len(asked), holes, unknown)


def asked_of_npm(program: str, lock: Path) -> Answer:
    """Raises `Unasked`."""
    found = said_by([program, *NPM_FLAGS], lock.parent)
    if "error" in found:
        raise Unasked(str(found.get("message") or found["error"]))
    holes = [
        f"{name} {package['range']}: {hole['title']} ({hole['url']})"
        for name, package in found["vulnerabilities"].items()
        for hole in package["via"]
        if isinstance(hole, dict)  # else the name of another package, whose hole it is
    ]
    return Answer(found["metadata"]["dependencies"]["total"], holes, [])


def said_by(command: list[str], folder: Path) -> dict[str, Any]:
    """The object that a program prints. Raises `Unasked`."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
        said: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unasked(str(error)) from None
    except json.JSONDecodeError:
        raise Unasked(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it said nothing") from None
    return said


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
