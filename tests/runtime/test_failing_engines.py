"""Every failure of a server that we depend on, at every stage and at every moment of a turn: the turn is answered or
ends with a reason, the next one is answered, and nothing is left behind.

The engines, their HTTP client and the chains are the real ones; the wire is scripted, and time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from antiphon.config import load
from antiphon.engines import http, registry
from antiphon.session import outputs
from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.testing.conversation import Conversation
from antiphon.testing.upstream import Act, Fault, Script, ScriptedUpstream
from antiphon.testing.virtual_time import run
from antiphon.testing.wire import OUTAGES, Wire

pytestmark = pytest.mark.slow

STAGES = ("stt", "llm", "tts")
GOOD = Script(reply="Well, yes. And no.", stt=Act(50, 10), llm=Act(50, 10), tts=Act(50, 10))

BEFORE = {
    "reset": Act(fault=Fault.RESET, fault_after=0),
    "stall": Act(fault=Fault.STALL, fault_after=0),
    "garbage": Act(body=b"\x00\xffnonsense", media_type="application/json"),
    "page": Act(body=b"<html>Welcome</html>", media_type="text/html"),
    "nothing": Act(body=b""),
    "429": Act(status=429, retry_after_s=5.0),
    "500": Act(status=500),
    "401": Act(status=401),
    "400": Act(status=400),
    "late": Act(first_byte_ms=60_000),
}
"""What a server that can be reached may do before anything of its answer has come."""
MIDDLE = {
    f"{fault.value} after {pieces}": Act(50, 10, fault=fault, fault_after=pieces)
    for fault in Fault
    for pieces in (1, 3)
}
FIRST_BYTE_S = 2.0
LONG_S = 12.0  # after it an answer was heard to its end, breakers have had their rest, and their probes an answer


class Stand(msgspec.Struct, eq=False):
    """Two servers, and somebody who talks to engines that ask the first, and then perhaps the second."""

    call: Conversation
    first: ScriptedUpstream
    wire: Wire
    engines: registry.EngineSet
    tasks: set[asyncio.Task[object]]

    async def turn(self) -> outputs.ResponseInfo:
        """One spoken turn, to the end of its answer."""
        self.call.ear.shown.clear()
        response = await self.call.exchange(0.4)
        await asyncio.sleep(LONG_S)
        return response

    def check_clean(self, moment: str) -> None:
        assert self.call.drive.works == 0, moment
        assert self.wire.exchanges == 0, moment
        left = [task.get_name() for task in asyncio.all_tasks() - self.tasks if "probe" not in task.get_name()]
        assert left == [], moment


@asynccontextmanager
async def stand(monkeypatch: pytest.MonkeyPatch, *, second: bool) -> AsyncIterator[Stand]:
    first, wires = ScriptedUpstream(GOOD), {}
    wires["one"] = Wire(first)
    wires["two"] = Wire(ScriptedUpstream(GOOD))
    mounts = {f"http://{name}": wire for name, wire in wires.items()}
    monkeypatch.setattr(http, "open_client", lambda: httpx.AsyncClient(mounts=mounts))
    limits = {"first_byte_timeout_s": FIRST_BYTE_S, "idle_timeout_s": 1.0, "model": "m"}
    settings: dict[str, object] = {}
    for stage in STAGES:
        settings |= {f"{stage}.{name}": value for name, value in ({"base_url": "http://one/v1"} | limits).items()}
        settings |= {f"{stage}.fallbacks": [{"base_url": "http://two/v1"} | limits]} if second else {}
    settings |= {"stt.stream": True, "vad.engine": "energy"}
    engines = registry.make(load(None, {}, settings))
    config = SessionConfig(Settings(transcription=Transcription()), apologies={"en": "Sorry."})
    async with Conversation(engines.stt, engines.llm, engines.tts, config=config) as call:
        await call.pause(0.1)
        yield Stand(call, first, wires["one"], engines, asyncio.all_tasks())
    await engines.close()


def is_reasoned(response: outputs.ResponseInfo) -> bool:
    return response.status == "completed" or (response.status == "failed" and bool(response.error_code))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("second", [False, True], ids=["alone", "with another"])
def test_a_turn_that_meets_a_failing_server_ends_and_the_next_is_answered(
    stage: str, second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with stand(monkeypatch, second=second) as here:
            for name, act in (BEFORE | MIDDLE).items():
                here.first.script = msgspec.structs.replace(GOOD, **{stage: act})
                response = await here.turn()
                assert is_reasoned(response), f"{name}: {response.status}"
                if name in BEFORE:
                    assert response.status == ("completed" if second else "failed"), f"{name}: {response.error_code}"
                here.first.script = GOOD
                here.check_clean(name)
                assert (await here.turn()).status == "completed", f"after {name}"
                here.check_clean(f"after {name}")

    run(story())


@pytest.mark.parametrize("second", [False, True], ids=["alone", "with another"])
def test_a_server_that_goes_away_at_any_moment_of_a_turn_breaks_that_turn_at_most(
    second: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        outages = list(OUTAGES) * 4
        async with stand(monkeypatch, second=second) as here:
            for number in range(16):
                moment_s = 0.12 * number  # from before the first word until the answer has been heard
                loop = asyncio.get_running_loop()
                timer = loop.call_later(moment_s, here.wire.cut, outages[number])
                response = await here.turn()
                assert is_reasoned(response), f"{moment_s:.1f} s: {response.status}"
                timer.cancel()
                here.wire.outage = None
                await asyncio.sleep(LONG_S)
                here.check_clean(f"{moment_s:.1f} s")
                assert (await here.turn()).status == "completed", f"after {moment_s:.1f} s"

    run(story())
