"""The wiretap hears what is said, both ways: otherwise its silence would prove nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from antiphon.config import load
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.energy import EnergyVad
from antiphon.protocol import items
from antiphon.server.run import running
from wiretap import Wiretap

pytestmark = [pytest.mark.real]


async def _talk() -> None:
    engines = EngineSet(EnergyVad(), FakeStt(), FakeLlm("Hello there."), FakeTts(), ())
    async with running(load(None, {}, {"server.port": 0}), engines=engines, tools=()) as made:
        await made.state.warmed.wait()
        async with asyncio.timeout(10), connect(made.url) as client:
            await client.send('{"type":"response.create","response":{"output_modalities":["text"]}}')
            while json.loads(await client.recv())["type"] != "rate_limits.updated":
                pass


def test_a_legal_exchange_is_heard_and_has_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    wiretap = Wiretap(monkeypatch)
    asyncio.run(_talk())
    assert (wiretap.connections, wiretap.faults()) == (1, [])


def test_an_illegal_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the one that listens to all tests would complain of this one
    wiretap = Wiretap(monkeypatch)
    monkeypatch.setattr("antiphon.protocol.outbound.wire.TextPart", lambda *_: items.AudioPart())
    asyncio.run(_talk())
    assert {fault.rule for fault in wiretap.faults()} == {"R3"}
