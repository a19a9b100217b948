"""Client secrets: tokens that open sessions for some minutes, and that every process of the same configuration reads.

There is no table of them. A token holds its expiry and the session that it is for, sealed with Fernet, so that its
holder can neither change nor read it. What seals it comes from an API key, so a key that is taken out of the
configuration takes its tokens with it. Who may make one, and what a session does with it, is not known here; the
time is the caller's.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import zlib
from collections.abc import Iterable

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from antiphon.errors import PeerError
from antiphon.protocol.session_config import McpTool, SessionPatch

PREFIX = "ek_"
LONGEST_TOKEN = 7_800
"""Characters. A token travels in one line of an HTTP header, and 8,192 is all that many servers and proxies, and our
own WebSocket library, read of one."""
PURPOSE = b"antiphon client secret 1"
"""Separates these keys from all others made of the same secret; the number is that of the payload's form."""
NAME_CHARS = 8


class Grant(Struct, frozen=True):
    """What a client secret says."""

    expires_at: int
    """Seconds since 1970, UTC. A session may be opened before, and goes on after."""
    session: SessionPatch | None = None
    """What its sessions begin with, if anything was said about it."""


class Tokens:
    """Makes and reads client secrets for the owners of API keys."""

    def __init__(self, keys: Iterable[str] = (), secret: bytes = b"") -> None:
        """With a `secret` each key's seal is derived from both; without, from the key alone, which takes some 60 ms
        a key, so that a holder of a token cannot guess the key that made it. At least one of both is needed.

        Without keys there is one owner, called by the empty key.
        """
        self._names: dict[str, str] = {}
        self._seals: dict[str, Fernet] = {}
        for key in tuple(keys) or ("",):
            derived = _from_secret(secret, key.encode()) if secret else _from_key(key.encode())
            name = _text(hashlib.sha256(derived).digest())[:NAME_CHARS]
            self._names[key] = name
            self._seals[name] = Fernet(base64.urlsafe_b64encode(derived))

    def name_of(self, key: str) -> str:
        """What an API key may be called where the key itself must not be seen. Raises `KeyError` for unknown ones."""
        return self._names[key]

    def make(self, owner: str, grant: Grant, now: int) -> str:
        """A token of the owner with this name. Raises `PeerError` if it would be too long to travel."""
        sealed = self._seals[owner].encrypt_at_time(_packed(grant), now)
        # "=" may not stand in a WebSocket's subprotocol, which is how browsers hand a token over.
        token = f"{PREFIX}{owner}{sealed.decode().rstrip('=')}"
        if len(token) <= LONGEST_TOKEN:
            return token
        raise PeerError(
            f"The session is too long for a client secret: it would have {len(token)} characters, and "
            f"{LONGEST_TOKEN} are allowed.",
            "Shorten the instructions and tools, or send them with session.update once the session is open.",
            code="string_above_max_length",
            param="session",
        )

    def read(self, token: str) -> tuple[str, Grant] | None:
        """Whose token it is and what it says, expired or not; None if it is not ours, or was altered."""
        if len(token) > LONGEST_TOKEN or not token.startswith(PREFIX):
            return None
        owner, sealed = token[len(PREFIX) :][:NAME_CHARS], token[len(PREFIX) + NAME_CHARS :]
        seal = self._seals.get(owner)
        if seal is None:
            return None
        try:
            return owner, _unpacked(seal.decrypt(sealed + "=" * (-len(sealed) % 4)))
        except (InvalidToken, ValueError):
            return None
        except (msgspec.DecodeError, zlib.error):  # sealed by another version of this program
            return None


# --- what is inside --------------------------------------------------------------------------------------------------


class _Payload(Struct, frozen=True, array_like=True):
    expires_at: int
    is_compressed: bool
    session: bytes


def _packed(grant: Grant) -> bytes:
    session = msgspec.msgpack.encode(grant.session)
    # Somebody who decides a part of a text and sees how long it gets when compressed can guess the rest of it. So what
    # may hold the authorization of an MCP server is not compressed.
    is_compressed = not _holds_secrets(grant.session)
    if is_compressed:
        session = zlib.compress(session, 9)
    return msgspec.msgpack.encode(_Payload(grant.expires_at, is_compressed, session))


def _unpacked(data: bytes) -> Grant:
    payload = msgspec.msgpack.decode(data, type=_Payload)
    session = zlib.decompress(payload.session) if payload.is_compressed else payload.session
    return Grant(payload.expires_at, msgspec.msgpack.decode(session, type=SessionPatch | None))


def _holds_secrets(session: SessionPatch | None) -> bool:
    tools = session.tools if session is not None else ()
    return any(isinstance(tool, McpTool) for tool in tools or ())


# --- keys ------------------------------------------------------------------------------------------------------------


def _from_secret(secret: bytes, key: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=PURPOSE + key).derive(secret)


@functools.lru_cache(maxsize=1024)  # so that reading the configuration again costs nothing
def _from_key(key: bytes) -> bytes:
    return hashlib.scrypt(key, salt=PURPOSE, n=2**14, r=8, p=1, dklen=32)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
