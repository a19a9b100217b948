"""Many callers at once: they come one after the other, talk for a while, and what they found is put together.

It keeps the pace: each caller sends every 20 ms, in a place of its own within them. How late that was is part of the
result, for a generator that cannot keep up measures itself.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.bench.result import Result, spread, together
from antiphon.bench.talker import Frame, Plan, Sound, Talker
from antiphon.errors import ConfigError

FRAME_S: Seconds = 0.02
SLOTS = 20  # in a frame's time: each caller sends in one of them, a millisecond from the next
PARTING_S: Seconds = 4.0  # for the answers to what was said last


class Way(Protocol[Frame]):
    """One caller's connection."""

    talker: Talker[Frame] | None

    def send(self, frame: Frame) -> None: ...


class Wish(Struct, frozen=True):
    """What to measure."""

    url: str
    sessions: int
    seconds: Seconds
    plan: Plan = Plan()
    own_ms: float | None = None
    """What the engines and the silence that ends a turn take by themselves, if that is known."""
    server: int | None = None
    """Id of the server's process, if it runs here: its processor time and memory are told then."""


class Live(Struct, frozen=True):
    """How it stands."""

    elapsed_s: Seconds
    answered: int
    missed: int
    last_ms: float
    """Median of the last answers."""


class Crowd(Generic[Frame]):
    """Callers on lines that are open."""

    def __init__(self, wish: Wish, ways: Sequence[Way[Frame]], sound: Sound[Frame]) -> None:
        """`ways` are as many as there are sessions."""
        self._wish = wish
        self._ways = ways
        now = asyncio.get_running_loop().time()
        # The first sentences are spread over one turn of a conversation, so that callers are not in step.
        for number, way in enumerate(ways):
            way.talker = Talker(sound, wish.plan, number, now + 1.0 + 7.0 * number / len(ways))
        self.talkers = [way.talker for way in ways if way.talker is not None]
        self.late_ms: list[float] = []

    async def talk(self, show: Callable[[Live], None]) -> None:
        """Let all of them talk for as long as is wished; `show` is called once a second."""
        loop = asyncio.get_running_loop()
        began, ticks = loop.time(), round((self._wish.seconds + PARTING_S) / FRAME_S)
        for tick in range(ticks):
            if tick * FRAME_S >= self._wish.seconds:
                for talker in self.talkers:
                    talker.is_stopping = True
            for slot in range(SLOTS):
                due = began + (tick + slot / SLOTS) * FRAME_S
                await asyncio.sleep(max(0.0, due - loop.time()))
                now = loop.time()
                self.late_ms.append((now - due) * 1000)
                for way, talker in zip(self._ways[slot::SLOTS], self.talkers[slot::SLOTS], strict=True):
                    way.send(talker.next_frame(now))
            if tick % 50 == 0:
                show(self._live(loop.time() - began))

    def _live(self, elapsed_s: Seconds) -> Live:
        heard = together([talker.heard for talker in self.talkers])
        last = [values[-1] for talker in self.talkers if (values := talker.heard.voice_to_voice_ms)]
        return Live(elapsed_s, len(heard.voice_to_voice_ms), heard.missed, spread(last).p50)


class Gauge:
    """What a process of this machine uses, from now on."""

    def __init__(self, process: int) -> None:
        """Raises `ConfigError` if there is none."""
        self._folder = Path(f"/proc/{process}")
        try:
            self._cpu_s, self._bytes = self._read()
        except OSError:
            raise ConfigError(
                f"there is no process {process} to look at", "Give the id of the server's process on this machine."
            ) from None

    def used(self) -> tuple[Seconds, int]:
        """Processor time and growth of memory in bytes since it was made."""
        cpu_s, size = self._read()
        return cpu_s - self._cpu_s, size - self._bytes

    def _read(self) -> tuple[Seconds, int]:
        fields = (self._folder / "stat").read_text().rsplit(")", 1)[1].split()
        pages = int((self._folder / "statm").read_text().split()[1])
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def own_cpu_s() -> Seconds:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Costs(Struct, frozen=True):
    """What the run cost, both sides."""

    wall_s: Seconds
    own_cpu_s: Seconds
    server: tuple[Seconds, int] | None
    """Processor time of the server while they talked, and its growth since before they came."""


def result_of(wish: Wish, crowd: Crowd[Frame], connect_s: Sequence[Seconds], lost: int, costs: Costs) -> Result:
    heard = together([talker.heard for talker in crowd.talkers])
    answers = heard.voice_to_voice_ms
    count = len(crowd.talkers)
    return Result(
        url=wish.url,
        sessions=count,
        seconds=round(costs.wall_s, 1),
        connect_ms=spread([seconds * 1000 for seconds in connect_s]),
        voice_to_voice_ms=spread(answers),
        added_ms=None if wish.own_ms is None else spread([value - wish.own_ms for value in answers]),
        stopped_ms=spread(heard.stopped_ms),
        gaps_ms=spread(heard.gaps_ms),
        turns=len(answers) + heard.missed,
        missed=heard.missed,
        early=heard.early,
        deaf=heard.deaf,
        errors=heard.errors,
        lost=lost,
        generator_late_ms=spread(crowd.late_ms),
        generator_percent=round(100 * costs.own_cpu_s / costs.wall_s, 1),
        server_percent=None if costs.server is None else round(100 * costs.server[0] / costs.wall_s / count, 3),
        server_megabytes=None if costs.server is None else round(costs.server[1] / count / 1e6, 3),
        all_voice_to_voice_ms=[round(value, 1) for value in answers],
    )
