"""The routes of kept conversations: which there were, what was said in one, when, and forgetting it.

They are ours, in the shape of OpenAI's lists; /v1/sessions is not a route of theirs. Each API key sees the sessions
that were opened with it, or with a client secret that it made; where no keys are configured all are everybody's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError, PeerError, did_you_mean
from antiphon.media.subtitles import Segment, srt
from antiphon.runtime.drive import Conversing
from antiphon.server.door import Visitor
from antiphon.server.refusals import Refusal
from antiphon.store.changes import SessionBegan
from antiphon.store.keeping import Keeping
from antiphon.store.recording import Recorder
from antiphon.store.shelf import KeptItem, KeptSession, Reader
from antiphon.store.writer import Writer

T = TypeVar("T")

SHOWN_S: Seconds = 1.0  # that a subtitle stands at least: what was typed takes no time
FORMATS = ("json", "text", "srt")
MOST_LISTED = 100
LISTED = 20
SETTLE_S = 0.5  # so that who asks finds what was acknowledged; other processes' may still be on its way
SPEAKERS = {"user": "User", "assistant": "Assistant"}
NOT_KEPT = Refusal(404, "history_off", "This server keeps no conversations. Set history.keep = true to change that.")


class History:
    """Where this process's conversations are kept and read."""

    def __init__(self, writer: Writer, reader: Reader, recorder: Recorder | None = None) -> None:
        self.writer = writer
        self.reader = reader
        self.recorder = recorder
        """Of sound, if that is kept too."""
        self.has_owners = True
        """Whether keys are configured, so that sessions belong to somebody."""

    def owner_of(self, principal: str) -> str:
        """Without keys, what somebody is called is made up anew by each process."""
        return principal if self.has_owners else ""

    async def settle(self) -> None:
        """Wait until what was acknowledged can be read, but not for long."""
        await self.writer.settle(SETTLE_S)

    def keep(self, session: Conversing, principal: str, now: Seconds, continues: str | None = None) -> Keeping:
        """Begin to keep a session that begins now."""
        began_at = time.time()
        settings = session.config.settings
        self.writer.put(
            SessionBegan(session.id, self.owner_of(principal), began_at, settings.kind, settings.model, continues)
        )
        return Keeping(session.id, session.conversation, self.writer.put, now, began_at)


def history_routes(history: Callable[[], History | None]) -> list[Route]:
    """The routes under /v1/sessions."""

    async def sessions(request: Request) -> Response:
        return await _answered(request, history(), _listed)

    async def session(request: Request) -> Response:
        return await _answered(request, history(), _shown)

    async def transcript(request: Request) -> Response:
        return await _answered(request, history(), _transcript)

    async def timeline(request: Request) -> Response:
        return await _answered(request, history(), _timeline)

    async def recording(request: Request) -> Response:
        return await _answered(request, history(), _recording)

    async def forget(request: Request) -> Response:
        return await _answered(request, history(), _forgotten)

    return [
        Route("/v1/sessions", sessions),
        Route("/v1/sessions/{session_id}", session, methods=["GET"]),
        Route("/v1/sessions/{session_id}", forget, methods=["DELETE"]),
        Route("/v1/sessions/{session_id}/transcript", transcript),
        Route("/v1/sessions/{session_id}/timeline", timeline),
        Route("/v1/sessions/{session_id}/recording", recording),
    ]


async def _answered(
    request: Request, history: History | None, answer: Callable[[Request, History, str], Response]
) -> Response:
    """In a thread, for it reads files."""
    if history is None:
        return NOT_KEPT.response
    visitor: Visitor = request.state.visitor
    await history.settle()
    try:
        return await asyncio.to_thread(answer, request, history, history.owner_of(visitor.owner))
    except EngineError as error:
        return Refusal(503, error.code, error.told).response


def _listed(request: Request, history: History, owner: str) -> Response:
    limit, now = _limit(request), time.time()
    words, after = request.query_params.get("search"), request.query_params.get("after")
    if words is not None:
        if after is not None:
            hint = "Leave out after, or give a higher limit: what fits best comes first."
            raise PeerError("What was searched for has no pages.", hint, code="invalid_value", param="after")
        found = history.reader.search(owner, words.replace("\0", " "), limit)
        return JSONResponse({"object": "list", "data": [{"object": "session.match", **_plain(one)} for one in found]})
    if after is not None and history.reader.session(owner, after, now) is None:
        hint = "Give the last_id of the page before; if that session was deleted since, begin with the first page."
        raise PeerError(f"No session is called {after[:50]!r}.", hint, code="invalid_value", param="after")
    kept = history.reader.sessions(owner, now, limit + 1, after)
    page = kept[:limit]
    return JSONResponse(
        {
            "object": "list",
            "data": [_summary(one) for one in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(kept) > limit,
        }
    )


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(LISTED))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MOST_LISTED:
        hint = f"Give a number from 1 to {MOST_LISTED}."
        raise PeerError(f"{text[:20]!r} is no limit.", hint, code="invalid_value", param="limit")
    return int(text)


def _shown(request: Request, history: History, owner: str) -> Response:
    found = _find(request, history, owner)
    return found if isinstance(found, Response) else JSONResponse(_summary(found))


def _transcript(request: Request, history: History, owner: str) -> Response:
    form = request.query_params.get("format", "json")
    if form not in FORMATS:
        hint = did_you_mean(form[:20], FORMATS)
        raise PeerError(f"No format is called {form[:20]!r}.", hint, code="invalid_value", param="format")
    found = _find(request, history, owner)
    if isinstance(found, Response):
        return found
    items = history.reader.items(found.id)
    match form:
        case "text":
            return PlainTextResponse(as_text(items))
        case "srt":
            return PlainTextResponse(as_srt(items), media_type="application/x-subrip")
        case _:
            return JSONResponse({"object": "session.transcript", "session": _summary(found), "data": _plain(items)})


def _timeline(request: Request, history: History, owner: str) -> Response:
    found = _find(request, history, owner)
    if isinstance(found, Response):
        return found
    return JSONResponse({"object": "session.timeline", "id": found.id, "data": history.reader.turns(found.id)})


def _recording(request: Request, history: History, owner: str) -> Response:
    found = _find(request, history, owner)
    if isinstance(found, Response):
        return found
    recorder = history.recorder
    if recorder is not None and (path := recorder.path(found.id)).is_file():
        return FileResponse(path, media_type="audio/ogg", filename=path.name)
    sound = recorder.away.read(found.id) if recorder is not None and recorder.away is not None else None
    if sound is None:
        message = "The sound of this session was not recorded. history.recordings names a folder for those to come."
        return Refusal(404, "not_recorded", message).response
    return StreamingResponse(sound, media_type="audio/ogg")


def _forgotten(request: Request, history: History, owner: str) -> Response:
    found = _find(request, history, owner)
    if isinstance(found, Response):
        return found
    if found.status == "in_progress":
        message = "The session is still going on. Close its connections, then delete it."
        return Refusal(409, "session_in_progress", message).response
    if history.recorder is not None:
        history.recorder.delete(found.id)  # first: it may fail, and nobody would find it without the session
    history.reader.delete(found.id)
    return JSONResponse({"object": "session.deleted", "id": found.id, "deleted": True})


def _find(request: Request, history: History, owner: str) -> KeptSession | Response:
    session_id = request.path_params["session_id"]
    found = history.reader.session(owner, session_id, time.time())
    if found is None:
        return Refusal(404, "session_not_found", f"No session {session_id[:64]!r} is kept.").response
    return found


def _summary(kept: KeptSession) -> dict[str, Any]:
    return {"object": "session", **_plain(kept)}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def as_text(items: Sequence[KeptItem]) -> str:
    """What people and models said, a line for each."""
    spoken = (item for item in items if item.kind in SPEAKERS and item.text)
    return "".join(f"{SPEAKERS[item.kind]}: {' '.join(item.text.split())}\n" for item in spoken)


def as_srt(items: Sequence[KeptItem]) -> str:
    """The same as subtitles; times are those of the session."""
    spoken = [item for item in items if item.kind in SPEAKERS and item.text]
    return srt(
        [
            Segment(f"{SPEAKERS[item.kind]}: {item.text}", item.start_s, max(item.end_s, item.start_s + SHOWN_S))
            for item in spoken
        ]
    )
