"""Reads off a session's steps what is worth keeping of its conversation: another reader beside trace and timeline.

After a step that may have changed an item it looks at the end of the conversation, and hands over what is new there:
also what no connection is told of, such as the calls of the server's own tools, and how much of an answer was heard.
It does not know where changes go, and neither waits nor fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, ClassVar

import msgspec

from antiphon.audio.units import Seconds, seconds_from_samples
from antiphon.observe.timeline import Turn, moment_of
from antiphon.session import inputs, outputs
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.inputs import Input
from antiphon.session.items import Item, Message, Picture, Role, Speech, Status
from antiphon.session.outputs import Output
from antiphon.store.changes import Change, ItemGone, SessionEnded, UnixSeconds
from antiphon.store.drafts import Draft, ItemDraft, TurnDraft

RECENT = 12  # items at the end that are looked at: more than one step adds, with the calls that tools made


class Keeping:
    """One session's. `record` takes its steps, `turn_ended` its timeline's turns."""

    def __init__(
        self, session_id: str, conversation: Conversation, put: Callable[[Change | Draft], None], began: Seconds,
        began_at: UnixSeconds,
    ) -> None:  # fmt: skip
        """The session began at `began` on the loop's clock, which was `began_at` on the wall's."""
        self._session_id = session_id
        self._conversation = conversation
        self._put = put
        self._began = began
        self._began_at = began_at
        self._known: dict[str, tuple[Item, str | None]] = {}
        """The versions that were handed over of the items at the end, and how much of them was heard."""
        for entry in conversation.latest(conversation.count):  # they are another session's
            self._known[entry.item.id] = entry.item, entry.heard
        self._wordless: set[str] = set()
        """Items that wait for their words, wherever they are."""
        self._places: dict[str, float] = {}
        self._sounded_from: dict[str, Seconds] = {}
        self._told_by = self._outputs
        self._added: dict[str, Seconds] = {}
        self._stream_began: Seconds | None = None
        """When the first sample of the person's sound would have come, if all had come as the last did."""
        self._turns = 0
        self._has_news = False
        """Something of this step may have changed the end of the conversation."""
        self._named: list[str] = []
        """Items that this step names, wherever they are."""

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        """Take in one step of the session. Two look-ups by type, for all but a few."""
        told = self._inputs.get(type(item))
        if told is not None:
            told(self, now, item)
        told_by = self._told_by
        for output in out:
            told = told_by.get(type(output))
            if told is not None:
                told(self, now, output)
        if self._has_news:
            self._has_news = False
            self._look(now)
        if self._named:
            for item_id in self._named:
                self._look_at(item_id, now)
            self._named.clear()

    def turn_ended(self, turn: Turn) -> None:
        """A turn's answer has ended."""
        # A copy, for words that are recognised later still find their way into the timeline's own.
        self._put(TurnDraft(self._session_id, self._turns, copy(turn), self._began))
        self._turns += 1

    def session_ended(self, now: Seconds, reason: str) -> None:
        self._put(SessionEnded(self._session_id, round(self._at(now), 3), reason))

    # --- items

    def _news(self, now: Seconds, cause: object) -> None:
        self._has_news = True

    def _name(self, now: Seconds, cause: inputs.AudioPlayed | outputs.ItemTruncated) -> None:
        self._named.append(cause.item_id)

    def _look(self, now: Seconds) -> None:
        """Hand over what is new at the end, and words that have come."""
        known, changed = self._known, []
        for entry in self._conversation.latest(RECENT):
            item = entry.item
            version = known.get(item.id)
            if version is None or version[0] is not item or version[1] != entry.heard:
                changed.append(entry)
        for entry in reversed(changed):
            self._keep(entry, now)
        for item_id in tuple(self._wordless):
            self._look_at(item_id, now)
        if len(known) > 4 * RECENT:
            for item_id in list(known)[:-RECENT]:
                del known[item_id]

    def _look_at(self, item_id: str, now: Seconds) -> None:
        entry = self._conversation.entry(item_id)
        if entry is None:
            self._wordless.discard(item_id)
        elif self._known.get(item_id) != (entry.item, entry.heard):
            self._keep(entry, now)

    def _item_added(self, now: Seconds, added: outputs.ItemAdded) -> None:
        self._has_news = True
        self._named.append(added.item.id)  # it may be anywhere

    def _item_deleted(self, now: Seconds, deleted: outputs.ItemDeleted) -> None:
        item_id = deleted.item_id
        self._known.pop(item_id, None)
        self._wordless.discard(item_id)
        for times in (self._added, self._sounded_from, self._places):
            times.pop(item_id, None)
        self._put(ItemGone(self._session_id, item_id))

    def _keep(self, entry: Entry, now: Seconds) -> None:
        item = entry.item
        added = self._added.setdefault(item.id, now)
        place = self._place(item.id)
        if item.status is Status.IN_PROGRESS:
            return
        self._known[item.id] = item, entry.heard
        speech = _speech_of(item)
        if speech is not None and speech.transcript is None:
            self._wordless.add(item.id)
        else:
            self._wordless.discard(item.id)
        start, end = (added, added) if speech is None else self._span(item, speech, added)
        self._put(
            ItemDraft(
                session_id=self._session_id,
                item_id=item.id,
                place=place,
                at=self._at(added),
                start_s=start - self._began,
                end_s=end - self._began,
                item=_without_pictures(item),
                heard=entry.heard,
            )
        )

    def _place(self, item_id: str) -> float:
        """A number between those of its neighbours."""
        place = self._places.get(item_id)
        if place is None:
            before, after = (self._places.get(id or "") for id in self._conversation.neighbours(item_id))
            if after is None:
                place = 1.0 if before is None else before + 1.0
            else:
                place = after - 1.0 if before is None else (before + after) / 2
            self._places[item_id] = place
        return place

    # --- times

    def _voice(self, now: Seconds, voice: inputs.VoiceBegan | inputs.VoicePaused) -> None:
        self._stream_began = moment_of(0, voice.heard, voice.arrived)

    def _output_began(self, now: Seconds, began: outputs.OutputBegan) -> None:
        self._told_by = self._outputs_and_sound

    def _sounded(self, now: Seconds, sent: outputs.AudioSent) -> None:
        """The first sound of an item. There are ten pieces a second, which need not be looked at."""
        self._sounded_from.setdefault(sent.item_id, now)
        self._told_by = self._outputs

    def _at(self, now: Seconds) -> UnixSeconds:
        return self._began_at + now - self._began

    def _span(self, item: Item, speech: Speech, added: Seconds) -> tuple[Seconds, Seconds]:
        """When its sound began and ended; an answer is played from the moment at which it was sent."""
        length = seconds_from_samples(speech.stop - speech.start)
        if isinstance(item, Message) and item.role is Role.ASSISTANT:
            start = self._sounded_from.get(item.id, added)
            return start, start + length
        if self._stream_began is None or speech.clip is not None:
            return max(self._began, added - length), added
        # What comes faster than it was spoken would have begun before the session.
        start = max(self._began, self._stream_began + seconds_from_samples(speech.start))
        return start, start + length

    _inputs: ClassVar[Mapping[type, Callable[[Any, Seconds, Any], None]]] = {
        inputs.VoiceBegan: _voice,
        inputs.VoicePaused: _voice,
        inputs.TranscriptReady: _news,
        inputs.WorkFailed: _news,
        inputs.AudioPlayed: _name,
        inputs.UpstreamSaid: _news,
        inputs.Finish: _news,
    }
    _outputs: ClassVar[Mapping[type, Callable[[Any, Seconds, Any], None]]] = {
        outputs.OutputBegan: _output_began,
        outputs.ItemAdded: _item_added,
        outputs.ItemDeleted: _item_deleted,
        outputs.ItemTruncated: _name,
        outputs.OutputEnded: _news,
        outputs.Generate: _news,
        outputs.ResponseEnded: _news,
        outputs.SpeechStarted: _news,
        outputs.PlaybackCleared: _news,
        outputs.McpCallEnded: _news,
    }
    """What may come with a new item, or with another version of one."""
    _outputs_and_sound: ClassVar[Mapping[type, Callable[[Any, Seconds, Any], None]]] = {
        **_outputs,
        outputs.AudioSent: _sounded,
    }


def _without_pictures(item: Item) -> Item:
    """They are megabytes each, and nobody searches them."""
    if not isinstance(item, Message) or not any(isinstance(part, Picture) for part in item.content):
        return item
    content = tuple(part for part in item.content if not isinstance(part, Picture))
    return msgspec.structs.replace(item, content=content)


def _speech_of(item: Item) -> Speech | None:
    """Its sound, if it has any; of several, the first whose words are not known, or else the first."""
    sounds = [part for part in item.content if isinstance(part, Speech)] if isinstance(item, Message) else []
    if len(sounds) <= 1:
        return sounds[0] if sounds else None
    return next((sound for sound in sounds if sound.transcript is None), sounds[0])
