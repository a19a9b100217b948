"""The words of what the person said: asked for, told to clients, and noted in the conversation.

Which stretch of sound is an item is the floor's; what follows from words, or from there being none, is the session's.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from antiphon.audio.units import Samples
from antiphon.session import inputs, outputs
from antiphon.session.allowances import Allowances
from antiphon.session.conversation import with_transcript
from antiphon.session.inputs import Result
from antiphon.session.items import Message, Speech
from antiphon.session.room import Room


class Recognised(Struct, frozen=True):
    """What the session does about it."""

    done: Callable[[str, str], None]
    """The words of this item are known; "" if there were none."""
    failed: Callable[[str, str, str], None]
    """They will not be: the item's id, a code, and why."""


class Recognition:
    """The recognitions of one session that are at work."""

    def __init__(self, room: Room, allowances: Allowances, recognised: Recognised) -> None:
        self.last: tuple[str, inputs.Reading] | None = None
        """The item whose words were recognised last, and how they read."""
        self._room = room
        self._allowances = allowances
        self._recognised = recognised
        self._tasks: dict[int, outputs.Transcribe | outputs.Follow] = {}

    def begin(self, item_id: str, start: Samples, stop: Samples, clip: int | None = None) -> None:
        """Ask for the words of this stretch, or of the clip of this number."""
        task = self._room.recognition(item_id, start, stop, clip)
        self.adopt(task)
        self._room.emit(task)

    def begin_clip(self, item_id: str, speech: Speech) -> None:
        """A sound that came with an item is recognised unless its words came with it."""
        if speech.transcript is None:
            self.begin(item_id, speech.start, speech.stop, speech.clip)

    def adopt(self, task: outputs.Transcribe | outputs.Follow) -> None:
        """It is at work already."""
        self._tasks[task.work] = task

    def expects(self, result: Result) -> bool:
        """Whether this is of work that was asked for here."""
        return result.work in self._tasks

    def take(self, result: Result) -> None:
        """What that work has brought."""
        task = self._tasks[result.work]
        item_id = task.item_id
        # A sound that came with an item is the client's own; it asked for the words of its buffer only.
        is_clip = isinstance(task, outputs.Transcribe) and task.clip is not None
        tell = self._room.settings.transcription is not None and not is_clip
        match result:
            case inputs.TranscriptGrew(text=text, logprobs=logprobs, tail=tail):
                # What was told while it was spoken is not told again, bit by bit, by who hears the whole.
                is_told = isinstance(task, outputs.Transcribe) and item_id in self._room.told_early
                if tell and not is_told:
                    wanted = logprobs if task.logprobs else ()
                    self._room.emit(outputs.TranscriptionGrew(item_id, text, wanted, tail))
            case inputs.TranscriptReady(text=text, seconds=seconds, language=language, logprobs=logprobs):
                self._end(result.work, item_id)
                self.last = (item_id, result.reading)
                if tell:
                    wanted = logprobs if task.logprobs else ()
                    self._room.emit(outputs.TranscriptionDone(item_id, text, seconds, language, wanted))
                if text.strip():
                    self._room.heard_language = language
                    self._allowances.hear(result.reading.consent)
                self._note(item_id, text)
            case inputs.WorkFailed(code=code, message=message):
                self._end(result.work, item_id)
                if tell:
                    self._room.emit(outputs.TranscriptionFailed(item_id, code, message))
                self._recognised.failed(item_id, code, message)
                self._note(item_id, "")
            case _:
                raise TypeError(f"no transcription expects {result!r}")

    def _end(self, work: int, item_id: str) -> None:
        del self._tasks[work]
        self._room.told_early.discard(item_id)

    def _note(self, item_id: str, text: str) -> None:
        entry = self._room.conversation.visible(item_id)
        if entry is not None:  # else it was deleted meanwhile, or never part of the conversation
            assert isinstance(entry.item, Message)
            self._room.conversation.replace(with_transcript(entry.item, text))
        self._recognised.done(item_id, text)

    def finish(self) -> None:
        """The session is over, and nothing more is asked of this."""
        for work in sorted(self._tasks):
            self._room.emit(outputs.StopWork(work))
        self._tasks.clear()
        del self._recognised  # it is the session's, which would wait for the garbage collector
