"""The operator's words about the server that is the voice of conversations, as the runtime and the sessions have them.

A translation: who is connected to it when, and what is asked of it, is decided there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from antiphon.config import Relay
from antiphon.runtime.upstream import Address
from antiphon.session.settings import Relaying

AZURE = (".azure.com", ".azure.us", ".azure.cn")
"""Whose servers want the key in a header of their own."""


def address_from(relay: Relay) -> Address | None:
    """Where it is; None if the voice is our own."""
    if relay.url is None:
        return None
    host = urlsplit(relay.url).hostname or ""
    return Address(
        url=relay.url,
        model=relay.model,
        key=relay.api_key,
        key_header="api-key" if host.endswith(AZURE) else "Authorization",
        connect_timeout_s=relay.connect_timeout_s,
    )


def relaying_from(relay: Relay) -> Relaying | None:
    """What its sessions know of it."""
    if relay.url is None:
        return None
    return Relaying(recogniser=relay.transcription_model, patience_s=relay.patience_s)
