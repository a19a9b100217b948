"""The processes that engines start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    id: int
    niceness: int
    is_zombie: bool
    command: bytes


def children(parent: int | None = None) -> list[Process]:
    """Of this process, or of another; zombies too."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == (parent or os.getpid()):
            found.append(Process(int(stat.parent.name), int(fields[16]), fields[0] == "Z", command))
    return found
