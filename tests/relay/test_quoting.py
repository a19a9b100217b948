"""Another server's words are shown without what could do harm."""

from __future__ import annotations

from antiphon.relay.quoting import QUOTED, quoted


def test_they_stand_on_one_line_without_keys_and_are_not_long() -> None:
    assert quoted("No:\n  the key sk-abcdef123456 \x1b[31mis\x00 wrong") == "No: the key sk-*** [31mis wrong"
    assert len(quoted("word " * 10_000)) <= QUOTED
