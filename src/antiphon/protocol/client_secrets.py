"""The bodies of `POST /v1/realtime/client_secrets`, asked and answered.

What makes a secret secret, and what a session begins with, is not known here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct

from antiphon.protocol.session_config import Maybe, Session, SessionPatch


class ExpiresAfter(Struct, frozen=True, kw_only=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = 600


class ClientSecretRequest(Struct, frozen=True, kw_only=True):
    expires_after: Maybe[ExpiresAfter] = UNSET
    session: Maybe[SessionPatch] = UNSET
    """What sessions that are opened with the secret begin with."""


class ClientSecret(Struct, frozen=True, kw_only=True):
    """The answer."""

    value: str
    expires_at: int
    """Seconds since 1970, UTC. Sessions that were opened before go on."""
    session: Session
