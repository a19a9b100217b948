"""One step of a state machine that is written as a table.

A table maps each state to the moves that are allowed in it and the state that each leads to. A move that is not in the
table is our own mistake, not a peer's: whoever feeds a machine checks a peer's wishes before.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from antiphon.errors import Bug

State = TypeVar("State", bound=Enum)
Table = Mapping[State, Mapping[str, State]]


def step(table: Table[State], state: State, move: str) -> State:
    """The state that `move` leads to; raises `Bug` with the moves that were allowed."""
    try:
        return table[state][move]
    except KeyError:
        allowed = ", ".join(table[state]) or "nothing: it is over"
        raise Bug(
            f"{move!r} while {type(state).__name__} is {state.name}; allowed: {allowed}",
            "Keep the session's trace: `antiphon replay` shows the input that led here.",
        ) from None
