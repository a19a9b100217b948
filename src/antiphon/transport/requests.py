"""A text message of a connection, made a request to its session: the same for every kind of connection.

What is not for the session but for the connection itself, sound and a goodbye, goes back to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.audio.formats import read_whole
from antiphon.audio.units import Samples
from antiphon.errors import PeerError
from antiphon.protocol.client import AudioAppend, SessionUpdate
from antiphon.protocol.codec import BadMessage, decode
from antiphon.protocol.inbound import Append, Goodbye, read
from antiphon.runtime.drive import Drive
from antiphon.session import inputs

LONGEST_UPDATE = 512 * 1024  # characters of a session.update, all of which is echoed: some hundred tools


def take_text(drive: Drive, name: str, text: str) -> Append | Goodbye | None:
    """Ask the session what the connection of this name asks. What cannot be understood is refused there too."""
    message = decode(text)
    if isinstance(message, AudioAppend):  # 99 of 100 are, and mean what they say
        return Append(message.audio, message.event_id)
    if isinstance(message, BadMessage):
        refuse(drive, name, message.error, message.event_id)
        return None
    try:
        if isinstance(message, SessionUpdate):
            _check_update(text)
        meaning = read(message, name, drive.position, _Luggage(drive))
    except PeerError as error:
        refuse(drive, name, error, message.event_id)
        return None
    if isinstance(meaning, Append | Goodbye):
        return meaning
    drive.ask(meaning)
    return None


def refuse(drive: Drive, name: str, error: PeerError, event_id: str | None) -> None:
    """Tell the connection of this name, and no other, what was wrong with its message."""
    drive.ask(inputs.Malformed(name, event_id, error.message, error.code, error.param))


def no_sound_here() -> PeerError:
    """What a connection of a call hears when it sends sound."""
    return PeerError(
        "Invalid value: 'input_audio_buffer.append'. In a call, sound comes on its audio track.",
        "Send the microphone's track with the offer, and only messages here.",
        code="invalid_value",
        param="type",
    )


def _check_update(text: str) -> None:
    if len(text) > LONGEST_UPDATE:
        raise PeerError(
            f"This session.update is longer than {LONGEST_UPDATE} characters.",
            "Shorten the instructions, or offer fewer tools.",
            code="string_above_max_length",
            param="session",
        )


class _Luggage:
    """Gives the sounds and secrets that a message brings to the session's runtime."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive

    def sound(self, data: bytes, param: str) -> tuple[int, Samples]:
        pcm = read_whole(data, self._drive.session.settings.input_format.kind, param)
        return self._drive.bring(pcm), pcm.size

    def address(self, url: str, headers: Mapping[str, str], param: str) -> int:
        return self._drive.mcp_addresses.address(url, headers, param)
