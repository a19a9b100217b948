"""A server whose voice is another Antiphon: the whole way over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from calling import client, server, web
from phone import RATE_HZ, Phone, phone, tone48
from test_metrics import figures
from websockets.exceptions import ConnectionClosed

from antiphon.cli.doctor import _echo_relay
from antiphon.config import Config
from antiphon.engines.api import LlmRequest, ToolAnswered, UserSaid
from antiphon.engines.fake import Call, FakeLlm, Line
from antiphon.server.run import Running
from antiphon.tools.api import ServerTool
from antiphon.tools.function import tool, tool_of

pytestmark = pytest.mark.real
THERE = "there-0123456789-0123456789-0123456789"
STORY = "And then the fox went up the hill. " * 20


def as_tool(function: object) -> ServerTool:
    found = tool_of(function)
    assert found is not None
    return found


@tool
async def stock(item: str) -> str:
    """How many of it there are."""
    return f"7 of {item}"


def written(request: LlmRequest) -> Line:
    """The other server's model."""
    last = request.messages[-1]
    if isinstance(last, ToolAnswered):
        return f"There are {last.output}."
    words = next((said.text for said in reversed(request.messages) if isinstance(said, UserSaid)), "")
    if "apples" in words:
        return Call("stock", '{"item":"apples"}')
    return STORY if "story" in words else f"You said {words}."


@asynccontextmanager
async def relayed(**overrides: Any) -> AsyncIterator[tuple[Running, Running]]:
    """Our server, and the other one, which is its voice."""
    async with server(FakeLlm(written), server__keys=[THERE], history__keep=False) as there:
        ours: dict[str, Any] = {"relay__url": there.url, "relay__api_key": THERE, "history__keep": False, **overrides}
        async with server(FakeLlm("Never said."), own_tools=(as_tool(stock),), **ours) as here:
            async with asyncio.timeout(10):
                while here.state.pools.ready < 2:  # noqa: ASYNC110 - once, at start
                    await asyncio.sleep(0.01)
            yield here, there


async def typed(one: Any, words: str) -> str:
    """Write something, and read the answer."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    await one.send("conversation.item.create", item=item)
    await one.send("response.create", response={"output_modalities": ["text"]})
    done = await one.receive("response.done")
    assert done["response"]["status"] == "completed", done
    return "".join(item["content"][0]["text"] for item in done["response"]["output"])


def test_a_spoken_and_a_written_turn_a_tool_of_ours_and_what_is_kept_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "c.sqlite3"
        async with relayed(history__keep=True, history__path=path) as (here, _), web(here) as http:
            async with client(here) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
                await one.speak()
                await one.receive("input_audio_buffer.speech_started")
                done = await one.receive("response.done")
                assert done["response"]["output"][0]["content"][0]["transcript"] == "You said hello."
                assert await typed(one, "how many apples?") == "There are 7 of apples."
                assert not [event for event in one.events if "function_call" in event["type"]]
            async with asyncio.timeout(10):
                while (await http.get(f"/v1/sessions/{session_id}")).json()["status"] != "ended":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            kept = (await http.get(f"/v1/sessions/{session_id}/transcript")).json()["data"]
            assert [(item["kind"], item["text"]) for item in kept] == [
                ("user", "hello"),
                ("assistant", "You said hello."),
                ("user", "how many apples?"),
                ("function_call", 'stock {"item":"apples"}'),
                ("function_output", "7 of apples"),
                ("assistant", "There are 7 of apples."),
            ]
            told = await figures(here)
            assert told['voice_relay_sessions_total{connection="warm"}'] == 1
            assert told["voice_turns_total"] == 1
            assert told['tool_execution_seconds_count{tool_name="stock"}'] == 1

    asyncio.run(story())


def test_a_voice_that_goes_away_comes_back_and_knows_what_was_said() -> None:
    async def story() -> None:
        async with relayed() as (here, there), client(here) as one:
            await one.receive("session.created")
            assert await typed(one, "my name is Ann") == "You said my name is Ann."
            for link in list(there.state.links):
                link.close("drain")
            assert await typed(one, "what is it?") == "You said what is it?."
            async with asyncio.timeout(10):
                while here.state.pools.counts.lost < 1:  # noqa: ASYNC110 - it may be a moment later
                    await asyncio.sleep(0.01)
            (there_now,) = (d for d in there.state.sessions.running.values() if d.session.conversation.count)
            assert there_now.session.conversation.count >= 3

    asyncio.run(story())


def test_a_voice_that_is_not_there_is_told_to_the_client() -> None:
    async def story() -> None:
        ours: dict[str, Any] = {"relay__url": "ws://127.0.0.1:9/v1/realtime", "history__keep": False}
        async with server(FakeLlm("Never said."), relay__api_key="wrong", **ours) as here:
            here.state.pools.counts.errors.clear()
            async with server(FakeLlm(written), server__keys=[THERE], history__keep=False) as there:
                here.state.apply(_with_relay(here, there.url))
                async with client(here) as one:
                    error = await one.receive("error")
                    assert error["error"]["code"] == "upstream_auth"
                    assert "wrong" not in error["error"]["message"].replace("wrong key", "")
                    with pytest.raises(ConnectionClosed):
                        await one.receive_all()

    def _with_relay(here: Running, url: str) -> Any:
        config = here.state.config
        return msgspec.structs.replace(config, relay=msgspec.structs.replace(config.relay, url=url))

    asyncio.run(story())


def test_interrupting_stops_the_other_servers_answer() -> None:
    async def story() -> None:
        async with relayed() as (here, _), client(here) as one:
            await one.receive("session.created")
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a story"}]}
            await one.send("conversation.item.create", item=item)
            await one.send("response.create")
            delta = await one.receive("response.output_audio.delta")
            await one.speak()
            done = await one.receive("response.done")
            assert done["response"]["status_details"]["reason"] == "turn_detected"
            end_ms = 50
            await one.send("conversation.item.truncate", item_id=delta["item_id"], content_index=0, audio_end_ms=end_ms)
            told = await one.receive("conversation.item.truncated")
            assert (told["item_id"], told["audio_end_ms"]) == (delta["item_id"], end_ms)

    asyncio.run(story())


def test_the_doctor_connects_once_and_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        async with relayed() as (here, there):
            assert await asyncio.to_thread(_echo_relay, here.state.config)
            relay = msgspec.structs.replace(here.state.config.relay, api_key="wrong")
            assert not await asyncio.to_thread(_echo_relay, msgspec.structs.replace(here.state.config, relay=relay))
            assert there.url.removesuffix("/v1/realtime") in capsys.readouterr().out

    asyncio.run(story())
    assert _echo_relay(Config())


@pytest.mark.slow
def test_a_call_that_ends_here_plays_the_other_servers_voice_and_can_be_interrupted() -> None:
    async def story() -> None:
        async with relayed() as (here, there), phone(here) as call:
            call.microphone.say(tone48(0.6))
            await call.receive("input_audio_buffer.committed")
            await call.receive("output_audio_buffer.stopped")
            assert sum(pcm.size for _, pcm in call.heard) > 0.5 * RATE_HZ
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a story"}]}
            call.send("conversation.item.create", item=item)
            call.send("response.create")
            before = len(call.events)
            await call.receive("output_audio_buffer.started", before)
            call.microphone.say(tone48(0.6))
            cut = await call.receive("conversation.item.truncated", before)
            await call.receive("output_audio_buffer.cleared", before)
            assert cut["audio_end_ms"] < 5000
            (drive,) = [d for d in there.state.sessions.running.values() if d.session.conversation.count]
            entry = drive.session.conversation.entry(cut["item_id"])
            assert entry is not None
            assert len(entry.heard or "") < len(STORY) / 2  # it knows as well how little of it was heard

    asyncio.run(story())


@pytest.mark.slow
def test_a_call_goes_straight_to_the_other_server_and_our_tools_run_beside_it() -> None:
    async def story() -> None:
        async with relayed(relay__calls="there") as (here, there):
            async with phone(here) as call:
                (ongoing,) = there.state.calls.ongoing.values()  # it is there that the sound ends
                assert not here.state.calls.ongoing
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "apples?"}]}
                call.send("conversation.item.create", item=item)
                call.send("response.create")
                await call.receive("response.function_call_arguments.done")
                done = await call.receive("response.output_audio_transcript.done")
                assert done["transcript"] == "There are 7 of apples."
                assert ongoing.drive.session.settings.transcription is not None
                (drive,) = here.state.sessions.running.values()
                kinds = [type(entry.item).__name__ for entry in drive.session.conversation.latest(9)][::-1]
                assert kinds[:3] == ["Message", "FunctionCall", "FunctionOutput"]
                async with web(here) as http:
                    assert (await http.post(f"/v1/realtime/calls/{call.call_id}/hangup")).status_code == 200
                    async with asyncio.timeout(10):
                        while there.state.calls.ongoing or here.state.sessions.running:  # noqa: ASYNC110
                            await asyncio.sleep(0.02)
                    assert (await http.post(f"/v1/realtime/calls/{call.call_id}/hangup")).status_code == 404

    asyncio.run(story())


@pytest.mark.slow
def test_a_call_that_ends_there_ends_here_and_one_that_is_refused_is_told() -> None:
    async def story() -> None:
        async with relayed(relay__calls="there") as (here, there):
            async with phone(here):
                assert len(here.state.sessions.running) == 1
            for one in there.state.calls.ongoing.values():
                one.call.close("the other side is gone")
            async with asyncio.timeout(20):
                while here.state.sessions.running:  # noqa: ASYNC110 - the state of the server, without an event
                    await asyncio.sleep(0.02)
            relay = msgspec.structs.replace(here.state.config.relay, api_key="wrong")
            here.state.apply(msgspec.structs.replace(here.state.config, relay=relay))
            caller = Phone()
            async with web(here) as http:
                answer = await caller.dial(http)
            await caller.hang_up()
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_auth")
            assert not here.state.sessions.running

    asyncio.run(story())
