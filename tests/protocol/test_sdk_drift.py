"""Our structs have the fields and types of openai's own, recursively; each difference that we know has its reason.

When a newer `openai` package is installed and these tests fail, they show what has changed in the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import pytest
from msgspec import Struct, inspect
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel
from shapes import differences, our_shape, their_shape

from antiphon.protocol import client, server

UNNAMED = "an object without its type could be anything: which one, is not guessed"
FREE = "an object of free keys; theirs has no type at all"

KNOWN_TO_READ: Mapping[str, str] = {
    **dict.fromkeys(
        (
            f"{kind}.type: {what}"
            for kind in ("AudioPcm", "AudioPcmu", "AudioPcma", "FunctionTool", "InputAudio|InputImage|InputText",
                         "OutputAudio|OutputText")
            for what in ("may be left out there, and not here", "null only there")
        ),
        UNNAMED,
    ),
    "FunctionTool.name: may be left out there, and not here": "a function without a name cannot be called",
    "FunctionTool.name: null only there": "a function without a name cannot be called",
    "InputAudio|InputImage|InputText.image_url: null only there": "an image without an image is nothing",
    "InputAudio|InputImage|InputText.text: null only there": "a text without a text is nothing",
    "OutputAudio|OutputText.text: null only there": "a text without a text is nothing",
    "NoiseReduction.type: null only there": "null noise reduction turns it off; without a key, the type stays",
    "FunctionTool.parameters: anything only there": FREE,
    "McpToolInfo.annotations: anything only there": FREE,
    "McpToolInfo.input_schema: anything only there": FREE,
    "Tracing.metadata: anything only there": FREE,
    "ItemReference: only here": "the published reference has it in the input of a response",
    "SessionClose: only here": "in no published schema, yet accepted by the service",
}  # fmt: skip

KNOWN_TO_WRITE: Mapping[str, str] = {
    "ConversationItemCreatedEvent: only there": "it belongs to the beta, and clients of today hang up on it",
    "AudioDelta.sent_ms: only here": "ours, and left out for whoever has not asked for what is ours",
    "AudioPart|TextPart.audio: only there": "the sound of a part comes in deltas, and is not repeated",
    "McpTool.connector_id: a string only here": "what a client gave is shown as it came; we know no connectors",
    **dict.fromkeys(
        (f"{kind}.id: null only here" for kind in ("McpApprovalRequest", "McpApprovalResponse", "McpCall")),
        "the same struct is read from clients, which may leave it out; the server always gives one",
    ),
    **dict.fromkeys(
        (
            f"{kind}.{name}: only here"
            for kind in ("RealtimeSession", "TranscriptionSession")
            for name in ("id", "object", "expires_at")
        ),
        "in the published reference of a session, though not in the type of the event that carries it",
    ),
}


@cache
def found(*, sent: bool) -> frozenset[str]:
    theirs, ours = (RealtimeServerEvent, server.ServerMessage) if sent else (RealtimeClientEvent, client.ClientMessage)
    return frozenset(differences(their_shape(theirs), our_shape(inspect.type_info(ours)), sent=sent))


@pytest.mark.parametrize(("sent", "known"), [(False, KNOWN_TO_READ), (True, KNOWN_TO_WRITE)], ids=["read", "written"])
def test_nothing_differs_but_for_a_reason(sent: bool, known: Mapping[str, str]) -> None:
    new, gone = found(sent=sent) - known.keys(), known.keys() - found(sent=sent)
    assert not new, "the protocol has changed, or we have: follow it, or give the reason here"
    assert not gone, "these differences are no more: take them from the list"


# --- the comparison sees what it should ------------------------------------------------------------------------------


class Theirs(BaseModel):
    a: str
    b: int | None = None
    c: list[str] | None = None


class Same(Struct):
    a: str
    b: int | None = None
    c: tuple[str, ...] | None = None


class Changed(Struct):
    a: str | None
    b: float
    d: str = ""


def compared(theirs: type[BaseModel], ours: type[Struct], *, sent: bool) -> set[str]:
    return differences(their_shape(theirs), our_shape(inspect.type_info(ours)), sent=sent)


def test_what_is_the_same_does_not_differ() -> None:
    assert compared(Theirs, Same, sent=True) == compared(Theirs, Same, sent=False) == set()


def test_a_new_field_another_type_and_another_need_are_seen() -> None:
    names = {"Changed.c: only there", "Changed.d: only here"}
    assert compared(Theirs, Changed, sent=True) == names | {
        "Changed.a: null only here",
        "Changed.b: a number only here",
    }
    assert compared(Theirs, Changed, sent=False) == names | {
        "Changed.b: may be left out there, and not here",
        "Changed.b: null only there",
    }


class Stop(BaseModel):
    type: Literal["stop"]
    why: Literal["a", "b"]


class Go(BaseModel):
    type: Literal["go"]


class OurStop(Struct, tag_field="type", tag="stop"):
    why: Literal["a", "c"]


def test_a_new_message_and_a_new_word_are_seen() -> None:
    theirs: Any = Stop | Go
    seen = differences(their_shape(theirs), our_shape(inspect.type_info(OurStop)), sent=True)
    assert seen == {"OurStop.why: 'b' only there", "OurStop.why: 'c' only here", "Go: only there"}
