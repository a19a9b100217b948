"""What happens around a recording: a sound when it begins and ends, and other players are quiet meanwhile.

It never holds a recording up: what it does is done beside it, and what fails is left out. It does not know texts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.desktop import players
from antiphon.desktop.bus import Bus, Place, opened
from antiphon.desktop.dictation.cues import Cue
from antiphon.desktop.dictation.dictation import State
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.desktop")

END_S: Seconds = 1.0  # for players that do not answer: nobody waits longer for the program's end
WAITING_STATES = 16  # a person changes them slower than they are acted on


class Surroundings:
    """`take` is told of each change of state; `run` acts on it."""

    def __init__(self, play: Callable[[Cue], None] | None, *, pauses_players: bool) -> None:
        """`play` blocks for as long as a cue lasts, on a thread; None is for nobody who listens."""
        self._play = play
        self._pauses_players = pauses_players
        self._states: asyncio.Queue[State] = asyncio.Queue(WAITING_STATES)

    def take(self, state: State) -> None:
        if not self._states.full():
            self._states.put_nowait(state)

    async def run(self) -> None:
        """Until cancelled. Players that are paused then are set going again."""
        if not self._pauses_players:
            await self._follow(None)
            return
        try:
            async with opened() as bus:
                await self._follow(bus)
        except ConfigError as error:
            log.warning("other players are not paused: %s", error)
            await self._follow(None)

    async def _follow(self, bus: Bus | None) -> None:
        paused: list[Place] = []
        is_recording = False
        try:
            while True:
                was_recording, is_recording = is_recording, await self._states.get() == "recording"
                if is_recording == was_recording:
                    continue
                if is_recording and bus is not None:
                    paused = await players.pause(bus)
                if self._play is not None:
                    await asyncio.to_thread(self._play, "begin" if is_recording else "end")
                if not is_recording and bus is not None:
                    await players.resume(bus, paused)
                    paused = []
        finally:
            if bus is not None and paused:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(END_S):
                        await players.resume(bus, paused)
