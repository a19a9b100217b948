"""Calls that have to be allowed, in spoken conversations through the whole server with the engines that are built in:
the person is a voice of espeak-ng, and what they say is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import Client, client
from mcp_stage import staged

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE
from antiphon.config import load
from antiphon.engines.api import TtsRequest
from antiphon.server.run import Running, running

pytestmark = [pytest.mark.real, pytest.mark.slow]

Speak = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def home(folder: Path, **overrides: Any) -> AsyncIterator[Running]:
    """A server as it stands out of the box, with a list of its own."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    own = {
        "server.port": 0,
        "server.drain_s": 0.5,
        "history.keep": False,
        "session.lead_ms": 60_000,
        "tools.list_path": str(folder / "list"),
    }
    async with running(load(None, {}, own | named)) as made:
        await made.state.warmed.wait()
        yield made


def speaking(made: Running, call: Client) -> Speak:
    """Say something, and fall silent; faster than real time."""
    voice = made.state.engines.tts

    async def speak(words: str) -> None:
        chunks = [chunk async for chunk in voice.speak(words, TtsRequest("en-us", 0.9))]
        sound = 0.5 * resampled(np.concatenate(chunks), voice.rate, WIRE_RATE)
        audio = int16_from_float(sound).tobytes() + bytes(2 * WIRE_RATE)
        for start in range(0, len(audio), 9600):
            await call.socket.send(audio[start : start + 9600])

    return speak


async def answer(call: Client) -> str:
    """What is said next, once all of it is."""
    words: str = (await call.receive("response.output_audio_transcript.done"))["transcript"]
    await call.receive("response.done")
    return words


def test_what_destroys_is_asked_about_aloud_and_done_after_a_spoken_yes_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with home(tmp_path) as made, client(made, "?antiphon=1") as call:
            speak = speaking(made, call)

            async def ask() -> None:
                await speak("clear my list")
                assert (await call.receive("antiphon.approval.requested"))["name"] == "list_clear"
                assert "shall I do that?" in await answer(call)

            await speak("add milk to my list")
            assert "milk" in await answer(call)
            await ask()
            await speak("no")
            assert (await call.receive("antiphon.approval.done"))["outcome"] == "refused"
            assert "not done it" in await answer(call)
            await ask()
            await speak("what is on my list")
            assert (await call.receive("antiphon.approval.done"))["outcome"] == "refused"
            assert "milk" in await answer(call)
            await ask()
            await speak("yes please")
            assert (await call.receive("antiphon.approval.done"))["outcome"] == "allowed"
            assert "empty now" in await answer(call)

    asyncio.run(story())


def test_a_call_of_a_clients_mcp_server_is_asked_about_aloud_where_the_client_does_not(tmp_path: Path) -> None:
    async def story() -> None:
        limits = {"tools__assistants": "never", "mcp__allowed_hosts": ["127.0.0.1"], "mcp__follow_up_s": 0.2}
        async with staged() as stage, home(tmp_path, **limits) as made, client(made, "?antiphon=1") as call:
            speak = speaking(made, call)
            zoo = {"type": "mcp", "server_label": "zoo", "server_url": stage.url, "require_approval": "always"}
            await call.send("session.update", session={"type": "realtime", "tools": [zoo]})
            await call.receive("mcp_list_tools.completed")

            await speak("remove bread from my list")
            (made_call, asking) = (await call.receive("response.done"))["response"]["output"]
            assert (made_call["type"], asking["type"]) == ("mcp_call", "mcp_approval_request")
            assert "shall I do that?" in await answer(call)
            assert stage.fed == []
            await speak("yes do it")
            assert "bread" in await answer(call)
            assert stage.fed == ["no bread"]

    asyncio.run(story())
