"""Segments as subtitles."""

from __future__ import annotations

from antiphon.engines.api import Word
from antiphon.media.subtitles import LONGEST_S, Segment, plain, srt, titles_of, vtt

SHORT = Segment("Hello <there>.", 1.0, 2.5)
LONG = Segment(" ".join(["word"] * 60), 10.0, 40.0)


def test_srt_is_numbered_and_has_commas() -> None:
    assert srt([SHORT]) == "1\n00:00:01,000 --> 00:00:02,500\nHello <there>.\n\n"
    assert "\n2\n" in "\n" + srt([SHORT, SHORT])
    assert srt([]) == ""


def test_vtt_has_a_head_and_nothing_that_looks_like_a_tag() -> None:
    assert vtt([SHORT]) == "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello &lt;there&gt;.\n\n"


def test_what_is_long_is_divided_and_loses_nothing() -> None:
    titles = list(titles_of(LONG))
    assert " ".join(title.text for title in titles) == LONG.text
    assert all(title.end_s - title.start_s <= LONGEST_S + 0.001 for title in titles)
    assert titles[0].start_s == 10.0
    assert abs(titles[-1].end_s - 40.0) < 1e-6
    assert all(len(line) <= 50 for line in srt([LONG]).splitlines())


def test_words_with_times_keep_them() -> None:
    words = (Word("one", 3.0, 3.2), Word("two", 9.0, 9.5), Word("three", 11.0, 11.5))
    first, second = titles_of(Segment("one two three", 2.0, 12.0, words))
    assert (first.text, first.start_s, first.end_s) == ("one two", 3.0, 9.5)
    assert (second.text, second.start_s) == ("three", 11.0)


def test_hours_and_nothing() -> None:
    assert "27:46:40,000" in srt([Segment("late", 99_999.0, 100_000.0)])
    assert plain([SHORT, Segment("", 3, 4), SHORT]) == "Hello <there>. Hello <there>."
