"""The founding documents' claims, one by one: before, as they would have it, here, and at best; all from one run.

    python bench/experiments.py                     all that can be measured in a few minutes
    python bench/experiments.py --only E4 E15
    python bench/experiments.py --write             also docs/experiments.md

Costs are processor time, medians of 30 rounds; what is said to be a wait is wall time. "Before" is what the documents
describe, written as they describe it, and "after" is their own proposal, repaired where it did not run, least and said
so. What needs more than a few minutes, or real models, has a bench of its own, which the page names.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import experiment_keeping
import experiment_recording
import experiment_sound
import experiment_waiting
import experiment_wire
from common import arguments_of, machine
from experiment_row import Row

PAGE = Path(__file__).parents[1] / "docs" / "experiments.md"
PARTS: tuple[tuple[frozenset[str], Callable[[], list[Row]]], ...] = (
    (frozenset({"E1", "E3", "E4", "E19"}), experiment_sound.rows),
    (frozenset({"E2"}), experiment_recording.rows),
    (frozenset({"E6", "E7", "E8", "E13", "E16", "E17"}), experiment_wire.rows),
    (frozenset({"E9", "E12", "E15"}), experiment_waiting.rows),
    (frozenset({"E22", "E24"}), experiment_keeping.rows),
)
ELSEWHERE = {
    "E5 JSON": "`bench/codec.py`; [performance](performance.md)",
    "E10 first audio": "`bench/clauses.py`, `bench/turns.py`; [performance](performance.md)",
    "E11, E21 tools, their cache": "`bench/tools.py`",
    "E14 end of a turn": "`bench/endpointing.py`; [taking turns](performance-turns.md)",
    "E17 with sockets and detector": "`bench/density.py`; [many conversations](load.md)",
    "E18 Whisper": "`bench/transcription.py whisper settings`; [transcription](transcription.md)",
    "E20 interruptions, E23 a whole turn": "`bench/turns.py`; [performance](performance.md)",
}


def figure(value: float | None) -> str:
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def line(row: Row) -> str:
    figures = "".join(f"{figure(value):>10}" for value in (row.before, row.after, row.ours, row.bound))
    return f"{row.experiment:<5}{row.what:<74}{figures}  {row.unit}"


def page(rows: list[Row]) -> str:
    table = "\n".join(
        f"| {row.experiment} | {row.what} | {figure(row.before)} | {figure(row.after)} | **{figure(row.ours)}** "
        f"| {figure(row.bound)} | {row.unit} |"
        for row in rows
    )
    noted = {row.note: row for row in reversed(rows) if row.note}
    notes = "\n".join(f"* **{row.experiment}**, {row.what}: {note}." for note, row in reversed(noted.items()))
    others = "\n".join(f"| {what} | {where} |" for what, where in ELSEWHERE.items())
    return f"""# Claims, measured

Made by `python bench/experiments.py --write`. {machine()}.

Each row is a claim of the documents that this project was founded on: what they found, what they proposed, what is
here, and the least that it can be. Costs are processor time; waits are wall time.

| | | before | their after | here | at best | |
|---|---|--:|--:|--:|--:|---|
{table}

{notes}

## Measured by benches of their own

| | |
|---|---|
{others}
"""


def chosen(only: list[str]) -> list[Row]:
    found = []
    for names, rows in PARTS:
        if only and not names & set(only):
            continue
        for row in rows():
            if not only or row.experiment in only:
                print(line(row), flush=True)
                found.append(row)
    return found


def main() -> None:
    parser = arguments_of(__doc__)
    everything = sorted({name for names, _ in PARTS for name in names}, key=lambda name: int(name[1:]))
    parser.add_argument("--only", nargs="*", default=[], choices=everything, help="these experiments")
    parser.add_argument("--write", action="store_true", help="make docs/experiments.md of it")
    options: argparse.Namespace = parser.parse_args()
    print(machine())
    print(f"{'':<79}{'before':>10}{'after':>10}{'ours':>10}{'bound':>10}")
    rows = chosen(options.only)
    if options.write:
        if options.only:
            raise SystemExit("the page is made of all experiments: leave out --only")
        PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
