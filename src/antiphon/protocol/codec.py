"""Text to client messages, and server messages to text.

Pure: it does not know connections, sessions or time. `decode` never raises on what a client sent; it returns a
`BadMessage`, because whoever answers needs the client's own `event_id` together with the error. Base64 is dealt with
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from antiphon.errors import PeerError
from antiphon.protocol import client, diagnosis
from antiphon.protocol.additions import REQUESTS, AdditionMessage, AdditionRequest
from antiphon.protocol.client import ClientMessage
from antiphon.protocol.server import ServerMessage

Document = TypeVar("Document")
Incoming = ClientMessage | AdditionRequest
KNOWN: Mapping[str, type[Incoming]] = {**client.TYPES, **REQUESTS}

MAX_REPAIRS = 32  # whole numbers written as floats in one message: more than any has integers that a client sets
MAX_REPAIRED_LENGTH = 256 * 1024  # characters: a repair reads the text again, so a huge one is refused instead


class BadMessage(Struct, frozen=True):
    """A text frame that is no client message. Nothing of it may be acted on; the session goes on."""

    error: PeerError
    event_id: str | None
    """The client's own name for it, if it could be read."""


def decode(frame: str | bytes) -> Incoming | BadMessage:
    """Read one text frame.

    Keys that the protocol does not have are ignored. A whole number may be written as a float (500.0) wherever an
    integer belongs; never as a string.
    """
    try:
        return _CLIENT.decode(frame)
    except _FAULTS as fault:
        return _second_look(frame, fault)


def decode_document(body: str | bytes, kind: type[Document]) -> Document:
    """Read a JSON document that is not a message, such as the body of a request that makes a client secret.

    Raises `PeerError` with the same codes and paths as an `error` message would have.
    """
    try:
        return _read_document(body, kind)
    except msgspec.ValidationError as complaint:
        raise diagnosis.unfit(complaint, kind) from None
    except _FAULTS as fault:
        raise diagnosis.not_json(fault) from None


def _read_document(body: str | bytes, kind: type[Document]) -> Document:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as complaint:
        return cast(Document, _with_whole_numbers(body, kind, complaint))


def encode(message: ServerMessage | AdditionMessage) -> str:
    """One text frame."""
    return _encode(message).decode()


_FAULTS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that decoding raises: not JSON or not of the right shape, not UTF-8, nested too deeply."""
_CLIENT: msgspec.json.Decoder[Incoming] = msgspec.json.Decoder(Incoming)
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


# --- when it is not that easy ----------------------------------------------------------------------------------------


class _Envelope(Struct, frozen=True):
    """What can be read of a message whose content cannot."""

    type: Any = None
    event_id: Any = None

    @property
    def name(self) -> str | None:
        return self.event_id if isinstance(self.event_id, str) else None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def _second_look(frame: str | bytes, fault: Exception) -> Incoming | BadMessage:
    """The message after all, or what to tell its sender."""
    try:
        envelope = _ENVELOPE.decode(frame)
    except msgspec.ValidationError:
        return BadMessage(diagnosis.no_type(), None)
    except _FAULTS as worse:  # the first look stopped early: what follows is not even JSON
        return BadMessage(diagnosis.not_json(worse), None)
    if not isinstance(fault, msgspec.ValidationError):
        return BadMessage(diagnosis.not_json(fault), envelope.name)
    try:
        return cast(Incoming, _with_whole_numbers(frame, Incoming, fault))
    except msgspec.ValidationError as remaining:
        return BadMessage(_explain(envelope.type, remaining), envelope.name)
    except _FAULTS as worse:  # in a field that nobody reads, but the repair had to
        return BadMessage(diagnosis.not_json(worse), envelope.name)


def _explain(name: object, complaint: msgspec.ValidationError) -> PeerError:
    if name is None:
        return diagnosis.no_type()
    if not isinstance(name, str):
        return diagnosis.unfit(complaint, Incoming)
    if name not in KNOWN:
        return diagnosis.unknown_type(name, KNOWN)
    return diagnosis.unfit(complaint, KNOWN[name])


def _with_whole_numbers(text: str | bytes, kind: Any, complaint: msgspec.ValidationError) -> Any:
    """Read `text` as a `kind` once more, taking 500.0 for 500 wherever an integer is wanted.

    Numbers that may be floats, such as those in the JSON schema of a tool, stay as they were written. Raises the
    complaint that remains when that does not help.
    """
    if len(text) > MAX_REPAIRED_LENGTH or not diagnosis.wants_integer(complaint):
        raise complaint
    document = _ANYTHING.decode(text)
    for _ in range(MAX_REPAIRS):
        if not diagnosis.wants_integer(complaint) or not _make_whole(
            document, diagnosis.steps_of(diagnosis.path_of(complaint))
        ):
            break
        try:
            return msgspec.convert(document, kind)
        except msgspec.ValidationError as remaining:
            complaint = remaining
    raise complaint


def _make_whole(document: Any, steps: list[str | int]) -> bool:
    """Turn the float at the end of the path into an integer, in place. False if no whole number is there."""
    *way, last = steps or [""]
    try:
        for step in way:
            document = document[step]
        value = document[last]
    except (LookupError, TypeError):  # the path leads through an object of free keys, which it cannot name
        return False
    if not isinstance(value, float) or not value.is_integer():
        return False
    document[last] = int(value)
    return True
