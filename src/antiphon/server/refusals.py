"""How the server says no over HTTP: a status, and the error in the form that OpenAI's clients show to people."""

from __future__ import annotations

from msgspec import Struct
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from antiphon.errors import PeerError

RETRY_AFTER_S = 5
STATUSES = {
    "request_too_large": 413,
    "request_timeout": 408,
    "unsupported_content_type": 415,
    "too_many_calls": 429,
    "server_full": 503,
    "rate_limit_exceeded": 429,
    "minutes_used_up": 429,
    "worker_unreachable": 503,
}
"""Errors of a request that have a status of their own."""


class Refusal(Struct, frozen=True):
    """Why a request is turned away."""

    status: int
    code: str | None
    message: str
    param: str | None = None
    retry_after_s: int = RETRY_AFTER_S
    """Of one with the status 503."""

    @property
    def response(self) -> Response:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "code": self.code, "param": self.param}
        headers = {"Retry-After": str(self.retry_after_s)} if self.status == 503 else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": error}, self.status, headers)


def refusal_from(error: PeerError) -> Refusal:
    """Over HTTP there is room for the hint."""
    status = STATUSES.get(error.code or "", 400)
    return Refusal(status, error.code, error.told, error.param)


async def turn_away(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with the refusal. A WebSocket is refused before it is one."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(refusal.response)
    else:
        await refusal.response(scope, receive, send)
