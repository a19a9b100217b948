"""Listens in on every connection that the server in this process has, and holds it against the protocol.

So each test with a real socket also tests that what was said on it was legal, without a word about it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.audio.units import Seconds
from antiphon.protocol.codec import encode
from antiphon.protocol.outbound import Outgoing, Projection
from antiphon.runtime.drive import Drive
from antiphon.session.outputs import Notice
from antiphon.testing.checker import Checker, Fault
from antiphon.transport.webrtc.call import Call
from antiphon.transport.websocket import WebSocketLink


class Wiretap:
    """Every connection from now on, until the patch is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._checkers: dict[int, tuple[Any, Checker]] = {}
        """By the projection's identity; the projection is kept, so that the identity stays its own."""
        messages, take_text, take_message = Projection.messages, WebSocketLink._take_text, Call._take

        def project(projection: Projection, notice: Notice, audio: bytes = b"", now: Seconds = 0.0) -> list[Outgoing]:
            found = messages(projection, notice, audio, now)
            for message in found:
                self._checker(projection).received(json.loads(encode(message)))
            return found

        def take(link: WebSocketLink, drive: Drive, text: str) -> None:
            self._note(link._projection, text)
            take_text(link, drive, text)

        def take_from_channel(call: Call, message: str | bytes) -> None:
            self._note(call._projection, message)
            take_message(call, message)

        patch.setattr(Projection, "messages", project)
        patch.setattr(WebSocketLink, "_take_text", take)
        patch.setattr(Call, "_take", take_from_channel)

    def _note(self, projection: Projection, message: str | bytes) -> None:
        """What a client sent."""
        checker = self._checker(projection)
        try:
            document = json.loads(message)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            checker.sent(document)
        else:
            checker.sent_unreadable()

    def _checker(self, projection: Projection) -> Checker:
        if id(projection) not in self._checkers:
            self._checkers[id(projection)] = projection, Checker("websocket" if projection.with_sound else "webrtc")
        return self._checkers[id(projection)][1]

    @property
    def connections(self) -> int:
        return len(self._checkers)

    def faults(self) -> list[Fault]:
        """What was wrong so far. Clients of tests hang up when they have seen enough, so nothing is awaited."""
        return [fault for _, checker in self._checkers.values() for fault in checker.faults]
