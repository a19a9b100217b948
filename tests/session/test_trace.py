"""Traces: written, cut off, redacted, replayed."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest
from story import Story

from antiphon.errors import ConfigError
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session import trace
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.session import Session
from antiphon.session.settings import FunctionTool, SessionConfig, Settings, Transcription


def recorded(*, redacted: bool = False) -> list[bytes]:
    """The trace of a conversation with an interruption, a tool and an error."""
    settings = Settings(instructions="Be gentle with Anna.", transcription=Transcription(prompt="Anna"))
    config = SessionConfig(settings, server_tools=(FunctionTool("clock", "Tells the time", {"type": "object"}),))
    lines = [trace.header_line(1, config, redacted=redacted)]
    story = Story(settings, server_tools=config.server_tools)
    inner = story.session
    story.session = Session(config, Ids(1))
    handle = story.session.handle

    def tapped(item: Input, now: float) -> list[o.Output]:
        out = handle(item, now)
        lines.append(trace.step_line(item, out, now, redacted=redacted))
        return out

    assert inner is not story.session
    story.session.handle = tapped  # type: ignore[method-assign]
    story.everything.clear()
    story.give(i.Attach("browser"))
    story.say_turn("my name is Anna, 42.")
    story.answer("Hello Anna, it is a pleasure to meet you.", 3.0)
    story.wait(1.0)
    story.talk(0.5)
    story.pause(0.6)
    story.recognise("what time is it?")
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "call_1", "clock", '{"zone":"UTC"}'))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    story.give(i.ToolReturned(story.last(o.RunTool).work, '{"time":"12:30"}'))
    story.answer("Half past twelve.", 0.5)
    story.give(i.CancelResponse("browser", "x", "nobody"))
    story.wait(2.0)
    return lines


def test_a_replay_does_the_same() -> None:
    lines = recorded()
    steps, difference = trace.replay(lines)
    assert difference is None
    assert steps == len(lines) - 1


def test_a_redacted_trace_tells_no_words_and_still_replays() -> None:
    lines = recorded(redacted=True)
    text = b"".join(lines).decode()
    for word in ("Anna", "pleasure", "gentle", "42", "twelve", "12:30", "UTC", "Tells"):
        assert word not in text, word
    assert "xx xxxx xx Xxxx, 00." not in text
    assert "xx xxxx xx xxxx, 00." in text
    _, difference = trace.replay(lines)
    assert difference is None


def test_the_first_difference_is_found() -> None:
    lines = recorded()
    number = next(n for n, line in enumerate(lines) if b'"speech_started"' in line)
    lines[number] = lines[number].replace(b'"speech_started"', b'"speech_stopped"')
    steps, difference = trace.replay(lines)
    assert difference is not None
    assert (difference.line, steps) == (number + 1, number)
    assert difference.replayed[-1]["type"] == "speech_started"


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_trace_that_a_crash_cut_off_is_readable(cut: int) -> None:
    lines = recorded()
    lines[-1] = lines[-1][:-cut]
    steps, difference = trace.replay(lines)
    assert difference is None
    assert steps >= len(lines) - 2


def test_what_is_no_trace_is_refused() -> None:
    for lines in ([], [b"hello\n"], [b'{"line":"header","schema":99,"seed":1,"config":{}}\n']):
        with pytest.raises(ConfigError):
            trace.replay(lines)
    damaged = recorded()
    damaged[3] = b"garbage\n"
    with pytest.raises(ConfigError, match="line 4"):
        trace.replay(damaged)


PUBLIC = {
    "connection", "request", "code", "param", "item_id", "response_id", "call_id", "name", "id", "kind", "to",
    "model", "voice", "language", "after", "reason", "error_code", "previous", "session_id", "conversation_id",
    "status", "tool_choice", "eagerness", "detail", "started", "role", "input", "label", "server", "names", "function",
    "approval", "outcome", "asks_before", "withheld_tools", "recogniser", "sound",
}  # fmt: skip
"""String fields that may stay as they are in a redacted trace."""


def test_every_string_is_declared_private_or_public() -> None:
    seen: set[type] = set()
    undeclared: set[str] = set()

    def visit(kind: Any) -> None:
        for inner in getattr(kind, "__args__", ()):
            visit(inner)
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or kind in seen:
            return
        seen.add(kind)
        for field, hint in get_type_hints(kind).items():
            known = PUBLIC | trace.PRIVATE | trace.OPAQUE
            if "str" in repr(hint) and field not in known:
                undeclared.add(f"{kind.__name__}.{field}")
            visit(hint)

    visit(Input)
    visit(o.Output)
    visit(SessionConfig)
    assert not undeclared


def test_scores_between_the_steps_are_read_and_change_nothing() -> None:
    lines = recorded()
    lines[2:2] = [trace.scores_line(1536, [0.12345, 0.9])]
    lines.append(trace.scores_line(2304, [0.5]))
    found = [line for line in trace.read(lines) if isinstance(line, trace.Scores)]
    assert found == [trace.Scores(1536, (0.123, 0.9)), trace.Scores(2304, (0.5,))]
    assert trace.replay(lines) == (len(lines) - 3, None)
