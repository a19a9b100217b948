"""Finds a Chromium, and installs one where there is none: from the system's packages, or else Playwright's own.

Run with --install by `make e2e`. It does not know the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
VARIABLE = "ANTIPHON_CHROMIUM"


def chromium() -> Path | None:
    """The program, or None: what the variable names, what is on the PATH, what Playwright keeps."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else _playwrights_own()


def _playwrights_own() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = Path(play.chromium.executable_path)
    return path if path.exists() else None


def install() -> None:
    """Make sure that there is one. Leaves with status 2 and what to do if it cannot."""
    found = chromium()
    if found is None:
        print("== installing Chromium", flush=True)
        for command in _ways():
            if subprocess.run(command, check=False).returncode == 0 and (found := chromium()) is not None:
                break
    if found is None:
        sys.exit(
            "There is no Chromium and none could be installed. Install one (Debian: apt-get install chromium), or name "
            f"its program in {VARIABLE}."
        )
    print(f"== the browser is {found}")


def _ways() -> list[list[str]]:
    ways = []
    if shutil.which("apt-get"):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
        ways.append([*root, "sh", "-c", " ".join([*quiet, "update", "&&", *quiet, "install", "-y", "chromium"])])
    ways.append([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"])
    return ways


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        sys.exit("usage: browser.py --install")
    install()
