"""What is made of other things agrees with them: the page's types with the server's structs, the built page and the
built client library with their source."""

from __future__ import annotations

import json
import runpy
import tomllib
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.parametrize("name", ["received", "sent"])
def test_the_pages_types_are_the_servers(name: str) -> None:
    made = runpy.run_path(str(WEB / "message_types.py"))[name]()
    kept = (WEB / "src" / "client" / "messages" / f"{name}.ts").read_text()
    assert made == kept, "the server's structs have changed: run `make web`"


def test_what_is_in_the_package_was_built_from_these_sources() -> None:
    stamp = runpy.run_path(str(WEB / "stamp.py"))
    kept = stamp["STAMP"].read_text().strip()
    assert stamp["digest"]() == kept, "the source of the page or of the client library has changed: run `make web`"


def test_the_client_library_has_what_its_package_says() -> None:
    folder = runpy.run_path(str(WEB / "stamp.py"))["BUILT"] / "client"
    package = json.loads((folder / "package.json").read_text())
    for name in package["exports"]["."].values():
        assert (folder / name).is_file(), f"{name} is not built: run `make web`"
    project = tomllib.loads((WEB.parent / "pyproject.toml").read_text())["project"]
    assert package["version"] == project["version"], "web/library/package.json has another version than pyproject.toml"
