"""Says from which sources the page in the package was built. Run by `make web`; a test sees that it was built anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
STAMP = HERE.parent / "src" / "antiphon" / "web" / "sources.sha256"
SOURCES = ("index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")


def digest() -> str:
    """Of everything that the built page depends on, names included."""
    files = [HERE / name for name in SOURCES]
    files += sorted(path for path in (HERE / "src").rglob("*") if path.is_file())
    made = hashlib.sha256()
    for path in files:
        made.update(f"{path.relative_to(HERE).as_posix()}\n".encode())
        made.update(path.read_bytes())
    return made.hexdigest()


if __name__ == "__main__":
    STAMP.write_text(digest() + "\n")
