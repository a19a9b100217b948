"""What goes wrong in one conversation and when, from its seed: engines and tools that are late, lost, broken or wrong.

They keep to the engines' Protocols as badly as the code of strangers does: results come late, twice, in another order
than they were asked for, or never; streams break off, stall and trickle; exceptions are of any kind. When the storm is
over (`clears`) all of them work.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import legible
import numpy as np
from numpy.typing import NDArray

from antiphon.audio.units import Pcm, Seconds
from antiphon.engines.api import (
    AssistantSaid,
    CallDelta,
    LlmEnd,
    LlmRequest,
    LlmUsage,
    SttRequest,
    TextDelta,
    ToolAnswered,
    ToolSpec,
    Transcript,
    TranscriptDelta,
    TtsRequest,
    UserSaid,
    WordMark,
)
from antiphon.errors import EngineError
from antiphon.tools.api import Conduct, ToolContext, ToolError

STALL_S: Seconds = 12.0  # after this the deadlines of real engines have run out
CHUNK = 2_400  # samples of our voice at a time
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Weather:
    """Decides for each thing that is done whether it goes wrong, and how."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.roughness = self.chance.choice((0.0, 0.15, 0.4, 0.8))
        self.is_clear = False
        self.calls = 0
        """Of tools, that models have asked for: each has a number of its own."""
        self.faults: dict[str, int] = {}
        """How often each kind of fault has happened."""
        self._clock_off = timedelta()

    def strikes(self, fault: str, share: float = 1.0) -> bool:
        """Whether this goes wrong now; `share` is how likely that is beside others."""
        if self.is_clear or self.chance.random() >= self.roughness * share:
            return False
        self.faults[fault] = self.faults.get(fault, 0) + 1
        return True

    async def delay(self, usual_s: Seconds) -> None:
        """The time that something takes: some of it, or far too long."""
        late = self.strikes("late", 0.5)
        seconds = self.chance.choice((0.5, 2.0, 6.0)) if late else usual_s * self.chance.choice((0.0, 0.3, 1.0, 1.7))
        if seconds or self.chance.random() < 0.5:
            await asyncio.sleep(seconds)

    async def breaks(self, what: str) -> None:
        """Stall and fail, fail, or crash."""
        if self.strikes(f"{what} stalls", 0.3):
            await asyncio.sleep(STALL_S)
            raise EngineError(f"{what} timed out", "It is a test.", code="upstream_timeout")
        if self.strikes(f"{what} fails", 0.5):
            raise EngineError(f"{what} refused", "It is a test.", code="upstream_refused")
        if self.strikes(f"{what} crashes", 0.3):
            raise self.chance.choice((RuntimeError, ConnectionResetError, ValueError, TimeoutError))(what)

    # --- the clock on the wall

    def now(self) -> datetime:
        """Wall time: it jumps, and the loop's clock does not."""
        if self.strikes("clock jumps"):
            self._clock_off += timedelta(seconds=self.chance.choice((-7200, -1, 1, 86_400)))
        return NOON + timedelta(seconds=asyncio.get_running_loop().time()) + self._clock_off


class UnrulyVad:
    """Takes whatever is loud for a voice, and dies on some batches."""

    window = 512
    memory = 0
    most_at_once = 64
    most_in_place = 0

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self.failures = 0

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self._weather.strikes("detector crashes", 0.02):
            self.failures += 1
            raise RuntimeError("the detector died")
        power = np.einsum("ij,ij->i", windows, windows) / self.window
        return (power > legible.LOUD**2).astype(np.float32), memories


class UnrulyTurnModel:
    """Guesses."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    async def warm(self) -> None:
        pass

    async def score(self, pcm: Pcm) -> float:
        await self._weather.delay(0.02)
        await self._weather.breaks("turn model")
        return self._weather.chance.random()


class UnrulyStt:
    """Writes down the words that are in the sound."""

    languages: frozenset[str] | None = None

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self.lost: set[int] = set()
        """Words that it was given and did not bring back, at least once."""

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        weather = self._weather
        words = legible.words_in(pcm)
        text = " ".join(legible.name(word) for word in words)
        done = False
        try:
            await weather.delay(0.1)
            await weather.breaks("recogniser")
            if words and weather.chance.random() < 0.3:
                yield TranscriptDelta(f"{legible.name(words[0])} ")
                await weather.delay(0.05)
                await weather.breaks("recogniser in mid-stream")
            if weather.strikes("transcript lost", 0.3):
                return
            done = True
            yield Transcript(text, "en", 1.0)
            if weather.strikes("transcript twice"):
                yield Transcript(text + " again", "en", 1.0)
        finally:
            if not done:
                self.lost.update(words)


class UnrulyLlm:
    """Repeats what nobody has answered yet, tells a story, or calls a tool: each call with another number."""

    sees = True

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self.requests: list[LlmRequest] = []

    async def warm(self) -> None:
        pass

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        weather, chance = self._weather, self._weather.chance
        self.requests.append(request)
        await weather.delay(0.2)
        await weather.breaks("model")
        is_answer = bool(request.messages) and isinstance(request.messages[-1], ToolAnswered)
        reason = "stop"
        if request.tools and not is_answer and not weather.is_clear and chance.random() < 0.4:
            reason = "tool_calls"
            for delta in self._called(request):
                yield delta
                await weather.delay(0.01)
                await weather.breaks("model in mid-call")
        else:
            for word in self._said(request).split(" "):
                yield TextDelta(word + " ")
                if chance.random() < 0.2:
                    await weather.delay(0.05)
                    await weather.breaks("model in mid-stream")
        if weather.strikes("end of the answer lost", 0.3):
            return
        end = LlmEnd(reason, LlmUsage(len(request.messages), 5))  # type: ignore[arg-type]
        yield end
        if weather.strikes("end of the answer twice", 0.5):
            yield end

    def _called(self, request: LlmRequest) -> list[CallDelta]:
        """One call or two, now and then the same one twice."""
        deltas: list[CallDelta] = []
        for index in range(self._weather.chance.choice((1, 1, 2))):
            self._weather.calls += 1
            tool = self._weather.chance.choice(request.tools)
            name = "nobody" if self._weather.strikes("unknown tool", 0.3) else tool.name
            arguments = f'{{"number": {self._weather.calls}}}'
            if self._weather.strikes("arguments broken", 0.3):
                arguments = arguments[:-1]
            call_id = f"call_{self._weather.calls}"
            deltas += [CallDelta(index, call_id, name, arguments[:5]), CallDelta(index, "", "", arguments[5:])]
            if self._weather.strikes("call twice"):
                deltas += [CallDelta(index + 2, call_id, name, arguments)]
        return deltas

    def _said(self, request: LlmRequest) -> str:
        heard = f"heard {_unanswered(request)}" if _unanswered(request) else "go on"
        story = self._weather.chance.choice((0, 0, 3, 12))
        number = len(self.requests)
        return f"I {heard}." + "".join(f" a{number}b{word}{'.' if word % 7 == 6 else ''}" for word in range(story))


def _unanswered(request: LlmRequest) -> str:
    """What was said or written last, if no answer names it: what came in between, such as news of a tool, is none."""
    said = [place for place, message in enumerate(request.messages) if isinstance(message, UserSaid)]
    if not said:
        return ""
    told, *since = request.messages[said[-1] :]
    assert isinstance(told, UserSaid)
    is_answered = any(isinstance(message, AssistantSaid) and told.text in message.text for message in since)
    return "" if is_answered else told.text


class UnrulyTts:
    """Our voice, letter by letter; some of it never comes."""

    rate: int = 24_000

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    async def warm(self) -> None:
        pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        async for piece in self._pieces(text):
            if not isinstance(piece, WordMark):
                yield piece

    async def _pieces(self, text: str) -> AsyncIterator[Pcm | WordMark]:
        weather = self._weather
        await weather.delay(0.1)
        await weather.breaks("voice")
        sound = legible.voiced(text)
        speed = weather.chance.choice((0.0, 0.0, 0.3))
        starts = [at for at in range(len(text)) if text[at] != " " and (at == 0 or text[at - 1] == " ")]
        for start in range(0, sound.size, CHUNK):
            for letters in starts:
                if start <= letters * legible.LETTER < start + CHUNK:
                    yield WordMark(letters, letters * legible.LETTER)
            yield sound[start : start + CHUNK]
            if speed:
                await asyncio.sleep(speed * CHUNK / self.rate)
            await weather.breaks("voice in mid-stream") if weather.chance.random() < 0.1 else None


class MarkingTts(UnrulyTts):
    """The same, and says when each word begins."""

    async def speak_marked(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm | WordMark]:
        async for piece in self._pieces(text):
            yield piece


async def _cling(seconds: Seconds) -> None:
    """Stay, whoever cancels."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue


class UnrulyTool:
    """Counts what it does; takes its time, fails, raises, and holds on when it is cancelled."""

    def __init__(self, name: str, weather: Weather, conduct: Conduct) -> None:
        schema = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
        self.spec = ToolSpec(name, "Do it.", schema)
        self.conduct = conduct
        self.done: dict[int, int] = {}
        """How often it was begun, by the number of the call."""
        self.at_work = 0
        self.left: list[str] = []
        self._weather = weather

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        weather = self._weather
        number = arguments["number"]
        self.done[number] = self.done.get(number, 0) + 1
        self.at_work += 1
        try:
            await weather.delay(0.3)
            context.progress("half way")
            if weather.strikes("tool fails"):
                raise ToolError("It did not work.")
            await weather.breaks("tool")
            if weather.chance.random() < 0.2:
                context.announce("the tea is ready")
            await weather.delay(0.3)
            return f'{{"did": {number}, "at": "{context.now:%H:%M}"}}'
        finally:
            self.at_work -= 1
            if weather.strikes("tool lingers"):
                await _cling(0.5)

    async def leave(self, session: str) -> None:
        self.left.append(session)
