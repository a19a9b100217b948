"""A turn's timeline as a message of ours, for a client that draws it.

It does not know connections, nor who asked for it.
"""

from __future__ import annotations

from antiphon.audio.units import Seconds
from antiphon.observe.timeline import ToolRun, Turn
from antiphon.protocol.additions import Stage, Timeline, ToolSpan


def report(turn: Turn) -> Timeline:
    """The message, without an event id: that is the connection's to give. The turn's answer has ended."""
    stages = tuple(Stage(name, round(length, 1)) for name, length in turn.stages_ms().items())
    start = turn.start
    return Timeline(
        event_id="",
        response_id=turn.response_id,
        item_id=turn.item_id or None,
        status=turn.status,
        reason=turn.reason,
        stages=stages,
        wait_ms=None if start is None or turn.first_audio is None else round((turn.first_audio - start) * 1000, 1),
        was_prepared=turn.was_prepared,
        tools=() if start is None else tuple(_span(run, start, turn.ended) for run in turn.tools),
    )


def _span(run: ToolRun, start: Seconds, end: Seconds | None) -> ToolSpan:
    """A tool that was cut off ran until the answer ended."""
    ended = run.ended or end or run.began
    return ToolSpan(run.call_id, run.name, round((run.began - start) * 1000, 1), round((ended - run.began) * 1000, 1))
