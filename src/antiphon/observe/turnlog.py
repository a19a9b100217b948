"""Turns as lines for people, and as figures for programs: for each turn, and for all turns of a session. Never with a
word of what was said.

It does not know loggers; who calls it has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from antiphon.observe.budget import VOICE_TO_VOICE
from antiphon.observe.timeline import STAGES, Turn

NAMES = dict(zip(STAGES, ("silence", "commit", "words", "token", "clause", "audio"), strict=True))
"""What the stages are called where there is little room: each is the way to what it names."""


def line(turn: Turn) -> str:
    """One turn: how long the person waited, for what, and how it ended."""
    total = turn.voice_to_voice_ms()
    if total is None:
        waited = "not spoken" if turn.speech_end is None else "no sound"
    else:
        waited = f"{total:.0f} ms voice to voice ({VOICE_TO_VOICE.verdict(total)})"
    stages = " ".join(f"{NAMES[name]} {length:.0f}" for name, length in turn.stages_ms().items())
    parts = [waited, stages, "prepared" if turn.was_prepared else "", f"{len(turn.tools)} tools" if turn.tools else ""]
    return ", ".join(part for part in (*parts, _cached(turn), _ending(turn)) if part)


def figures(turn: Turn) -> dict[str, object]:
    """The same of one turn for a program: lengths in ms, and None for what was not."""
    total = turn.voice_to_voice_ms()
    return {
        "response_id": turn.response_id,
        "status": turn.status,
        "reason": turn.reason,
        "voice_to_voice_ms": _rounded(total),
        "stages_ms": {NAMES[name]: _rounded(length) for name, length in turn.stages_ms().items()},
        "was_prepared": turn.was_prepared,
        "tools": len(turn.tools),
        "input_tokens": turn.input_tokens,
        "cached_tokens": turn.cached_tokens,
        "output_tokens": turn.output_tokens,
    }


def _rounded(length_ms: float | None) -> float | None:
    return None if length_ms is None else round(length_ms, 1)


def _cached(turn: Turn) -> str:
    """The share of the question that the model's server had kept. One that keeps nothing may not even say so."""
    if not turn.cached_tokens:
        return ""
    return f"{100 * turn.cached_tokens / turn.input_tokens:.0f}% of {turn.input_tokens} tokens cached"


def _ending(turn: Turn) -> str:
    return turn.status if turn.reason is None else f"{turn.status}: {turn.reason}"


def summary(turns: Sequence[Turn]) -> str:
    """A whole session: how many turns, and the median, 95th and 99th percentile of the waits."""
    waits = _waits(turns)
    if not waits:
        return f"{len(turns)} turns, none of them from voice to voice"
    p50, p95, p99 = np.percentile(waits, (50, 95, 99))
    prepared = sum(turn.was_prepared for turn in turns)
    return (
        f"{len(waits)} turns from voice to voice, p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms "
        f"({VOICE_TO_VOICE.verdict(float(p95))} at p95), {prepared} prepared before they were over"
    )


def summary_figures(turns: Sequence[Turn]) -> dict[str, object]:
    """The same for a program."""
    waits = _waits(turns)
    names = ("p50_ms", "p95_ms", "p99_ms")
    percentiles = dict(zip(names, np.percentile(waits, (50, 95, 99)).round(1).tolist(), strict=True)) if waits else {}
    prepared = sum(turn.was_prepared for turn in turns)
    return {"turns": len(turns), "spoken_turns": len(waits), **percentiles, "prepared": prepared}


def _waits(turns: Sequence[Turn]) -> list[float]:
    return [ms for turn in turns if (ms := turn.voice_to_voice_ms()) is not None]
