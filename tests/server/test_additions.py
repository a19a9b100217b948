"""Our own messages on a real socket: only those who ask for them get them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from calling import Client, client, server

from antiphon.engines.api import LlmRequest, ToolAnswered, ToolSpec
from antiphon.engines.fake import Call, FakeLlm, Line
from antiphon.tools.api import ToolContext

pytestmark = [pytest.mark.real]


async def type_and_hear(caller: Client) -> list[str]:
    """One typed turn to its end, and the next thing after it; the types of all that came."""
    await caller.receive("session.created")
    content = [{"type": "input_text", "text": "hello"}]
    await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await caller.send("response.create")
    await caller.receive("response.done")
    await caller.send("input_audio_buffer.clear")
    await caller.receive("input_audio_buffer.cleared")
    return [event["type"] for event in caller.events]


def test_a_timeline_follows_each_answer_for_who_asked() -> None:
    async def story() -> None:
        async with server() as made, client(made, "?antiphon=1") as asking, client(made) as other:
            kinds = await type_and_hear(asking)
            assert kinds.index("antiphon.timeline") > kinds.index("response.done")
            told = next(event for event in asking.events if event["type"] == "antiphon.timeline")
            done = next(event for event in asking.events if event["type"] == "response.done")
            assert told["response_id"] == done["response"]["id"]
            assert told["wait_ms"] == pytest.approx(sum(stage["ms"] for stage in told["stages"]), abs=0.5)
            assert "antiphon.timeline" not in await type_and_hear(other)
            follows = [drive.session.config.follows_conversation for drive in made.state.sessions.running.values()]
            assert follows == [True, False], "nor are the words that are being said told to who did not ask"

    asyncio.run(story())


def test_what_was_played_is_taken_in_silence_and_checked() -> None:
    async def story() -> None:
        async with server() as made, client(made, "?antiphon=1") as caller:
            kinds = await type_and_hear(caller)
            item = next(event["item_id"] for event in caller.events if event["type"] == "response.output_audio.delta")
            await caller.send("antiphon.playout", item_id=item, played_ms=20)
            await caller.send("antiphon.playout", item_id=item, played_ms=-1, event_id="mine")
            error = (await caller.receive("error"))["error"]
            assert (error["param"], error["event_id"]) == ("played_ms", "mine")
            assert kinds.count("error") == 0

    asyncio.run(story())


def test_sound_says_when_it_was_sent_to_who_asked() -> None:
    async def story() -> None:
        async with server() as made, client(made, "?antiphon=1") as asking, client(made) as other:
            for caller in (asking, other):
                await type_and_hear(caller)
            with_times, without = (
                [event for event in caller.events if event["type"] == "response.output_audio.delta"]
                for caller in (asking, other)
            )
            times = [event["sent_ms"] for event in with_times]
            assert len(times) > 1
            assert times == sorted(times)
            assert without
            assert not any("sent_ms" in event for event in without)

    asyncio.run(story())


class Clock:
    """A tool of the server."""

    spec = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return '{"time": "noon"}'


def test_tools_of_the_server_are_shown_to_who_asked_and_hidden_from_others() -> None:
    def ask_the_clock(request: LlmRequest) -> Line:
        return "It is noon." if isinstance(request.messages[-1], ToolAnswered) else Call("clock", "{}")

    async def story() -> None:
        made_server = server(FakeLlm(ask_the_clock), own_tools=(Clock(),))
        async with made_server as made, client(made, "?antiphon=1") as asking, client(made) as other:
            await type_and_hear(asking)
            started, done = (event for event in asking.events if event["type"].startswith("antiphon.tool."))
            assert (started["type"], started["name"]) == ("antiphon.tool.started", "clock")
            assert (done["type"], done["output"], done["ok"]) == ("antiphon.tool.done", '{"time": "noon"}', True)
            assert started["call_id"] == done["call_id"]
            kinds = await type_and_hear(other)
            assert not [kind for kind in kinds if kind.startswith("antiphon.")]
            assert kinds.count("response.output_item.done") == 1, "what the server does itself is no item of theirs"

    asyncio.run(story())
