"""What the session says though nobody has asked for it: greetings, news, apologies, and phrases while tools are slow.

It holds the words until there is room for them. When nobody speaks, and in which response they are said, is the
session's.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from antiphon.session.audible import Audible
from antiphon.session.inputs import TaskEnded
from antiphon.session.outputs import Say
from antiphon.session.room import Room

ANNOUNCEMENTS = 32  # that may wait to be spoken; whoever has more to say than this is not listened to anyway


class Announcement(Struct, frozen=True):
    """Something to say that no model has to be asked for."""

    text: str
    is_fixed: bool = False
    """It is said again and again, in the same words."""
    is_apology: bool = False
    """It gives way to a response that a client asks for: that is the better answer to a failure."""


class Unasked:
    """For one session."""

    def __init__(self, room: Room) -> None:
        self.announcements: deque[Announcement] = deque(maxlen=ANNOUNCEMENTS)
        self.news: deque[TaskEnded] = deque(maxlen=ANNOUNCEMENTS)
        """Of tasks that have ended, which the model has not been told of."""
        self._room = room
        self._has_greeted = False

    @property
    def waits(self) -> bool:
        """Whether there is something to say."""
        return bool(self.announcements or self.news)

    def greet(self) -> None:
        """Once for each session."""
        if self._room.config.greeting and not self._has_greeted:
            self._has_greeted = True
            self.announcements.append(Announcement(self._room.config.greeting, is_fixed=True))

    def apologise(self, code: str) -> None:
        """An answer has failed for this reason."""
        config, language = self._room.config, self._language
        is_elsewhere = code.startswith("upstream_") and language in config.unreachable
        sorry = (config.unreachable if is_elsewhere else config.apologies).get(language)
        if sorry:
            self.announcements.append(Announcement(sorry, is_fixed=True, is_apology=True))

    def forget_apologies(self) -> None:
        """What they are for is asked anew."""
        for announcement in [each for each in self.announcements if each.is_apology]:
            self.announcements.remove(announcement)

    @property
    def has_filler(self) -> bool:
        """Whether there is a phrase in the language of the conversation."""
        return self._filler is not None

    def filler(self, progress: str) -> Announcement:
        """How far the tools are, if they have said so, or a phrase."""
        if progress:
            return Announcement(progress)
        return Announcement(self._filler or "", is_fixed=True)

    @property
    def _filler(self) -> str | None:
        return self._room.config.fillers.phrases.get(self._language)

    @property
    def _language(self) -> str:
        return (self._room.language or "en").partition("-")[0]

    def say(self, response: Audible, announcement: Announcement, work: int) -> None:
        """It is said in this response, under this number."""
        manner = response.manner
        self._room.emit(
            Say(
                work=work,
                response_id=response.id,
                text=announcement.text,
                voice=manner.voice if manner.speaks else None,
                speed=manner.speed,
                output_format=manner.output_format,
                language=self._room.language,
                is_fixed=announcement.is_fixed,
            )
        )
