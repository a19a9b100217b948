"""Finds a Chromium, and installs one where there is none: from the system's packages, or else Playwright's own.

Run with --install by `make e2e`. It does not know the tests.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from packages import apt_install, succeeds

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
    """Make sure that there is one. Ends the program with what to do if it cannot."""
    found = chromium()
    if found is None:
        print("== installing Chromium", flush=True)
        for command in _ways():
            if succeeds(command) and (found := chromium()) is not None:
                break
    if found is None:
        sys.exit(
            "There is no Chromium and none could be installed. Install one (Debian: apt-get install chromium), or name "
            f"its program in {VARIABLE}."
        )
    print(f"== the browser is {found}")


def _ways() -> list[list[str]]:
    ways = [[sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]]
    apt = apt_install("chromium")
    return [apt, *ways] if apt is not None else ways


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        sys.exit("usage: browser.py --install")
    install()
