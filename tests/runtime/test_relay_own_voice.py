"""What our own voice says where another server is the voice: while tools are slow, and when that server fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from voice import Stage, stage

from antiphon.engines.fake import Fail, FakeTts
from antiphon.errors import EngineError
from antiphon.session.settings import Fillers, Relaying, SessionConfig, Settings, Transcription
from antiphon.testing import virtual_time
from antiphon.tools.function import tool

GONE = EngineError("nobody listens", "Start it.", code="upstream_unreachable")
SORRY, UNREACHABLE, MOMENT = "Sorry, that did not work.", "Sorry, I can't reach my voice.", "One moment."
SPOKEN = SessionConfig(
    Settings(transcription=Transcription()),
    fillers=Fillers(2.5, {"en": MOMENT}),
    apologies={"en": SORRY},
    unreachable={"en": UNREACHABLE},
)


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


@tool
async def dig() -> str:
    """Look for something deep down."""
    await asyncio.sleep(6.0)
    return "gold"


def said(made: Stage) -> list[str]:
    """Every spoken item that the client was told of, whole."""
    items = [one["item"] for one in made.got("response.output_item.done") if one["item"]["type"] == "message"]
    return ["".join(part.get("transcript", "") for part in item["content"]).strip() for item in items]


async def ask_for_gold(made: Stage) -> None:
    """The person asks aloud, and the voice calls our tool."""
    await made.sound(1.0)
    made.voice.hear_turn("item_a", 100, 900, "is there gold?")
    made.voice.begin("resp_1")
    made.voice.call("resp_1", "item_f", "dig", "{}")
    made.voice.end("resp_1")
    await made.client.settle()


def test_a_slow_tool_is_bridged_once_in_the_same_answer_and_the_voice_knows_the_words() -> None:
    async def story() -> None:
        async with stage(tools=(dig,), config=SPOKEN) as made:
            await ask_for_gold(made)
            await made.client.settle(2.0)
            assert said(made) == []
            await made.client.settle(3.0)
            assert said(made) == [MOMENT]
            assert made.got("response.output_audio.delta")
            (told,) = (one["item"] for one in made.voice.asked("conversation.item.create"))
            assert (told["role"], told["content"]) == ("assistant", [{"type": "output_text", "text": MOMENT}])
            made.voice.say("conversation.item.added", item=told)
            await made.client.settle(3.0)
            (request,) = made.voice.asked("response.create")
            made.voice.answer("resp_2", "item_b", "There is gold.", **made.voice.grant(request))
            await made.client.settle()
            assert said(made) == [MOMENT, "There is gold."]
            (done,) = made.got("response.done")
            assert [item["type"] for item in done["response"]["output"]] == ["message", "message"]
            assert made.got("error") == []

    play(story())


def test_our_own_voice_may_fail_before_its_first_sound() -> None:
    async def story() -> None:
        async with stage(tools=(dig,), config=SPOKEN, tts=FakeTts(script=[Fail()])) as made:
            await ask_for_gold(made)
            await made.client.settle(5.0)
            assert made.got("response.output_audio.delta") == []
            await made.client.settle(3.0)
            (request,) = made.voice.asked("response.create")
            made.voice.answer("resp_2", "item_b", "There is gold.", **made.voice.grant(request))
            await made.client.settle()
            assert said(made)[-1] == "There is gold."
            assert made.got("error") == []

    play(story())


def test_what_our_voice_has_said_is_truncated_and_interrupted_here() -> None:
    async def story() -> None:
        async with stage(tools=(dig,), config=SPOKEN) as made:
            await ask_for_gold(made)
            await made.client.settle(3.0)
            item_id = made.got("response.output_item.done")[-1]["item"]["id"]
            made.client.send(
                {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 10}
            )
            made.voice.say("input_audio_buffer.speech_started", item_id="item_c", audio_start_ms=950)
            await made.client.settle()
            assert made.got("conversation.item.truncated")[0]["audio_end_ms"] == 10
            assert made.voice.asked("conversation.item.truncate") == []
            assert made.got("error") == []
            assert made.got("response.done")[-1]["response"]["status_details"]["reason"] == "turn_detected"

    play(story())


def test_a_turn_that_the_voice_fails_to_answer_is_followed_by_an_apology_and_what_a_client_asked_for_is_not() -> None:
    async def story() -> None:
        async with stage(config=SPOKEN) as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "hello")
            made.voice.begin("resp_1")
            failed = {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "Too much."}}
            made.voice.end("resp_1", "failed", status_details=failed)
            await made.client.settle(1.0)
            assert said(made) == [SORRY]
            made.client.send({"type": "response.create"})
            await made.client.settle(3.0)
            (request,) = made.voice.asked("response.create")
            made.voice.begin("resp_2", **made.voice.grant(request))
            made.voice.end("resp_2", "failed", status_details=failed)
            await made.client.settle(1.0)
            assert said(made) == [SORRY]

    play(story())


def test_who_is_cut_off_in_an_answer_hears_why_once_and_the_next_voice_knows_that_it_was_said() -> None:
    async def story() -> None:
        async with stage(config=SPOKEN) as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "tell me a story")
            made.voice.begin("resp_1")
            made.voice.begin_message("resp_1", "item_b")
            made.voice.speak("resp_1", "item_b", "Once upon")
            made.house.fault = GONE
            made.voice.hang_up()
            await made.client.settle(8.0)
            assert said(made) == ["Once upon", UNREACHABLE]
            made.house.fault = None
            next_voice = await made.voice_number(2)
            told = [one["item"]["content"][0]["text"] for one in next_voice.asked("conversation.item.create")]
            assert told == ["tell me a story", "Once upon", UNREACHABLE]
            assert next_voice.asked("response.create") == []

    play(story())


def test_a_turn_that_was_not_answered_yet_is_when_the_outage_is_over_and_meanwhile_they_hear_of_it() -> None:
    async def story() -> None:
        async with stage(config=SPOKEN) as made:
            await made.sound(1.0)
            made.voice.hear_turn("item_a", 100, 900, "hello")
            made.house.fault = GONE
            made.voice.hang_up()
            await made.client.settle(2.5)
            assert said(made) == []
            await made.client.settle(5.0)
            assert said(made) == [UNREACHABLE]
            made.house.fault = None
            next_voice = await made.voice_number(2)
            await made.client.settle(3.0)
            (request,) = next_voice.asked("response.create")
            error = {"code": "rate_limit_exceeded", "message": "Too much.", "event_id": request["event_id"]}
            next_voice.say("error", error=error)
            await made.client.settle(1.0)
            assert said(made) == [UNREACHABLE, SORRY]

    play(story())


def test_who_can_get_no_voice_hears_so_before_the_line_is_closed() -> None:
    async def story() -> None:
        fault = EngineError("it does not accept our key", "Check it.", code="upstream_auth")
        async with stage(warm=False, fault=fault, config=SPOKEN) as made:
            await made.client.settle(0.3)
            assert made.got("error")[0]["error"]["code"] == "upstream_auth"
            assert said(made) == [UNREACHABLE]
            assert made.client.why is None
            await made.client.settle(10.0)
            assert made.client.why == "upstream_lost"

    play(story())


@pytest.mark.parametrize(
    "config",
    [
        SessionConfig(Settings(transcription=Transcription())),
        SessionConfig(Settings(speaks=False), apologies={"en": SORRY}, unreachable={"en": UNREACHABLE}),
        SessionConfig(
            relay=Relaying(joins=True), unreachable={"en": UNREACHABLE}, fillers=Fillers(2.5, {"en": MOMENT})
        ),
    ],
    ids=["not wished for", "in writing", "beside a call"],
)
def test_our_voice_is_silent_where_it_is_not_wanted(config: SessionConfig) -> None:
    async def story() -> None:
        async with stage(tools=(dig,), config=config) as made:
            await ask_for_gold(made)
            await made.client.settle(5.0)
            made.house.fault = GONE
            made.voice.hang_up()
            await made.client.settle(8.0)
            assert said(made) == []

    play(story())
