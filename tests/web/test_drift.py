"""What is made of other things agrees with them: the page's types with the server's structs, the built page with its
source."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.parametrize("name", ["received", "sent"])
def test_the_pages_types_are_the_servers(name: str) -> None:
    made = runpy.run_path(str(WEB / "message_types.py"))[name]()
    kept = (WEB / "src" / "client" / "messages" / f"{name}.ts").read_text()
    assert made == kept, "the server's structs have changed: run `make web`"


def test_the_page_in_the_package_was_built_from_these_sources() -> None:
    stamp = runpy.run_path(str(WEB / "stamp.py"))
    assert stamp["digest"]() == stamp["STAMP"].read_text().strip(), "the page's source has changed: run `make web`"
