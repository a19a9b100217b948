"""What a run found, as figures, as lines to read, and as a page with a picture.

It knows neither sockets nor callers.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from antiphon.bench.talker import Heard

LATE_MS = 5.0  # of the generator at p95: from here on its own lateness is in the figures
BUSY_PERCENT = 85.0  # of its core


class Spread(Struct, frozen=True):
    """How something was spread. All 0 of nothing."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


class Result(Struct, frozen=True):
    """One run. Lengths in ms."""

    url: str
    sessions: int
    seconds: float
    connect_ms: Spread
    voice_to_voice_ms: Spread
    added_ms: Spread | None
    """The same without what the engines and the silence take by themselves, if that was told."""
    stopped_ms: Spread
    gaps_ms: Spread
    turns: int
    missed: int
    early: int
    deaf: int
    errors: int
    lost: int
    """Connections that the server ended."""
    generator_late_ms: Spread
    generator_percent: float
    """Of its core."""
    server_percent: float | None
    """Of a core, each session; None if its process is not known."""
    server_megabytes: float | None
    """Each session, by how much it grew."""
    all_voice_to_voice_ms: list[float]

    @property
    def warnings(self) -> list[str]:
        """Why these figures may not be the server's."""
        found = []
        if self.generator_late_ms.p95 > LATE_MS:
            found.append(
                f"the generator itself was {self.generator_late_ms.p95:.0f} ms late at p95: use fewer sessions"
            )
        if self.generator_percent > BUSY_PERCENT:
            found.append(f"the generator used {self.generator_percent:.0f} % of its core: use fewer sessions")
        return found


def spread(values: Sequence[float]) -> Spread:
    if not len(values):
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(values, (50, 95, 99)))
    return Spread(len(values), p50, p95, p99, round(max(values), 1))


def together(all_heard: Sequence[Heard]) -> Heard:
    """Of all callers."""
    total = Heard()
    for heard in all_heard:
        total.voice_to_voice_ms += heard.voice_to_voice_ms
        total.gaps_ms += heard.gaps_ms
        total.stopped_ms += heard.stopped_ms
        total.missed += heard.missed
        total.early += heard.early
        total.deaf += heard.deaf
        total.errors += heard.errors
    return total


def rows(result: Result) -> list[tuple[str, Spread]]:
    """What has a spread, by name."""
    found = [("connecting", result.connect_ms), ("voice to voice", result.voice_to_voice_ms)]
    if result.added_ms is not None:
        found.append(("added by the server", result.added_ms))
    return [
        *found,
        ("until an interruption was noticed", result.stopped_ms),
        ("gaps in answers", result.gaps_ms),
        ("generator late", result.generator_late_ms),
    ]


def lines(result: Result) -> list[str]:
    """For a terminal."""
    found = [f"{'ms':<36}{'count':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'worst':>9}"]
    found += [
        f"{name:<36}{each.count:>8}{each.p50:>9.1f}{each.p95:>9.1f}{each.p99:>9.1f}{each.worst:>9.1f}"
        for name, each in rows(result)
    ]
    found.append(counts(result))
    return found + [f"warning: {warning}" for warning in result.warnings]


def counts(result: Result) -> str:
    said = (
        f"{result.sessions} sessions, {result.turns} turns: {result.missed} missed, {result.early} answered too early; "
        f"{result.deaf} interruptions not noticed, {result.errors} errors, {result.lost} connections lost; "
        f"generator {result.generator_percent:.0f} % of its core"
    )
    if result.server_percent is not None and result.server_megabytes is not None:
        said += f"; server {result.server_percent:.2f} % of a core and {result.server_megabytes:.2f} MB a session"
    return said


def page(result: Result) -> str:
    """HTML that needs nothing else: a table, and how many answers had come after how long."""
    head = "".join(f"<th>{name}" for name in ("ms", "count", "p50", "p95", "p99", "worst"))
    body = "".join(
        f"<tr><td>{name}<td>{each.count}<td>{each.p50:.1f}<td>{each.p95:.1f}<td>{each.p99:.1f}<td>{each.worst:.1f}"
        for name, each in rows(result)
    )
    warnings = "".join(f"<p><b>{html.escape(warning)}</b>" for warning in result.warnings)
    return (
        "<!doctype html><meta charset=utf-8><title>antiphon bench</title>"
        "<style>body{font:16px system-ui;max-width:50em;margin:2em auto;padding:0 1em;color-scheme:light dark}"
        "td,th{padding:.2em .8em;text-align:right}td:first-child,th:first-child{text-align:left}"
        "path{fill:none;stroke:currentColor;stroke-width:2}text{fill:currentColor;font-size:12px}</style>"
        f"<h1>{html.escape(result.url)}</h1><p>{counts(result)}</p>{warnings}<table><tr>{head}{body}</table>"
        f"<h2>Answers that had begun, by ms after the end of speech</h2>{_curve(result.all_voice_to_voice_ms)}"
    )


WIDE, HIGH, EDGE = 640, 240, 40


def _curve(values: Sequence[float]) -> str:
    if not values:
        return "<p>None."
    ordered = np.sort(values)
    most = float(ordered[-1]) or 1.0
    points = [(EDGE, HIGH)] + [
        (EDGE + WIDE * value / most, HIGH * (1 - (rank + 1) / ordered.size)) for rank, value in enumerate(ordered)
    ]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(
        f'<text x="{EDGE + WIDE * part:.0f}" y="{HIGH + 16}" text-anchor="middle">{most * part:.0f}</text>'
        for part in (0, 0.25, 0.5, 0.75, 1)
    )
    shares = "".join(f'<text x="0" y="{HIGH * (1 - part) + 12:.0f}">{part:.0%}</text>' for part in (0.0, 0.5, 1.0))
    return f'<svg viewBox="0 0 {WIDE + 2 * EDGE} {HIGH + 24}" width="100%"><path d="M{way}"/>{marks}{shares}</svg>'
