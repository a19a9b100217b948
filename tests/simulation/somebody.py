"""Somebody at the other end of the line: speaks, listens, interrupts, types, loses the connection and comes back.

She remembers what she said and what she heard, each as the words and letters that were really in the sound. What the
server ought to have made of it is not her business: `laws` compares.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import legible
import numpy as np
from detour import Detour
from msgspec import Struct
from weather import Weather

from antiphon.audio.units import WIRE_RATE, Samples, Seconds
from antiphon.runtime.drive import Drive
from antiphon.testing.loopback import Loopback, Message

FRAMES_S: tuple[Seconds, ...] = (
    0.1,
    0.2,
    0.3,
)  # small ones as a browser sends them cost most of a run, and find no more
SETTLED_S: Seconds = 200.0  # by then whatever was begun in a storm has ended
ANSWERED_S: Seconds = 60.0
RESUME_S: Seconds = 4.0  # within which a connection that broke may be taken up again
AGAIN_S: Seconds = 10.0  # until she asks once more, where nothing is answered unasked


class Heard(Struct):
    """An answer's sound, as it came and as it was played."""

    sound: bytearray
    played: Samples = 0
    """Only known once it was played to its end, or cut."""
    starts: list[tuple[Seconds, Samples]] = []
    """When each stretch begins to sound, and how long it is."""
    cut_at: Seconds | None = None
    is_truncated: bool = False
    """She told the server herself how much of it she wants to have heard."""


class Person:
    """One caller of one session. `live` is her whole call."""

    def __init__(self, drive: Drive, weather: Weather, words: list[int]) -> None:
        """`words` are those that she will say, each once."""
        self.said: list[int] = []
        """Words that the server was to hear, in order."""
        self.unsaid: set[int] = set()
        """Words that she took back, or that a connection's end may have cut."""
        self.typed: list[str] = []
        self.heard: dict[str, Heard] = {}
        """By item."""
        self.lines: list[Loopback] = []
        """Every connection that she had; the first was there from the beginning."""
        self.last_word: int | None = None
        """What she said at last, in good weather."""
        self.was_answered = False
        self.drive = drive
        self._weather = weather
        self._chance = weather.chance
        self._words = words
        self._name = f"person {words[0]}"
        self._frame_bytes = 2 * round(self._chance.choice(FRAMES_S) * WIRE_RATE)
        self._line: Loopback | None = None
        self._play_end: Seconds = 0.0
        self._is_slow = False
        self._last_item: str | None = None
        self._sent = 0
        self._returns = 0
        self._committed = 0
        """How many of her words she had begun with when the server last told her of an item that it made of some."""

    @property
    def line(self) -> Loopback:
        assert self._line is not None
        return self._line

    @property
    def unsaid_words(self) -> list[int]:
        """Those that she has not come to yet."""
        return self._words

    # --- the call

    async def live(self) -> None:
        for _ in range(self._chance.choice((1, 1, 2, 3))):
            async with self._connected():
                for _ in range(self._chance.randint(1, 4)):
                    await self._act()
                    if self.line.why is not None:
                        break  # it hung up on her
            await asyncio.sleep(self._chance.choice((0.0, 0.3, 5.0)))

    async def ask_at_last(self) -> None:
        """The storm is over. She lets everything end, and asks one thing more."""
        self._is_slow = False
        async with self._connected():
            self._send({"type": "session.update", "session": {"type": "realtime", "tools": []}})
            await self.line.settle(SETTLED_S)
            self.last_word = self._words[0]
            since = len(self.line.received)
            await self._say(1, pause_s=3.0)  # whatever judges the pause: the turn is over
            for _ in range(round(ANSWERED_S / AGAIN_S)):
                if not self._answers_by_itself():  # refused while something else is said
                    self._send({"type": "response.create"})
                await self.line.settle(AGAIN_S)
                self.was_answered = any(self._is_the_answer(message) for message in self.line.received[since:])
                if self.was_answered:
                    break
            await self.line.settle(5.0)

    def _is_the_answer(self, message: Message) -> bool:
        if message["type"] != "response.done" or message["response"]["status"] != "completed":
            return False
        return legible.name(self.last_word or 0) in str(message["response"]["output"])

    def _answers_by_itself(self) -> bool:
        detection = self.drive.session.settings.turn_detection
        return detection is not None and detection.create_response

    def _connected(self) -> Loopback:
        """A new connection, to be entered."""
        line = Loopback(self.drive, f"{self._name}.{len(self.lines)}", reads=self._read, resume_s=RESUME_S)
        self.lines.append(line)
        self._line = line
        return line

    # --- what she does

    async def _act(self) -> None:
        acts: tuple[tuple[Callable[[], object], int], ...] = (
            (self._speak, 6), (self._hesitate, 2), (self._interrupt, 4), (self._cough, 1), (self._type, 2),
            (self._push_to_talk, 1), (self._take_back, 1), (self._cancel, 2), (self._truncate, 1), (self._delete, 1),
            (self._talk_nonsense, 2), (self._become_slow, 1), (self._wait, 2), (self._lose_the_line, 4),
        )  # fmt: skip
        act = self._chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        doing = act()
        if asyncio.iscoroutine(doing):
            await doing

    async def _speak(self) -> None:
        await self._say(self._chance.randint(1, 3), pause_s=self._chance.choice((0.3, 0.8, 2.5)))

    async def _hesitate(self) -> None:
        await self._say(1, pause_s=self._chance.choice((0.15, 0.3, 0.45)))
        await self._say(1, pause_s=1.0)

    async def _interrupt(self) -> None:
        """Wait for the answer to begin, and speak into it."""
        known = len(self.heard)
        for _ in range(40):
            if len(self.heard) > known:
                break
            await self.line.settle(0.1)
        await self._silence(self._chance.choice((0.0, 0.1, 0.4, 1.1)))
        await self._say(2, pause_s=1.0)

    async def _cough(self) -> None:
        await self._send_sound(legible.tone(legible.COUGH)[: self._chance.choice((500, 900, 1200))].tobytes())
        await self._silence(0.5)

    async def _type(self) -> None:
        text = f"t{len(self.typed)}"
        self.typed.append(text)
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self._send({"type": "conversation.item.create", "item": item})
        for _ in range(self._chance.choice((0, 1, 1, 2))):
            self._send({"type": "response.create"})
        await self.line.settle(self._chance.choice((0.0, 0.5)))

    async def _push_to_talk(self) -> None:
        detection = {"type": "server_vad", "silence_duration_ms": 400}
        self._listen(None)
        await self._say(1, pause_s=0.1)
        self._send({"type": "input_audio_buffer.commit"})
        self._send({"type": "response.create"})
        self._listen(detection)
        await self.line.settle(0.5)

    def _listen(self, detection: dict[str, object] | None) -> None:
        audio = {"input": {"turn_detection": detection}}
        self._send({"type": "session.update", "session": {"type": "realtime", "audio": audio}})

    async def _take_back(self) -> None:
        await self._silence(2.5)  # whatever was said before is a turn of its own by then, if anybody finds turns
        await self._say(1, pause_s=0.0)
        self.unsaid.update(self.said[-1:], self.said[self._committed :])
        self._send({"type": "input_audio_buffer.clear"})
        await self._silence(0.7)

    def _cancel(self) -> None:
        self._fall_silent()
        for _ in range(self._chance.choice((1, 2))):
            self._send({"type": "response.cancel"})

    def _truncate(self) -> None:
        if self._last_item is None:
            return
        heard = self.heard[self._last_item]
        heard.is_truncated = True
        played = self._played(heard)
        wrong = self._chance.choice((0, 0, 0, 5000))
        self._send(
            {
                "type": "conversation.item.truncate",
                "item_id": self._last_item,
                "content_index": 0,
                "audio_end_ms": played * 1000 // WIRE_RATE + wrong,
            }
        )

    def _delete(self) -> None:
        self._send({"type": "conversation.item.delete", "item_id": self._last_item or "nobody"})

    async def _talk_nonsense(self) -> None:
        nonsense = self._chance.choice(
            ("{", "[]", '{"type": "response.make"}', '{"type": 5}', "\x00", '{"type": "input_audio_buffer.append"}')
        )
        self.line.send_text(nonsense)
        self._send({"type": "conversation.item.retrieve", "item_id": self._chance.choice(("", "nobody", "é" * 40))})
        self._send({"type": "input_audio_buffer.append", "audio": "AAA"})
        self._send({"type": "session.update", "session": {"type": "realtime", "speed": "fast"}})
        await self.line.settle()

    def _become_slow(self) -> None:
        self._is_slow = self._weather.strikes("client slow")

    async def _lose_the_line(self) -> None:
        """In the middle of whatever is said to her, and mostly she is back in time."""
        await self.line.settle(self._chance.choice((0.0, 0.4, 1.1)))
        if self.line.why is not None:
            return
        self.line.lose()
        await asyncio.sleep(self._chance.choice((0.0, 0.3, 2.0, RESUME_S + 1.0)))
        self._returns += 1
        detour = Detour() if self._returns % 2 else None  # at the worker that has her session, or at another
        if await self.line.come_back(None if detour is None else detour.take):
            await self.line.settle(self._chance.choice((0.0, 0.5)))
        elif detour is not None:
            await detour.turn_away()

    async def _wait(self) -> None:
        await self.line.settle(self._chance.choice((0.2, 1.0, 8.0, 30.0)))

    # --- speaking

    async def _say(self, count: int, *, pause_s: Seconds) -> None:
        reserved = 0 if self._weather.is_clear else 1
        words = [self._words.pop(0) for _ in range(min(count, len(self._words) - reserved))]
        sound = np.concatenate([np.zeros(0, np.int16), *(legible.tone(word) for word in words)])
        self.said += words
        await self._send_sound(sound.tobytes())
        await self._silence(pause_s)
        if self.line.why is not None:
            self.unsaid.update(words)

    async def _silence(self, seconds: Seconds) -> None:
        await self._send_sound(bytes(2 * round(seconds * WIRE_RATE)))

    async def _send_sound(self, sound: bytes) -> None:
        for start in range(0, len(sound), self._frame_bytes):
            piece = sound[start : start + self._frame_bytes]
            await asyncio.sleep(len(piece) / 2 / WIRE_RATE)
            if self.line.why is None:
                self.line.append(piece)

    def _send(self, message: Message) -> None:
        if self.line.why is None:
            self._sent += 1
            self.line.send({"event_id": f"{self._name}_{self._sent}", **message})

    # --- listening

    async def _read(self, message: Message) -> None:
        if self._is_slow:
            await asyncio.sleep(self._chance.choice((0.0, 0.05, 0.4)))
        match message["type"]:
            case "response.output_audio.delta":
                self._hear(message["item_id"], base64.b64decode(message["delta"]))
            case "input_audio_buffer.speech_started":
                self._fall_silent()
            case "input_audio_buffer.committed":
                self._committed = len(self.said)

    def _hear(self, item_id: str, sound: bytes) -> None:
        now = asyncio.get_running_loop().time()
        heard = self.heard.setdefault(item_id, Heard(bytearray(), starts=[]))
        start = max(now, self._play_end)
        heard.starts.append((start, len(sound) // 2))
        heard.sound += sound
        self._play_end = start + len(sound) / 2 / WIRE_RATE
        self._last_item = item_id

    def _fall_silent(self) -> None:
        """Her player stops, and forgets what it has not played."""
        now = asyncio.get_running_loop().time()
        for heard in self.heard.values():
            if heard.cut_at is None and any(start + length / WIRE_RATE > now for start, length in heard.starts):
                heard.cut_at = now
        self._play_end = now

    def _played(self, heard: Heard) -> Samples:
        end = asyncio.get_running_loop().time() if heard.cut_at is None else heard.cut_at
        return sum(round(min(max(0.0, end - start) * WIRE_RATE, length)) for start, length in heard.starts)

    def finish(self) -> None:
        """Her call is over: what was played is known."""
        for heard in self.heard.values():
            heard.played = self._played(heard)
