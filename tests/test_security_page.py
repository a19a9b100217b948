"""Each line of docs/security.md names tests that hold it, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "security.md"


def rows() -> list[list[str]]:
    """The cells of every line of the tables that says what holds."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "held by" and not set(row[0]) <= {"-"}]


def test_every_line_names_tests_that_are_there() -> None:
    for tried, *_, held_by in rows():
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", held_by)
        assert named, f"no test holds: {tried}"
        for path, name in named:
            functions = {
                node.name
                for node in ast.walk(ast.parse((TESTS / path).read_text()))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert name in functions, f"{path} has no {name}, which is to hold: {tried}"


def test_the_page_has_lines() -> None:
    assert len(rows()) > 20
    assert all(len(row) == 3 for row in rows())
