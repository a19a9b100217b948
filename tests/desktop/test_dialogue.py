"""What a client makes of the server's messages, and what it sends."""

from __future__ import annotations

import base64

import numpy as np

from antiphon.desktop.dialogue import Caption, Dialogue, Effect, Hush, Message, Note, Phase, Play, PlayedOut
from antiphon.desktop.playback import Heard

SOUND = base64.b64encode(np.arange(4, dtype="<i2").tobytes()).decode()


def hear(dialogue: Dialogue, *messages: Message) -> list[Effect]:
    return [effect for message in messages for effect in dialogue.hear(message)]


def delta(item: str, sound: str = SOUND) -> Message:
    return {"type": "response.output_audio.delta", "item_id": item, "content_index": 0, "delta": sound}


def words(item: str, text: str, *, done: bool = False) -> Message:
    if done:
        return {"type": "response.output_audio_transcript.done", "item_id": item, "transcript": text}
    return {"type": "response.output_audio_transcript.delta", "item_id": item, "delta": text}


def asked(item: str, text: str) -> Message:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item, "transcript": text}


DONE: Message = {"type": "response.done", "response": {"status": "completed", "output": []}}
CREATED: Message = {"type": "response.created", "response": {"id": "r"}}


def test_a_spoken_turn() -> None:
    dialogue = Dialogue()
    effects = hear(
        dialogue,
        {"type": "input_audio_buffer.speech_started"},
        {"type": "input_audio_buffer.speech_stopped"},
        asked("u", " What time is it? "),
        CREATED,
        words("a", "It is"),
        delta("a"),
        words("a", " nine."),
        delta("a"),
        words("a", "It is nine.", done=True),
        DONE,
    )
    assert effects[:4] == [Hush(), Phase("hearing"), Phase("thinking"), Caption("you", "u", "What time is it?", True)]
    assert Caption("antiphon", "a", "It is nine.", is_final=False) in effects
    assert sum(isinstance(effect, Play) for effect in effects) == 2
    assert effects.count(Phase("speaking")) == 1
    assert effects[-2:] == [Caption("antiphon", "a", "It is nine.", is_final=True), PlayedOut()]
    assert [(turn.role, turn.text) for turn in dialogue.turns] == [
        ("user", "What time is it?"),
        ("assistant", "It is nine."),
    ]


def test_what_was_interrupted_is_cut_and_stays_silent() -> None:
    dialogue = Dialogue()
    hear(dialogue, CREATED, words("a", "Once upon a"), delta("a"))
    (truncate,) = dialogue.interrupted(Heard("a", 0, 640, is_whole=False))
    assert truncate == {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 640}
    assert hear(dialogue, delta("a"), words("a", " time"), words("a", "Once upon a time", done=True)) == []
    assert [turn.text for turn in dialogue.turns] == ["Once upon a (interrupted)"]
    assert dialogue.interrupted(Heard("b", 0, 100, is_whole=True)) == []
    assert dialogue.interrupted(None) == []


def test_a_new_connection_is_told_what_was_said() -> None:
    dialogue = Dialogue(with_voice=False, instructions="Be kind.", voice="cedar")
    hear(dialogue, asked("u", "Hello"), CREATED, words("a", "Hi.", done=True))
    update, user, assistant = dialogue.opening()
    assert update["session"]["output_modalities"] == ["text"]
    assert update["session"]["instructions"] == "Be kind."
    assert update["session"]["audio"]["output"] == {"voice": "cedar"}
    assert user["item"]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert assistant["item"]["content"] == [{"type": "output_text", "text": "Hi."}]
    assert not dialogue.is_answering


def test_a_typed_turn_ends_the_answer_before() -> None:
    dialogue = Dialogue()
    assert [message["type"] for message in dialogue.typed("hi")] == ["conversation.item.create", "response.create"]
    assert dialogue.typed("no, wait")[0] == {"type": "response.cancel"}
    item = {"id": "i", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    added: Message = {"type": "conversation.item.added", "item": item}
    assert hear(dialogue, added, added) == [Caption("you", "i", "hi", is_final=True)]


def test_tools_failures_and_timelines_are_told() -> None:
    dialogue = Dialogue()
    failed: Message = {"type": "response.done", "response": {
        "status": "failed", "status_details": {"error": {"message": "the model is away"}},
    }}  # fmt: skip
    timeline: Message = {"type": "antiphon.timeline", "wait_ms": 812.4, "stages": [{"name": "first_audio", "ms": 9.6}]}
    assert hear(
        dialogue,
        {"type": "antiphon.tool.started", "name": "time", "arguments": "{}"},
        {"type": "antiphon.tool.done", "name": "time", "output": "9:00\n" + "x" * 500},
        timeline,
        failed,
        {"type": "error", "error": {"message": "no", "code": "other"}},
        {"type": "error", "error": {"message": "none active", "code": "response_cancel_not_active"}},
    ) == [
        Note("tool", "time({})"),
        Note("tool", "time -> 9:00 " + "x" * 154 + "…"),
        Note("timeline", "812 ms: first audio 10"),
        PlayedOut(),
        Note("error", "the model is away"),
        Note("error", "no"),
    ]


def test_what_is_not_known_or_not_whole_changes_nothing() -> None:
    dialogue = Dialogue()
    odd: list[Message] = [
        {}, {"type": 7}, {"type": "rate_limits.updated"}, {"type": "response.output_audio.delta"},
        {"type": "response.done"}, {"type": "antiphon.future", "name": 1}, {"type": "error"},
    ]  # fmt: skip
    assert hear(dialogue, *odd) == []


def test_what_was_typed_into_a_connection_that_broke_is_said_again_unless_the_server_has_heard_it() -> None:
    dialogue = Dialogue()
    item, request = dialogue.typed("hello?")
    assert dialogue.caught_up() == [item, request]
    assert dialogue.opening()[1:] == [item, request]
    assert dialogue.is_answering
    hear(dialogue, {"type": "conversation.item.added", "item": {"id": "i", **item["item"]}})
    assert dialogue.caught_up() == [request]
    hear(dialogue, CREATED)
    assert dialogue.caught_up() == []
    assert len(dialogue.opening()) == 2
