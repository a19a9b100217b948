"""A conversation whose voice is another server: what each side sees of it, and what happens when that server fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from voice import SECOND, Stage, Voice, stage

from antiphon.engines.api import ToolSpec
from antiphon.errors import EngineError
from antiphon.relay.session import make_session
from antiphon.session import outputs, trace
from antiphon.session.settings import Relaying, SessionConfig, Settings, Transcription, TurnDetection
from antiphon.testing import virtual_time
from antiphon.tools.api import Conduct, ToolContext
from antiphon.tools.function import tool

GONE = EngineError("nobody listens", "Start it.", code="upstream_unreachable")


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


async def asked_to_say(made: Stage, words: str) -> None:
    """The client writes something and wants an answer; the voice has taken both in."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    made.client.send({"type": "conversation.item.create", "item": item})
    made.client.send({"type": "response.create"})
    await made.client.settle()
    made.voice.say("conversation.item.added", item=made.voice.asked("conversation.item.create")[-1]["item"])


# --- one conversation -------------------------------------------------------------------------------------------------


def test_the_voice_is_told_who_it_is_before_anything_else_and_hears_the_person_in_its_own_format() -> None:
    async def story() -> None:
        config = SessionConfig(Settings(instructions="Be brief.", voice="cedar"))
        async with stage(config=config) as made:
            first = made.voice.heard[0]
            assert first["type"] == "session.update"
            assert first["session"]["instructions"] == "Be brief."
            audio = first["session"]["audio"]
            assert audio["output"]["voice"] == "cedar"
            assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
            assert audio["input"]["transcription"] == {"model": "whisper-1"}
            made.voice.confirm_updates()
            update = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
            made.client.send({"type": "session.update", "session": update})
            await made.client.settle()
            assert made.got("session.updated")  # what is only between us and the client is not asked of the voice
            made.client.append(bytes([0xFF]) * 160)
            await made.client.settle()
            assert 2 * 3 * 140 < len(made.voice.sound) <= 2 * 3 * 160  # a telephone's format is heard a little later

    play(story())


def test_a_spoken_turn_and_its_answer_reach_the_client_as_ours_would() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "hello there")
            made.voice.answer("resp_1", "item_b", "Good day.")
            await made.client.settle()
            assert made.got("input_audio_buffer.speech_started")[0]["audio_start_ms"] == 100
            done = made.got("conversation.item.input_audio_transcription.completed")
            assert [one["transcript"] for one in done] == ["hello there"]
            assert len(made.got("response.output_audio.delta")) == 1
            response = made.got("response.done")[0]["response"]
            assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Good day."}]
            assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (7, 5)
            (turn,) = made.drive.timeline.turns
            assert (turn.heard, turn.said, turn.status) == ("hello there", "Good day.", "completed")
            assert turn.voice_to_voice_ms() == pytest.approx(100, abs=25)  # of silence had come by then

    play(story())


def test_only_what_is_new_in_the_settings_is_asked_for_and_the_client_sees_what_was_agreed_to() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.confirm_updates()
            update = {"type": "realtime", "instructions": "Speak French.", "audio": {"output": {"speed": 1.2}}}
            made.client.send({"type": "session.update", "event_id": "u1", "session": update})
            await made.client.settle()
            assert made.got("session.updated") == []
            asked = made.voice.heard[-1]["session"]
            assert asked == {
                "type": "realtime",
                "instructions": "Speak French.",
                "audio": {"output": {"speed": 1.2}},
            }
            made.voice.say("session.updated", session={})
            await made.client.settle()
            assert made.got("session.updated")[0]["session"]["instructions"] == "Speak French."

    play(story())


def test_a_refusal_comes_back_to_whoever_caused_it_and_changes_nothing() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.confirm_updates()
            update = {"type": "realtime", "instructions": "Speak Martian."}
            made.client.send({"type": "session.update", "event_id": "mine", "session": update})
            await made.client.settle()
            error = {
                "type": "invalid_request_error",
                "code": "invalid_value",
                "message": "No. Key sk-1234567890abcdef.",
                "param": "session.instructions",
                "event_id": made.voice.heard[-1]["event_id"],
            }
            made.voice.say("error", error=error)
            await made.client.settle()
            (told,) = made.got("error")
            assert told["error"]["event_id"] == "mine"
            assert told["error"]["param"] == "session.instructions"
            assert "1234567890" not in told["error"]["message"]
            assert made.drive.session.settings.instructions == ""
            made.voice.say("error", error={"type": "server_error", "code": "x", "message": "Something."})
            await made.client.settle()
            assert made.got("error")[-1]["error"]["type"] == "server_error"

    play(story())


def test_items_are_written_retrieved_and_deleted() -> None:
    async def story() -> None:
        async with stage() as made:
            await asked_to_say(made, "hello")
            await made.client.settle()
            item_id = made.got("conversation.item.added")[0]["item"]["id"]
            made.client.send({"type": "conversation.item.retrieve", "item_id": item_id})
            made.client.send({"type": "conversation.item.delete", "item_id": item_id})
            await made.client.settle()
            assert made.got("conversation.item.retrieved")[0]["item"]["id"] == item_id
            assert made.voice.asked("conversation.item.delete")[0]["item_id"] == item_id
            made.voice.say("conversation.item.deleted", item_id=item_id)
            await made.client.settle()
            assert made.got("conversation.item.deleted")
            made.client.send({"type": "conversation.item.delete", "event_id": "again", "item_id": item_id})
            await made.client.settle()
            assert made.got("error")[0]["error"]["code"] == "item_delete_invalid_item_id"

    play(story())


def test_a_sound_that_a_client_sends_with_an_item_reaches_the_voice() -> None:
    async def story() -> None:
        async with stage() as made:
            part = {"type": "input_audio", "audio": "AAAAAAAA"}
            item = {"type": "message", "role": "user", "content": [part]}
            made.client.send({"type": "conversation.item.create", "item": item})
            await made.client.settle()
            sent = made.voice.asked("conversation.item.create")[0]["item"]
            assert sent["content"] == [part]
            made.voice.say("conversation.item.added", item=sent)
            await made.client.settle()
            made.client.send({"type": "conversation.item.retrieve", "item_id": sent["id"]})
            await made.client.settle()
            assert made.got("conversation.item.retrieved")[0]["item"]["content"][0]["audio"] == "AAAAAAAA"

    play(story())


# --- interrupting -----------------------------------------------------------------------------------------------------


def test_a_barge_in_ends_the_answer_and_what_was_heard_of_it_is_what_is_kept() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            for words in ("One two three. ", "Four five six. ", "Seven eight nine."):
                made.voice.speak("resp_1", "item_b", words)
            await made.sound(1.5)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_c", audio_start_ms=1400)
            made.voice.end_message("resp_1", "item_b", "One two three. Four five six. Seven eight nine.", "incomplete")
            made.voice.end("resp_1", "cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
            await made.client.settle()
            response = made.got("response.done")[0]["response"]
            assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "turn_detected")
            entry = made.drive.session.conversation.entry("item_b")
            assert entry is not None
            assert (entry.heard or "").startswith("One two three. Four")
            assert "Seven" not in (entry.heard or "")
            made.client.send(
                {"type": "conversation.item.truncate", "item_id": "item_b", "content_index": 0, "audio_end_ms": 1000}
            )
            await made.client.settle()
            assert made.voice.asked("conversation.item.truncate")[0]["audio_end_ms"] == 1000
            made.voice.say("conversation.item.truncated", item_id="item_b", content_index=0, audio_end_ms=1000)
            await made.client.settle()
            assert made.got("conversation.item.truncated")[0]["audio_end_ms"] == 1000
            assert entry.heard == "One two three. "

    play(story())


def test_an_answer_whose_sound_breaks_off_is_what_sounded_of_it() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "One two three four five six seven eight. ", SECOND[:12_000])
            made.voice.end_message("resp_1", "item_b", "One two", "incomplete")
            made.voice.end("resp_1", "failed")
            made.voice.begin("resp_2")
            made.voice.begin_message("resp_2", "item_c")
            made.voice.speak("resp_2", "item_c", "One two three four five six seven eight. ", SECOND[:12_000])
            made.voice.hang_up()
            await made.client.settle()
            told, lost = (one["response"]["output"][0]["content"][0] for one in made.got("response.done"))
            assert told["transcript"] == "One two"
            assert lost["transcript"] == "One two"  # half a second of it, and nobody says more
            made.client.send(
                {"type": "conversation.item.truncate", "item_id": "item_b", "content_index": 0, "audio_end_ms": 500}
            )
            await made.client.settle(5.0)
            entry = made.drive.session.conversation.entry("item_b")
            assert entry is not None
            assert entry.heard == "One two"

    play(story())


def test_an_item_that_comes_without_its_commit_or_before_it_is_committed_all_the_same() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=100)
            made.voice.say("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=900)
            item = {"id": "item_a", "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
            made.voice.say("conversation.item.added", item=item, previous_item_id=None)
            made.voice.say("input_audio_buffer.committed", item_id="item_a", previous_item_id=None)
            made.voice.transcribe("item_a", "hello")
            await made.client.settle()
            assert made.kinds()[-4:] == [
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.completed",
            ]

    play(story())


def test_nothing_comes_between_the_end_of_a_turn_and_its_commit_however_late_that_is() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=100)
            made.voice.say("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=900)
            made.client.send({"type": "response.cancel"})
            await made.client.settle()
            made.voice.commit("item_a")
            await made.client.settle()
            kinds = made.kinds()
            assert kinds.index("error") < kinds.index("input_audio_buffer.speech_stopped")
            assert kinds[kinds.index("input_audio_buffer.speech_stopped") + 1] == "input_audio_buffer.committed"
            assert made.got("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 900

    play(story())


def test_a_turn_whose_commit_is_lost_ends_where_the_next_voice_says() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=100)
            made.voice.say("input_audio_buffer.speech_stopped", item_id="item_a", audio_end_ms=900)
            made.voice.hang_up()
            await made.sound(1.0)
            next_voice = await made.voice_number(2)
            next_voice.hear_turn("item_z", 0, 1500, "hello again")
            await made.client.settle()
            (stopped,) = made.got("input_audio_buffer.speech_stopped")
            assert (stopped["item_id"], stopped["audio_end_ms"]) == ("item_a", 1600)

    play(story())


def test_a_silence_that_counts_as_a_turn_is_told_with_its_commit_or_not_at_all() -> None:
    async def story(*, is_lost: bool) -> None:
        detection = TurnDetection(idle_timeout_ms=5000)
        async with stage(config=SessionConfig(Settings(turn_detection=detection))) as made:
            await made.sound(6.0)
            times = {"audio_start_ms": 1000, "audio_end_ms": 6000}
            made.voice.say("input_audio_buffer.timeout_triggered", item_id="item_a", **times)
            await made.client.settle()
            assert made.got("input_audio_buffer.timeout_triggered") == []
            if is_lost:
                made.voice.hang_up()
                await made.client.settle(30)
                assert made.got("input_audio_buffer.committed") == []
            else:
                made.voice.commit("item_a")
                await made.client.settle()
                told, committed = made.client.received[-4:-2]
                assert (told["type"], told["audio_end_ms"]) == ("input_audio_buffer.timeout_triggered", 6000)
                assert committed["type"] == "input_audio_buffer.committed"

    play(story(is_lost=False))
    play(story(is_lost=True))


def test_who_switches_turn_detection_off_while_speaking_is_in_no_turn_any_more() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.confirm_updates()
            await made.sound(0.5)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=100)
            update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            made.client.send({"type": "session.update", "session": update})
            await made.client.settle()
            made.voice.say("session.updated", session={})
            made.client.send({"type": "input_audio_buffer.commit"})
            await made.client.settle()
            made.voice.commit("item_b")
            await made.client.settle()
            assert made.got("input_audio_buffer.committed")[0]["item_id"] == "item_b"
            assert made.got("input_audio_buffer.speech_stopped") == []

    play(story())


def test_what_is_to_be_said_while_the_voice_is_away_waits_for_it_and_not_in_circles() -> None:
    async def story() -> None:
        async with stage(warm=False, fault=GONE) as made:
            made.drive.announce("Your tea is ready.")
            before = len(made.steps)
            await made.client.settle(3.0)
            assert len(made.steps) - before < 20
            made.house.fault = None
            voice = await made.voice_number(1)
            await made.client.settle()
            assert "Your tea is ready." in voice.asked("response.create")[0]["response"]["instructions"]

    play(story())


def test_a_client_cancels_and_is_told_when_there_is_nothing_to_cancel() -> None:
    async def story() -> None:
        async with stage() as made:
            made.client.send({"type": "response.cancel", "event_id": "early"})
            await made.client.settle()
            assert made.got("error")[0]["error"]["code"] == "response_cancel_not_active"
            made.voice.begin("resp_1")
            made.client.send({"type": "response.create", "event_id": "second"})
            made.client.send({"type": "response.cancel", "response_id": "resp_1"})
            await made.client.settle()
            assert made.got("error")[1]["error"]["code"] == "conversation_already_has_active_response"
            assert made.voice.asked("response.cancel")[0]["response_id"] == "resp_1"
            made.voice.end("resp_1", "cancelled", status_details={"reason": "client_cancelled"})
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "cancelled"

    play(story())


def test_a_cancelled_answer_stands_in_nobodys_way_while_the_voice_ends_it() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "One two. ")
            await made.client.settle(0.5)
            made.client.send({"type": "response.cancel"})
            await asked_to_say(made, "something else")
            # The voice has done none of that yet, and is heard on.
            made.voice.speak("resp_1", "item_b", "Three four.")
            made.voice.call("resp_1", "item_late", "dance", "{}")
            await made.client.settle()
            assert [one["type"] for one in made.voice.heard[1:]] == [
                "response.cancel",
                "conversation.item.create",
                "response.create",
            ]
            assert made.voice.asked("response.cancel")[0]["response_id"] == "resp_1"
            assert made.got("error") == []
            assert made.got("response.done") == []
            made.voice.end("resp_1", "cancelled", status_details={"reason": "client_cancelled"})
            (request,) = made.voice.asked("response.create")
            made.voice.answer("resp_2", "item_c", "Else.", **made.voice.grant(request))
            await made.client.settle()
            cut, whole = (one["response"] for one in made.got("response.done"))
            assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "client_cancelled")
            assert cut["usage"]["input_tokens"] == 7  # what it has cost is known all the same
            assert [one["content"][0]["transcript"] for one in cut["output"]] == ["One two. "]
            assert (whole["id"], whole["status"]) == ("resp_2", "completed")
            entry = made.drive.session.conversation.entry("item_b")
            assert entry is not None
            assert entry.heard == "One"  # half a second of it

    play(story())


def test_an_interrupted_answer_stands_in_nobodys_way_either() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "One two three four.")
            await made.sound(0.5)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_c", audio_start_ms=400)
            await asked_to_say(made, "wait")
            assert made.got("error") == []
            assert made.voice.asked("response.cancel") == []  # it has found the interruption, and acts on it itself
            assert made.voice.asked("response.create")
            made.voice.end("resp_1", "completed")  # it was done just then
            await made.client.settle()
            (done,) = made.got("response.done")
            assert done["response"]["status_details"]["reason"] == "turn_detected"

    play(story())


def test_an_answer_that_is_cancelled_twice_or_after_a_truncation_is_cancelled_once() -> None:
    async def story(*first: dict[str, Any], errors: list[str]) -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "One two three four.")
            await made.client.settle()
            for request in first:
                made.client.send(request)
            made.client.send({"type": "response.cancel"})
            await made.client.settle()
            assert len(made.voice.asked("response.cancel")) == 1
            assert [one["error"]["code"] for one in made.got("error")] == errors
            made.voice.end("resp_1", "cancelled")
            await made.client.settle()
            assert len(made.got("response.done")) == 1

    truncation = {"type": "conversation.item.truncate", "item_id": "item_b", "content_index": 0, "audio_end_ms": 200}
    play(story({"type": "response.cancel"}, errors=["response_cancel_not_active"]))
    play(story({"type": "response.cancel", "response_id": "resp_1"}, errors=["response_cancel_not_active"]))
    play(story(truncation, errors=[]))


def test_a_cancel_that_comes_before_the_answer_has_begun_ends_that_one_and_no_other() -> None:
    async def story() -> None:
        async with stage() as made:
            made.client.send({"type": "response.create"})
            made.client.send({"type": "response.cancel"})
            made.client.send({"type": "response.create"})
            await made.client.settle()
            asked = [one["type"] for one in made.voice.heard[1:]]
            assert asked == ["response.create", "response.cancel", "response.create"]
            first, second = made.voice.asked("response.create")
            made.voice.begin("resp_1", **made.voice.grant(first))
            made.client.send({"type": "response.cancel", "response_id": "resp_1"})  # by now there is no need to
            made.voice.end("resp_1", "cancelled")
            made.voice.answer("resp_2", "item_b", "Here.", **made.voice.grant(second))
            await made.client.settle()
            statuses = [(one["response"]["id"], one["response"]["status"]) for one in made.got("response.done")]
            assert statuses == [("resp_1", "cancelled"), ("resp_2", "completed")]

    play(story())


def test_what_was_cancelled_before_it_began_is_cancelled_at_the_next_voice_too() -> None:
    async def story() -> None:
        async with stage() as made:
            made.client.send({"type": "response.create"})
            made.client.send({"type": "response.cancel"})
            await made.client.settle()
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            await made.client.settle()
            assert [one["type"] for one in next_voice.heard[1:]] == ["response.create", "response.cancel"]
            made.voice.begin("resp_1", **made.voice.grant(made.voice.asked("response.create")[0]))
            made.voice.end("resp_1", "cancelled")
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "cancelled"

    play(story())


def test_a_voice_that_will_not_cancel_is_not_listened_to() -> None:
    async def story(*, is_over: bool) -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.client.send({"type": "response.cancel"})
            await made.client.settle()
            if is_over:
                made.voice.end("resp_1")  # it crossed the request
            (cancel,) = made.voice.asked("response.cancel")
            made.voice.say("error", error={"code": "response_cancel_not_active", "event_id": cancel["event_id"]})
            await made.client.settle()
            assert made.got("error") == []
            assert [one["response"]["status"] for one in made.got("response.done")] == ["cancelled"]
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "And yet.")
            made.voice.end("resp_1")
            made.voice.answer("resp_2", "item_c", "Well.")
            await made.client.settle()
            assert [one["response"]["id"] for one in made.got("response.done")] == ["resp_1", "resp_2"]
            assert [one["item_id"] for one in made.got("response.output_audio.delta")] == ["item_c"]

    play(story(is_over=False))
    play(story(is_over=True))


def test_a_voice_lost_before_it_has_ended_what_was_cancelled_ends_it_as_cancelled() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            await made.client.settle()
            assert made.drive.works == 1
            made.client.send({"type": "response.cancel"})
            await made.client.settle()
            assert made.drive.works == 0  # what is not wanted is not worked for
            made.voice.hang_up()
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "cancelled"
            assert made.drive.works == 0

    play(story())


# --- our tools --------------------------------------------------------------------------------------------------------


@tool
async def lookup(city: str) -> str:
    """Look a city up."""
    await asyncio.sleep(0.5)
    return f"sunny in {city}"


class Sell:
    """Asks before it does anything."""

    spec = ToolSpec("sell", "Sell a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
    conduct = Conduct(asks=True)

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        return f"sold {arguments['city']}"


def test_what_is_only_once_said_by_a_voice_that_stutters_is_done_once() -> None:
    done: list[str] = []

    @tool
    async def count(city: str) -> str:
        """Count a city."""
        done.append(city)
        return "counted"

    async def story() -> None:
        async with stage(tools=(count,)) as made:
            made.voice.begin("resp_1")
            for item_id in ("item_call", "item_same"):
                made.voice.call("resp_1", item_id, "count", '{"city":"Paris"}', "call_1")
            made.voice.end("resp_1")
            await made.client.settle(1.0)
            outputs_told = [one["item"]["call_id"] for one in made.voice.asked("conversation.item.create")]
            assert (done, outputs_told) == (["Paris"], ["call_1"])

    play(story())


def test_our_tools_run_here_and_the_client_sees_one_answer() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            assert [one["name"] for one in made.voice.heard[0]["session"]["tools"]] == ["lookup"]
            await asked_to_say(made, "weather?")
            request = made.voice.asked("response.create")[0]
            made.voice.begin("resp_1", **made.voice.grant(request))
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle(1.0)
            output = made.voice.asked("conversation.item.create")[-1]["item"]
            assert (output["type"], output["call_id"]) == ("function_call_output", "call_item_call")
            assert "sunny in Paris" in output["output"]
            again = made.voice.asked("response.create")[1]
            made.voice.answer("resp_2", "item_b", "It is sunny.", **made.voice.grant(again))
            await made.client.settle()
            assert [one["response"]["id"] for one in made.got("response.created")] == ["resp_1"]
            (done,) = made.got("response.done")
            assert (done["response"]["id"], done["response"]["metadata"]) == ("resp_1", None)
            assert [item["type"] for item in done["response"]["output"]] == ["message"]
            assert done["response"]["usage"]["input_tokens"] == 14
            assert made.got("response.function_call_arguments.done") == []
            assert [one["type"] for one in made.client.received if "antiphon.tool" in one["type"]] == [
                "antiphon.tool.started",
                "antiphon.tool.done",
            ]

    play(story())


def test_a_function_of_the_client_is_the_clients_to_run_even_beside_one_of_ours() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_own", "dance", "{}")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle(1.0)
            (done,) = made.got("response.done")
            assert [item["name"] for item in done["response"]["output"]] == ["dance"]
            assert made.got("response.function_call_arguments.done")[0]["arguments"] == "{}"
            assert made.voice.asked("response.create") == []  # the client asks, when it has answered too
            made.client.send(
                {
                    "type": "conversation.item.create",
                    "item": {"type": "function_call_output", "call_id": "call_item_own", "output": "danced"},
                }
            )
            await made.client.settle()
            assert made.voice.asked("conversation.item.create")[-1]["item"]["output"] == "danced"

    play(story())


def test_what_the_person_has_to_allow_runs_when_they_said_yes() -> None:
    async def story() -> None:
        async with stage(tools=(Sell(),)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "sell", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle()
            assert made.got("antiphon.approval.requested")[0]["name"] == "sell"
            question = made.voice.asked("conversation.item.create")[-1]["item"]["output"]
            assert "not done yet" in question
            request = made.voice.asked("response.create")[-1]
            made.voice.answer("resp_2", "item_b", "Shall I sell Paris?", **made.voice.grant(request))
            await made.client.settle(2.0)
            await made.sound(1.0)
            made.voice.hear_turn("item_c", 100, 900, "yes please")
            await made.client.settle(1.0)
            assert made.got("antiphon.approval.done")[0]["outcome"] == "allowed"
            output = made.voice.asked("conversation.item.create")[-1]["item"]
            assert output == {**output, "type": "function_call_output", "call_id": "call_item_call_later"}
            assert "sold Paris" in output["output"]
            request = made.voice.asked("response.create")[-1]
            made.voice.answer("resp_3", "item_d", "Sold.", **made.voice.grant(request))
            await made.client.settle()
            assert made.got("response.done")[-1]["response"]["status"] == "completed"

    play(story())


def test_a_barge_in_while_a_tool_runs_ends_the_answer_and_the_tool() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.sound(0.2)
            assert made.drive.works == 1
            made.voice.say("input_audio_buffer.speech_started", item_id="item_c", audio_start_ms=0)
            await made.client.settle(0.1)
            assert made.drive.works == 0
            assert made.got("response.done")[0]["response"]["status"] == "cancelled"
            # The voice's memory of the call is whole all the same.
            assert "interrupted" in made.voice.asked("conversation.item.create")[-1]["item"]["output"]

    play(story())


def test_what_nobody_asked_for_is_said_when_nobody_speaks() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.begin("resp_1")
            made.drive.announce("Your tea is ready.")
            await made.client.settle()
            assert made.voice.asked("response.create") == []
            made.voice.end("resp_1")
            await made.client.settle()
            (request,) = made.voice.asked("response.create")
            assert "Your tea is ready." in request["response"]["instructions"]
            made.voice.answer("resp_2", "item_b", "Your tea is ready.", **made.voice.grant(request))

    play(story())


# --- when the voice is lost -------------------------------------------------------------------------------------------


def test_a_voice_lost_in_the_middle_ends_its_answer_and_the_next_one_knows_what_was_said() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "tell me a story")
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "Once upon")
            made.voice.hang_up()
            await made.client.settle()
            (done,) = made.got("response.done")
            assert done["response"]["status"] == "failed"
            assert done["response"]["status_details"]["error"]["code"] == "upstream_closed"
            next_voice = await made.voice_number(2)
            told = [one["item"] for one in next_voice.asked("conversation.item.create")]
            assert [(item["role"], item["content"][0]["text"]) for item in told] == [
                ("user", "tell me a story"),
                ("assistant", "Once upon"),
            ]
            for item in told:
                next_voice.say("conversation.item.added", item=item)
            before = len(made.client.received)
            await made.client.settle()
            assert made.kinds()[before:] == []  # the client has them already
            await made.sound(1.0)
            next_voice.hear_turn("item_c", 100, 900, "go on")
            next_voice.answer("resp_9", "item_d", "A time.")
            await made.client.settle()
            assert made.got("response.done")[-1]["response"]["status"] == "completed"

    play(story())


def test_a_turn_that_a_lost_voice_has_heard_half_of_is_heard_whole_by_the_next() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(2.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=1500)
            made.voice.hang_up()
            await made.sound(1.0)
            next_voice = await made.voice_number(2)
            await made.client.settle()
            assert len(next_voice.sound) == 2 * 24 * 1500  # from where the turn began up to now
            next_voice.hear_turn("item_z", 0, 1400, "hello")
            await made.client.settle()
            assert [one["item_id"] for one in made.got("input_audio_buffer.speech_started")] == ["item_a"]
            (stopped,) = made.got("input_audio_buffer.speech_stopped")
            assert (stopped["item_id"], stopped["audio_end_ms"]) == ("item_a", 2900)
            assert made.got("input_audio_buffer.committed")[0]["item_id"] == "item_a"
            made.client.send({"type": "conversation.item.delete", "item_id": "item_a"})
            await made.client.settle()
            assert next_voice.asked("conversation.item.delete")[0]["item_id"] == "item_z"

    play(story())


def test_a_turn_that_the_next_voice_does_not_find_is_ended_by_us() -> None:
    async def story(*, refused: bool) -> None:
        async with stage() as made:
            await made.sound(2.0)
            made.voice.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=1500)
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            next_voice.confirm_updates()
            await made.sound(7.0)
            (commit,) = next_voice.asked("input_audio_buffer.commit")
            if refused:
                error = {"code": "input_audio_buffer_commit_empty", "event_id": commit["event_id"]}
                next_voice.say("error", error=error)
            else:
                next_voice.commit("item_z")
            await made.client.settle()
            assert len(made.got("input_audio_buffer.speech_stopped")) == 1
            assert made.got("error") == []
            assert [one["item_id"] for one in made.got("input_audio_buffer.committed")] == ["item_a"][: not refused]

    play(story(refused=False))
    play(story(refused=True))


def test_a_page_that_sets_its_own_functions_in_a_call_does_not_take_ours_away() -> None:
    async def story() -> None:
        config = SessionConfig(Settings(), relay=Relaying("whisper-1", joins=True))
        async with stage(tools=(lookup,), config=config) as made:
            await made.client.settle()
            assert made.voice.heard == []  # it was told all when the call was made
            made.voice.say("session.updated", session={"tools": [{"type": "function", "name": "dance"}]})
            await made.client.settle()
            (update,) = made.voice.asked("session.update")
            assert [one["name"] for one in update["session"]["tools"]] == ["dance", "lookup"]
            assert update["session"].keys() == {"type", "tools"}
            made.voice.say("session.updated", session={"tools": update["session"]["tools"]})
            await made.client.settle()
            assert len(made.voice.asked("session.update")) == 1

    play(story())


def test_a_turn_whose_answer_had_not_begun_is_answered_by_the_next_voice() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900)
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            await made.client.settle()
            (heard,) = next_voice.asked("conversation.item.create")
            assert len(heard["item"]["content"][0]["audio"]) > 20_000  # its words are not known, so it is the sound
            (request,) = next_voice.asked("response.create")
            next_voice.answer("resp_9", "item_d", "Here I am.", **next_voice.grant(request))
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "completed"

    play(story())


def test_words_that_a_lost_voice_still_owed_are_written_here_and_the_next_one_hears_them() -> None:
    async def story() -> None:
        async with stage() as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900)
            kind = "conversation.item.input_audio_transcription"
            made.voice.say(f"{kind}.delta", item_id="item_a", content_index=0, delta="hel")
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            await made.client.settle(1.0)
            (done,) = made.got(f"{kind}.completed")
            assert (done["item_id"], done["transcript"]) == ("item_a", "hello")
            assert [one["delta"] for one in made.got(f"{kind}.delta")] == ["hel"]
            (item,) = [asked["item"] for asked in next_voice.asked("conversation.item.create")]
            assert [part["type"] for part in item["content"]] == ["input_audio"]
            next_voice.hang_up()
            third_voice = await made.voice_number(3)
            (item,) = [asked["item"] for asked in third_voice.asked("conversation.item.create")]
            assert item["content"] == [{"type": "input_text", "text": "hello"}]

    play(story())


def test_requests_that_were_on_their_way_are_made_again() -> None:
    async def story() -> None:
        async with stage() as made:
            update = {"type": "realtime", "instructions": "Be kind."}
            made.client.send({"type": "session.update", "session": update})
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
            made.client.send({"type": "conversation.item.create", "item": item})
            made.client.send({"type": "response.create", "response": {"instructions": "Rhyme."}})
            await made.client.settle()
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            await made.client.settle()
            assert next_voice.heard[0]["session"]["instructions"] == "Be kind."
            assert made.got("session.updated")[0]["session"]["instructions"] == "Be kind."
            assert next_voice.asked("conversation.item.create")[0]["item"]["content"][0]["text"] == "hi"
            (request,) = next_voice.asked("response.create")
            assert request["response"]["instructions"] == "Rhyme."
            next_voice.say("conversation.item.added", item=next_voice.asked("conversation.item.create")[0]["item"])
            next_voice.answer("resp_9", "item_d", "Hi, my.", **next_voice.grant(request))
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "completed"

    play(story())


def test_a_tool_goes_on_while_the_voice_is_lost_and_the_next_one_is_told() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle()
            made.house.fault = GONE
            made.voice.hang_up()
            await made.client.settle(1.0)
            made.house.fault = None
            next_voice = await made.voice_number(2)
            await made.client.settle()
            told = [one["item"] for one in next_voice.asked("conversation.item.create")]
            assert [item["type"] for item in told] == ["function_call", "function_call_output"]
            (request,) = next_voice.asked("response.create")
            next_voice.answer("resp_9", "item_d", "Sunny.", **next_voice.grant(request))
            await made.client.settle()
            (done,) = made.got("response.done")
            assert (done["response"]["id"], done["response"]["status"]) == ("resp_1", "completed")

    play(story())


def test_what_a_tool_has_found_is_told_to_the_next_voice_once() -> None:
    async def story() -> None:
        async with stage(tools=(lookup,)) as made:
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle(1.0)
            assert made.voice.asked("conversation.item.create")  # it is lost before it has taken that in
            made.voice.hang_up()
            next_voice = await made.voice_number(2)
            await made.client.settle()
            told = [one["item"]["type"] for one in next_voice.asked("conversation.item.create")]
            assert told == ["function_call", "function_call_output"]
            (request,) = next_voice.asked("response.create")
            next_voice.answer("resp_9", "item_d", "Sunny.", **next_voice.grant(request))

    play(story())


def test_a_voice_that_cannot_be_had_is_tried_for_a_while_and_then_the_client_is_told() -> None:
    async def story() -> None:
        async with stage(warm=False, fault=GONE) as made:
            await made.client.settle(60)
            (told,) = made.got("error")
            assert (told["error"]["type"], told["error"]["code"]) == ("server_error", "upstream_unreachable")
            assert (made.client.why, made.client.close_code) == ("upstream_lost", 1011)

    play(story())


def test_a_wrong_key_is_not_tried_twice() -> None:
    async def story() -> None:
        fault = EngineError("it does not accept our key", "Check it.", code="upstream_auth")
        async with stage(warm=False, fault=fault) as made:
            await made.client.settle(1)
            assert made.got("error")[0]["error"]["code"] == "upstream_auth"
            assert made.client.why == "upstream_lost"

    play(story())


def test_what_is_said_and_asked_before_there_is_a_voice_reaches_it() -> None:
    async def story() -> None:
        async with stage(warm=False) as made:
            assert made.got("session.created")
            await asked_to_say_before(made)
            voice = await made.voice_number(1)
            await made.client.settle()
            assert [one["type"] for one in voice.heard] == [
                "session.update",
                "conversation.item.create",
                "response.create",
            ]
            assert voice.heard[0]["session"]["instructions"] == "Early."
            assert len(voice.sound) == 2 * 480

    async def asked_to_say_before(made: Stage) -> None:
        made.client.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Early."}})
        made.client.append(bytes(2 * 480))
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        made.client.send({"type": "conversation.item.create", "item": item})
        made.client.send({"type": "response.create"})
        await made.client.settle()

    play(story())


# --- when it misbehaves -----------------------------------------------------------------------------------------------


def test_a_voice_that_falls_silent_in_its_answer_is_left() -> None:
    async def story() -> None:
        config = SessionConfig(Settings(), relay=Relaying(patience_s=5.0))
        async with stage(config=config) as made:
            made.voice.confirm_updates()
            made.voice.begin("resp_1")
            await made.client.settle(4.5)
            assert made.got("response.done") == []
            await made.client.settle(1.0)
            (done,) = made.got("response.done")
            assert done["response"]["status_details"]["error"]["code"] == "upstream_timeout"
            assert made.house.voices[0].is_left
            assert (await made.voice_number(2)).heard

    play(story())


def test_what_was_said_while_a_voice_had_stalled_is_heard_by_the_next() -> None:
    async def story() -> None:
        config = SessionConfig(Settings(), relay=Relaying(patience_s=5.0))
        async with stage(config=config) as made:
            made.voice.confirm_updates()
            await made.sound(3.0)
            made.voice.begin("resp_1")
            await made.sound(6.0)
            next_voice = await made.voice_number(2)
            await made.client.settle()
            assert len(next_voice.sound) == 2 * 24 * 7000  # all since its last word, and a second before that

    play(story())


def test_what_is_heard_again_is_heard_once_more_if_that_voice_is_lost_at_once() -> None:
    async def story(*, after_s: float) -> int:
        async with stage() as made:
            await made.sound(3.0)
            made.voice.hang_up()
            await made.sound(1.0)
            second = await made.voice_number(2)
            second.confirm_updates()
            await made.client.settle(after_s)
            second.begin("resp_1")
            second.hang_up()
            await made.client.settle(3)
            return len((await made.voice_number(3)).sound) // 48

    assert virtual_time.run(story(after_s=0.1)) > 1900
    assert virtual_time.run(story(after_s=10.0)) == 1000


def test_silence_is_no_fault_when_nothing_is_owed() -> None:
    async def story() -> None:
        async with stage(config=SessionConfig(Settings(), relay=Relaying(patience_s=5.0))) as made:
            made.voice.confirm_updates()
            await made.sound(0.1)
            await made.client.settle(120)
            assert len(made.house.voices) == 1

    play(story())


GARBAGE = (
    "no json",
    "[]",
    "{}",
    '{"type": 7}',
    '{"type": "response.created"}',
    '{"type": "response.created", "response": {"id": 5}}',
    '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "!"}',
    '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "AAAA"}',
    '{"type": "input_audio_buffer.speech_started", "item_id": "x", "audio_start_ms": "soon"}',
    b"\xff\xfe",
    '{"type": "session.updated"}',
    '{"type": "conversation.item.deleted", "item_id": "nobody"}',
    '{"type": "conversation.item.truncated", "item_id": "nobody"}',
    '{"type": "response.done", "response": {"id": "nobody"}}',
    '{"type": "response.output_item.done", "response_id": "nobody", "item": {}}',
    '{"type": "error", "error": {"event_id": "nobody", "message": null}}',
)


def test_garbage_is_passed_over_and_what_goes_wrong_does_not_reach_the_client() -> None:
    async def story() -> None:
        async with stage() as made:
            made.voice.confirm_updates()
            before = len(made.client.received)
            for frame in GARBAGE:
                made.voice.frame(frame)
            await made.client.settle()
            assert made.kinds()[before:] == []
            made.voice.answer("resp_1", "item_b", "All is well.")
            await made.client.settle()
            assert made.got("response.done")[0]["response"]["status"] == "completed"

    play(story())


def test_a_voice_that_says_nothing_but_garbage_is_left() -> None:
    async def story() -> None:
        async with stage() as made:
            for _ in range(30):
                made.voice.frame("no json")
            await made.voice_number(2)
            assert made.house.counts.errors == {"upstream_malformed": 1}

    play(story())


def test_messages_in_the_wrong_order_still_make_a_legal_answer() -> None:
    def late_part(voice: Voice) -> None:
        voice.begin("resp_1")
        item = {"id": "item_b", "type": "message", "role": "assistant"}
        voice.say("response.output_item.added", response_id="resp_1", item=item)
        voice.speak("resp_1", "item_b", "Hm.")
        voice.begin_message("resp_1", "item_b")
        voice.end_message("resp_1", "item_b", "Hm.")
        voice.end_message("resp_1", "item_b", "Hm.")
        voice.end("resp_1")
        voice.end("resp_1")

    def nothing_closed(voice: Voice) -> None:
        voice.begin("resp_1")
        voice.begin_message("resp_1", "item_b")
        voice.speak("resp_1", "item_b", "Hm.")
        voice.end("resp_1")
        voice.speak("resp_1", "item_b", "And more.")

    def done_twice(voice: Voice) -> None:
        voice.answer("resp_1", "item_b", "Hm.")
        voice.answer("resp_2", "item_b", "A name twice.")

    def two_at_once(voice: Voice) -> None:
        voice.begin("resp_1")
        voice.begin("resp_2")
        voice.end("resp_1")
        voice.end("resp_2")

    def words_without_an_item(voice: Voice) -> None:
        voice.begin("resp_1")
        voice.speak("resp_1", "item_b", "Hm.")
        voice.end("resp_1", "failed")

    async def story(play_it: Any) -> None:
        async with stage() as made:
            play_it(made.voice)
            await made.client.settle()
            done = made.got("response.done")
            assert len(done) == len(made.got("response.created"))
            assert done

    for way in (late_part, nothing_closed, done_twice, two_at_once, words_without_an_item):
        play(story(way))


# --- what is written down ---------------------------------------------------------------------------------------------


def test_a_trace_of_it_replays_and_a_redacted_one_says_that_it_cannot() -> None:
    kept: list[bytes] = []

    async def story(*, redacted: bool) -> None:
        async with stage(tools=(lookup,)) as made:
            config = made.drive.session.config
            await made.sound(0.5)
            made.voice.hear_turn("item_a", 100, 400, "a secret")
            made.voice.begin("resp_1")
            made.voice.call("resp_1", "item_call", "lookup", '{"city":"Paris"}')
            made.voice.end("resp_1")
            await made.client.settle(1.0)
            request = made.voice.asked("response.create")[-1]
            made.voice.answer("resp_2", "item_b", "Sunny.", **made.voice.grant(request))
            await made.client.settle()
        kept[:] = [
            trace.header_line(7, config, redacted=redacted),
            *(trace.step_line(item, out, now, redacted=redacted) for now, item, out in made.steps),
        ]

    play(story(redacted=False))
    steps, difference = trace.replay(kept, make=make_session)
    assert difference is None
    assert steps > 20
    play(story(redacted=True))
    assert b"secret" not in b"".join(kept)
    with pytest.raises(Exception, match="crossed out"):
        trace.replay(kept, make=make_session)


def test_nothing_that_was_made_for_an_answer_stays_when_it_is_over() -> None:
    async def story() -> None:
        async with stage(config=SessionConfig(Settings(transcription=Transcription()), retained_bytes=0)) as made:
            await made.sound(2.0)
            held = made.drive.held_bytes
            for number in range(20):
                made.voice.answer(f"resp_{number}", f"item_{number}", "Hm.", output_modalities=["audio"])
            made.voice.begin("resp_cut")
            made.voice.begin_message("resp_cut", "item_cut")
            made.voice.speak("resp_cut", "item_cut", "One.", SECOND)
            made.voice.hang_up()
            await made.client.settle()
            assert made.drive.held_bytes == held

    play(story())


def test_an_answer_to_nobody_leaves_the_conversation_alone() -> None:
    async def story() -> None:
        async with stage() as made:
            made.client.send({"type": "response.create", "response": {"conversation": "none", "input": []}})
            await made.client.settle()
            (request,) = made.voice.asked("response.create")
            assert request["response"]["input"] == []
            made.voice.answer("resp_1", "item_b", "Aside.", conversation_id=None, **made.voice.grant(request))
            await made.client.settle()
            assert made.got("conversation.item.added") == []
            assert made.got("response.done")[0]["response"]["conversation_id"] is None
            assert not [out for _, _, outs in made.steps for out in outs if isinstance(out, outputs.RetainAudio)]

    play(story())
