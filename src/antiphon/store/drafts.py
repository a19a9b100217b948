"""What a session hands over to be written: values that nobody changes any more, and the changes that become of them.

To put an item into words and JSON takes longer than to note that there is one, so it is done by the thread that writes,
and not at all for versions that a later one replaces. It knows neither that thread nor where changes go.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.observe.timeline import Turn
from antiphon.session.conversation import with_transcript
from antiphon.session.items import FunctionCall, FunctionOutput, Item, McpCall, Message, Speech, Text, text_of
from antiphon.store.changes import Change, ItemKept, TurnKept, UnixSeconds, weight

ITEM_BYTES = 600  # of a draft without its words, roughly
TURN_BYTES = 1500
JSON_FACTOR = 3  # the words of an item stand in its columns and in its JSON

MOMENTS = (
    "speech_end", "silence_complete", "committed", "transcript", "first_token", "first_clause", "first_audio", "began",
    "ended",
)  # fmt: skip

_encoder = msgspec.json.Encoder()


class ItemDraft(Struct, frozen=True):
    """The newest version of an item, without pictures. See `ItemKept` for what is called the same."""

    session_id: str
    item_id: str
    place: float
    at: UnixSeconds
    start_s: float
    end_s: float
    item: Item
    heard: str | None
    """What the person heard of it, if it was cut short; None: all."""

    def change(self) -> ItemKept:
        item, everything = self.item, words_of(self.item)
        if self.heard is not None and isinstance(item, Message):
            item = with_transcript(item, self.heard)
        words = words_of(item)
        return ItemKept(
            session_id=self.session_id,
            item_id=self.item_id,
            place=self.place,
            at=round(self.at, 3),
            kind=kind_of(item),
            text=words,
            said=everything if everything != words else None,
            start_s=round(self.start_s, 3),
            end_s=round(self.end_s, 3),
            data=_encoder.encode(item),
        )


class TurnDraft(Struct, frozen=True):
    """A turn whose answer has ended."""

    session_id: str
    number: int
    turn: Turn
    """The draft's own copy."""
    began: Seconds
    """When the session did, on the turn's clock."""

    def change(self) -> TurnKept:
        return TurnKept(self.session_id, self.number, _encoder.encode(_told(self.turn, self.began)))


Draft = ItemDraft | TurnDraft


def draft_weight(draft: Change | Draft) -> int:
    """Bytes that it holds, roughly: see `changes.weight`. Asked for on the event loop, of every draft."""
    if isinstance(draft, ItemDraft):
        return ITEM_BYTES + JSON_FACTOR * _letters(draft.item)
    return TURN_BYTES if isinstance(draft, TurnDraft) else weight(draft)


def _letters(item: Item) -> int:
    if not isinstance(item, Message):
        return len(words_of(item))
    letters = 0
    for part in item.content:
        if isinstance(part, Speech):
            letters += len(part.transcript or "")
        elif isinstance(part, Text):
            letters += len(part.text)
    return letters


def made(draft: Change | Draft) -> Change:
    """What is to be written."""
    return draft.change() if isinstance(draft, ItemDraft | TurnDraft) else draft


def kind_of(item: Item) -> str:
    """The role of a message; of other items, what they are."""
    if isinstance(item, Message):
        return item.role.value
    return str(type(item).__struct_config__.tag)


def words_of(item: Item) -> str:
    """What people and models said in it, for reading and searching."""
    match item:
        case Message():
            return text_of(item)
        case FunctionCall(name=name, arguments=arguments):
            return f"{name} {arguments}"
        case FunctionOutput(output=output):
            return output
        case McpCall(name=name, arguments=arguments, output=output):
            return " ".join(part for part in (name, arguments, output) if part)
        case _:
            return ""


def _told(turn: Turn, began: Seconds) -> dict[str, Any]:
    """A turn with its moments in seconds of the session."""
    found = {name: getattr(turn, name) for name in MOMENTS}
    tools = [
        {"call_id": run.call_id, "name": run.name, "began": _since(run.began, began), "ended": _since(run.ended, began)}
        for run in turn.tools
    ]
    waited = turn.voice_to_voice_ms()
    return {
        "item_id": turn.item_id or None,
        "response_id": turn.response_id,
        "status": turn.status,
        "reason": turn.reason,
        "moments_s": {name: _since(moment, began) for name, moment in found.items() if moment is not None},
        "stages_ms": {name: round(length, 1) for name, length in turn.stages_ms().items()},
        "voice_to_voice_ms": None if waited is None else round(waited, 1),
        "was_prepared": turn.was_prepared,
        "tools": tools,
    }


def _since(moment: Seconds | None, began: Seconds) -> Seconds | None:
    return None if moment is None else round(moment - began, 3)
