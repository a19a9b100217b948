"""The loop around one session: gives it inputs with the time, carries out what it says, and calls it at its deadline.

One input is fully acted on before the next is read, and nothing here awaits between the two; that is all the locking
there is. It does not know sockets or messages: connections are `Link`s, and what they show of a notice is theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from msgspec import Struct, field

from antiphon.audio.formats import write_whole
from antiphon.audio.ring import Ring
from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds, samples_from_ms
from antiphon.errors import Bug
from antiphon.hearing import prosody
from antiphon.hearing.edges import WINDOW, HearingEvent
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.stream import OnScore
from antiphon.observe.timeline import Timeline, Turn
from antiphon.runtime.following import Feed
from antiphon.runtime.retained import RetainedAudio
from antiphon.runtime.voice import SpokenAudio
from antiphon.runtime.workers import Engines, Workers
from antiphon.session import inputs, outputs
from antiphon.session.conversation import Conversation
from antiphon.session.inputs import Input
from antiphon.session.items import Item, Message, Role
from antiphon.session.outputs import Notice, Output
from antiphon.session.settings import SessionConfig, Settings, TurnDetection
from antiphon.tools.api import ToolContext
from antiphon.tools.mcp import McpAddresses, McpConnections, McpLimits
from antiphon.tools.runner import TaskOutcome, ToolCall, ToolRunner, Workroom

log = logging.getLogger("antiphon.drive")

BACKLOG_S = 340.0  # of one session's sound that may wait to be heard: one append of 15 MiB is 328
BROKEN = "The server had an error in this session, which is over. Please open another one."
BACKLOGGED = 8  # windows that wait: from a quarter of a second on the ring has to keep more than its pre-roll


class Link(Protocol):
    """One connection of a session, as the session's runtime sees it."""

    name: str

    def show(self, notice: Notice, audio: bytes) -> None:
        """Pass it on. `audio` is the sound of an `AudioSent` or an `ItemRetrieved`, in the format that was asked for,
        and empty otherwise. Never waits."""
        ...

    def report(self, turn: Turn) -> None:
        """Where the time of an answer went, once all that there was to show of it has been shown. Never waits."""
        ...

    def close(self, reason: str) -> None:
        """The session is over, or the connection is no longer wanted. Never waits."""
        ...


class Tap(Protocol):
    """Whoever listens to both sides of a session, at 24 kHz, with the moment on the loop's clock. Never waits."""

    def heard(self, pcm: Pcm16, now: Seconds) -> None:
        """This came from the person, the last of it now."""
        ...

    def said(self, pcm: Pcm16, now: Seconds) -> None:
        """This goes out now, to be played when what went before it was."""
        ...


class Conversing(Protocol):
    """A conversation as a machine: `session.session`, or the one whose voice is another server, `relay.session`."""

    id: str
    config: SessionConfig

    @property
    def settings(self) -> Settings: ...

    @property
    def conversation(self) -> Conversation: ...

    @property
    def deadline(self) -> Seconds | None:
        """When it wants a `TimePassed` next, or None."""
        ...

    @property
    def expires_in_s(self) -> Seconds: ...

    @property
    def judges_pauses(self) -> bool:
        """Whether it wants to know how a voice sounded before it paused."""
        ...

    def handle(self, item: Input, now: Seconds) -> list[Output]:
        """Act on one input, fully, and return what follows from it, in order."""
        ...


Record = Callable[[Seconds, Input, list[Output]], None]
"""Called with every step of the session: traces, timelines and metrics are made of it."""


class Equipment(Struct, frozen=True):
    """What all sessions of a process share."""

    engines: Engines
    hub: HearingHub
    tools: Workroom = field(default_factory=Workroom)
    mcp: McpLimits = McpLimits()
    programs: McpConnections | None = None
    """To the MCP servers that are programs, which all sessions share."""


class Drive:
    """Owns a session, its stream of sound and its work. Everything is called on the event loop."""

    pre_roll: ClassVar[Samples] = samples_from_ms(1500)
    """Of its sound, kept while nobody speaks: padding, and the detector's own delay under load."""

    def __init__(
        self,
        session: Conversing,
        equipment: Equipment,
        tool_context: Callable[[Drive], ToolContext],
        records: tuple[Record, ...] = (),
        addresses: McpAddresses | None = None,
    ) -> None:
        """`addresses` are those that the session's configuration speaks of; its connections add to them."""
        self.session = session
        self.mcp_addresses = addresses or McpAddresses()
        self.links: dict[str, Link] = {}
        self.tap: Tap | None = None
        self._turns: deque[Turn] = deque()
        self.timeline = Timeline(self._turns.append)
        self._records = (self.timeline.record, *records)
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Input] = deque()
        self._is_busy = False
        self._is_broken = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: Seconds | None = None
        """The deadline that `_timer` was set for. Its own `when` is no answer: uvloop rounds it, and gives none for
        what is due at once.
        """
        self._audio = SpokenAudio()
        self._tools = tools = ToolRunner(equipment.tools, lambda: tool_context(self), self)
        mcp = McpConnections(self.mcp_addresses, equipment.mcp, equipment.programs)
        self._workers = Workers(equipment.engines, tools, mcp, self._audio, self.put)
        self._retained = RetainedAudio(session.config.retained_bytes)
        self._clips: list[Pcm16] = []
        self._ring = Ring(self.pre_roll, round((session.config.max_turn_s + BACKLOG_S) * WIRE_RATE))
        self._kept: Samples | None = None
        self._is_backlogged = False
        self._feeds: dict[int, Feed] = {}
        """Of the work that listens along."""
        self._hearing = equipment.hub.open(self._take_heard, threshold=None)

    # --- what comes in

    @property
    def position(self) -> int:
        """How much sound has come, in samples at 24 kHz."""
        return self._ring.end

    @property
    def held_bytes(self) -> int:
        """Sound that this session holds: what was said lately, what items keep, what was made and not dropped yet."""
        return self._ring.held_bytes + self._retained.held_bytes + self._audio.held_bytes

    @property
    def works(self) -> int:
        """Pieces of work under way."""
        return len(self._workers)

    def watch_scores(self, on_score: OnScore) -> None:
        """Tell somebody what the detector thinks of every window."""
        self._hearing.on_score = on_score

    def attach(self, link: Link) -> None:
        self.links[link.name] = link
        self.put(inputs.Attach(link.name))

    def detach(self, link: Link) -> None:
        if self.links.pop(link.name, None) is not None:
            self.put(inputs.Detach(link.name))

    def hear(self, pcm: Pcm16) -> None:
        """More of what the person says, at 24 kHz. The hot path: every 20 ms of every session."""
        if self._is_backlogged or self._hearing.waiting > BACKLOGGED or pcm.size > self.pre_roll:
            self._keep_unheard(pcm.size)
        now = self._loop.time()
        self._ring.append(pcm)
        self._hearing.append(pcm, now)
        if self.tap is not None:
            self.tap.heard(pcm, now)
        for feed in self._feeds.values():
            feed.came()

    def _keep_unheard(self, coming: Samples) -> None:
        """Sound that came faster than it can be heard stays until it was, for a turn may begin in it."""
        unheard = self._hearing.waiting * WINDOW
        self._is_backlogged = self._hearing.is_listening and unheard + coming > BACKLOGGED * WINDOW
        start = self._kept
        if self._is_backlogged:
            needed = max(0, self._ring.end - unheard - self.pre_roll)
            start = needed if start is None else min(start, needed)
        self._ring.keep(start)

    def _scored(self) -> Samples:
        """How much of the sound the detector has heard, or all of it if it does not listen."""
        return max(0, self._ring.end - self._hearing.waiting * WINDOW)

    def _take_heard(self, event: HearingEvent | inputs.HearingFailed) -> None:
        self.put(event)
        if isinstance(event, inputs.VoicePaused) and self.session.judges_pauses:
            voice = self._heard(max(0, event.at - prosody.SPAN), event.at, None)
            self.put(prosody.measured(voice, event.at))

    def bring(self, pcm: Pcm16) -> int:
        """Hand over a sound that the next request speaks of, at 24 kHz. Returns the number by which it does."""
        self._clips.append(pcm)
        return len(self._clips) - 1

    def ask(self, request: Input) -> None:
        """Give the session a request, and forget the sounds that came with it: what is wanted of them was taken."""
        self.put(request)
        self._clips.clear()

    def progressed(self, call: ToolCall, text: str) -> None:
        """See `Listener`."""
        self.put(inputs.ToolProgressed(call.call_id, call.name, text))

    def ended(self, outcome: TaskOutcome) -> None:
        """See `Listener`."""
        call = outcome.call
        self.put(inputs.TaskEnded(call.call_id, call.name, call.arguments, outcome.output, outcome.ok))

    def _stop_tool(self, task: outputs.StopTool) -> None:
        if not self._tools.cancel(task.call_id):
            message = f"There is no call of a tool with the id '{task.call_id[:64]}' at work."
            self.put(inputs.Malformed(task.connection, task.request, message, "tool_call_not_found", "call_id"))

    def announce(self, text: str) -> None:
        self.put(inputs.Announce(text))

    def put(self, item: Input) -> None:
        """Give the session one input and do what it says. Inputs that arise meanwhile come after it.

        Never raises: a mistake of ours ends this session, whoever gave the input, and no other.
        """
        if self._is_broken or self._is_closed:
            return
        self._inbox.append(item)
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        except Exception:  # the border of the session
            log.exception("session %s broke at %s", self.session.id, type(item).__name__)
            self._break_off()
            return
        finally:
            self._is_busy = False
        self._arm()

    def dismiss(self, refused: outputs.Refused, reason: str) -> None:
        """End the session for a reason that is not its own, and tell its connections so."""
        for link in list(self.links.values()):
            link.show(refused, b"")
        self.put(inputs.Finish(reason))

    async def close(self, reason: str) -> None:
        """End the session and wait until all its work is gone."""
        self.put(inputs.Finish(reason))
        # Connections that are told to hang up do so later; by then nobody keeps the session's trace.
        self._is_closed = True
        self._disarm()
        self._hearing.close()
        await self._workers.close()

    def _break_off(self) -> None:
        """What the session is in is not known any more: tell its connections, and take nothing further in."""
        self._is_broken = True
        self._inbox.clear()
        self._disarm()
        sorry = outputs.Refused(None, None, BROKEN, "internal_error", kind="server_error")
        for link in list(self.links.values()):
            link.show(sorry, b"")
            link.close("internal_error")

    # --- what comes out

    def _step(self, item: Input) -> None:
        now = self._loop.time()
        out = self.session.handle(item, now)
        for record in self._records:
            record(now, item, out)
        for output in out:
            self._act(output)
        while self._turns:
            turn = self._turns.popleft()
            for link in list(self.links.values()):
                link.report(turn)

    def _threshold(self, detection: TurnDetection | None) -> float | None:
        """P(speech) from which a window is voiced; None where nobody listens for turns."""
        if detection is None:
            return None
        return detection.threshold if detection.kind == "server_vad" else self.session.config.voiced_from

    def _act(self, output: Output) -> None:
        match output:
            case outputs.Listen(detection=detection):
                self._hearing.listen(self._threshold(detection))
            case outputs.KeepAudio(start=start):
                self._kept = start
                self._keep_unheard(0)
            case outputs.TurnClosed(heard=heard):
                self._hearing.turn_closed(heard)
            case outputs.Transcribe(start=start, stop=stop, clip=clip):
                self._workers.transcribe(output, self._heard(start, stop, clip))
            case outputs.Follow(work=work):
                self._feeds[work] = Feed(self._ring, output.start, self._scored)
                self._workers.follow(output, self._feeds[work])
            case outputs.Followed(work=work, stop=stop, voiced_to=voiced_to):
                self._feeds.pop(work).end(stop, voiced_to)
            case outputs.RetainAudio(item_id=item_id):
                self._retained.retain(item_id, self._to_retain(output))
            case outputs.TrimAudio(item_id=item_id, stop=stop):
                self._retained.trim(item_id, stop)
            case outputs.ForgetAudio(item_id=item_id):
                self._retained.forget(item_id)
            case outputs.Generate():
                self._workers.generate(output)
            case outputs.Summarise():
                self._workers.summarise(output)
            case outputs.Release(work=work):
                self._workers.release(work)
            case outputs.ScoreTurn(start=start, stop=stop):
                self._workers.score_turn(output, self._heard(start, stop, None))
            case outputs.Say():
                self._workers.say(output)
            case outputs.RunTool():
                self._workers.run_tool(output)
            case outputs.ListMcpTools():
                self._workers.list_mcp_tools(output)
            case outputs.CallMcpTool():
                self._workers.call_mcp_tool(output)
            case outputs.LeaveMcpServer(address=address):
                self._workers.leave_mcp_server(address)
            case outputs.StopTool():
                self._stop_tool(output)
            case outputs.StopWork(work=work):
                self._feeds.pop(work, None)
                self._workers.stop(work)
                self._audio.drop(work)
            case outputs.DropAudio(work=work):
                self._audio.drop(work)
            case outputs.OfUpstream():
                raise Bug("a session has no other server for a voice", "Drive it with `runtime.relay`.")
            case outputs.Close(reason=reason):
                for link in list(self.links.values()):
                    link.close(reason)
            case outputs.Remark(text=text, warns=True):
                log.warning("session %s: %s", self.session.id, text)
            case outputs.SpeculationEnded() | outputs.BargeInJudged() | outputs.Remark():
                pass  # they are for the trace, which has them
            case _:  # what is left are notices: a command that is not above does not pass the type checker
                self._show(output)

    def _arm(self) -> None:
        deadline = self.session.deadline
        if deadline == self._armed_for:
            return
        self._disarm()
        if deadline is not None:
            self._timer, self._armed_for = self._loop.call_at(deadline, self._time_passed), deadline

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed_for = None

    def _time_passed(self) -> None:
        self._timer = self._armed_for = None
        self.put(inputs.TimePassed(self._ring.end))

    def _show(self, notice: Notice) -> None:
        audio = b""
        if isinstance(notice, outputs.AudioSent):
            if self.tap is not None:
                self.tap.said(self._audio.read(notice.work, notice.start, notice.stop), self._loop.time())
            audio = self._audio.take(notice.work, notice.start, notice.stop)
        elif isinstance(notice, outputs.ItemRetrieved):
            audio = self._sound_of(notice.item)
        to = getattr(notice, "to", None)
        for name, link in list(self.links.items()):
            if to is None or to == name:
                link.show(notice, audio)

    def _heard(self, start: Samples, stop: Samples, clip: int | None) -> Pcm16:
        """A stretch of the stream, or of a sound that came with a request."""
        if clip is not None:
            return self._clips[clip][start:stop]
        stop = min(stop, self._ring.end)
        return self._ring.read(min(start, stop), stop)

    def _to_retain(self, wanted: outputs.RetainAudio) -> Pcm16:
        if wanted.work is not None:
            return self._audio.read(wanted.work, wanted.start, wanted.stop)
        return self._heard(wanted.start, wanted.stop, wanted.clip)

    def _sound_of(self, item: Item) -> bytes:
        """What was kept of an item's sound, in the format of its side of the conversation."""
        settings = self.session.settings
        is_answer = isinstance(item, Message) and item.role is Role.ASSISTANT
        format = settings.output_format if is_answer else settings.input_format
        return write_whole(self._retained.of(item.id), format.kind)
