"""What is not a message is refused by name and place, and never with anything but a `BadMessage`."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_samples import RECEIVED

from antiphon.errors import PeerError
from antiphon.protocol import client, codec
from antiphon.protocol.codec import BadMessage, Incoming, decode, decode_document
from antiphon.protocol.session_config import SessionPatch


def refused(frame: str | bytes) -> BadMessage:
    result = decode(frame)
    assert isinstance(result, BadMessage), result
    return result


def update(session: str) -> str:
    return f'{{"type":"session.update","event_id":"mine","session":{session}}}'


def create(item: str) -> str:
    return f'{{"type":"conversation.item.create","event_id":"mine","item":{item}}}'


def detect(turn_detection: str) -> str:
    return update(f'{{"audio":{{"input":{{"turn_detection":{turn_detection}}}}}}}')


def truncate(**changes: str) -> str:
    fields = {"item_id": '"i"', "content_index": "0", "audio_end_ms": "0"} | changes
    body = ",".join(f'"{key}":{value}' for key, value in fields.items())
    return f'{{"type":"conversation.item.truncate","event_id":"mine",{body}}}'


VAD = "session.audio.input.turn_detection"
DEEP = "[" * 100_000

MALFORMED: list[tuple[str | bytes, str, str | None, str]] = [
    # frame, code, param, a part of the message
    ("", "invalid_json", None, "Invalid JSON"),
    ("{", "invalid_json", None, "Invalid JSON"),
    ('{"type":"response.create"} x', "invalid_json", None, "trailing"),
    ('{"type":"response.create","x":NaN}', "invalid_json", None, "Invalid JSON"),
    (b'{"type":"response.create","event_id":"\xff"}', "invalid_json", None, "UTF-8"),
    ('{"type":"response.create","event_id":"\ud800"}', "invalid_json", None, "UTF-8"),
    (f'{{"type":"response.create","x":{DEEP}', "invalid_json", None, "nested too deeply"),
    (f'{{"type":"no.such","x":{DEEP}', "invalid_json", None, "nested too deeply"),
    (update(f'{{"tools":[{{"type":"function","name":"f","parameters":{{"a":{DEEP}'), "invalid_json", None, "deeply"),
    ("3", "invalid_event", None, "The 'type' field is missing."),
    ("null", "invalid_event", None, "The 'type' field is missing."),
    ('"response.create"', "invalid_event", None, "The 'type' field is missing."),
    ("[]", "invalid_event", None, "The 'type' field is missing."),
    ("{}", "invalid_event", None, "The 'type' field is missing."),
    ('{"type":null}', "invalid_event", None, "The 'type' field is missing."),
    ('{"type":3}', "invalid_type", "type", "expected a string"),
    ('{"type":"scooby.doo"}', "invalid_value", "type", "Supported values are: 'session.update', "),
    ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio", "parameter: 'audio'."),
    ('{"type":"input_audio_buffer.append","audio":3}', "invalid_type", "audio", "base64"),
    ('{"type":"input_audio_buffer.append","audio":null}', "invalid_type", "audio", "null"),
    ('{"type":"input_audio_buffer.append","audio":"%%%%"}', "invalid_value", "audio", "not base64"),
    ('{"type":"input_audio_buffer.append","audio":"AAA"}', "invalid_value", "audio", "not base64"),
    ('{"type":"input_audio_buffer.commit","event_id":7}', "invalid_type", "event_id", "expected a string"),
    ('{"type":"session.update"}', "missing_required_parameter", "session", "'session'"),
    (update("null"), "invalid_type", "session", "expected an object, but got null instead"),
    (update('{"type":"translation"}'), "invalid_value", "session.type", "'realtime', 'transcription'"),
    (
        update('{"audio":{"input":{"format":{"type":"audio/pcm","rate":"24000"}}}}'),
        "invalid_type",
        "session.audio.input.format.rate",
        "expected an integer or null, but got a string instead",
    ),
    (
        update('{"audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}'),
        "invalid_value",
        "session.audio.input.format.rate",
        "Invalid value: '16000'. Supported values are: '24000'.",
    ),
    (update('{"audio":{"input":{"format":"pcm16"}}}'), "invalid_type", "session.audio.input.format", "an object"),
    (update('{"audio":{"output":{"speed":9}}}'), "invalid_value", "session.audio.output.speed", "a number <= 1.5"),
    (update('{"audio":{"output":{"voice":{}}}}'), "missing_required_parameter", "session.audio.output.voice.id", "id"),
    (update('{"output_modalities":["smell"]}'), "invalid_value", "session.output_modalities[0]", "'audio', 'text'"),
    (update('{"max_output_tokens":"all"}'), "invalid_value", "session.max_output_tokens", "'inf'"),
    (update('{"max_output_tokens":0}'), "invalid_value", "session.max_output_tokens", "an integer >= 1"),
    (update('{"tool_choice":"maybe"}'), "invalid_value", "session.tool_choice", "'auto', 'none', 'required'"),
    (update('{"tool_choice":{"type":"any"}}'), "invalid_value", "session.tool_choice.type", "'function', 'mcp'"),
    (update('{"tools":[{"type":"function"}]}'), "missing_required_parameter", "session.tools[0].name", "name"),
    (update('{"tools":[{"name":"f"}]}'), "missing_required_parameter", "session.tools[0].type", "type"),
    (update('{"tools":{}}'), "invalid_type", "session.tools", "expected an array or null, but got an object"),
    (detect('{"type":"server_vat"}'), "invalid_value", f"{VAD}.type", "'semantic_vad', 'server_vad'"),
    (detect('{"type":"server_vad","threshold":1.5}'), "invalid_value", f"{VAD}.threshold", "<= 1.0"),
    (detect('{"type":"server_vad","threshold":1e999}'), "invalid_value", f"{VAD}.threshold", "out of range"),
    (detect('{"type":"semantic_vad","eagerness":"mad"}'), "invalid_value", f"{VAD}.eagerness", "'auto', 'high'"),
    (
        detect('{"type":"server_vad","silence_duration_ms":"500"}'),
        "invalid_type",
        f"{VAD}.silence_duration_ms",
        "string",
    ),
    (
        detect('{"type":"server_vad","silence_duration_ms":500.5}'),
        "invalid_type",
        f"{VAD}.silence_duration_ms",
        "integer",
    ),
    (
        detect('{"type":"server_vad","silence_duration_ms":true}'),
        "invalid_type",
        f"{VAD}.silence_duration_ms",
        "boolean",
    ),
    (create('{"type":"song"}'), "invalid_value", "item.type", "'function_call', "),
    (create("{}"), "missing_required_parameter", "item.type", "'item.type'"),
    (
        create('{"type":"message","role":"cat","content":[]}'),
        "invalid_value",
        "item.role",
        "'assistant', 'system', 'user'",
    ),
    (
        create('{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"text"}]}'),
        "invalid_value",
        "item.content[1].type",
        "'input_audio', 'input_image', 'input_text'",
    ),
    (
        create('{"type":"message","role":"user","content":[{"type":"input_audio","audio":"?"}]}'),
        "invalid_value",
        "item.content[0].audio",
        "not base64",
    ),
    (
        create('{"type":"message","role":"system","content":[{"type":"output_text","text":"a"}]}'),
        "invalid_value",
        "item",
        "content[0] of a 'system' message cannot be 'output_text'",
    ),
    (truncate(audio_end_ms="-1"), "invalid_value", "audio_end_ms", "an integer >= 0"),
    (truncate(audio_end_ms="1e300"), "invalid_value", "audio_end_ms", "an integer <= "),
    (truncate(audio_end_ms="9" * 40), "invalid_value", "audio_end_ms", "an integer <= "),
    (truncate(content_index="1.0", audio_end_ms="0.5"), "invalid_type", "audio_end_ms", "an integer"),
    (
        '{"type":"response.create","response":{"metadata":{"a":1}}}',
        "invalid_type",
        "response.metadata[...]",
        "expected a string, but got an integer instead",
    ),
    (
        f'{{"type":"response.create","response":{{"metadata":{{"{"k" * 65}":"v"}}}}}}',
        "invalid_value",
        "response.metadata",
        "a string with a length <= 64",
    ),
    (
        json.dumps({"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}}),
        "invalid_value",
        "response.metadata",
        "an object with a length <= 16",
    ),
    ('{"type":"response.cancel","response_id":{}}', "invalid_type", "response_id", "got an object instead"),
]


@pytest.mark.parametrize(("frame", "code", "param", "words"), MALFORMED, ids=lambda value: str(value)[:60])
def test_malformed(frame: str | bytes, code: str, param: str | None, words: str) -> None:
    error = refused(frame).error
    assert (error.code, error.param) == (code, param), error
    assert words in error.message
    assert len(error.message) < 1000


def test_the_sender_gets_its_own_event_id_back_wherever_it_can_be_read() -> None:
    assert refused('{"type":"no.such","event_id":"mine"}').event_id == "mine"
    assert refused('{"event_id":"mine"}').event_id == "mine"
    assert refused(truncate(audio_end_ms="-1")).event_id == "mine"
    assert refused(b'{"event_id":"mine","type":"conversation.item.delete","item_id":"\xff"}').event_id == "mine"
    assert refused('{"type":"no.such","event_id":7}').event_id is None
    assert refused('{"type":"no.such"}').event_id is None
    assert refused('{"event_id":"mine"').event_id is None


def test_a_typing_error_gets_the_right_word() -> None:
    assert refused('{"type":"response.creat"}').error.hint == "Did you mean 'response.create'?"
    assert refused(detect('{"type":"server_vat"}')).error.hint == "Did you mean 'server_vad'?"


def test_every_supported_type_is_listed() -> None:
    message = refused('{"type":"x"}').error.message
    assert all(repr(name) in message for name in client.TYPES)


def test_a_huge_word_is_not_repeated_to_its_sender() -> None:
    error = refused(json.dumps({"type": "x" * 1_000_000})).error
    assert len(error.message) < 1000


def test_sound_up_to_the_limit_is_taken_and_not_a_byte_more() -> None:
    def append(size: int) -> Incoming | BadMessage:
        sound = base64.b64encode(bytes(size)).decode()
        return decode(f'{{"type":"input_audio_buffer.append","audio":"{sound}"}}')

    most = append(client.MAX_APPEND_BYTES)
    assert isinstance(most, client.AudioAppend)
    assert len(most.audio) == client.MAX_APPEND_BYTES
    more = append(client.MAX_APPEND_BYTES + 1)
    assert isinstance(more, BadMessage)
    assert (more.error.code, more.error.param) == ("invalid_value", "audio")


def test_a_huge_message_is_not_repaired() -> None:
    """A repair costs several readings, so a message that is large for other reasons is refused at once."""
    padding = " " * codec.MAX_REPAIRED_LENGTH
    error = refused(padding + truncate(audio_end_ms="1.0")).error
    assert (error.code, error.param) == ("invalid_type", "audio_end_ms")


def test_only_a_float_in_an_integers_place_is_repaired() -> None:
    """Elsewhere the sender is told what it wrote, not what we made of it."""
    error = refused('{"type":"response.cancel","response_id":5.0}').error
    assert "expected a string or null, but got a number instead" in error.message
    error = refused(truncate(content_index="0.0", audio_end_ms='"0"')).error
    assert (error.code, error.param) == ("invalid_type", "audio_end_ms")
    with pytest.raises(PeerError, match="integer"):  # the decoder does not say which key, so it cannot be repaired
        decode_document('{"a":5.0}', dict[str, int])


def test_repairs_end() -> None:
    call = {"type": "mcp_call", "server_label": "z", "name": "n", "arguments": ""}
    call["error"] = {"type": "http_error", "code": 1.0, "message": ""}  # type: ignore[assignment]
    few = json.dumps({"type": "response.create", "response": {"input": [call] * codec.MAX_REPAIRS}})
    assert isinstance(decode(few), client.ResponseCreate)
    many = json.dumps({"type": "response.create", "response": {"input": [call] * (codec.MAX_REPAIRS + 1)}})
    error = refused(many).error
    assert (error.code, error.param) == ("invalid_type", f"response.input[{codec.MAX_REPAIRS}].error.code")


def test_invalid_text_beside_a_number_to_repair_is_refused() -> None:
    frame = truncate(audio_end_ms="1.0").encode()[:-1] + b',"unread":"\xff"}'
    assert refused(frame).error.code == "invalid_json"
    assert refused(frame).event_id == "mine"


def test_a_document_has_the_same_errors_as_a_message() -> None:
    assert decode_document('{"voice":"x"}', SessionPatch) == SessionPatch()
    assert decode_document('{"max_output_tokens":5.0}', SessionPatch) == SessionPatch(max_output_tokens=5)
    with pytest.raises(PeerError) as wrong:
        decode_document('{"output_modalities":["smell"]}', SessionPatch)
    assert (wrong.value.code, wrong.value.param) == ("invalid_value", "output_modalities[0]")
    with pytest.raises(PeerError, match="Invalid type for the whole") as whole:
        decode_document("[]", SessionPatch)
    assert whole.value.param is None
    assert "'audio', 'text'" in wrong.value.message
    with pytest.raises(PeerError) as broken:
        decode_document(b"{", SessionPatch)
    assert broken.value.code == "invalid_json"


# --- anything at all -------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(list(client.TYPES)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every key and position inside, as (container, key)."""
    keys: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@pytest.mark.slow
@given(st.text() | st.binary())
def test_any_text_is_a_message_or_a_bad_one(frame: str | bytes) -> None:
    assert isinstance(decode(frame), BadMessage)


@given(anything)
def test_any_json_is_a_message_or_a_bad_one(value: Any) -> None:
    decode(json.dumps(value))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=300)
def test_any_damage_to_a_message_is_survived(data: st.DataObject) -> None:
    message = copy.deepcopy(data.draw(st.sampled_from(RECEIVED)))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(message)))
        if data.draw(st.booleans()):
            container[key] = data.draw(anything)
        elif isinstance(container, dict):
            del container[key]
        if not places(message):
            break
    frame = json.dumps(message)
    result = decode(frame[: data.draw(st.integers(len(frame) // 2, len(frame)))] if data.draw(st.booleans()) else frame)
    if isinstance(result, BadMessage):
        assert result.error.code in {
            "invalid_json",
            "invalid_event",
            "invalid_type",
            "invalid_value",
            "missing_required_parameter",
        }
        assert result.error.message
        assert "$" not in (result.error.param or "")
