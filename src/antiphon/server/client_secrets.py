"""`POST /v1/realtime/client_secrets`: a secret that a web page may hold, for a session that its owner has chosen.

How secrets are sealed and what a session begins with is decided elsewhere. This reads the request and writes the
answer.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import ClientDisconnect, Request

from antiphon.config import Config
from antiphon.errors import PeerError
from antiphon.protocol.client_secrets import ClientSecret, ClientSecretRequest, ExpiresAfter
from antiphon.protocol.codec import decode_document
from antiphon.protocol.outbound import session_from
from antiphon.server.opening import Wish, first_settings
from antiphon.server.tokens import Grant, Tokens
from antiphon.session.ids import Ids
from antiphon.tools.mcp import McpAddresses

LONGEST_BODY = 256 * 1024  # bytes: many times what fits into a secret, and nothing to hold in memory
BODY_TIMEOUT_S = 10.0  # for a body that a client writes at once


async def read_body(request: Request) -> bytes:
    """The whole body. Raises `PeerError` if it is too long, takes too long, or the client leaves."""
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                length += len(part)
                if length > LONGEST_BODY:
                    raise PeerError(
                        f"The body is longer than {LONGEST_BODY} bytes.",
                        "Send less with the client secret, and the rest with session.update.",
                        code="request_too_large",
                    )
                parts.append(part)
    except (TimeoutError, ClientDisconnect):
        raise PeerError("The body did not arrive in time.", "Send it at once.", code="request_timeout") from None
    return b"".join(parts)


def make_client_secret(body: bytes, tokens: Tokens, owner: str, config: Config, ids: Ids, now: float) -> bytes:
    """The answer to a request with this body, as JSON. `now` is in seconds since 1970. Raises `PeerError`."""
    asked = decode_document(body.strip() or b"{}", ClientSecretRequest)
    lifetime_s = (asked.expires_after or ExpiresAfter()).seconds
    session = asked.session or None
    settings = first_settings(config, Wish(), session, McpAddresses())
    grant = Grant(int(now) + lifetime_s, session)
    # There is no session yet, so it does not expire; the official server writes 0 there.
    shown = session_from(ids.make("sess"), settings, 0)
    answer = ClientSecret(value=tokens.make(owner, grant, int(now)), expires_at=grant.expires_at, session=shown)
    return msgspec.json.encode(answer)
