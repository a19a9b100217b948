"""The number by which ids of calls and tokens of sessions name the process that holds them.

On one machine it is the system's own. How that process is reached is not known here.
"""

from __future__ import annotations

import os
import secrets

_machine = 0


def own_number() -> int:
    return _machine << 32 | os.getpid()


def be_one_of_several_machines() -> None:
    """From now on the number is no other machine's either. Before anything is named by it."""
    global _machine
    _machine = _machine or 1 + secrets.randbits(30)
