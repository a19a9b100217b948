"""Makes docs/load.md and its picture out of what `peers.py` has measured.

python bench/results.py build/bench/peers.json          or several, with different systems in each
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from peers import SYSTEMS, Point

DOCS = Path(__file__).parents[1] / "docs"
WIDE, HIGH, LEFT, BOTTOM = 640, 300, 60, 40
MOST_SESSIONS, LEAST_MS, MOST_MS = 300, 5, 20_000
COLOURS = ("#1a7f5a", "#b3261e", "#8a6d00", "#3559c7", "#8c3fa8")


class Measured(Struct, frozen=True):
    machine: str
    points: list[Point]


def x_of(sessions: float) -> float:
    return LEFT + (WIDE - LEFT) * math.log(sessions) / math.log(MOST_SESSIONS)


def y_of(added_ms: float) -> float:
    share = math.log(min(MOST_MS, max(LEAST_MS, added_ms)) / LEAST_MS) / math.log(MOST_MS / LEAST_MS)
    return (HIGH - BOTTOM) * (1 - share) + 10


def picture(points: list[Point]) -> str:
    """SVG: added at p95 over sessions, both logarithmic."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE + 130} {HIGH + 20}" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/><g font-family="sans-serif">',
    ]
    for sessions in (1, 2, 5, 10, 20, 50, 100, 200):
        x = x_of(sessions)
        parts.append(f'<path d="M{x:.0f},10V{HIGH - BOTTOM + 10}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{HIGH - BOTTOM + 26}" text-anchor="middle">{sessions}</text>')
    for added_ms in (10, 30, 100, 300, 1000, 3000, 10_000):
        y = y_of(added_ms)
        parts.append(f'<path d="M{LEFT},{y:.0f}H{WIDE}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{added_ms}</text>')
    systems = dict.fromkeys(point.system for point in points)
    for number, (colour, system) in enumerate(zip(COLOURS, systems, strict=False)):
        way = [
            (x_of(point.result.sessions), y_of(point.result.added_ms.p95))
            for point in points
            if point.system == system and point.result.added_ms is not None and point.result.added_ms.count
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in way)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in way]
        parts.append(f'<text x="{WIDE + 14}" y="{30 + 20 * number}" fill="{colour}">{system}</text>')
    middle = f'<text x="{(LEFT + WIDE) / 2}" y="{HIGH + 12}" text-anchor="middle">'
    side = f'<text transform="translate(14,{HIGH / 2}) rotate(-90)" text-anchor="middle">'
    parts.append(f"{middle}conversations in one process on one core</text>")
    parts.append(f"{side}added to an answer, p95, ms</text></g></svg>")
    return "".join(parts)


def row(point: Point) -> str:
    found = point.result
    added = found.added_ms
    assert added is not None
    return (
        f"| {point.system} | {found.sessions} | {added.p50:.0f} | {added.p95:.0f} | {found.voice_to_voice_ms.p50:.0f} "
        f"| {found.turns} | {found.missed} | {found.server_percent:.2f} | {found.server_megabytes:.2f} |"
    )


def page(measured: Measured) -> str:
    rows = "\n".join(row(point) for point in measured.points)
    return f"""# Many conversations on one core

Made by `make bench`, from `bench/peers.py`, which says how. {measured.machine}.

![Added to an answer at p95, over the number of conversations](load.svg)

| one process, one core | sessions | added p50, ms | p95 | voice to voice p50 | turns | missed | core % each | MB each |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
{rows}

`added` is what a caller waits beyond the scripted engines and the silence that ends a turn by the settings: 500 ms for
us and for the others without their model of turns, 200 ms for Pipecat and 300 for LiveKit as they come, whose models
then have to agree. When those think that somebody has not finished, Pipecat waits for 3 seconds of silence and LiveKit
for 2.5: that, and not the load, is their p95 with few sessions. They have only synthetic voices to judge here. LiveKit
recognises within the silence, so 150 ms of engines are taken off and not 200. `added` contains the detector's own tail.
It is longer here than in Pipecat: ours waits until the detector says that the voice has ended, Pipecat's also ends it
where the sound becomes less loud, and takes who speaks quietly for silent.

What differs is in the others' favour: bare sockets with raw PCM at the rates that they like best, where we have
WebSockets with base64 in JSON; scripted engines as plain processors and nodes without their services around them; no
metrics. LiveKit runs without its server and its process for each session, in frames of 50 ms. Answers begun before
their turn is over are switched off in LiveKit and here: delays could not be taken off. Memory is what a process grew
by: with the models that each session of Pipecat loads for itself, and the one that LiveKit loads for all.
"""


def main() -> None:
    parts = [msgspec.json.decode(Path(name).read_bytes(), type=Measured) for name in sys.argv[1:]]
    order = list(SYSTEMS)
    points = [point for part in parts for point in part.points]
    points.sort(key=lambda point: (order.index(point.system), point.result.sessions))
    measured = Measured(parts[0].machine + (", taken in parts" if len(parts) > 1 else ""), points)
    (DOCS / "load.svg").write_text(picture(measured.points))
    (DOCS / "load.md").write_text(page(measured))


if __name__ == "__main__":
    main()
