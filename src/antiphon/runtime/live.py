"""Live transcription of one stream: sound in, utterances cut out of it by the shared voice detector, their text out.

Only what the detector calls a voice ever reaches the recogniser: an hour of silence costs what the detector costs. It
does not know sockets, files or messages; where the sound comes from waits when too much of it is here (`push`), and
what is shown may wait for its reader, so that nothing in between grows without a bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import cast

from msgspec import Struct

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.ring import Ring
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm16, Samples
from antiphon.engines.api import Hypothesis, Listener, SttRequest, Transcript, Word
from antiphon.engines.stt.agreement import quietest
from antiphon.engines.utterance import Utterance
from antiphon.errors import AntiphonError, EngineError
from antiphon.hearing.edges import HearingEvent
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.utterances import Begun, Cutting, Ended, TooLong, Utterances
from antiphon.session.inputs import HearingFailed

log = logging.getLogger("antiphon.live")

# Samples of an utterance that the detector is given at once: eight of its windows cost what three do one by one. No
# more comes before it has scored them, and that is less than the shortest silence between two utterances, so that
# nobody looks at the beginning of the next one before this one is known to be over.
PIECE = 8 * 512
AHEAD_UTTERANCES = 4  # that may wait for the recogniser
KEPT_S = 8  # of sound that no utterance has taken: what goes before a voice, and what is cut off too long a one
CUT_WITHIN_S = 5.0  # of the end of what has become too long


class Partial(Struct, frozen=True):
    """An utterance so far. Times are seconds from the beginning of the stream."""

    number: int
    start_s: float
    end_s: float
    stable: str
    """Append-only within one utterance."""
    tail: str


class Final(Struct, frozen=True):
    """An utterance, whole."""

    number: int
    start_s: float
    end_s: float
    text: str
    """Empty if nothing intelligible was said."""
    language: str | None
    words: tuple[Word, ...]
    """Times from the beginning of the stream; none where the engine does not know them."""
    took_ms: float
    """From the end of the utterance to this, on the event loop's clock."""


class Failed(Struct, frozen=True):
    """An utterance, or some of the sound, was lost. The stream goes on."""

    code: str
    message: str
    hint: str


def raise_first(failures: Sequence[Failed]) -> None:
    """For whoever wants all of it or nothing. Raises `EngineError`."""
    if failures:
        raise EngineError(failures[0].message, failures[0].hint, code=failures[0].code)


Event = Partial | Final | Failed
Show = Callable[[Event], Awaitable[None]]


class _Take(Struct):
    """An utterance on its way to its text."""

    number: int
    start: int
    """Position of its first sample, at 16 kHz."""
    sound: Utterance
    ended_at: float = 0.0


class LiveTranscription:
    """One stream. Made, used and closed on one event loop; `push`, `end` and `clear` one at a time."""

    def __init__(
        self, hub: HearingHub, listener: Listener, show: Show, request: SttRequest, cutting: Cutting | None = None
    ) -> None:
        """`show` is awaited with each event, in order."""
        self.request = request
        """What is known about utterances that have not begun to be recognised. May be replaced at any time."""
        self._listener = listener
        self._show = show
        self._stream = hub.open(self._on_voice, rate_hz=HEARING_RATE)
        self._utterances = Utterances(cutting)
        self._ring = Ring(KEPT_S * HEARING_RATE, KEPT_S * HEARING_RATE)
        self._given = 0
        """How much of it the detector has been given."""
        self._open: _Take | None = None
        self._number = 0
        self._queue: asyncio.Queue[_Take] = asyncio.Queue()  # bounded by `push`, which waits for it
        self._is_moving = asyncio.Event()
        self._failures: list[Failed] = []
        self._listening = self._begin_listening()

    @property
    def position_s(self) -> float:
        """Sound so far."""
        return self._ring.end / HEARING_RATE

    @property
    def is_hearing(self) -> bool:
        """Whether an utterance is being said."""
        return self._open is not None

    async def push(self, pcm: Pcm16) -> None:
        """Take in the next sound at 16 kHz; waits while too much is on its way already."""
        taken = 0
        while taken < pcm.size:
            piece = pcm[taken : taken + PIECE - (self._ring.end - self._given)]
            taken += piece.size
            self._ring.append(piece)
            if self._open is not None:
                self._open.sound.append(float_from_int16(piece))
            if self._is_worth_hearing():
                await self._let_hear()
            while self._queue.qsize() > AHEAD_UTTERANCES:
                self._is_moving.clear()
                await self._is_moving.wait()

    async def end(self) -> None:
        """What was said so far is all: wait until the text of all of it has been shown. More may follow."""
        await self._let_hear()
        ended = self._utterances.finish(_wire(self._ring.end))
        if ended is not None:
            self._stream.turn_closed()
            self._finish(ended.at, ended.quiet_to)
        await self._queue.join()
        await self._show_failures()

    async def clear(self) -> None:
        """Forget all that was said and not yet shown."""
        await self._stop_listening()
        self._stream.reset()
        self._given = self._ring.end
        self._utterances.reset()
        self._open = None
        self._queue = asyncio.Queue()
        self._listening = self._begin_listening()

    async def close(self) -> None:
        """Stop everything. Nothing is shown any more."""
        self._stream.close()
        await self._stop_listening()

    # --- to the detector, and from it

    def _is_worth_hearing(self) -> bool:
        """Whether the detector can tell anything that matters of what has come since: an utterance that goes on cannot
        end before its silence is long enough. Until then as much is kept back as it scores at once."""
        end = self._ring.end
        return end - self._given >= PIECE or end >= _own(self._utterances.silent_until(_wire(self._given)))

    async def _let_hear(self) -> None:
        self._stream.append(self._ring.read(self._given, self._ring.end), asyncio.get_running_loop().time())
        self._given = self._ring.end
        await self._stream.caught_up()
        await self._show_failures()

    def _on_voice(self, event: HearingEvent | HearingFailed) -> None:
        if isinstance(event, HearingFailed):
            self._failures.append(Failed(event.code, event.message, "The stream goes on with its next sound."))
            return
        match self._utterances.hear(event):
            case Begun(at):
                self._begin(at)
            case Ended(at, quiet_to):
                self._stream.turn_closed(event.heard)
                self._finish(at, quiet_to)
            case TooLong(heard):
                self._cut(heard)
            case None:
                pass

    def _begin(self, at: Samples) -> None:
        start = max(_own(at), self._ring.start)
        self._number += 1
        self._open = _Take(self._number, start, Utterance())
        self._open.sound.append(float_from_int16(self._ring.read(start, self._ring.end)))
        self._queue.put_nowait(self._open)

    def _finish(self, at: Samples, quiet_to: Samples) -> None:
        take, self._open = self._open, None
        if take is None:
            return
        take.ended_at = asyncio.get_running_loop().time()
        take.sound.end(_own(at) - take.start, _own(quiet_to) - take.start)

    def _cut(self, heard: Samples) -> None:
        """End what has become too long at its quietest place, and begin the next one there."""
        if self._open is None:
            return
        stop = _own(heard)
        first = max(self._ring.start, stop - round(CUT_WITHIN_S * HEARING_RATE))
        place = first + quietest(float_from_int16(self._ring.read(first, stop)), 0, stop - first)
        self._finish(_wire(place), _wire(place))
        self._utterances.cut(_wire(place))
        self._begin(_wire(place))

    # --- to the recogniser

    def _begin_listening(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._listen(self._queue), name="live transcription")

    async def _stop_listening(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self, queue: asyncio.Queue[_Take]) -> None:
        """One utterance after the other, so that their texts come in order."""
        while True:
            take = await queue.get()
            self._is_moving.set()
            try:
                await self._recognise(take)
            finally:
                queue.task_done()

    async def _recognise(self, take: _Take) -> None:
        try:
            events = cast(
                "AsyncGenerator[Hypothesis | Transcript, None]", self._listener.listen(take.sound, self.request)
            )
            async with aclosing(events):
                async for event in events:
                    await self._show(self._event(take, event))
        except AntiphonError as error:
            code = getattr(error, "code", None) or "internal_error"
            await self._show(Failed(code, error.message, error.hint))
        except Exception:  # a border: one utterance is lost, and the stream goes on
            log.exception("an utterance could not be recognised")
            await self._show(
                Failed("internal_error", "internal error", "The stream goes on; the server's log has more.")
            )

    def _event(self, take: _Take, event: Hypothesis | Transcript) -> Event:
        start_s, end_s = take.start / HEARING_RATE, (take.start + take.sound.size) / HEARING_RATE
        if isinstance(event, Hypothesis):
            return Partial(take.number, start_s, end_s, event.stable, event.tail)
        words = tuple(Word(word.text, start_s + word.start_s, start_s + word.end_s) for word in event.words)
        took_ms = (asyncio.get_running_loop().time() - take.ended_at) * 1000
        return Final(take.number, start_s, end_s, event.text.strip(), event.language, words, took_ms)

    async def _show_failures(self) -> None:
        while self._failures:
            await self._show(self._failures.pop(0))


def _own(at: Samples) -> int:
    """A position at 24 kHz as one at 16."""
    return at * HEARING_RATE // WIRE_RATE


def _wire(at: int) -> Samples:
    return at * WIRE_RATE // HEARING_RATE
