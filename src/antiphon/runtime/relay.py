"""The drive of a session whose voice is another Realtime server: its connection is here, and is made again when it is
lost.

Sound goes past the session, both ways: the person's to the other server as it comes, the answers' to where the session
says. What is said on the connection is the session's business. This is one of the few places where tasks are started.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds
from antiphon.errors import EngineError
from antiphon.protocol.upstream import AudioDelta, Ignored, decode
from antiphon.relay.person import HEARD_AGAIN
from antiphon.relay.session import RelaySession
from antiphon.runtime.drive import Drive, Equipment, Record
from antiphon.runtime.upstream import Connection, Counts
from antiphon.runtime.upstream_failures import HOPELESS
from antiphon.session import inputs, outputs
from antiphon.session.outputs import Output
from antiphon.tools.api import ToolContext
from antiphon.tools.mcp import McpAddresses

log = logging.getLogger("antiphon.relay")

PIECE: Samples = 5 * WIRE_RATE  # of sound that is sent again, in one message
GIVE_UP_S: Seconds = 20.0  # without a connection that lasts: whoever speaks has given up before
LASTING_S: Seconds = 20.0  # a connection that was of use for so long did not fail at its beginning
SHORTEST_WAIT_S: Seconds = 0.1
LONGEST_WAIT_S: Seconds = 4.0
MOST_GARBAGE = 20  # messages of one connection that cannot be read: then it is no Realtime server


class Source(Protocol):
    """Where connections come from: see `runtime.warm`."""

    counts: Counts

    def take(self) -> Connection | None: ...

    async def open(self) -> Connection: ...


class RelayDrive(Drive):
    """See the module, and `Drive`. `start` it once its first connection may be made."""

    pre_roll = HEARD_AGAIN

    def __init__(
        self,
        session: RelaySession,
        equipment: Equipment,
        tool_context: Callable[[Drive], ToolContext],
        source: Source,
        records: tuple[Record, ...] = (),
        addresses: McpAddresses | None = None,
    ) -> None:
        super().__init__(session, equipment, tool_context, records, addresses)
        self._source = source
        self._upstream: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._chance = Random()
        self._fails_since: Seconds | None = None
        """Since when no connection has lasted."""
        self._waits_s = SHORTEST_WAIT_S
        self._sounds: dict[str, int] = {}
        """Under which number the sound of an item lies ready."""
        self._count = 0
        self._garbage = 0

    def start(self) -> None:
        """Take an open connection, or begin to make one."""
        ready = self._source.take()
        if ready is not None:
            self._use(ready)
        else:
            self._connect()

    async def close(self, reason: str) -> None:
        await super().close(reason)
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self._leave()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    # --- sound

    def hear(self, pcm: Pcm16) -> None:
        self._ring.append(pcm)
        if self.tap is not None:
            self.tap.heard(pcm, self._loop.time())
        if self._upstream is not None:
            self._upstream.send({"type": "input_audio_buffer.append", "audio": pcm.tobytes()})

    def _resend(self, start: Samples) -> None:
        """Everything from there on that is still here."""
        for first in range(max(start, self._ring.start), self._ring.end, PIECE):
            pcm = self._ring.read(first, min(first + PIECE, self._ring.end))
            self._send({"type": "input_audio_buffer.append", "audio": pcm.tobytes()}, None)

    def _take_sound(self, sound: AudioDelta) -> None:
        work = self._sounds.get(sound.item_id)
        if work is None:
            # The session counts its own work upwards from 1.
            self._count -= 1
            work = self._sounds[sound.item_id] = self._count
        kind = "pcm" if self.session.config.plays else self.session.settings.output_format.kind
        pcm = np.frombuffer(sound.delta, "<i2", len(sound.delta) // 2)
        self._audio.open(work, kind).append(pcm)
        self.put(inputs.UpstreamSpoke(sound.response_id, sound.item_id, work, pcm.size))

    # --- what the session asks for

    def _act(self, output: Output) -> None:
        match output:
            case outputs.ToUpstream(event=event, sound=sound):
                self._send(event, sound)
            case outputs.ResendAudio(start=start):
                self._resend(start)
            case outputs.Transcribe(item_id=item_id):
                self._workers.transcribe(output, self._retained.of(item_id))
            case outputs.LeaveUpstream(reason=reason):
                words = "The server that is the voice of this session did not answer in time."
                self._lose(EngineError(words, "Is it overloaded?", code=reason))
            case outputs.DropAudio(work=work):
                self._sounds = {item_id: known for item_id, known in self._sounds.items() if known != work}
                self._audio.drop(work)
            case _:
                super()._act(output)

    def _send(self, event: Any, sound: int | str | None) -> None:
        if self._upstream is None:
            return
        if sound is not None:
            pcm = self._clips[sound] if isinstance(sound, int) else self._retained.of(sound)
            if not pcm.size:
                return  # it was given up: what was said then is not known any more
            event = _with_sound(event, pcm)
        self._upstream.send(event)

    # --- the connection

    def take_frame(self, frame: str | bytes) -> None:
        """See `Ear`."""
        message = decode(frame)
        match message:
            case AudioDelta():
                self._take_sound(message)
            case Ignored(complaint=complaint):
                if complaint:
                    self._count_garbage(complaint)
            case _:
                self.put(inputs.UpstreamSaid(message, self.position))

    def _count_garbage(self, complaint: str) -> None:
        self._garbage += 1
        if self._garbage == 1:
            log.warning("session %s: the upstream sent what cannot be read", self.session.id)
        if self._garbage >= MOST_GARBAGE:
            words = "The server that is the voice of this session does not speak the protocol."
            self._lose(EngineError(words, "Is relay.url that of a Realtime server?", code="upstream_malformed"))

    def upstream_gone(self, upstream: Connection, error: EngineError) -> None:
        """See `Ear`."""
        if upstream is self._upstream:
            self._lose(error)

    def _use(self, upstream: Connection) -> None:
        self._upstream = upstream
        self._garbage = 0
        upstream.listen(self)
        self.put(inputs.UpstreamOpened(self.position))

    def _lose(self, error: EngineError) -> None:
        """The connection is of no use any more; another one is made, unless that has been tried for long enough."""
        upstream = self._upstream
        if upstream is None:
            return
        now = self._loop.time()
        if now - upstream.opened > LASTING_S:
            self._fails_since, self._waits_s = None, SHORTEST_WAIT_S
        log.warning("session %s: %s", self.session.id, error.message)
        self._source.counts.lost += 1
        self._source.counts.errors[error.code] += 1
        self._leave()
        if self._tell_lost(error):
            self._connect()

    def _tell_lost(self, error: EngineError) -> bool:
        """Returns whether it is tried again."""
        now = self._loop.time()
        if self._fails_since is None:
            self._fails_since = now
        comes_back = error.code not in HOPELESS and now - self._fails_since < GIVE_UP_S
        self.put(inputs.UpstreamLost(error.code, error.message, self.position, comes_back))
        return comes_back

    def _leave(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()
            task = asyncio.create_task(upstream.gone(), name="leaving the upstream")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _connect(self) -> None:
        if self._is_closed or self._is_broken or (self._connecting is not None and not self._connecting.done()):
            return
        self._connecting = asyncio.create_task(self._keep_connecting(), name=f"connecting {self.session.id}")

    async def _keep_connecting(self) -> None:
        while True:
            if self._fails_since is not None:
                await asyncio.sleep(self._chance.uniform(SHORTEST_WAIT_S, self._waits_s))
                self._waits_s = min(LONGEST_WAIT_S, 2 * self._waits_s)
            try:
                upstream = self._source.take() if self._fails_since is not None else None
                upstream = upstream or await self._source.open()
            except EngineError as error:
                log.warning("session %s: %s", self.session.id, error)
                if not self._tell_lost(error):
                    return
            else:
                self._use(upstream)
                return


def _with_sound(event: Any, pcm: Pcm16) -> dict[str, Any]:
    """The item of the message with the sound in the part that is audio."""
    audio = base64.b64encode(pcm.tobytes()).decode()
    parts = [{**part, "audio": audio} if part["type"] == "input_audio" else part for part in event["item"]["content"]]
    return {**event, "item": {**event["item"], "content": parts}}
