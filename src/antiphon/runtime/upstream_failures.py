"""What it means for the operator that another Realtime server does not take us, or leaves us.

It turns statuses, closings and complaints into errors that say what to do. What a server says itself is quoted only
where it is one word: the rest may hold a key.
"""

from __future__ import annotations

import re
import socket
import ssl

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from antiphon.errors import EngineError

TOO_SLOW = "The server, or the network to it, is overloaded."
HOPELESS = frozenset({"upstream_auth", "upstream_not_found", "upstream_tls", "upstream_rejected"})
"""What is not better a moment later."""
STATUSES = {
    "invalid_api_key": 401,
    "account_deactivated": 401,
    "model_not_found": 404,
    "DeploymentNotFound": 404,
    "rate_limit_exceeded": 429,
    "server_error": 503,
}
"""Codes of complaints, by the HTTP status that others say the same with: some servers open the connection first."""
UNPAID = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})
WORD = re.compile(r"[A-Za-z][A-Za-z_]{1,39}")
"""What a code looks like, and a key does not."""


def broken(error: BaseException, origin: str) -> EngineError:
    """There was no connection, or it is gone."""
    match error:
        case InvalidStatus(response=response):
            return refused(response.status_code, origin)
        case InvalidMessage() | InvalidHandshake() | InvalidURI():
            words, hint = f"{origin} does not speak WebSocket there", "Check relay.url: it ends in /v1/realtime mostly."
            return EngineError(words, hint, code="upstream_malformed")
        case socket.gaierror():
            words, hint = f"the name in {origin} is not known to DNS", "Check relay.url for a typing error."
            return EngineError(words, hint, code="upstream_unreachable")
        case ssl.SSLError():
            words = f"no secure connection to {origin}: {error.reason or 'it was refused'}"
            return EngineError(words, "Check wss against ws, and SSL_CERT_FILE.", code="upstream_tls")
        case ConnectionRefusedError():
            words, hint = f"nobody listens at {origin}", "Is the server running, and on this port? Check relay.url."
            return EngineError(words, hint, code="upstream_unreachable")
        case _:
            hint = "The server, or a proxy in front of it, went away; its log may say why."
            return EngineError(f"{origin} broke the connection off", hint, code="upstream_reset")


def refused(status: int, origin: str) -> EngineError:
    """It has answered our request with this status."""
    match status:
        case 401 | 403:
            words, hint = f"{origin} does not accept our key ({status})", "Check relay.api_key or relay.api_key_env."
            return EngineError(words, hint, code="upstream_auth")
        case 404 | 405:
            words, hint = f"{origin} has no Realtime endpoint there ({status})", "Check relay.url and relay.model."
            return EngineError(words, hint, code="upstream_not_found")
        case 429:
            words, hint = f"{origin} has had enough of us ({status})", "Raise the limit with the provider."
            return EngineError(words, hint, code="upstream_rate_limited")
        case _ if 400 <= status < 500:
            words, hint = f"{origin} refuses the connection ({status})", "Check relay.url and relay.model."
            return EngineError(words, hint, code="upstream_rejected")
        case _:
            words, hint = f"{origin} cannot take a session now ({status})", "Its own log says why."
            return EngineError(words, hint, code="upstream_failed")


def complained(code: str, origin: str) -> EngineError:
    """It has said in a message, or in closing, that it will not talk to us, and gave this code."""
    if code in STATUSES:
        return refused(STATUSES[code], origin)
    word = code if WORD.fullmatch(code) else "no code that can be read"
    if code in UNPAID:
        words, hint = f"{origin} wants to be paid ({word})", "Look at the account with the provider: credit and limits."
    else:
        words, hint = (
            f"{origin} does not want to talk to us ({word})",
            "Check relay.url, relay.model and relay.api_key.",
        )
    return EngineError(words, hint, code="upstream_rejected")


def closed_by(closed: ConnectionClosed, origin: str) -> EngineError:
    """It has closed the connection, or nobody knows who has."""
    code = closed.rcvd.code if closed.rcvd is not None else None
    kind, _, reason = (closed.rcvd.reason if closed.rcvd is not None else "").rpartition(".")
    if reason in STATUSES or reason in UNPAID or (kind == "invalid_request_error" and reason != "session_expired"):
        return complained(reason, origin)
    hint = "The server, or a proxy in front of it, gave up; its log may say why."
    if code is None:
        return EngineError(f"{origin} broke the connection off", hint, code="upstream_reset")
    return EngineError(f"{origin} closed the connection ({code})", hint, code="upstream_closed")
