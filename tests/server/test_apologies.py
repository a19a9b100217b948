"""Who speaks hears that something cannot be reached, also when that is the voice, and it was not there at first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from calling import client

from antiphon.audio.units import Pcm
from antiphon.config import load
from antiphon.engines.api import TtsRequest
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.energy import EnergyVad
from antiphon.errors import EngineError
from antiphon.server.app import UNREACHABLE
from antiphon.server.run import running

pytestmark = pytest.mark.real


class Unreachable(FakeTts):
    """A voice that comes late, and speaks until it is gone."""

    is_gone = False
    said = 0
    refused = 0

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        if self.is_gone or self.refused < 2:
            self.refused += 1
            raise EngineError("nobody listens there", "It is a test.", code="upstream_unreachable")
        self.said += 1
        async for piece in super().speak(text, request):
            yield piece


def test_a_voice_that_is_gone_still_says_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.server.run.FIRST_REST_S", 0.05)

    async def story() -> None:
        voice = Unreachable(letters_per_second=150.0)  # who waits for the end does not wait long
        config = load(None, {}, {"server.port": 0, "server.drain_s": 0.5, "history.keep": False})
        engines = EngineSet(EnergyVad(), FakeStt("hello"), FakeLlm("Hello there."), voice, ())
        async with running(config, engines=engines, tools=()) as made:
            async with asyncio.timeout(20):
                while voice.said < 4:  # noqa: ASYNC110 - two apologies of two sentences each, learned as soon as it is there
                    await asyncio.sleep(0.01)
            voice.is_gone = True
            async with client(made) as call:
                await call.speak()
                failed = (await call.receive("response.done"))["response"]
                assert failed["status"] == "failed"
                assert failed["status_details"]["error"]["code"] == "upstream_unreachable"
                sorry = (await call.receive("response.done"))["response"]
                assert sorry["status"] == "completed"
                assert sorry["output"][0]["content"][0]["transcript"] == UNREACHABLE["en"]
                assert "response.output_audio.delta" in [event["type"] for event in call.events]

    asyncio.run(story())
