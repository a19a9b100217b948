"""The system's packages that tests need and no Python package brings: how they are installed where that can be done.

It knows Debian's package tool, and that the superuser's rights may be had by sudo without a question.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence


def apt_install(*packages: str) -> list[str] | None:
    """The command that installs them; None where there is no apt-get."""
    if shutil.which("apt-get") is None:
        return None
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
    names = shlex.join(packages)
    return [*root, "sh", "-c", f"{apt} update && {apt} install -y --no-install-recommends {names}"]


def succeeds(command: Sequence[str] | None) -> bool:
    """Whether there is a command, and it did what it should."""
    if command is None:
        return False
    try:
        return not subprocess.run(command, check=False).returncode
    except FileNotFoundError:  # no sudo
        return False
