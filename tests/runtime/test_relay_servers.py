"""Voices that are not quite as the protocol says: what OpenAI, Azure and smaller servers do, which does no harm."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from voice import Message, Stage, stage

from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.testing import virtual_time

BETA = {"modalities", "voice", "input_audio_format", "output_audio_format", "turn_detection", "temperature"}
"""Keys of a session and of a response that the protocol had before its release, and that OpenAI now refuses."""


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


def refuse(made: Stage, request: Message, param: str | None) -> None:
    error = {"type": "invalid_request_error", "code": "unknown_parameter", "message": f"Unknown parameter: {param}."}
    made.voice.say("error", error={**error, "param": param, "event_id": request["event_id"]})


def test_a_server_that_does_not_know_one_of_our_settings_gets_all_the_others() -> None:
    async def story() -> None:
        async with stage(config=SessionConfig(Settings(instructions="Be brief."))) as made:
            refuse(made, made.voice.heard[-1], "session.audio.output.speed")
            refuse(made, made.voice.heard[-1], "session.audio.input.transcription.model")
            await made.client.settle()
            session = made.voice.heard[-1]["session"]
            assert session["instructions"] == "Be brief."
            assert "speed" not in session["audio"]["output"]
            assert "transcription" not in session["audio"]["input"]
            made.voice.say("session.updated", session={})
            update = {"type": "realtime", "audio": {"output": {"speed": 1.2}}, "instructions": "Be long."}
            made.client.send({"type": "session.update", "session": update})
            await made.client.settle()
            assert made.voice.heard[-1]["session"] == {"type": "realtime", "instructions": "Be long."}
            assert made.got("error") == []
            made.voice.say("session.updated", session={})

    play(story())


def test_a_server_that_does_not_say_what_it_does_not_take_is_not_asked_for_ever_and_the_client_is_told() -> None:
    async def story(param: str | None) -> None:
        async with stage() as made:
            refuse(made, made.voice.heard[-1], param)
            await made.client.settle()
            refuse(made, made.voice.heard[-1], param)
            await made.client.settle()
            assert len(made.voice.heard) <= 2
            assert made.got("error")[0]["error"]["code"] == "unknown_parameter"

    play(story(None))
    play(story("session.type"))  # a server of the beta
    play(story("session.instructions"))


def test_a_server_of_the_beta_is_asked_for_nothing_that_only_it_knows() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.confirm_updates()
            made.client.send({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
            made.client.send({"type": "response.create", "response": {"output_modalities": ["text"]}})
            await made.client.settle()
            for request in made.voice.heard:
                asked = request.get("session") or request.get("response") or {}
                assert not BETA & set(asked), request
                assert request["type"] != "session.update" or asked["type"] == "realtime"

    play(story())


def test_a_turn_that_is_never_said_to_be_committed_becomes_an_item_all_the_same() -> None:
    """As with servers that announce items by their old name, and with some that announce none."""

    async def story(*, is_announced: bool) -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=100)
            made.voice.say("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=900)
            if is_announced:
                item = {"id": "item_a", "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
                made.voice.say("conversation.item.created", item=item)
            made.voice.begin("resp_1")
            made.voice.transcribe("item_a", "hello there")
            made.voice.end("resp_1")
            await made.client.settle()
            (committed,) = made.got("input_audio_buffer.committed")
            assert committed["item_id"] == "item_a"
            (done,) = made.got("conversation.item.input_audio_transcription.completed")
            assert done["transcript"] == "hello there"
            made.drive.announce("Your tea is ready.")
            await made.client.settle()
            assert made.voice.asked("response.create")  # nobody is believed to be speaking still

    play(story(is_announced=True))
    play(story(is_announced=False))


def test_an_answer_whose_item_is_not_announced_is_heard() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.speak("resp_1", "item_b", "Good day.")
            made.voice.end_message("resp_1", "item_b", "Good day.")
            made.voice.speak("resp_1", "item_b", " Too late.")
            made.voice.end("resp_1")
            await made.client.settle()
            (done,) = made.got("response.done")
            assert [item["content"][0]["transcript"] for item in done["response"]["output"]] == ["Good day."]
            assert len(made.got("response.output_audio.delta")) == 1

    play(story())


def test_what_azure_says_beyond_the_protocol_and_leaves_out_changes_nothing() -> None:
    async def story() -> None:
        async with stage(config=SessionConfig(Settings(transcription=Transcription()))) as made:
            await made.sound(1.0)
            made.voice.say("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 0, "remaining": 0}])
            made.voice.hear_turn("item_a", 100, 900)
            made.voice.say("response.created", response={"id": "resp_1", "status": "in_progress", "metadata": None})
            made.voice.begin_message("resp_1", "item_b")
            made.voice.say("response.animation_viseme.delta", response_id="resp_1", item_id="item_b", viseme_id=3)
            made.voice.speak("resp_1", "item_b", "I may not")
            failed = {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": "No such deployment."}
            kind = "conversation.item.input_audio_transcription.failed"
            made.voice.say(kind, item_id="item_a", content_index=0, error=failed)
            details = {"type": "incomplete", "reason": "content_filter"}
            response: Message = {
                "id": "resp_1",
                "status": "incomplete",
                "status_details": details,
                "usage": None,
                "output": [],
            }
            made.voice.say("response.done", response=response)
            await made.client.settle()
            (done,) = made.got("response.done")
            assert done["response"]["status_details"]["reason"] == "content_filter"
            assert made.got(kind)[0]["error"]["code"] == "DeploymentNotFound"
            assert made.got("error") == []

    play(story())


def test_the_hour_that_a_server_allows_ends_for_it_and_not_for_the_client() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "remember me")
            made.voice.answer("resp_1", "item_b", "I do.")
            expired = {"type": "invalid_request_error", "code": "session_expired", "message": "60 minutes."}
            made.voice.say("error", error={**expired, "event_id": None, "param": None})
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            told = [one["item"]["content"][0]["text"] for one in next_voice.asked("conversation.item.create")]
            assert told == ["remember me", "I do."]
            assert made.got("error") == []

    play(story())
