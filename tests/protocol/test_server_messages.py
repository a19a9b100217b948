"""Everything that we send is what openai's own types expect, and everything that they expect can be said."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, get_args

import msgspec
import pytest
from official import unknown_keys, unused_fields
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter
from wire_samples import DEFAULT_SESSION, SENT, USER, response

from antiphon.protocol import server
from antiphon.protocol.codec import encode


@cache
def adapter() -> TypeAdapter[Any]:
    return TypeAdapter(RealtimeServerEvent)


def official(message: server.ServerMessage) -> BaseModel:
    """The message as a client that uses the official types reads it. Raises if it cannot."""
    event = adapter().validate_python(json.loads(encode(message)))
    assert isinstance(event, BaseModel)
    return event


def name(message: server.ServerMessage) -> str:
    return str(message.__struct_config__.tag)


def event_types() -> set[str]:
    [union, *_] = get_args(RealtimeServerEvent)
    return {event.model_fields["type"].annotation.__args__[0] for event in get_args(union)}


def test_every_official_message_but_the_beta_one_can_be_sent() -> None:
    beta = "conversation.item.created"
    assert set(server.TYPES) == event_types() - {beta}
    assert len(server.TYPES) == 45


def test_the_samples_hold_every_message() -> None:
    assert {name(message) for message in SENT} == set(server.TYPES)


OURS_TO_ADD = {
    # In the published reference of a session, though not in the type of the event that carries it.
    *(f"RealtimeSessionCreateRequest.{key}" for key in ("id", "object", "expires_at")),
    *(f"RealtimeTranscriptionSessionCreateRequest.{key}" for key in ("id", "object", "expires_at")),
}


@pytest.mark.parametrize("message", SENT, ids=name)
def test_the_official_types_accept_it_and_know_every_key(message: server.ServerMessage) -> None:
    event = official(message)
    assert event.model_dump()["type"] == name(message)
    assert unknown_keys(event) <= OURS_TO_ADD


NEVER_SAID = {
    # The sound itself comes in deltas; of a part, the wire repeats only the words.
    "realtime.response_content_part_added_event.Part.audio",
    "realtime.response_content_part_done_event.Part.audio",
}


def test_every_official_field_can_be_said() -> None:
    assert unused_fields(official(message) for message in SENT) == NEVER_SAID


@pytest.mark.parametrize("message", SENT, ids=name)
def test_a_client_with_our_structs_reads_what_was_written(message: server.ServerMessage) -> None:
    """Nothing is lost or changed on the way, base64 included."""
    assert msgspec.json.decode(encode(message), type=server.ServerMessage) == message


def test_audio_is_base64_on_the_wire() -> None:
    delta = server.AudioDelta(
        event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta=b"\x00\x01\xfe\xff"
    )
    assert json.loads(encode(delta))["delta"] == "AAH+/w=="


def test_what_may_be_null_is_written_so() -> None:
    added = json.loads(encode(server.ItemAdded(event_id="e", previous_item_id=None, item=USER)))
    assert added["previous_item_id"] is None
    created = json.loads(encode(server.ResponseCreated(event_id="e", response=response(conversation_id=None))))
    assert created["response"]["conversation_id"] is None


def test_only_dtmf_has_no_event_id() -> None:
    without = {kind for kind in server.TYPES.values() if "event_id" not in kind.__struct_fields__}
    assert without == {server.DtmfReceived}


def test_defaults_that_clients_depend_on_are_written() -> None:
    """pipecat needs `content_index`, agents-js `obfuscation` and `interrupt_response`."""
    delta = json.loads(encode(server.TranscriptionDelta(event_id="e", item_id="i", delta="hi")))
    assert delta["content_index"] == 0
    mcp = server.McpArgumentsDelta(event_id="e", response_id="r", item_id="i", output_index=0, delta="{")
    assert json.loads(encode(mcp))["obfuscation"] == ""
    created = json.loads(encode(server.SessionCreated(event_id="e", session=DEFAULT_SESSION)))
    assert created["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is True


def test_a_message_that_needs_more_than_a_websocket_is_one_of_ours() -> None:
    assert set(server.ONLY_WITH) <= set(server.TYPES.values())
    # What a WebSocket server without MCP, telephone and diarisation sends.
    plain = [kind for kind in server.TYPES.values() if server.ONLY_WITH.get(kind, "websocket") == "websocket"]
    assert len(plain) == 32
