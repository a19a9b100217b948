"""How much of our answers the person has heard, and what that means for the conversation.

The speaker says so where the server plays, the client's player where that does, and a clock where nobody does. When an
answer is ended, and who tells another server of it, is the session's.
"""

from __future__ import annotations

import math

from antiphon.audio.units import Seconds, ms_from_samples
from antiphon.errors import PeerError
from antiphon.session import inputs
from antiphon.session.audible import Audible
from antiphon.session.item_requests import ItemRequests
from antiphon.session.outputs import ItemTruncated, Remark
from antiphon.session.playback import Playback, Unheard
from antiphon.session.room import Room


class Heard:
    """For all answers of a session."""

    def __init__(self, room: Room, items: ItemRequests) -> None:
        self.last: Audible | None = None
        """The answer that was over last, unless somebody spoke over it."""
        self._room = room
        self._items = items
        self._playback = Playback(room.emit) if room.config.plays else None

    @property
    def until(self) -> Seconds:
        """When all that was sent will have been played: now or later, for ever if only the speaker can say."""
        now = self._room.now
        if self._playback is not None:
            return math.inf if self._playback.is_busy else now
        ends = self.last.playout.ends_at() if self.last is not None else None
        return now if ends is None else max(now, ends)

    @property
    def is_at_speaker(self) -> bool:
        """Whether something waits to be played by the server."""
        return self._playback is not None and self._playback.is_busy

    def add(self, answer: Audible) -> None:
        """Its sound will be played."""
        if self._playback is not None:
            self._playback.add(answer)

    def forget_silent(self) -> None:
        """Let go of answers that ended without a sound."""
        if self._playback is not None:
            self._playback.forget_silent()

    # --- reports

    def report(self, played: inputs.Played) -> bool:
        """The speaker says how far it is. Returns whether that was the last of an answer."""
        ended = self._playback.report(played, self._room.now) if self._playback is not None else None
        if ended is None:
            return False
        # What was cut while it still played has been heard a little further since.
        for item_id, words in ended.spoken().items():
            self._room.conversation.hear_until(item_id, words)
        return True

    def confirm(self, item: inputs.AudioPlayed, active: Audible | None) -> bool:
        """A client says how far its own player is; where the server plays, the speaker knows better. Returns whether it
        plays the answer that is being made, or was last."""
        if self._playback is not None:
            return False
        if any(
            one.confirm(item.item_id, item.played, self._room.now) for one in (active, self.last) if one is not None
        ):
            return True
        conversation = self._room.conversation
        entry = conversation.visible(item.item_id)
        if entry is not None and entry.ledger is not None and entry.heard is not None:
            # It was cut, by our clock; the player knows better where. What a truncation said stands.
            heard = min(item.played, entry.ledger.kept)
            conversation.hear_until(item.item_id, entry.ledger.text_until(heard))
        else:
            self._room.emit(Remark(f"nothing of item {item.item_id[:40]} is being played"))
        return False

    # --- ends

    def note(self, answer: Audible) -> None:
        """No more of it will be heard than was by now."""
        if answer.conversation is not None:
            for item_id, words in answer.heard(self._room.now).items():
                answer.conversation.hear_until(item_id, words)

    def check_clear(self) -> None:
        """Raises `PeerError` where there is nothing that a client could clear."""
        if self._playback is None:
            raise PeerError(
                "Invalid value: 'output_audio_buffer.clear'. It is only for connections where the server plays.",
                "On a WebSocket, stop playing and send response.cancel and conversation.item.truncate.",
                code="invalid_value",
                param="type",
            )

    def stop(self, *, also_detached: bool) -> list[Unheard]:
        """Play no more. What was not heard is not part of the conversation; we play ourselves, so nobody has to tell
        us. Returns what was cut."""
        if self._playback is None:
            return []
        cuts = []
        for cut in self._playback.clear(self._room.now, also_detached=also_detached):
            entry = self._room.conversation.visible(cut.item_id)
            if entry is None or entry.ledger is None:
                continue
            self._items.cut(entry, entry.ledger, cut.heard)
            self._room.emit(ItemTruncated(cut.item_id, 0, ms_from_samples(cut.heard)))
            cuts.append(cut)
        return cuts
