"""The words of what is being said, while it is being said.

What is followed becomes an item in the end; until then its words are told under the id that the item will have. In a
session that only writes down, whoever follows also brings the transcript. In a conversation they are for the screen
alone: what is answered are the words of the whole, recognised as if nobody had followed. It does not know who
recognises, nor who says where an item begins and ends.
"""

from __future__ import annotations

from antiphon.audio.units import Samples
from antiphon.session import inputs, outputs
from antiphon.session.inputs import Result
from antiphon.session.room import Room


class Following:
    """What is followed now, if anything. A change of the settings holds for what begins after it."""

    def __init__(self, room: Room) -> None:
        self.task: outputs.Follow | None = None
        self.item_id: str | None = None
        """Of the item that will be made of it: words may have been told under it, even if nobody follows any more."""
        self._room = room
        self._has_failed = False
        """For what is being said now, nobody is asked again: once it is an item, its words are."""

    @property
    def is_wanted(self) -> bool:
        settings, config = self._room.settings, self._room.config
        follows = config.follows if settings.kind == "transcription" else config.follows_conversation
        return follows and settings.transcription is not None

    @property
    def brings_transcript(self) -> bool:
        """Whether the words of what is said now will not be asked for again."""
        return self.task is not None and self._room.settings.kind == "transcription"

    def begin(self, item_id: str, start: Samples, *, is_turn: bool) -> None:
        """Follow what is said from here on, if somebody wants to read it. `is_turn`: the detector heard it begin."""
        if self.task is not None or self._has_failed or not self.is_wanted:
            return
        wish = self._room.settings.transcription
        self.item_id = item_id
        self.task = outputs.Follow(
            work=self._room.new_work(),
            item_id=item_id,
            start=start,
            is_turn=is_turn,
            language=wish.language if wish else None,
            prompt=wish.prompt if wish else None,
            model=wish.model if wish else None,
            logprobs=self._room.settings.logprobs,
        )
        self._room.emit(self.task)

    def end(self, stop: Samples, voiced_to: Samples | None = None) -> outputs.Follow | None:
        """It becomes an item, and was said up to here; after `voiced_to` was no voice. Returns the work that brings its
        transcript; None if none does."""
        task = self.task
        if task is None or not self.brings_transcript:
            self._stop()
            return None
        self.task, self.item_id = None, None
        self._room.emit(outputs.Followed(task.work, stop, stop if voiced_to is None else voiced_to))
        return task

    def drop(self) -> None:
        """It will not be an item."""
        if self.item_id is not None:
            self._room.told_early.discard(self.item_id)
        self._stop()

    def _stop(self) -> None:
        task, self.task = self.task, None
        self.item_id, self._has_failed = None, False
        if task is not None:
            self._room.emit(outputs.StopWork(task.work))

    def expects(self, result: Result) -> bool:
        """Whether this is of what is followed now."""
        return self.task is not None and result.work == self.task.work

    def take(self, result: Result) -> None:
        """More words; or a failure, after which the item's words will be asked for anew."""
        assert self.task is not None
        if isinstance(result, inputs.TranscriptGrew):
            self._room.told_early.add(self.task.item_id)
            logprobs = result.logprobs if self.task.logprobs else ()
            self._room.emit(outputs.TranscriptionGrew(self.task.item_id, result.text, logprobs, result.tail))
            return
        self._room.emit(outputs.StopWork(self.task.work))
        self.task, self._has_failed = None, True
