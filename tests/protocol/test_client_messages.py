"""Everything that a client can say with openai's own types is understood, and nothing of it is lost."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, get_args

import msgspec
import pytest
from msgspec import UNSET
from official import unknown_keys, unused_fields
from openai.types.realtime import RealtimeClientEvent
from pydantic import BaseModel, TypeAdapter
from wire_samples import ITEMS, RECEIVED, Json

from antiphon.protocol import client, items
from antiphon.protocol.codec import BadMessage, Incoming, decode


@cache
def adapter() -> TypeAdapter[Any]:
    return TypeAdapter(RealtimeClientEvent)


def official(sample: Json) -> BaseModel:
    event = adapter().validate_python(sample)
    assert isinstance(event, BaseModel)
    return event


def understood(message: Json) -> Incoming:
    result = decode(json.dumps(message))
    assert not isinstance(result, BadMessage), result.error
    return result


def lost(sample: Any, ours: Any, path: str = "") -> list[str]:
    """Paths at which `ours` does not say what `sample` says. It may say more: defaults."""
    if isinstance(sample, dict) and isinstance(ours, dict):
        return [gap for key in sample for gap in lost(sample[key], ours.get(key), f"{path}.{key}")]
    if isinstance(sample, list) and isinstance(ours, list) and len(sample) == len(ours):
        return [gap for n, part in enumerate(sample) for gap in lost(part, ours[n], f"{path}[{n}]")]
    return [] if sample == ours else [f"{path}: {sample!r} became {ours!r}"]


def name(sample: Json) -> str:
    return str(sample["type"])


def test_every_official_message_is_understood_and_one_more() -> None:
    [union, *_] = get_args(RealtimeClientEvent)
    official_types = {event.model_fields["type"].annotation.__args__[0] for event in get_args(union)}
    assert set(client.TYPES) == official_types | {"session.close"}
    assert {client.TYPES["session.close"]} == client.NOT_PUBLISHED
    assert len(client.TYPES) == 12


def test_the_samples_are_official_and_use_every_field() -> None:
    """Otherwise the next test would prove little."""
    events = [official(sample) for sample in RECEIVED]
    assert {key for event in events for key in unknown_keys(event)} == set()
    assert {field for field in unused_fields(events) if field.startswith("realtime.")} == set()
    assert {name(sample) for sample in RECEIVED} == set(client.TYPES) - {"session.close"}


@pytest.mark.parametrize("sample", RECEIVED, ids=name)
def test_nothing_of_an_official_message_is_lost(sample: Json) -> None:
    message = understood(sample)
    assert lost(sample, json.loads(msgspec.json.encode(message))) == []


@pytest.mark.parametrize("sample", RECEIVED, ids=name)
def test_event_id_may_be_anything_or_missing(sample: Json) -> None:
    assert understood(sample | {"event_id": "rci_item_1"}).event_id == "rci_item_1"
    assert understood(sample | {"event_id": None}).event_id is None
    assert understood({key: value for key, value in sample.items() if key != "event_id"}).event_id is None


@pytest.mark.parametrize("sample", RECEIVED, ids=name)
def test_keys_that_the_protocol_does_not_have_are_ignored(sample: Json) -> None:
    def padded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: padded(part) for key, part in value.items()} | {"x_unknown": {"deep": [1.5, None]}}
        return [padded(part) for part in value] if isinstance(value, list) else value

    free = {"parameters", "headers", "variables", "metadata", "input_schema", "annotations"}

    def without_padding(value: Any, key: str = "") -> Any:
        """Objects of free keys keep what they are given, so they are not padded."""
        if isinstance(value, dict) and key in free:
            return {part: inner for part, inner in value.items() if part != "x_unknown"}
        if isinstance(value, dict):
            return {part: without_padding(inner, part) for part, inner in value.items()}
        return [without_padding(part) for part in value] if isinstance(value, list) else value

    assert understood(without_padding(padded(sample))) == understood(sample)


def test_session_close_is_understood() -> None:
    assert understood({"type": "session.close"}) == client.SessionClose()


def test_audio_arrives_as_bytes() -> None:
    message = understood({"type": "input_audio_buffer.append", "audio": "AAH+/w=="})
    assert message == client.AudioAppend(audio=b"\x00\x01\xfe\xff")


def test_the_order_of_keys_does_not_matter() -> None:
    first = decode('{"audio":"AAAA","event_id":"e","type":"input_audio_buffer.append"}')
    assert first == client.AudioAppend(audio=bytes(3), event_id="e")


def test_absent_null_and_empty_are_three_things() -> None:
    def instructions(session: Json) -> Any:
        message = understood({"type": "session.update", "session": session})
        assert isinstance(message, client.SessionUpdate)
        return message.session.instructions

    assert instructions({}) is UNSET
    assert instructions({"instructions": None}) is None
    assert instructions({"instructions": ""}) == ""


def test_a_context_may_be_empty_or_made_of_references() -> None:
    def context(response: Json) -> Any:
        message = understood({"type": "response.create", "response": response})
        assert isinstance(message, client.ResponseCreate)
        assert message.response is not None
        return message.response.input

    assert context({}) is UNSET
    assert context({"input": []}) == ()
    assert context({"input": [{"type": "item_reference", "id": "item_1"}]}) == (items.ItemReference("item_1"),)


FROM_THE_FIELD: dict[str, Json] = {
    "agents-js turns tracing on": {"type": "session.update", "session": {"type": "realtime", "tracing": "auto"}},
    "livekit puts an item in front": {
        "type": "conversation.item.create",
        "event_id": "chat_ctx_create_1",
        "previous_item_id": "root",
        "item": {"id": "x", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    },
    "livekit expects its metadata back": {
        "type": "response.create",
        "event_id": "response_create_1",
        "response": {"instructions": "Greet.", "metadata": {"client_event_id": "response_create_1"}},
    },
    "no session.type": {"type": "session.update", "session": {"instructions": "Be brief."}},
    "flat keys of the beta": {
        "type": "session.update",
        "session": {"modalities": ["text", "audio"], "voice": "alloy", "input_audio_format": "pcm16"},
    },
    "a function without description": {
        "type": "session.update",
        "session": {"type": "realtime", "tools": [{"type": "function", "name": "now", "strict": True}]},
    },
    "nulls from a model dump": {
        "type": "response.create",
        "event_id": None,
        "response": {"instructions": None, "tools": None, "audio": {"output": {"voice": None}}, "metadata": None},
    },
    "turn detection off": {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": None}}},
    },
    "nulls in turn detection": {
        "type": "session.update",
        "session": {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": None}}}},
    },
    "a rate on telephone sound": {
        "type": "session.update",
        "session": {"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}},
    },
    "audio input that has only words": {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "hi"}]},
    },
    "a function call without call_id or id": {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "now", "arguments": ""},
    },
    "an approval without id": {
        "type": "conversation.item.create",
        "item": {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    },
}


@pytest.mark.parametrize("message", FROM_THE_FIELD.values(), ids=FROM_THE_FIELD)
def test_what_clients_are_known_to_send_is_understood(message: Json) -> None:
    understood(message)


@pytest.mark.parametrize("ms", ["500", "500.0", "5e2"])
def test_whole_milliseconds_may_be_written_as_floats(ms: str) -> None:
    """Python clients that compute a position in seconds send such numbers."""
    frame = f'{{"type":"conversation.item.truncate","item_id":"i","content_index":0.0,"audio_end_ms":{ms}}}'
    message = decode(frame)
    assert message == client.ItemTruncate(item_id="i", content_index=0, audio_end_ms=500)
    assert isinstance(message, client.ItemTruncate)
    assert type(message.audio_end_ms) is int


def test_a_repair_leaves_floats_that_belong_where_they_are() -> None:
    schema = {"type": "number", "minimum": 1.0}
    session = {
        "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500.0}}},
        "tools": [{"type": "function", "name": "f", "parameters": schema}],
    }
    text = json.dumps({"type": "session.update", "session": session})
    message = decode(text)
    assert isinstance(message, client.SessionUpdate)
    written = msgspec.json.encode(message)
    assert b'"minimum":1.0' in written
    assert b'"silence_duration_ms":500}' in written


def test_items_on_input_and_output_are_the_same_nine() -> None:
    kinds = {(item["type"], item.get("role")) for item in ITEMS}
    assert len(kinds) == 9
