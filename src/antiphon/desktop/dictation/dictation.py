"""Dictation: from the press of a key to the text in a window, one recording at a time.

Sound goes to disk and to the recogniser while it is spoken; each utterance is recognised at its pause, so that the end
of a long dictation waits for its last one only. It does not know keys, windows or engines: they are handed in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Seconds
from antiphon.desktop.dictation.cleaning import cleaned
from antiphon.desktop.dictation.history import History, Recording
from antiphon.desktop.dictation.injection import Done, Injector
from antiphon.desktop.dictation.preferences import Preferences
from antiphon.desktop.dictation.text import RAW, written
from antiphon.desktop.intake import Intake
from antiphon.desktop.sound import Sound
from antiphon.engines.api import Listener, Llm, SttRequest
from antiphon.engines.stt.checks import Heard, doubt
from antiphon.errors import AntiphonError, ConfigError
from antiphon.hearing.hub import HearingHub
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, Partial

log = logging.getLogger("antiphon.desktop")

PRE_ROLL_MS = 500  # what was said while the finger was on its way to the key
TAIL_S: Seconds = 0.25  # what is said while the finger leaves it; less where nobody speaks
TICK_S: Seconds = 0.02

State = Literal["idle", "recording", "working"]


class Ways(Struct, frozen=True):
    """What dictation works with."""

    sound: Sound
    hub: HearingHub
    listener: Listener
    history: History
    injector: Injector
    llm: Llm | None = None
    """Cleans texts up, if anything does."""


class Report(Struct, frozen=True):
    """One dictation, and where its time went."""

    entry_id: int
    text: str
    outcome: str
    seconds: float
    tail_ms: float
    """From the release of the key to the last sound that was taken in."""
    recognised_ms: float
    """From there to the last utterance's text: the recogniser's own time is most of it."""
    cleaned_ms: float
    injected_ms: float
    way: str
    note: str = ""


class Show(Struct, frozen=True):
    """Whom to tell what."""

    preview: Callable[[str, str], None]
    """The stable and the unstable text so far."""
    report: Callable[[Report], None]
    problem: Callable[[str], None]


class Dictation:
    """One microphone, one recording at a time. All methods are for one event loop."""

    def __init__(self, ways: Ways, preferences: Preferences, show: Show, request: SttRequest) -> None:
        self.state: State = "idle"
        self._ways = ways
        self._preferences = preferences
        self._show = show
        self._request = request
        self._finals: dict[int, str] = {}
        self._released: asyncio.Event = asyncio.Event()
        self._is_cancelled = False
        self._is_raw = False
        self._work: asyncio.Task[None] | None = None

    async def act(self, command: str) -> str:
        """What the control socket asks for; the answer is one line."""
        match command:
            case "start" | "press":
                self.start()
            case "stop" | "release":
                self.stop()
            case "toggle":
                self.stop() if self.state == "recording" else self.start()
            case "cancel":
                self.cancel()
            case "paste-last":
                return await self._paste_last()
            case _:
                pass
        return self.state

    def start(self, *, raw: bool = False) -> None:
        """Begin a recording, unless one is under way. `raw` leaves the text as it was recognised."""
        if self.state != "idle":
            return
        self.state = "recording"
        self._released.clear()
        self._is_cancelled, self._is_raw = False, raw
        self._finals = {}
        self._work = asyncio.get_running_loop().create_task(self._dictate(), name="dictation")

    def stop(self) -> None:
        """The key was let go: the text follows."""
        if self.state == "recording":
            self._released.set()

    def cancel(self) -> None:
        """No text. The sound stays in the history."""
        self._is_cancelled = True
        self._released.set()

    async def settled(self) -> None:
        """Wait until nothing is recorded or worked on."""
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)

    async def close(self) -> None:
        self.cancel()
        await self.settled()

    # --- one recording

    async def _dictate(self) -> None:
        try:
            await self._record()
        except AntiphonError as error:
            self._show.problem(str(error))
        except Exception:  # a border: this dictation failed, its sound is kept, and the next one works
            log.exception("a dictation failed")
            self._show.problem("this dictation failed; its sound is in the history: antiphon dictate history")
        finally:
            self.state = "idle"

    async def _record(self) -> None:
        ears = self._ways.sound.ears
        if ears is None:
            raise ConfigError("there is no microphone now", "Plug one in; antiphon doctor lists them.")
        recording = await asyncio.to_thread(self._ways.history.begin, datetime.now(UTC))
        intake = Intake(ears.ring, ears.rate_hz, HEARING_RATE, pre_roll_ms=PRE_ROLL_MS)
        live = LiveTranscription(self._ways.hub, self._ways.listener, self._take, self._request)
        try:
            try:
                tail_ms = await self._listen(intake, live, recording)
                if self._is_cancelled:
                    self._note(recording, "cancelled")
                    return
                self.state = "working"
                ended = asyncio.get_running_loop().time()
                await live.end()
                recognised_ms = _ms_since(ended)
            finally:
                await live.close()
                seconds = await asyncio.to_thread(recording.close)
                self._ways.history.note(recording.entry_id, seconds=seconds)
            await self._deliver(recording, seconds, tail_ms, recognised_ms)
        except BaseException:
            self._note(recording, "failed")
            raise

    async def _listen(self, intake: Intake, live: LiveTranscription, recording: Recording) -> float:
        """Until the key is let go and what was being said is said; returns how long that took, in ms."""
        loop = asyncio.get_running_loop()
        released_at: Seconds | None = None
        while True:
            pcm = intake.take()
            if pcm.size:
                recording.append(pcm)
                await live.push(int16_from_float(pcm))
            if self._released.is_set():
                released_at = released_at or loop.time()
                if self._is_cancelled or loop.time() - released_at >= TAIL_S or not live.is_hearing:
                    return _ms_since(released_at)
            await asyncio.sleep(TICK_S)

    async def _take(self, event: Event) -> None:
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
                self._show.problem(f"{message} ({hint})")

    async def _deliver(self, recording: Recording, seconds: float, tail_ms: float, recognised_ms: float) -> None:
        raw = " ".join(filter(None, self._finals.values()))
        profile = self._preferences.profile(await self._ways.injector.window_class())
        final = written(raw, RAW if self._is_raw else self._preferences.writing(profile))
        began = asyncio.get_running_loop().time()
        text = final.text
        if self._ways.llm is not None and not self._is_raw and profile.clean is not False and text:
            text = await cleaned(text, self._ways.llm) or text
        cleaned_ms = _ms_since(began)
        # Before it is typed: whatever the window does with it, it can be found and pasted again.
        self._ways.history.note(recording.entry_id, raw=raw, text=text)
        began = asyncio.get_running_loop().time()
        presses_enter = final.presses_enter or profile.press_enter
        done = Done("failed", "copy", "Nothing was heard.")
        if text:
            done = await self._ways.injector.type(text + " " * profile.trailing_space, press_enter=presses_enter)
        outcome = done.outcome if text else "nothing"
        wait_ms = tail_ms + recognised_ms + cleaned_ms
        self._ways.history.note(recording.entry_id, outcome=outcome, wait_ms=wait_ms)
        self._show.report(
            Report(
                recording.entry_id, text, outcome, seconds, tail_ms, recognised_ms, cleaned_ms, _ms_since(began),
                done.way, done.note,
            )
        )  # fmt: skip

    def _note(self, recording: Recording, outcome: str) -> None:
        self._ways.history.note(recording.entry_id, outcome=outcome)

    async def _paste_last(self) -> str:
        last = await asyncio.to_thread(self._ways.history.last)
        if last is None:
            return "error: nothing was dictated yet"
        return (await self._ways.injector.type(last.text)).outcome


def _ms_since(moment: Seconds) -> float:
    return (asyncio.get_running_loop().time() - moment) * 1000
