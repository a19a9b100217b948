"""One microphone, and the dictations that are made with it: one is recorded at a time, and each text waits its turn.

It does not know what a dictation is made of, nor who asks for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from antiphon.desktop.dictation.passage import Passage, Show, Ways, Wish
from antiphon.engines.api import SttRequest
from antiphon.errors import AntiphonError

log = logging.getLogger("antiphon.desktop")

MOST_WAITING = 4  # dictations whose text is not there yet: more, and the recogniser does not keep up

State = Literal["idle", "recording", "working"]


class Dictation:
    """All methods are for one event loop."""

    def __init__(self, ways: Ways, show: Show, request: SttRequest) -> None:
        self.on_state: Callable[[State], None] = lambda _: None
        """Told of each change of `state`."""
        self._ways = ways
        self._show = show
        self._request = request
        self._open: Passage | None = None
        """What is being recorded."""
        self._passages: dict[asyncio.Task[None], Passage] = {}
        """All whose text is not there yet, the oldest first."""
        self._told: State = "idle"

    @property
    def state(self) -> State:
        if self._open is not None:
            return "recording"
        return "working" if self._passages else "idle"

    async def act(self, command: str) -> str:
        """What the control socket asks for; the answer is one line."""
        match command:
            case "start":
                self.start()
            case "stop":
                self.stop()
            case "toggle":
                self.stop() if self._open is not None else self.start()
            case "cancel":
                self.cancel()
            case "counters":
                return self._counters()
            case "paste-last":
                return await self._paste_last()
            case _:
                pass
        return self.state

    def start(self, wish: Wish | None = None) -> None:
        """Begin a recording, unless one is under way. Texts that are still being made are waited for, not by it."""
        if self._open is not None:
            return
        ears = self._ways.sound.ears
        if ears is None:
            self._show.problem("there is no microphone now: plug one in; antiphon doctor lists them")
            return
        if len(self._passages) >= MOST_WAITING:
            self._show.problem("the recogniser does not keep up: wait for the texts of what was said")
            return
        before, last = next(reversed(self._passages.items()), (None, None))
        self._open = passage = Passage(ears, self._ways, self._show, wish or Wish(), last)
        task = asyncio.get_running_loop().create_task(self._run(passage, before), name="dictation")
        self._passages[task] = passage
        task.add_done_callback(self._forget)
        self._tell()

    def stop(self) -> None:
        """The key was let go: the text follows."""
        if self._open is not None:
            self._open.release()
        self._open = None
        self._tell()

    def cancel(self) -> None:
        """No text of what is being recorded; of what is being worked on, if nothing is. The sound is kept."""
        for passage in [self._open] if self._open is not None else self._passages.values():
            passage.cancel()
        self._open = None
        self._tell()

    async def settled(self) -> None:
        """Wait until nothing is recorded or worked on."""
        while self._passages:
            await asyncio.wait(self._passages)
            await asyncio.sleep(0)  # for what they have to say at their end

    async def close(self) -> None:
        """Cancel everything, and wait for it."""
        for passage in self._passages.values():
            passage.cancel()
        self._open = None
        await self.settled()

    async def _run(self, passage: Passage, before: asyncio.Task[None] | None) -> None:
        try:
            await passage.run(self._request, before)
        except AntiphonError as error:
            self._show.problem(str(error))
        except Exception:  # a border: this dictation failed, its sound is kept, and the next one works
            log.exception("a dictation failed")
            self._show.problem("this dictation failed; its sound is in the history: antiphon dictate history")
        finally:
            if self._open is passage:
                self._open = None

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._passages[task]
        self._tell()

    def _tell(self) -> None:
        if self.state != self._told:
            self._told = self.state
            self.on_state(self.state)

    def _counters(self) -> str:
        ears = self._ways.sound.ears
        if ears is None:
            return "no microphone"
        return (
            f"{ears.counters.blocks} blocks, {ears.counters.overruns} overruns, {ears.ring.reader_losses} frames "
            f"lost, {ears.counters.cost_us(99):.0f} us a block at p99, reopened {self._ways.sound.reopened} times"
        )

    async def _paste_last(self) -> str:
        last = await asyncio.to_thread(self._ways.history.last)
        if last is None:
            return "error: nothing was dictated yet"
        return (await self._ways.injector.type(last.text)).outcome
