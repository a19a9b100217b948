"""The loop around a session, on the loop that the server runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.runtime.drive import Drive, Equipment
from antiphon.runtime.workers import Engines
from antiphon.session import inputs
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig
from antiphon.tools.api import ToolContext


class Waiting:
    """A session that wants to be called at a deadline and does nothing else."""

    def __init__(self, delay_s: float) -> None:
        self.config = SessionConfig()
        self.deadline: float | None = asyncio.get_running_loop().time() + delay_s
        self.called = asyncio.Event()

    def handle(self, item: Input, now: float) -> list[Output]:
        if isinstance(item, inputs.TimePassed):
            self.deadline = None
            self.called.set()
        return []


def _no_tools(drive: Drive) -> ToolContext:
    raise AssertionError("no tool is called")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("delay_s", [-0.1, 0.0, 0.0001, 0.01])
def test_a_session_is_called_once_at_its_deadline_whatever_comes_before(
    new_loop: Callable[[], asyncio.AbstractEventLoop], delay_s: float
) -> None:
    async def story() -> None:
        session = Waiting(delay_s)
        hub = HearingHub(EnergyVad(), InPlace())
        equipment = Equipment(Engines(FakeStt(), FakeLlm(), FakeTts()), hub)
        drive = Drive(cast(Session, session), equipment, _no_tools)
        for _ in range(3):  # uvloop's handle of what is due at once knows no time
            drive.put(inputs.Announce("meanwhile"))
        async with asyncio.timeout(5):
            await session.called.wait()
        await drive.close("the end")
        await hub.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story())
