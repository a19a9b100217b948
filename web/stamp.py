"""Says from which sources the page and the client library in the package were built, and what came of them. Run by
`make web`; a test sees that they were built anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parent / "src" / "antiphon" / "web"
STAMP = BUILT / "sources.sha256"
SOURCES = (
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.library.json",
    "vite.config.ts",
    "vite.library.config.ts",
)


def digest() -> str:
    """Of everything that the built files depend on, and of those files; names included."""
    files = [HERE / name for name in SOURCES]
    for folder in (HERE / "src", HERE / "library", BUILT):
        files += sorted(path for path in folder.rglob("*") if path.is_file() and path != STAMP)
    made = hashlib.sha256()
    for path in files:
        made.update(f"{path.relative_to(HERE.parent).as_posix()}\n".encode())
        made.update(path.read_bytes())
    return made.hexdigest()


if __name__ == "__main__":
    STAMP.write_text(digest() + "\n")
