"""A person in front of a real client: speaks into its microphone in real time, and notes what the client shows.

Only the standard library, because it runs in every client's own environment. It does not know the protocol.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

FRAME_BYTES = 960  # 20 ms of 16-bit samples at 24 kHz, as a microphone gives them
FRAME_S = 0.02
BREATH_S = 0.5  # nobody speaks at the very moment at which a microphone opens
PATIENCE_S = 15.0

Note = dict[str, Any]


class Person:
    """One program's person. `url`, `key` and `plot` are what the program was started with."""

    def __init__(self) -> None:
        self.url, self.key, folder, self.plot = sys.argv[1:]
        self._folder = Path(folder)
        self._room = _frames(self._folder / "room.pcm")
        self._pending: deque[bytes] = deque()
        self._notes: list[Note] = []
        self._turned = 0
        self._news = asyncio.Event()

    def note(self, kind: str, **facts: Any) -> None:
        """Tell the test what the client has just shown."""
        note = {"saw": kind, **facts}
        sys.stdout.write(json.dumps(note) + "\n")
        sys.stdout.flush()
        self._notes.append(note)
        self._news.set()

    async def until(self, kind: str, matches: Callable[[Note], bool] = lambda note: True) -> Note:
        """The next note of this kind that matches, counted from the one that was waited for before."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for number, note in enumerate(self._notes[self._turned :], self._turned + 1):
                    if note["saw"] == kind and matches(note):
                        self._turned = number
                        return note
                self._news.clear()
                await self._news.wait()

    def say(self, name: str) -> None:
        """Speak this line from now on."""
        self._pending.extend(_frames(self._folder / f"{name}.pcm"))

    async def hold(self, send: Callable[[bytes], Awaitable[Any]]) -> None:
        """Keep the microphone open: a frame every 20 ms, speech if there is any, or else the quiet room."""
        clock = asyncio.get_running_loop().time
        began = clock()
        number = 0
        while True:
            await send(self._pending.popleft() if self._pending else self._room[number % len(self._room)])
            number += 1
            await asyncio.sleep(max(0.0, began + number * FRAME_S - clock()))

    async def converse(
        self,
        type_text: Callable[[str], Awaitable[Any]],
        press_stop: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """Play the plot. The program notes "answered" with the text of every answer that was spoken to its end,
        "audio" when sound of an answer came, and "interrupted" when its client stopped playing. `press_stop` is what
        its client offers for a button that ends an answer, if it takes typed turns in mid-conversation."""
        if self.plot == "sum":
            await asyncio.sleep(BREATH_S)
            self.say("sum")
            await self.until("answered")
            return
        await type_text("hello")
        await self.until("answered")
        self.say("weather")
        await self.until("answered", lambda note: "Paris" in note["text"])
        self.say("story")
        await self.until("audio")
        await asyncio.sleep(1.5)
        self.say("stop")
        await self.until("interrupted")
        await self.until("answered", lambda note: "stop" in note["text"])
        if press_stop is not None:
            await type_text("one more story")
            await self.until("audio")
            await asyncio.sleep(1.0)
            await press_stop()
            await self.until("interrupted")
            await type_text("goodbye")
            await self.until("answered", lambda note: "goodbye" in note["text"])


def _frames(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[start : start + FRAME_BYTES] for start in range(0, len(data) - FRAME_BYTES + 1, FRAME_BYTES)]
