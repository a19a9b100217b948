"""One dictation: from the press of a key to the text in a window.

Sound goes to disk and to the recogniser while it is spoken; each utterance is recognised at its pause, so that the end
of a long dictation waits for its last one only. It does not know keys, windows or engines: they are handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Seconds
from antiphon.desktop.card import Ears
from antiphon.desktop.dictation.cleaning import cleaned
from antiphon.desktop.dictation.history import History, Recording
from antiphon.desktop.dictation.injection import Done, Injector
from antiphon.desktop.dictation.preferences import Preferences, Profile
from antiphon.desktop.dictation.text import RAW, Writing, written
from antiphon.desktop.intake import Intake
from antiphon.desktop.sound import Sound
from antiphon.engines.api import Listener, Llm, SttRequest
from antiphon.engines.stt.checks import Heard, doubt
from antiphon.hearing.hub import HearingHub
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, Partial

PRE_ROLL_MS = 500  # what was said while the finger was on its way to the key
TAIL_S: Seconds = 0.25  # what is said while the finger leaves it; less where nobody speaks
FOREVER = 2**62
SILENT_S: Seconds = 1.0  # after which no more sound comes: the microphone is gone
TICK_S: Seconds = 0.02


class Ways(Struct, frozen=True):
    """What dictation works with."""

    sound: Sound
    hub: HearingHub
    listener: Listener
    history: History
    injector: Injector
    preferences: Preferences
    llm: Llm | None = None
    """Cleans texts up, if anything does."""


class Wish(Struct, frozen=True):
    """What is to become of one dictation."""

    raw: bool = False
    """The text stays as it was recognised."""
    continuous: bool = False
    """Each utterance is typed at its pause, and not all of them at the end."""


class Took(Struct, frozen=True):
    """Where the time of a dictation went."""

    seconds: float
    """Of sound."""
    tail_ms: float
    """From the release of the key to the last sound that was taken in."""
    recognised_ms: float
    """From there to the last utterance's text: the recogniser's own time is most of it."""
    cleaned_ms: float = 0.0
    injected_ms: float = 0.0

    @property
    def wait_ms(self) -> float:
        """From the release to the text, as far as it is in our hands: what a window does with it is its own."""
        return self.tail_ms + self.recognised_ms + self.cleaned_ms


class Report(Struct, frozen=True):
    """What became of one dictation."""

    entry_id: int
    text: str
    took: Took
    done: Done


class Show(Struct, frozen=True):
    """Whom to tell what."""

    preview: Callable[[str, str], None]
    """The stable and the unstable text so far."""
    report: Callable[[Report], None]
    problem: Callable[[str], None]


class Passage:
    """For one `run`. The sound is taken from when it is made, and some before, but none that the one before has."""

    def __init__(self, ears: Ears, ways: Ways, show: Show, wish: Wish, after: Passage | None = None) -> None:
        self.is_cancelled = False
        self._ears = ears
        self._released_position = FOREVER
        """In the microphone's ring: where the key was let go."""
        self._last_position = FOREVER
        """Up to where it may still be listened to."""
        heard: int = 0 if after is None or after._ears is not ears else after.position
        self._intake = Intake(ears.ring, ears.rate_hz, HEARING_RATE, pre_roll_ms=PRE_ROLL_MS, not_before=heard)
        if after is not None and after._ears is ears:
            after.end_at(self._intake.position)
        self._ways = ways
        self._show = show
        self._wish = wish
        self._finals: dict[int, str] = {}
        self._has_failed = False
        """Whether something was said of which there is no text."""
        self._typed = ""
        """What a continuous one has typed so far."""
        self._released = asyncio.Event()
        self._released_at: Seconds = float("inf")

    @property
    def position(self) -> int:
        """In the microphone's ring: what comes after it may be another one's."""
        return max(min(self._released_position, self._ears.ring.end), self._intake.position)

    def end_at(self, position: int) -> None:
        """The sound from here on is another one's."""
        self._last_position = min(self._last_position, position)

    def release(self) -> None:
        """The key was let go: the text follows."""
        self._released_position = self._ears.ring.end
        self._released_at = asyncio.get_running_loop().time()
        self._last_position = self._released_position + round(TAIL_S * self._ears.rate_hz)
        self._released.set()

    def cancel(self) -> None:
        """No text. The sound stays in the history."""
        self.is_cancelled = True
        self.release()

    async def run(self, request: SttRequest, before: asyncio.Task[None] | None) -> None:
        """Until the text is where it belongs. The one `before` this delivers its text first."""
        recording = await asyncio.to_thread(self._ways.history.begin, datetime.now(UTC))
        try:
            # Of the window in which it began: asking for it at the end would cost the person a process' time.
            profile = self._ways.preferences.profile(await self._ways.injector.window_class())
            how = RAW if self._wish.raw else self._ways.preferences.writing(profile)
            took = await self._recognised(recording, how, request)
            if before is not None:
                await asyncio.wait([before])
            if self.is_cancelled:
                await self._note(recording, outcome="cancelled")
            elif self._wish.continuous:
                await self._end(recording, took, self._typed, Done("typed" if self._typed else "nothing", "none"))
            else:
                await self._deliver(recording, profile, how, took)
        except BaseException:
            await self._note(recording, outcome="failed")
            raise

    async def _recognised(self, recording: Recording, how: Writing, request: SttRequest) -> Took:
        """Take in and recognise everything until the key is let go."""

        async def take(event: Event) -> None:
            self._take(event)
            if self._wish.continuous and isinstance(event, Final) and not self.is_cancelled:
                await self._type_on(event.number, how)

        live = LiveTranscription(self._ways.hub, self._ways.listener, take, request)
        try:
            tail_ms = await self._listen(live, recording)
            ended = asyncio.get_running_loop().time()
            if not self.is_cancelled:
                await live.end()
            recognised_ms = _ms_since(ended)
        finally:
            await live.close()
            seconds = await asyncio.to_thread(recording.close)
            await self._note(recording, seconds=seconds)
        return Took(seconds, tail_ms, recognised_ms)

    async def _listen(self, live: LiveTranscription, recording: Recording) -> float:
        """Until the key is let go and what was being said is said; returns how long that took, in ms."""
        loop = asyncio.get_running_loop()
        while True:
            self._follow_microphone()
            pcm = self._intake.take(self._last_position)
            if pcm.size:
                await asyncio.to_thread(recording.append, pcm)
                if not self.is_cancelled:
                    await live.push(int16_from_float(pcm))
            if not self._released.is_set():
                await self._tick()
            elif self._is_over(live) or loop.time() - self._released_at >= SILENT_S:
                return _ms_since(self._released_at)
            else:
                await asyncio.sleep(TICK_S)

    def _follow_microphone(self) -> None:
        """One that was unplugged and replaced in mid-sentence: what the new one brings belongs to it too."""
        ears = self._ways.sound.ears
        if ears is not None and ears is not self._ears and not self._released.is_set():
            self._ears = ears
            self._intake = Intake(ears.ring, ears.rate_hz, HEARING_RATE, pre_roll_ms=PRE_ROLL_MS)

    async def _tick(self) -> None:
        """Until there may be more sound, or the key is let go."""
        try:
            async with asyncio.timeout(TICK_S):
                await self._released.wait()
        except TimeoutError:
            pass

    def _is_over(self, live: LiveTranscription) -> bool:
        """Whether all is here that was said before the key was let go, and the word that was on the tongue."""
        end = self._last_position if live.is_hearing else min(self._released_position, self._last_position)
        return self.is_cancelled or self._intake.position >= end

    def _take(self, event: Event) -> None:
        match event:
            case Partial(number, _, _, stable, tail):
                said = " ".join(text for at, text in sorted(self._finals.items()) if at < number)
                self._show.preview(f"{said} {stable}".strip(), tail)
            case Final(number=number, text=text, start_s=start_s, end_s=end_s):
                # What the detector took for a voice may still be none: a text that cannot have been said is dropped.
                if doubt(Heard(text, end_s - start_s)) is None:
                    self._finals[number] = text
                self._show.preview(" ".join(self._finals.values()), "")
            case Failed(message=message, hint=hint):
                self._has_failed = True
                self._show.problem(f"{message} ({hint})")

    async def _type_on(self, number: int, how: Writing) -> None:
        piece = written(self._finals.get(number, ""), how, self._typed)
        if not piece.text:
            return
        done = await self._ways.injector.type(piece.text, press_enter=piece.presses_enter)
        self._typed += piece.text + "\n" * piece.presses_enter
        if done.outcome not in ("typed", "pasted"):
            self._show.problem(done.note)

    async def _deliver(self, recording: Recording, profile: Profile, how: Writing, took: Took) -> None:
        final = written(self._raw(), how)
        loop = asyncio.get_running_loop()
        began, text = loop.time(), final.text
        if text and self._ways.llm is not None and not self._wish.raw and profile.clean is not False:
            text = await cleaned(text, self._ways.llm) or text
        took = replace(took, cleaned_ms=_ms_since(began))
        # Before it is typed: whatever the window does with it, it can be found and pasted again.
        await self._note(recording, raw=self._raw(), text=text)
        began, done = loop.time(), Done("failed" if self._has_failed else "nothing", "none")
        if text:
            presses_enter = final.presses_enter or profile.press_enter
            done = await self._ways.injector.type(text + " " * profile.trailing_space, press_enter=presses_enter)
        await self._end(recording, replace(took, injected_ms=_ms_since(began)), text, done)

    async def _end(self, recording: Recording, took: Took, text: str, done: Done) -> None:
        await self._note(recording, raw=self._raw(), text=text, outcome=done.outcome, wait_ms=took.wait_ms)
        self._show.report(Report(recording.entry_id, text, took, done))

    def _raw(self) -> str:
        return " ".join(filter(None, self._finals.values()))

    async def _note(self, recording: Recording, **changes: str | float | None) -> None:
        await asyncio.to_thread(partial(self._ways.history.note, recording.entry_id, **changes))


def _ms_since(moment: Seconds) -> float:
    return (asyncio.get_running_loop().time() - moment) * 1000
