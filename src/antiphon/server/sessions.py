"""The sessions of this process: who is running, what is told of them, and how all of them end.

It owns; it does not know sockets or messages. Whether there is a place for one is `admission`'s to say.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.observe import turnlog
from antiphon.observe.jsonlog import told
from antiphon.observe.metrics import Metrics
from antiphon.observe.timeline import Turn
from antiphon.observe.tracefile import TraceFile
from antiphon.observe.watch import Watch
from antiphon.relay.session import RelaySession, make_session
from antiphon.runtime.drive import Conversing, Drive, Equipment, Record
from antiphon.runtime.relay import RelayDrive, Source
from antiphon.server.admission import Admission
from antiphon.server.history import History
from antiphon.server.minutes import CODE, Minutes, Stay
from antiphon.server.refusals import Refusal
from antiphon.session.ids import Ids
from antiphon.session.outputs import Refused
from antiphon.session.settings import SessionConfig
from antiphon.session.trace import header_line
from antiphon.session.truncation import CountTokens, estimated
from antiphon.store.keeping import Keeping
from antiphon.store.recording import Recording
from antiphon.tools.api import ToolContext
from antiphon.tools.mcp import McpAddresses

log = logging.getLogger("antiphon.sessions")


class Tracing(Struct, frozen=True):
    """Where traces go, and how much they tell."""

    folder: Path
    redacted: bool = False
    scores: bool = False
    """Also what the voice detector thought of every window."""


class Surroundings(Struct, frozen=True):
    """Where a session takes place: what it and its tools may need to know."""

    zone: tzinfo = UTC
    locale: str = "en-US"
    count_tokens: CountTokens = estimated
    """As the model does, if that is known."""


class Sessions:
    """All running sessions. Everything is called on the event loop."""

    def __init__(
        self,
        equipment: Equipment,
        admission: Admission,
        metrics: Metrics,
        surroundings: Surroundings | None = None,
        tracing: Tracing | None = None,
        on_turn: Callable[[str, Turn], None] | None = None,
        history: History | None = None,
    ) -> None:
        self.admission = admission
        self.metrics = metrics
        self.running: dict[str, Drive] = {}
        self._equipment = equipment
        self._surroundings = surroundings or Surroundings()
        self._tracing = tracing
        self._on_turn = on_turn
        self.history = history
        self._principals: dict[str, str] = {}
        self._kept: dict[str, Keeping] = {}
        self._recordings: dict[str, Recording] = {}
        self._traces: dict[str, TraceFile] = {}
        self._watches: dict[str, Watch] = {}
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.minutes: Minutes | None = None
        """How many each key may have, where that is bounded."""
        self._stays: dict[str, Stay] = {}
        self.source: Source | None = None
        """Where the connections come from of sessions whose voice is another server."""

    def begin(
        self,
        config: SessionConfig,
        principal: str = "",
        addresses: McpAddresses | None = None,
        continues: str | None = None,
        source: Source | None = None,
    ) -> Drive | Refusal:
        """Start a session, or say why there is no place for it. It runs until `end`. `principal` is who is served: see
        `ToolContext`. `addresses` are those of the MCP servers that it begins with; `continues` is the id of the
        session whose conversation it goes on with; `source` brings its connections, in place of the pool."""
        refusal = self.admission.enter(principal)
        if refusal is not None:
            return refusal
        stay = self.minutes.begin(principal) if self.minutes is not None and principal else None
        if isinstance(stay, Refusal):
            self.admission.leave(principal)
            return stay
        try:
            drive = self._make(config, principal, addresses, continues, source)
        except BaseException:
            self.admission.leave(principal)
            raise
        if stay is not None:
            self._stays[drive.session.id] = stay
        self._principals[drive.session.id] = principal
        self.running[drive.session.id] = drive
        self._is_empty.clear()
        return drive

    def _make(
        self,
        config: SessionConfig,
        principal: str,
        addresses: McpAddresses | None,
        continues: str | None,
        source: Source | None,
    ) -> Drive:
        seed = secrets.randbits(64)
        session = make_session(config, Ids(seed), self._surroundings.count_tokens)
        watch = Watch(self.metrics, asyncio.get_running_loop().time())
        records: list[Record] = [watch.record]
        trace = self._open_trace(session.id, seed, config)
        if trace is not None:
            records.append(trace.record)
            self._traces[session.id] = trace
        kept = self._keep(session, principal, continues)
        if kept is not None:
            records.append(kept.record)
        recording = self._begin_recording(session.id)
        if recording is not None:
            records.append(recording.record)
        context = partial(self._tool_context, principal)
        drive = self._drive(session, context, tuple(records), addresses, source or self.source)
        drive.tap = recording
        drive.timeline.on_turn += (watch.turn_ended, partial(self._turn_ended, session.id))
        if kept is not None:
            drive.timeline.on_turn.append(kept.turn_ended)
        self._watches[session.id] = watch
        if trace is not None and self._tracing is not None and self._tracing.scores:
            drive.watch_scores(trace.score)
        if isinstance(drive, RelayDrive):
            drive.start()
        return drive

    def _drive(
        self,
        session: Conversing,
        context: Callable[[Drive], ToolContext],
        records: tuple[Record, ...],
        addresses: McpAddresses | None,
        source: Source | None,
    ) -> Drive:
        if not isinstance(session, RelaySession):
            return Drive(session, self._equipment, context, records, addresses)
        assert source is not None
        return RelayDrive(session, self._equipment, context, source, records, addresses)

    def _keep(self, session: Conversing, principal: str, continues: str | None) -> Keeping | None:
        if self.history is None:
            return None
        kept = self.history.keep(session, principal, asyncio.get_running_loop().time(), continues)
        self._kept[session.id] = kept
        return kept

    def _begin_recording(self, session_id: str) -> Recording | None:
        if self.history is None or self.history.recorder is None:
            return None
        recording = self.history.recorder.begin(session_id, asyncio.get_running_loop().time())
        self._recordings[session_id] = recording
        return recording

    async def end(self, drive: Drive, reason: str) -> None:
        """Finish a session and forget it. May be called again."""
        if self.running.pop(drive.session.id, None) is None:
            return
        held_bytes = drive.held_bytes
        try:
            await drive.close(reason)
        finally:
            self.admission.leave(self._principals.pop(drive.session.id))
            stay = self._stays.pop(drive.session.id, None)
            if stay is not None:
                stay.end()
            now = asyncio.get_running_loop().time()
            self._watches.pop(drive.session.id).session_ended(now, reason, drive.position, held_bytes)
            if drive.timeline.turns:
                turns = drive.timeline.turns
                fields = told("session", session_id=drive.session.id, **turnlog.summary_figures(turns))
                log.info("session %s: %s", drive.session.id, turnlog.summary(turns), extra=fields)
            kept = self._kept.pop(drive.session.id, None)
            if kept is not None:
                kept.session_ended(now, reason)
            recording = self._recordings.pop(drive.session.id, None)
            if recording is not None:
                recording.close(now)
            trace = self._traces.pop(drive.session.id, None)
            if trace is not None:
                trace.close()
            if not self.running:
                self._is_empty.set()

    def end_spent(self, within_s: Seconds) -> None:
        """Tell the sessions whose key has no minutes left that they are over; to be called at least so often."""
        for session_id, stay in list(self._stays.items()):
            if self.minutes is not None and not stay.goes_on(within_s):
                self.running[session_id].dismiss(Refused(None, None, self.minutes.words, CODE), CODE)

    async def until_empty(self) -> None:
        """Wait for a moment in which no session runs."""
        await self._is_empty.wait()

    async def drain(self, patience_s: float) -> None:
        """Let nobody in any more, and wait until all have left, or have been waited for long enough."""
        self.admission.is_draining = True
        try:
            async with asyncio.timeout(patience_s):
                await self.until_empty()
        except TimeoutError:
            log.warning("%d sessions were still running after %.0f s: ended", len(self.running), patience_s)
        for drive in list(self.running.values()):
            await self.end(drive, "drain")

    def _turn_ended(self, session_id: str, turn: Turn) -> None:
        fields = told("turn", session_id=session_id, **turnlog.figures(turn))
        log.info("session %s: %s", session_id, turnlog.line(turn), extra=fields)
        if self._on_turn is not None:
            self._on_turn(session_id, turn)

    def _tool_context(self, principal: str, drive: Drive) -> ToolContext:
        place = self._surroundings
        now = datetime.now(place.zone)
        return ToolContext(now, place.locale, drive.session.id, drive.announce, principal)

    def _open_trace(self, name: str, seed: int, config: SessionConfig) -> TraceFile | None:
        if self._tracing is None:
            return None
        started = datetime.now(UTC)
        path = self._tracing.folder / f"{started:%Y%m%d-%H%M%S}-{name}.jsonl"
        log.info("tracing %s to %s", name, path)
        is_redacted, is_counted = self._tracing.redacted, self._surroundings.count_tokens is not estimated
        header = header_line(seed, config, redacted=is_redacted, started=started.isoformat(), is_counted=is_counted)
        return TraceFile(path, header, redacted=is_redacted)
