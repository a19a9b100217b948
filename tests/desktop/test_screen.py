"""What a terminal shows, and what it must never be made to do."""

from __future__ import annotations

import io

import pytest

from antiphon.desktop.screen import Screen, last_columns, meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_pipe_gets_plain_lines_and_no_status() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.status("listening", 0.0)
    screen.line("you", "hello")
    screen.line("state", "back")
    screen.close()
    assert out.getvalue() == "you       hello\n          back\n"


def test_a_terminal_keeps_the_status_below_what_stays() -> None:
    out = Terminal()
    screen = Screen(out, columns=lambda: 40)
    screen.status("listening", 0.0)
    screen.line("you", "hello")
    assert out.getvalue() == "\r\x1b[Klistening\r\x1b[K\x1b[36myou       hello\x1b[0m\nlistening"


def test_it_is_drawn_no_faster_than_anybody_reads_and_fits_whatever_the_width_is_now() -> None:
    out, width = Terminal(), [40]
    screen = Screen(out, columns=lambda: width[0])
    screen.status("one", 0.0)
    screen.status("two", 0.01)
    screen.status("three", 0.06)
    assert out.getvalue() == "\r\x1b[Kone\r\x1b[Kthree"
    width[0] = 8
    screen.status("a longer status", 0.2)
    assert out.getvalue().endswith("\r\x1b[K…status")


def test_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Screen(out).line("error", "no")
    assert "\x1b[31m" not in out.getvalue()


def test_words_from_elsewhere_cannot_move_the_cursor() -> None:
    out = io.StringIO()
    Screen(out).line("antiphon", "\x1b[2Jgone\r\n\x07")
    assert out.getvalue() == "antiphon   [2Jgone   \n"


def test_a_terminal_that_knows_no_such_letters() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Screen(out).line("you", "naïve")
    out.seek(0)
    assert out.read() == "you       na?ve\n"


def test_wide_letters_take_two_columns() -> None:
    assert last_columns("日本語", 6) == "日本語"
    assert last_columns("日本語", 5) == "…本語"


def test_the_meter() -> None:
    assert meter(-120.0) == " " * 8
    assert meter(0.0) == "█" * 8
    assert meter(-33.0).startswith("████")
