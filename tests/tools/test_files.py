"""Files below the folders that were named can be read, found and searched, and nothing else can."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import ConfigError
from antiphon.tools.api import ToolContext, ToolError
from antiphon.tools.builtin.files import Roots, file_tools

CONTEXT = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "s", lambda text: None)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Two rooms that are open, and a cellar that is not."""
    for name, text in {
        "notes/todo.txt": "buy milk\nbuy Bread\ncall mum\n",
        "notes/deep/er/plan.md": "# Plan\nmilk first\n",
        "notes/sound.bin": "milk\0",
        "books/long.txt": "".join(f"line {number}\n" for number in range(1, 1_001)),
        "cellar/secret.txt": "milk and gold",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def ask(house: Path, name: str, context: ToolContext = CONTEXT, **arguments: Any) -> Any:
    tools = {tool.spec.name: tool for tool in file_tools([house / "notes", house / "books"])}
    return json.loads(asyncio.run(tools[name].call(arguments, context)))


def test_a_file_is_read_in_pages(house: Path) -> None:
    first = ask(house, "read_file", path="books/long.txt", lines=400)
    assert first["text"].startswith("line 1\nline 2\n")
    assert (first["total_lines"], first["next_start_line"]) == (1000, 401)
    last = ask(house, "read_file", path="books/long.txt", start_line=999, lines=10**9)
    assert (last["text"], "next_start_line" in last) == ("line 999\nline 1000", False)
    assert ask(house, "read_file", path="books/long.txt", start_line=5_000)["text"] == ""


def test_files_are_found_by_their_paths(house: Path) -> None:
    for pattern, found in {
        "*.md": ["notes/deep/er/plan.md"],
        "notes/*.txt": ["notes/todo.txt"],
        "**/*.txt": ["books/long.txt", "notes/todo.txt"],
        "notes/**/plan.??": ["notes/deep/er/plan.md"],
        "notes/**": ["notes/sound.bin", "notes/todo.txt", "notes/deep/er/plan.md"],
        "[a-z].txt": [],
    }.items():
        assert ask(house, "find_files", pattern=pattern)["files"] == found
    assert ask(house, "find_files")["total_files"] == 4


def test_lines_are_found_by_their_words(house: Path) -> None:
    found = ask(house, "search_files", words="MILK")
    assert found["matches"] == ["notes/todo.txt:1: buy milk", "notes/deep/er/plan.md:2: milk first"]
    assert ask(house, "search_files", words="bread", pattern="*.md")["total_matches"] == 0
    assert ask(house, "search_files", words="(a+)+$")["total_matches"] == 0


def test_b12_all_that_match_are_counted(house: Path) -> None:
    found = ask(house, "search_files", words="line", pattern="books/*")
    assert found["total_matches"] == 1_000
    assert len(found["matches"]) == 100


@pytest.mark.parametrize(
    "path",
    [
        "cellar/secret.txt", "notes/../cellar/secret.txt", "../cellar/secret.txt", "/etc/passwd", "notes/link.txt",
        "notes/way/secret.txt", "notes/deep/up/todo.txt", "notes/nothing", "notes/todo.txt/x", "", "notes/\0",
        "notes/to\udc80", "x" * 5_000, "notes/pipe", "notes/sound.bin", "notes",
    ],
)  # fmt: skip
def test_nothing_else_can_be_read(house: Path, path: str) -> None:
    (house / "notes/link.txt").symlink_to(house / "cellar/secret.txt")
    (house / "notes/way").symlink_to(house / "cellar")
    (house / "notes/deep/up").symlink_to(house / "notes")
    os.mkfifo(house / "notes/pipe")
    with pytest.raises(ToolError) as caught:
        ask(house, "read_file", path=path)
    assert "gold" not in str(caught.value)
    assert str(house) not in str(caught.value)
    assert len(str(caught.value)) < 250
    assert ask(house, "search_files", words="gold")["total_matches"] == 0
    assert "secret" not in json.dumps(ask(house, "find_files"))


def test_a_link_that_is_made_at_the_wrong_moment_leads_nowhere(house: Path) -> None:
    """The folder was looked at; then it becomes a link; then the file in it is asked for."""
    roots = Roots([house / "notes"])
    for path, _, name in roots.walk(CONTEXT):
        if name == "todo.txt":
            (house / "notes/deep").rename(house / "notes/was")
            (house / "notes/deep").symlink_to(house / "cellar")
        assert not path.startswith("notes/deep/secret")


def test_a_file_that_may_not_be_read_says_so(house: Path) -> None:
    (house / "notes/todo.txt").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    with pytest.raises(ToolError, match="you may not read it"):
        ask(house, "read_file", path="notes/todo.txt")


def test_long_lines_are_cut_and_large_files_left_alone(house: Path) -> None:
    (house / "notes/wide.txt").write_text("x" * 10_000 + "\nnext\n")
    wide = ask(house, "read_file", path="notes/wide.txt")
    assert wide["total_lines"] == 2
    assert len(wide["text"]) < 1_100
    with (house / "notes/huge.txt").open("wb") as file:
        file.truncate(60_000_000)
    with pytest.raises(ToolError, match="too large"):
        ask(house, "read_file", path="notes/huge.txt")


def test_who_is_not_waited_for_stops(house: Path) -> None:
    import msgspec

    nobody = msgspec.structs.replace(CONTEXT, is_wanted=lambda: False)
    assert ask(house, "find_files", nobody)["total_files"] == 0
    with pytest.raises(ToolError, match="stopped"):
        ask(house, "read_file", nobody, path="books/long.txt")


def test_a_pattern_that_would_take_long_is_refused(house: Path) -> None:
    with pytest.raises(ToolError, match="too long"):
        ask(house, "find_files", pattern="**/" * 40)


def test_roots_are_folders_with_names_of_their_own(house: Path) -> None:
    (house / "other/notes").mkdir(parents=True)
    for paths in ([house / "none"], [house / "notes/todo.txt"], [house / "notes", house / "other/notes"], [Path("/")]):
        with pytest.raises(ConfigError, match=r"tools\.roots"):
            file_tools(paths)


def test_the_model_is_told_where_paths_begin(house: Path) -> None:
    tool = file_tools([house / "notes"])[0]
    assert tool.spec.description == "Read a text file. There is: notes/."
    assert set(tool.spec.parameters["properties"]) == {"path", "start_line", "lines"}
