"""docs/clients.md names the versions that are installed and held to it."""

from __future__ import annotations

import json
import re

from stage import HERE, ROOT

ROW = re.compile(r"^\| `([^`]+)`(.*?) \| ([\d.]+) \| ", re.MULTILINE)


def test_every_version_is_the_one_of_the_lock_files() -> None:
    python: dict[str, set[str]] = {}
    for lock in [ROOT / "requirements-dev.lock", *(HERE / "locks").glob("*.lock")]:
        for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(), re.MULTILINE):
            python.setdefault(name, set()).add(version)
    node = json.loads((HERE / "node" / "package.json").read_text())["dependencies"]
    rows = ROW.findall((ROOT / "docs/clients.md").read_text())
    assert len(rows) == 9
    for name, kind, version in rows:
        assert {version} == ({node[name]} if "Node" in kind else python[name]), name
