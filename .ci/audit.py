"""Asks the advisory service for known holes in what is locked, and tells those from a service that cannot be reached.

Ends with 0 if there are none, with 1 if there are some, and with 3 if nobody could be asked, which is no good news.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

UNKNOWN = 3
PATIENCE_S = 300
FLAGS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def main(program: str, lock: str) -> int:
    try:
        done = subprocess.run([program, *FLAGS, "-r", lock], capture_output=True, text=True, timeout=PATIENCE_S)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return not_asked(str(error))
    except json.JSONDecodeError:
        return not_asked(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it said nothing")
    asked = [package for package in found["dependencies"] if "skip_reason" not in package]
    skipped = [package["name"] for package in found["dependencies"] if "skip_reason" in package]
    if not asked:
        return not_asked(f"it knows none of {len(skipped)} packages")
    holes = [(package, hole) for package in asked for hole in package["vulns"]]
    for package, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {hole['id']}, mended in {fixed}")
    if skipped:
        print(f"It knows nothing of {', '.join(skipped)}")
    print(f"{len(asked)} packages of {lock} were asked about: {len(holes)} known holes")
    return 1 if holes else 0


def not_asked(reason: str) -> int:
    print(f"COULD NOT ASK for known holes, so that nothing is known about them: {reason[:300]}")
    return UNKNOWN


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
