"""Every trace in tests/scenarios is a conversation that has to go the same way again."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.session import trace

FOLDER = Path(__file__).parent.parent / "scenarios"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_scenario_goes_as_recorded(path: Path) -> None:
    with path.open("rb") as lines:
        steps, difference = trace.replay(lines)
    assert difference is None, f"line {difference.line}: {difference.step.outputs} became {difference.replayed}"
    assert steps > 10


def test_there_are_scenarios() -> None:
    assert list(FOLDER.glob("*.jsonl"))
