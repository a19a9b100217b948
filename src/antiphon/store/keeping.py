"""Takes from a session's steps what is worth keeping of its conversation: another reader beside trace and timeline.

The conversation says which of its items a step has changed, and what is new of them is handed over: also what no
connection is told of, such as the calls of the server's own tools, and how much of an answer was heard. It does not
know where changes go, and neither waits nor fails.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import msgspec

from antiphon.audio.units import Seconds, seconds_from_samples
from antiphon.observe.timeline import Turn, moment_of
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.inputs import Input, VoiceBegan, VoicePaused
from antiphon.session.items import Item, Message, Picture, Role, Speech, Status
from antiphon.session.outputs import AudioSent, Output
from antiphon.store.changes import Change, ItemGone, SessionEnded, UnixSeconds
from antiphon.store.drafts import Draft, ItemDraft, TurnDraft


class Keeping:
    """One session's. `record` takes its steps, `turn_ended` its timeline's turns."""

    def __init__(
        self, session_id: str, conversation: Conversation, put: Callable[[Change | Draft], None], began: Seconds,
        began_at: UnixSeconds,
    ) -> None:  # fmt: skip
        """The session began at `began` on the loop's clock, which was `began_at` on the wall's. Items that are there
        already are another session's."""
        self._session_id = session_id
        self._conversation = conversation
        self._changes = conversation.watch()
        self._put = put
        self._began = began
        self._wall = began_at - began
        """What the wall's clock is ahead of the loop's."""
        self._known: dict[str, tuple[float, Seconds]] = {}
        """Of each item its place among the others, and when it was added."""
        self._sounded_from: dict[str, Seconds] = {}
        self._awaits_sound = False
        """An answer has begun of which nothing was sent yet."""
        self._stream_began: Seconds | None = None
        """When the first sample of the person's sound would have come, if all had come as the last did."""
        self._turns = 0

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        """Take in one step of the session. Of a hundred in a turn, all but a few are none of its business."""
        if type(item) is VoiceBegan or type(item) is VoicePaused:
            self._stream_began = moment_of(0, item.heard, item.arrived)
        if self._changes:
            self._look(now)
        if self._awaits_sound:
            self._listen(now, out)

    def turn_ended(self, turn: Turn) -> None:
        """A turn's answer has ended."""
        # A copy, for words that are recognised later still find their way into the timeline's own.
        self._put(TurnDraft(self._session_id, self._turns, copy(turn), self._began))
        self._turns += 1

    def session_ended(self, now: Seconds, reason: str) -> None:
        self._put(SessionEnded(self._session_id, round(self._wall + now, 3), reason))

    # --- items

    def _look(self, now: Seconds) -> None:
        """Hand over what has changed."""
        for item_id in self._changes:
            entry = self._conversation.entry(item_id)
            if entry is None:
                self._forget(item_id)
            else:
                self._keep(entry, now)
        self._changes.clear()

    def _forget(self, item_id: str) -> None:
        for times in (self._known, self._sounded_from):
            times.pop(item_id, None)
        self._put(ItemGone(self._session_id, item_id))

    def _keep(self, entry: Entry, now: Seconds) -> None:
        item = entry.item
        known = self._known.get(item.id)
        if known is None:
            known = self._known[item.id] = self._place(item.id), now
        place, added = known
        if item.status is Status.IN_PROGRESS:
            self._awaits_sound = True
            return
        speech = _speech_of(item)
        start, end = (added, added) if speech is None else self._span(item, speech, added)
        self._put(
            ItemDraft(
                session_id=self._session_id,
                item_id=item.id,
                place=place,
                at=self._wall + added,
                start_s=start - self._began,
                end_s=end - self._began,
                item=_without_pictures(item),
                heard=entry.heard,
            )
        )

    def _place(self, item_id: str) -> float:
        """A number between those of its neighbours."""
        id_before, id_after = self._conversation.neighbours(item_id)
        before, after = self._known.get(id_before or ""), self._known.get(id_after or "")
        if after is None:
            return 1.0 if before is None else before[0] + 1.0
        return after[0] - 1.0 if before is None else (before[0] + after[0]) / 2

    # --- times

    def _listen(self, now: Seconds, out: list[Output]) -> None:
        """Note when the first sound of an answer was sent. There are ten pieces a second, which are not looked at."""
        for output in out:
            if type(output) is AudioSent:
                self._sounded_from.setdefault(output.item_id, now)
                self._awaits_sound = False

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


def _without_pictures(item: Item) -> Item:
    """They are megabytes each, and nobody searches them."""
    if not isinstance(item, Message):
        return item
    content = tuple([part for part in item.content if not isinstance(part, Picture)])
    return item if len(content) == len(item.content) else msgspec.structs.replace(item, content=content)


def _speech_of(item: Item) -> Speech | None:
    """Its sound, if it has any; of several, the first."""
    for part in item.content if isinstance(item, Message) else ():
        if isinstance(part, Speech):
            return part
    return None
