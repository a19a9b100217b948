"""Typing: whole lines, corrections, and the keys that stop an answer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from antiphon.desktop.keyboard import Keyboard, Typed


def test_lines_and_corrections() -> None:
    typed = Typed()
    assert typed.feed(b"hallo\x7f\x7f\x7f\x7fello") == []
    assert typed.line == "hello"
    assert typed.feed(b" big world\x17there\n") == ["hello big there"]
    assert typed.feed(b"away\x15on\r") == ["on"]


def test_letters_may_come_in_pieces() -> None:
    typed = Typed()
    for byte in "日é".encode():
        typed.feed(bytes([byte]))
    assert typed.feed(b"\n") == ["日é"]


def test_escape_and_an_empty_line_stop_and_arrows_do_nothing() -> None:
    typed = Typed()
    assert typed.feed(b"\x1b") == [None]
    assert typed.feed(b"\n") == [None]
    assert typed.feed(b"a\x1b[A\x1b[1;5Cb\x1bOPc\n") == ["abc"]


async def read(source: Path | int) -> tuple[list[str], int]:
    lines: list[str] = []
    stops: list[None] = []
    with open(source) as file, Keyboard(lines.append, lambda: stops.append(None), file) as keyboard:  # noqa: ASYNC230, PTH123
        await keyboard.is_over.wait()
    return lines, len(stops)


def test_a_pipe_and_its_end() -> None:
    near, far = os.pipe()
    os.write(far, b"one\n\ntwo")
    os.close(far)
    assert asyncio.run(read(near)) == (["one", "two"], 1)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    assert asyncio.run(read(path)) == (["one", "two"], 0)
