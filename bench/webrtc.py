"""What a call over WebRTC costs the server, beside plain aiortc with the same sound both ways, and how fast it begins.

    python bench/webrtc.py                  one call and then four at a time, about three minutes
    python bench/webrtc.py --calls 8 --seconds 20

Both servers have a process and a core, on uvloop, first at once and then one after the other; their callers are plain
aiortc and have the other core. At once, second by second, is how they are compared: what others take of the core, and
how fast it is just then, is the same for both. One after the other, each is told as it is alone. Speech goes both ways
all the time. Plain aiortc does no more than carry it: it hands received frames to nobody and sends frames that lie
ready. Ours carries it into a session and out of an answer, with the data channel and all messages of it: first without
a voice detector, which plain aiortc has not either, then with Silero's, and what follows from it. (Somebody who talks
without end is recognised anew at each breath: no figure of calls.)
Processor time is the kernel's count, of all threads. A call in which nobody speaks is told too, for a call is mostly
that; and how often the process is woken while both sides speak, for that is most of what a call costs, and no noise.
How long calls take to begin, and sound to pass through the process, is measured apart from it, with one short answer
after the other: from the kernel's having a packet to the session's ear, and from the session's mouth to the packet.
In the end each figure that has a limit stands beside it, and the exit status is 1 if one of them is above.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fractions
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import httpx
import msgspec
import numpy as np
import uvicorn
import uvloop
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from antiphon import config
from antiphon.audio.pcm import float_from_int16, int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE, Pcm, Pcm16, Seconds
from antiphon.engines.api import LlmRequest, TtsRequest
from antiphon.engines.fake import FakeLlm, FakeStt
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.silero import SileroVad
from antiphon.server import memory
from antiphon.server.http import HttpServer
from antiphon.server.run import running
from antiphon.transport.webrtc.call import Call
from antiphon.transport.webrtc.speaker import Speaker
from common import CALLER_CORE, SERVER_CORE, arguments_of, machine, percentiles, pin, speech

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
SENTENCES = (
    "Please tell me about the weather in the mountains, and whether I should take a coat.",
    "It is about a quarter past nine in the morning, and the sun has been up for three hours.",
    "I would like to know how far it is to the sea from here, and who could take me there today.",
)
ENDLESS = "and so on and so forth " * 4000
BRIEF = "Briefly."
SHORT = "It is nine o'clock."
PATH = "/v1/realtime/calls"
MOST_SHARE = 50.0  # percent of what plain aiortc costs in the same seconds, in the median one
MOST_SET_UP_MS = 150.0  # to `session.created`, at p95 as all times
MOST_WAY_MS = 25.0  # through the process, in each direction
WARM_UP_S = 3.0
SET_UPS = 10
PROCESS_CLOCK = 2  # in the number by which Linux knows the processor time of another process, beside its id
ANSWERS = 8  # short ones, after each other
ANSWER_S = 1.7  # from one of them to the next, at least: it is as long as that


class Figure(Struct, frozen=True):
    """What was measured, and what it may be at most."""

    name: str
    measured: float
    most: float
    unit: str

    @property
    def holds(self) -> bool:
        """False also where nothing could be measured."""
        return self.measured <= self.most

    def __str__(self) -> str:
        verdict = "" if self.holds else "   TOO MUCH"
        return f"{self.name:<60} {self.measured:7.1f} of at most {self.most:3.0f} {self.unit}{verdict}"


def timed(name: str, values_ms: list[float], most_ms: float) -> Figure:
    measured = float(np.percentile(values_ms, 95)) if values_ms else float("nan")
    return Figure(f"{name}, at p95", measured, most_ms, "ms")


# --- sound -----------------------------------------------------------------------------------------------------------


def spoken() -> Pcm16:
    """Some twenty seconds of speech without a pause, at 24 kHz."""
    return np.concatenate(asyncio.run(speech(SENTENCES)))


class Talk(MediaStreamTrack):
    """The same speech again and again, in frames made beforehand; or silence."""

    kind = "audio"

    def __init__(self, frames: list[av.AudioFrame]) -> None:
        super().__init__()
        self.frames = frames
        self._count = 0
        self._began: Seconds | None = None

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._began = self._began if self._began is not None else loop.time()
        await asyncio.sleep(max(0.0, self._began + self._count * 0.02 - loop.time()))
        frame = self.frames[self._count % len(self.frames)]
        frame.pts, frame.time_base = self._count * FRAME, fractions.Fraction(1, RATE_HZ)
        self._count += 1
        return frame


def frames_of(pcm: Pcm16) -> list[av.AudioFrame]:
    wide = int16_from_float(resampled(float_from_int16(pcm), WIRE_RATE, RATE_HZ))
    made = []
    for start in range(0, wide.size - FRAME, FRAME):
        frame = av.AudioFrame.from_ndarray(wide[start : start + FRAME].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        made.append(frame)
    return made


# --- the two servers -------------------------------------------------------------------------------------------------


async def plain(sound: Pcm16) -> None:
    """A peer of plain aiortc: receives, and sends speech."""
    peers: set[RTCPeerConnection] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def drink(track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()

    async def calls(request: Request) -> Response:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.add(peer)
        peer.addTrack(Talk(frames_of(sound)))
        peer.on("track", lambda track: tasks.add(asyncio.create_task(drink(track))))
        await peer.setRemoteDescription(RTCSessionDescription((await request.body()).decode(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return Response(peer.localDescription.sdp, 201, media_type="application/sdp")

    app = Starlette(routes=[Route(PATH, calls, methods=["POST"])])
    server = HttpServer(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    await server.until_listening()
    port = server.servers[0].sockets[0].getsockname()[1]
    gc.collect()
    gc.freeze()  # as ours has it
    await _obey(f"http://127.0.0.1:{port}", Passing)
    server.end()
    await asyncio.gather(serving, *(peer.close() for peer in peers), return_exceptions=True)


class SpeechTts:
    """Says the same speech, whatever the words: as long as they take at fifteen letters a second."""

    rate = WIRE_RATE

    def __init__(self, sound: Pcm16) -> None:
        self._sound = float_from_int16(sound)

    async def warm(self) -> None:
        pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        left = round(len(text) / 15 * WIRE_RATE)
        while left > 0:
            piece = self._sound[: min(left, WIRE_RATE)]
            left -= piece.size
            yield piece


def answer(request: LlmRequest) -> str:
    return SHORT if request.instructions == BRIEF else ENDLESS


class Passing(Struct):
    """How long sound is on its way through the process, in milliseconds."""

    inwards: list[float] = []
    """From a packet in the socket to the session's ear."""
    outwards: list[float] = []
    """From the session's mouth to the packet, where an answer begins."""
    held: float = 0.0
    """From the kernel to being heard, the mean of all packets: in the socket, and behind holes."""


async def ours(sound: Pcm16, *, watched: bool) -> None:
    """The whole server as it is served, with scripted engines and the real detector."""
    passing = _watched() if watched else Passing()
    engines = EngineSet(SileroVad(), FakeStt("hello"), FakeLlm(answer), SpeechTts(sound), ())
    limits = config.Server(port=0, max_bytes_per_minute=10**12, drain_s=0.1)
    session = config.SessionDefaults(retained_audio_bytes=0)
    settings = config.Config(server=limits, session=session, history=config.History(keep=False))
    async with running(settings, engines=engines, tools=()) as listening:
        await memory.put_away(listening.state.warmed)
        tending = asyncio.create_task(memory.give_back())
        address = listening.url.replace("ws:", "http:").removesuffix("/v1/realtime")

        def look() -> Passing:
            tallies = [one.call.tally for one in listening.state.calls.ongoing.values()]
            received = sum(tally.received for tally in tallies)
            passing.held = 1000 * sum(tally.waited_s for tally in tallies) / received if received else 0.0
            return passing

        await _obey(address, look)
        tending.cancel()


def _watched() -> Passing:
    """Is written to by all calls that are made from now on, which costs them something."""
    passing = Passing()
    clock = time.perf_counter
    take_media, hear, push, send = Call.take_media, Call._hear, Speaker.push, Call._send
    came: list[float] = [0.0]
    pushed: dict[int, float] = {}

    def take_media_watched(call: Call, data: bytes, since: Seconds) -> None:
        came[0] = clock() - (call._loop.time() - since)
        take_media(call, data, since)

    def hear_watched(call: Call, pcm: Pcm16) -> None:
        passing.inwards.append(1000 * (clock() - came[0]))
        hear(call, pcm)

    def push_watched(speaker: Speaker, name: str, pcm: bytes) -> None:
        if name not in speaker._utterances:  # in an answer that goes on, what comes just in time waits for its time
            pushed[id(speaker)] = clock()
        push(speaker, name, pcm)

    def send_watched(call: Call, payload: bytes, ticks: int, after_silence: bool) -> None:
        since = pushed.pop(id(call._speaker), None)
        if since is not None:
            passing.outwards.append(1000 * (clock() - since))
        send(call, payload, ticks, after_silence)

    Call.take_media, Call._hear = take_media_watched, hear_watched  # type: ignore[method-assign,assignment]
    Speaker.push, Call._send = push_watched, send_watched  # type: ignore[method-assign,assignment]
    return passing


async def _obey(address: str, look: Callable[[], Passing]) -> None:
    """Say where we listen; answer questions until nobody asks any more."""
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    print(address, flush=True)
    while await stdin.readline():
        print(msgspec.json.encode(look()).decode(), flush=True)


class Server:
    """One of them, in its process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.address = ""

    async def line(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("the server has ended: its complaint is above")
        return line.decode().strip()

    async def passing(self) -> Passing:
        """As it was so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"?\n")
        return msgspec.json.decode(await self.line(), type=Passing)

    def cpu_s(self) -> Seconds:
        """Of all its threads, with those that have ended."""
        return time.clock_gettime(~self._process.pid << 3 | PROCESS_CLOCK)

    def wakes(self) -> int:
        """How often any of its threads has gone to sleep."""
        lines = (
            line for task in Path(f"/proc/{self._process.pid}/task").iterdir() for line in (task / "status").open()
        )
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


@contextlib.asynccontextmanager
async def started(role: str, *options: str) -> AsyncIterator[Server]:
    command = [sys.executable, __file__, "--role", role, *options]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**26)
    server = Server(process)
    try:
        server.address = await server.line()
        yield server
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


# --- the caller ------------------------------------------------------------------------------------------------------


class Caller:
    """Plain aiortc."""

    def __init__(self, frames: list[av.AudioFrame]) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.talk = Talk(frames)
        self.peer.addTrack(self.talk)
        self.channel = self.peer.createDataChannel("oai-events")
        self.created = asyncio.Event()
        self.frames = 0
        self.peer.on("track", self._listen)
        self.channel.on("message", self._take)
        self._task: asyncio.Task[None] | None = None

    async def dial(self, http: httpx.AsyncClient, *, waits: bool) -> Seconds:
        """Returns how long it took, to `session.created` where that comes, from the moment the offer was ready."""
        loop = asyncio.get_running_loop()
        await self.peer.setLocalDescription(await self.peer.createOffer())
        began = loop.time()
        offer = self.peer.localDescription.sdp
        answer = await http.post(PATH, content=offer, headers={"Content-Type": "application/sdp"})
        assert answer.status_code == 201, answer.text
        await self.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        if waits:
            async with asyncio.timeout(10):
                await self.created.wait()
        return loop.time() - began

    def ask(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    def listen_for_turns(self, role: str) -> None:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": DETECTION[role]}}}
        self.ask("session.update", session=session)

    async def hang_up(self) -> None:
        await self.peer.close()
        if self._task is not None:
            self._task.cancel()

    def _listen(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.create_task(self._drink(track))

    async def _drink(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.frames += 1

    def _take(self, message: str | bytes) -> None:
        event = json.loads(message)
        if event["type"] == "session.created":
            self.created.set()
        assert event["type"] != "error", event


DETECTION = {
    "ours": None,
    "ours, silero": {"type": "server_vad", "create_response": False, "interrupt_response": False},
}


async def measure(role: str, sound: Pcm16, calls: int, seconds: float) -> list[Figure]:
    """One of them alone."""
    is_ours = role != "plain"
    async with started(role) as server, httpx.AsyncClient(base_url=server.address, timeout=30) as http:
        frames = frames_of(sound)
        callers = await _called(http, frames, calls, waits=is_ours)
        talking, wakes = await _talk(server, callers, role, seconds)
        print(f"{role:>14} {calls:6d} {wakes:9.0f}  {100 * talking / calls:9.2f} %", end="", flush=True)
        if is_ours:
            await _be_silent(callers)
            before = server.cpu_s()
            await asyncio.sleep(seconds)
            silent = (server.cpu_s() - before) / seconds
            print(f" {100 * silent / calls:9.2f} %   ", end="", flush=True)
        await asyncio.gather(*(caller.hang_up() for caller in callers))
    if is_ours:
        return await _times(role, frames, calls)
    print(flush=True)
    return []


async def compare(sound: Pcm16, calls: int, seconds: float) -> list[Figure]:
    """Both at once on one core, second by second."""
    frames = frames_of(sound)
    async with contextlib.AsyncExitStack() as stack:
        servers: list[Server] = []
        callers: list[Caller] = []
        for role in ("plain", "ours"):
            server = await stack.enter_async_context(started(role))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.address, timeout=30))
            called = await _called(http, frames, calls, waits=role == "ours")
            _talk_both_ways(called, role)
            servers.append(server)
            callers += called
        await asyncio.sleep(WARM_UP_S)
        spent = np.array([await _second(servers) for _ in range(round(seconds))])
        await asyncio.gather(*(caller.hang_up() for caller in callers))
    plain, ours = 100 * np.median(spent, axis=0) / calls
    low, middle, high = 100 * np.percentile(spent[:, 1] / spent[:, 0], [25, 50, 75])
    print(f"{'at once':>14} {calls:6d}   plain {plain:.2f} %, ours {ours:.2f} % in the median second;", end=" ")
    print(f"ours to plain {middle:.0f} % (half of all seconds: {low:.0f} to {high:.0f})", flush=True)
    return [Figure(f"processor time of plain aiortc's, {calls} at a time", middle, MOST_SHARE, "%")]


async def _second(servers: list[Server]) -> list[float]:
    """What each of them spends in one."""
    before = [server.cpu_s() for server in servers]
    await asyncio.sleep(1)
    return [server.cpu_s() - since for server, since in zip(servers, before, strict=True)]


async def _called(
    http: httpx.AsyncClient, frames: list[av.AudioFrame], calls: int, *, waits: bool = True
) -> list[Caller]:
    callers = [Caller(frames) for _ in range(calls)]
    for caller in callers:
        await caller.dial(http, waits=waits)
    return callers


async def _times(role: str, frames: list[av.AudioFrame], calls: int) -> list[Figure]:
    """How long calls take to begin, and sound to pass: the rest of the line, and the figures that have limits."""
    async with started(role, "--watched") as server, httpx.AsyncClient(base_url=server.address, timeout=30) as http:
        set_up = [await _begin_and_end(frames, http) for _ in range(SET_UPS)]
        callers = await _called(http, frames, calls)
        await _let_them_answer(callers, role)
        passing = await server.passing()
        await asyncio.gather(*(caller.hang_up() for caller in callers))
    columns = percentiles(set_up), percentiles(passing.inwards), percentiles(passing.outwards), f"{passing.held:6.2f}"
    print("   ".join(columns), flush=True)
    case = f"{role}, {calls} at a time"
    return [
        timed(f"set-up to session.created, {case}", set_up, MOST_SET_UP_MS),
        timed(f"packet to ear, {case}", passing.inwards, MOST_WAY_MS),
        timed(f"mouth to packet, {case}", passing.outwards, MOST_WAY_MS),
    ]


async def _begin_and_end(frames: list[av.AudioFrame], http: httpx.AsyncClient) -> float:
    """How long a call took to begin, in milliseconds."""
    caller = Caller(frames)
    took_ms = 1000 * await caller.dial(http, waits=True)
    await caller.hang_up()
    return took_ms


async def _be_silent(callers: list[Caller]) -> None:
    for caller in callers:
        caller.ask("response.cancel")
        caller.ask("output_audio_buffer.clear")
        caller.talk.frames = frames_of(np.zeros(WIRE_RATE, np.int16))
    await asyncio.sleep(WARM_UP_S)


async def _let_them_answer(callers: list[Caller], role: str) -> None:
    """Short answers, which all callers ask for at once."""
    for caller in callers:
        caller.listen_for_turns(role)
    for _ in range(ANSWERS):
        for caller in callers:
            caller.ask("response.create", response={"instructions": BRIEF})
        await asyncio.sleep(ANSWER_S)


def _talk_both_ways(callers: list[Caller], role: str) -> None:
    """The callers do it as soon as they are connected, and so does plain aiortc."""
    if role != "plain":
        for caller in callers:
            caller.listen_for_turns(role)
            caller.ask("response.create")


async def _talk(server: Server, callers: list[Caller], role: str, seconds: float) -> tuple[float, float]:
    """Processor time per second, and wakes, while both sides of all calls speak."""
    _talk_both_ways(callers, role)
    await asyncio.sleep(WARM_UP_S)
    heard = sum(caller.frames for caller in callers)
    before, woken, loop = server.cpu_s(), server.wakes(), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds)
    took = loop.time() - began
    spent, woken = (server.cpu_s() - before) / took, server.wakes() - woken
    heard = sum(caller.frames for caller in callers) - heard
    expected = seconds * 50 * len(callers)
    if heard < 0.9 * expected:
        print(f"only {heard} of {expected:.0f} frames were heard: the caller's core is too slow", file=sys.stderr)
    return spent, woken / took


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--calls", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--role", choices=["plain", *DETECTION], help=argparse.SUPPRESS)
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sound = spoken()
    if arguments.role:
        pin(SERVER_CORE)
        uvloop.run(plain(sound) if arguments.role == "plain" else ours(sound, watched=arguments.watched))
        return
    pin(CALLER_CORE if (os.cpu_count() or 1) > 1 else 0)
    print(machine())
    print("processor time of a core for each call; milliseconds at p50 and p95")
    print(f"{'server':>14} {'calls':>6} {'wakes/s':>9} {'talking':>12} {'silent':>12}", end="   ")
    print("           set-up    packet to ear  mouth to packet    mean")
    figures: list[Figure] = []
    for calls in arguments.calls:
        figures += uvloop.run(compare(sound, calls, arguments.seconds))
        for role in ("plain", *DETECTION):
            figures += uvloop.run(measure(role, sound, calls, arguments.seconds))
    print()
    for figure in figures:
        print(figure)
    sys.exit(0 if all(figure.holds for figure in figures) else 1)


if __name__ == "__main__":
    main()
