"""Items hold what their role may hold, and survive the way to JSON and back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_samples import NINE_KINDS

from antiphon.protocol import items

texts = st.builds(items.InputText, text=st.text()) | st.builds(items.OutputText, text=st.text())
sounds = st.builds(items.InputAudio, audio=st.binary() | st.none(), transcript=st.text() | st.none())
pictures = st.builds(items.InputImage, image_url=st.text(), detail=st.sampled_from(["auto", "low", "high"]))
messages = st.one_of(
    st.builds(
        items.Message,
        id=st.text() | st.none(),
        status=st.sampled_from(["in_progress", "completed", "incomplete"]) | st.none(),
        role=st.just("user"),
        content=st.lists(st.builds(items.InputText, text=st.text()) | sounds | pictures).map(tuple),
    ),
    st.builds(
        items.Message,
        role=st.just("assistant"),
        content=st.lists(st.builds(items.OutputText, text=st.text())).map(tuple),
    ),
)
calls = st.builds(items.FunctionCall, id=st.text(), call_id=st.text() | st.none(), name=st.text(), arguments=st.text())
anything = messages | calls | st.builds(items.FunctionCallOutput, call_id=st.text(), output=st.text())


@given(anything)
def test_any_item_survives_the_way_there_and_back(item: items.Item) -> None:
    assert msgspec.json.decode(msgspec.json.encode(item), type=items.Item) == item


@given(role=st.sampled_from(["system", "user", "assistant"]), part=texts | sounds | pictures)
def test_a_message_holds_what_its_role_may_hold(role: str, part: items.Content) -> None:
    text = json.dumps({"type": "message", "role": role, "content": [msgspec.to_builtins(part)]})
    if isinstance(part, items.PARTS_OF[role]):
        message = msgspec.json.decode(text, type=items.Item)
        assert isinstance(message, items.Message)
        assert message.content == (part,)
    else:
        with pytest.raises(msgspec.ValidationError, match=f"content\\[0\\] of a '{role}' message"):
            msgspec.json.decode(text, type=items.Item)


def test_we_cannot_write_a_part_that_the_role_may_not_hold_either() -> None:
    with pytest.raises(ValueError, match="cannot be 'input_text'"):
        items.Message(role="assistant", content=(items.InputText("hi"),))


def test_an_item_without_audio_bytes_has_no_audio_key() -> None:
    """Only `conversation.item.retrieved` carries sound; elsewhere the key is absent, not null."""
    message = items.Message(role="user", content=(items.InputAudio(transcript="hi"),))
    assert json.loads(msgspec.json.encode(message))["content"] == [{"type": "input_audio", "transcript": "hi"}]


def test_nine_kinds_are_seven_structs_and_three_roles() -> None:
    assert len(NINE_KINDS) == 9
    assert len({type(item) for item in NINE_KINDS}) == 7


def test_usage_writes_every_count() -> None:
    assert json.loads(msgspec.json.encode(items.Usage())) == {
        "total_tokens": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "input_token_details": {
            "text_tokens": 0,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
    }
