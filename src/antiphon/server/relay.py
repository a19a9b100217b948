"""The operator's words about the server that is the voice of conversations, as the runtime and the sessions have them.

A translation: who is connected to it when, and what is asked of it, is decided there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from antiphon.config import Relay
from antiphon.protocol.upstream import session_of
from antiphon.relay.session import with_recogniser
from antiphon.runtime.upstream import Address
from antiphon.session.settings import FunctionTool, Relaying, SessionConfig

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


def session_asked_for(config: SessionConfig, model: str | None) -> dict[str, Any]:
    """What a call there is to begin with: its client's settings and functions, and our tools."""
    clients = tuple(tool for tool in config.settings.tools if isinstance(tool, FunctionTool))
    taken = {tool.name for tool in clients}
    tools = clients + tuple(tool for tool in config.server_tools if tool.name not in taken)
    asked = with_recogniser(config.settings, config.relay)
    session = {"type": "realtime", **session_of(asked, tools)}
    return {**session, "model": model} if model else session
