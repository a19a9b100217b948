"""One spoken conversation that uses tools of every origin, with a call cut short by voice: once with a model behind an
OpenAI-compatible server, once with the engines that are built in and a voice that is heard for what it says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import Client, client, tone
from mcp_stage import staged

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE
from antiphon.config import load
from antiphon.engines.api import TtsRequest
from antiphon.engines.fake import Call
from antiphon.server.run import Running, running
from antiphon.testing.upstream import Received, Script, ScriptedUpstream, serving

pytestmark = [pytest.mark.real, pytest.mark.slow]
MODULES = Path(__file__).parent.parent / "tools" / "amplifier_modules"

ASKED = {
    "what time is it": Call("get_time"),
    "what is twelve times seven": Call("calculate", '{"left":12,"operator":"*","right":7}'),
    "what is on my list": Call("list_show"),
    "convert ten miles to kilometers": Call("convert", '{"value":10,"from_unit":"miles","to_unit":"kilometers"}'),
    "set a timer for five minutes": Call("set_timer", '{"seconds":300}'),
}
"""What the person says, and what a model that understands it calls."""
CALCULATE = {
    "type": "function",
    "name": "calculate",
    "description": "Calculates.",
    "parameters": {
        "type": "object",
        "properties": {"left": {"type": "number"}, "operator": {"type": "string"}, "right": {"type": "number"}},
    },
}


@pytest.fixture(autouse=True)
def _modules_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MODULES)


@asynccontextmanager
async def kitchen(**overrides: Any) -> AsyncIterator[Running]:
    """A server with a tool of a Python module, and two of an Amplifier module."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    tools = {
        "tools.assistants": "never",
        "tools.modules": ["kitchen_tools"],
        "tools.amplifier": [{"module": "tool-kitchen"}],
        "mcp.allowed_hosts": ["127.0.0.1"],
        "mcp.follow_up_s": 0.05,
    }
    config = load(None, {}, {"server.port": 0, "server.drain_s": 0.5} | tools | named)
    async with running(config) as made:
        await made.state.warmed.wait()
        yield made


async def say(call: Client, sound: bytes) -> None:
    """Speak, and fall silent; faster than real time."""
    sound += bytes(2 * WIRE_RATE)
    for start in range(0, len(sound), 9600):
        await call.socket.send(sound[start : start + 9600])


Speak = Callable[[str], Awaitable[None]]


async def hold(call: Client, speak: Speak) -> None:
    """The conversation. The same for both models: what differs is how the words get there."""
    import amplifier_module_tool_kitchen as amplifier

    amplifier.began.clear()
    amplifier.stopped.clear()

    await speak("what time is it")
    assert (await call.receive("antiphon.tool.done"))["name"] == "get_time"
    assert "ten past four" in await answer(call)

    await speak("what is twelve times seven")
    (wanted,) = (await call.receive("response.done"))["response"]["output"]
    assert (wanted["type"], wanted["name"]) == ("function_call", "calculate")
    assert json.loads(wanted["arguments"]) == {"left": 12, "operator": "*", "right": 7}
    output = {"type": "function_call_output", "call_id": wanted["call_id"], "output": '{"result": 84}'}
    await call.send("conversation.item.create", item=output)
    await call.send("response.create")
    assert "84" in await answer(call)

    await speak("what is on my list")
    (made,) = (await call.receive("response.done"))["response"]["output"]
    assert (made["type"], made["server_label"], made["name"]) == ("mcp_call", "zoo", "list_show")
    assert "hay" in await answer(call)

    await speak("convert ten miles to kilometers")
    assert (await call.receive("antiphon.tool.done"))["name"] == "convert"
    assert "16" in await answer(call)

    await speak("set a timer for five minutes")
    assert (await call.receive("antiphon.tool.started"))["name"] == "set_timer"
    async with asyncio.timeout(5):
        while not amplifier.began:  # noqa: ASYNC110 - another thread's list
            await asyncio.sleep(0.01)
    assert amplifier.stopped == []
    await speak("what time is it")
    cut = (await call.receive("response.done"))["response"]
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
    async with asyncio.timeout(5):
        while not amplifier.stopped:  # noqa: ASYNC110 - another thread's list
            await asyncio.sleep(0.01)
    assert "ten past four" in await answer(call)
    assert (amplifier.began, amplifier.stopped) == ([300], [300])


async def answer(call: Client) -> str:
    """What is said next, once all of it is."""
    words: str = (await call.receive("response.output_audio_transcript.done"))["transcript"]
    assert (await call.receive("response.done"))["response"]["status"] == "completed"
    return words


async def begin(call: Client, mcp_url: str) -> None:
    zoo = {"type": "mcp", "server_label": "zoo", "server_url": mcp_url, "require_approval": "never"}
    await call.send("session.update", session={"type": "realtime", "tools": [CALCULATE, zoo]})
    await call.receive("mcp_list_tools.completed")


class Understanding:
    """The far end of the remote engines: hears what was said last, and calls what was asked for."""

    def __init__(self) -> None:
        self.said = ""

    def __call__(self, request: Received) -> Script:
        if request.path != "/v1/chat/completions":
            return Script(transcript=self.said)
        last = request.json["messages"][-1]
        if last["role"] == "tool":
            return Script(reply=last["content"])
        return Script(reply="", calls=(ASKED[last["content"]],))


def test_a_model_behind_a_server_uses_tools_of_every_origin() -> None:
    async def story() -> None:
        model = Understanding()
        async with serving(model) as upstream, staged() as stage, kitchen(**remote(upstream)) as made:
            async with client(made, "?antiphon=1") as call:

                async def speak(words: str) -> None:
                    model.said = words
                    await say(call, tone(1.0))

                await begin(call, stage.url)
                await hold(call, speak)
        first, last = (upstream.asked("/chat/completions")[place].json for place in (0, -1))
        assert {tool["function"]["name"] for tool in first["tools"]} >= {
            "get_time",
            "calculate",
            "list_show",
            "convert",
        }
        told = [message["content"] for message in last["messages"] if message["role"] == "tool"]
        assert len(told) == 6, "one answer to each call: four went well, one was cut short, and the time again"
        assert "may have been done, or not" in told[-2]

    asyncio.run(story())


def remote(upstream: ScriptedUpstream) -> dict[str, Any]:
    near = {f"{role}__base_url": upstream.base_url for role in ("stt", "llm", "tts")}
    return {**near, "llm__model": "scripted", "vad__engine": "energy"}


def test_the_offline_assistant_uses_tools_of_every_origin() -> None:
    async def story() -> None:
        async with staged() as stage, kitchen() as made, client(made, "?antiphon=1") as call:
            voice = made.state.engines.tts

            async def speak(words: str) -> None:
                chunks = [chunk async for chunk in voice.speak(words, TtsRequest("en-us", 0.9))]
                sound = 0.5 * resampled(np.concatenate(chunks), voice.rate, WIRE_RATE)
                await say(call, int16_from_float(sound).tobytes())

            await begin(call, stage.url)
            await hold(call, speak)

    asyncio.run(story())
