"""The folder with the models on this machine: what is there, where, and away with it.

A model is a folder of its name with a list of its files, which is written last: without it the model is not there. It
does not download.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from antiphon.errors import ConfigError
from antiphon.models.catalog import MODELS, model_named

DEFAULT_FOLDER = Path("~/.local/share/antiphon/models")
LIST = "antiphon-model.json"
PARTIAL = ".partial"


class Contents(Struct, frozen=True):
    """What a model's folder holds."""

    repository: str
    revision: str
    files: Mapping[str, int]
    """Path within the folder, and bytes."""
    sha256: Mapping[str, str] = {}
    """Path within the folder, and the content's, in hexadecimal."""

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


class Store:
    """All models of one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """None is the folder of whoever runs this."""
        self.folder = (folder or DEFAULT_FOLDER).expanduser()

    def contents(self, name: str) -> Contents | None:
        """What there is of this model; None if it is not there, or not whole."""
        try:
            contents = msgspec.json.decode((self.folder / name / LIST).read_bytes(), type=Contents)
        except (OSError, msgspec.DecodeError):
            return None
        for file, size in contents.files.items():
            path = self.folder / name / file
            if not path.is_file() or path.stat().st_size != size:
                return None
        return contents

    def names(self) -> list[str]:
        """The models that are there."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if self.contents(path.name) is not None)

    def find(self, name: str) -> Path:
        """The folder of a model by its name, or one given by its path. Raises `ConfigError` with what to do."""
        path = Path(name).expanduser()
        if path.is_dir() and (path.is_absolute() or name.startswith(".")):
            return path
        if name not in MODELS and ("/" in name or name.startswith(".")):
            raise ConfigError(f"there is no folder {path}", "Check the path, or take a name of: antiphon models list")
        model_named(name)
        if self.contents(name) is None:
            started = (self.folder / name).exists() or (self.folder / (name + PARTIAL)).exists()
            what = "is not whole" if started else "is not on this machine"
            raise ConfigError(
                f"the model {name} {what} (in {self.folder})",
                f"Get it with: antiphon models pull {name}. Nothing is downloaded before you ask for it.",
            )
        return self.folder / name

    def remove(self, name: str) -> int:
        """Delete a model, whole or not; returns how many bytes that were. Raises `ConfigError`."""
        if "/" in name or name.startswith("."):
            raise ConfigError(f"{name!r} is no model's name", "See: antiphon models list")
        size = 0
        found = [path for path in (self.folder / name, self.folder / (name + PARTIAL)) if path.is_dir()]
        if not found:
            raise ConfigError(f"there is no model {name} in {self.folder}", "See: antiphon models list")
        for path in found:
            size += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        return size
