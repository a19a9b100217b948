"""How many conversations one core carries, and how late answers become: many callers, one server.

    python bench/density.py                     25, 50 and 100 sessions, about three minutes
    python bench/density.py --sessions 100 --silent       what they cost while nobody speaks
    python bench/density.py --sessions 200 --ungated      also with every window scored, without the gate
    python bench/density.py --sessions 100 --baseline     also with one call of the detector for each window

Every caller sends the noise of a quiet room all the time, one in eight with people who talk next door, in messages of
20 ms, and speaks for about two of every six seconds; the answer takes nearly three. Server and callers have a process
and a core each. The callers' frames are made beforehand and written to the sockets as they are, so that the generator
is not what is measured; how late it was is told. The server's engines are scripted, its detector is real. Its
processor time is the kernel's count, sockets included; its memory is without the sound of items that is kept to be
retrieved, which has a budget of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
from typing import cast

import numpy as np
import uvloop
from msgspec import Struct
from numpy.typing import NDArray
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.observe.timeline import Turn
from antiphon.testing.caller import FRAME, ROOM_DBFS
from common import (
    CALLER_CORE,
    SCRIPTED_MS,
    SERVER_CORE,
    Report,
    Server,
    Wish,
    arguments_of,
    babble,
    machine,
    noise,
    percentiles,
    pin,
    server,
    speech,
    stolen_s,
)

SENTENCES = (
    "please tell me about the weather in the mountains",
    "could you read me the first message of today",
    "I would like to know how far it is to the sea",
    "set an alarm for half past six in the morning",
    "turn the lights off in the kitchen and the hall",
)
ANSWER = "It is about a quarter past nine in the morning."  # 47 letters: 3.1 s of the scripted voice
CYCLE_S: Seconds = 7.0  # 2 to 3 s of speech, 0.7 to its answer, 3.1 of that
FRAME_S: Seconds = FRAME / WIRE_RATE
SLOTS = 20  # in a frame's time: each session sends in one of them, a millisecond from the next
ROOM_S = 10  # of noise, before it comes again
BABBLE_EACH = 8  # the callers among whom one is in a room where others talk
LATE_MS = 5.0  # of the generator at p95: from here on its own lateness is in the figures
AUDIO = b'{"type":"response.output_audio.delta"'
CREATED = b'{"type":"response.created"'


class Sound(Struct, frozen=True):
    """What callers in one room say, as frames of the WebSocket, ready to be written."""

    room: list[bytes]
    sentences: list[list[bytes]]


class Line(asyncio.Protocol):
    """One caller's socket. It counts answers and looks at nothing else."""

    def __init__(self, url: str) -> None:
        self.bursts = 0
        self.answers = 0
        """Bursts that were answered with sound before the next began."""
        self.responses = 0
        self.is_open = asyncio.Event()
        self._is_waiting = False
        self._talk = ClientProtocol(parse_uri(url), max_size=None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._talk.send_request(self._talk.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._talk.receive_data(data)
        for event in self._talk.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._take(bytes(event.data[:64]))
        self._flush()
        if self._talk.handshake_exc is not None:
            raise self._talk.handshake_exc

    def burst_began(self) -> None:
        self.bursts += 1
        self._is_waiting = False

    def burst_ended(self) -> None:
        self._is_waiting = True

    def close(self) -> None:
        if not self.transport.is_closing():
            self._talk.send_close()
            self._flush()
        self.transport.close()

    def _take(self, start: bytes) -> None:
        if start.startswith(AUDIO):
            self.answers += self._is_waiting
            self._is_waiting = False
        elif start.startswith(CREATED):
            self.responses += 1
        elif start.startswith(b'{"type":"session.created"'):
            self.is_open.set()

    def _flush(self) -> None:
        for data in self._talk.data_to_send():
            self.transport.write(data)


class Caller:
    """What one line sends: the room, and a sentence once in each cycle, from a moment of its own on."""

    def __init__(self, line: Line, sound: Sound, number: int, phase: float) -> None:
        """`phase` in [0, 1) is where in the cycle the sentence lies."""
        self.line = line
        self._room = sound.room
        self._sentence = sound.sentences[number % len(sound.sentences)]
        self._offset = number * 37
        self._cycle = round(CYCLE_S / FRAME_S)
        self._begin = round(phase * self._cycle)

    def send(self, tick: int, *, may_speak: bool) -> None:
        """The frame of this tick. A sentence that has begun is said to its end."""
        place = (tick - self._begin) % self._cycle
        if place == 0 and may_speak:
            self.line.burst_began()
            self._is_speaking = True
        if place == len(self._sentence) and self._is_speaking:
            self.line.burst_ended()
            self._is_speaking = False
        frames = self._sentence if self._is_speaking else self._room
        self.line.transport.write(frames[place if self._is_speaking else (tick + self._offset) % len(frames)])

    _is_speaking = False


class Measured(Struct, frozen=True):
    """One run."""

    sessions: int
    core_percent: float
    """Of the server's core, all sessions together."""
    memory_bytes: int
    """By how much the server grew from its first session's coming to the end."""
    idle_memory_bytes: int
    """The same once all were connected, before anybody spoke."""
    bursts: int
    answers: int
    responses: int
    turns: list[Turn]
    windows_a_batch: float
    stolen_percent: float
    """Of the server's core, by other machines on the same host: it makes every p95 worse."""
    late_ms: list[float]
    """Of the generator, every slot."""


class Rooms(Struct, frozen=True):
    """Where callers are."""

    quiet: Sound
    babble: Sound

    def of(self, number: int) -> Sound:
        return self.babble if number % BABBLE_EACH == 0 else self.quiet


def prepare(said: list[Pcm16]) -> Rooms:
    """Mix every sentence with each room, and make all frames."""
    quiet = noise(ROOM_S * WIRE_RATE, ROOM_DBFS)
    return Rooms(_sound(said, quiet), _sound(said, quiet + babble(said, quiet.size, ROOM_DBFS)))


def _sound(said: list[Pcm16], room: NDArray[np.float64]) -> Sound:
    sentences = []
    for pcm in said:
        whole = np.zeros(-(-pcm.size // FRAME) * FRAME)
        whole[: pcm.size] = pcm
        sentences.append(_frames(whole + room[: whole.size]))
    return Sound(_frames(room), sentences)


def _frames(sound: NDArray[np.float64]) -> list[bytes]:
    pcm = np.clip(np.round(sound), -32768, 32767).astype("<i2")
    return [_frame(pcm[start : start + FRAME].tobytes()) for start in range(0, pcm.size, FRAME)]


def _frame(pcm: bytes) -> bytes:
    """One message as it goes over the wire. A mask of zeros is a mask: the server has the same work to take it off."""
    text = b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(pcm) + b'"}'
    return Frame(Opcode.TEXT, text).serialize(mask=False)[:1] + _masked_length(len(text)) + bytes(4) + text


def _masked_length(length: int) -> bytes:
    assert 126 <= length < 65_536, "the form of the length that frames of 20 ms have"
    return bytes((0x80 | 126,)) + length.to_bytes(2, "big")


async def run(sessions: int, rooms: Rooms, options: argparse.Namespace, wish: Wish) -> Measured:
    async with server(wish) as one:
        await asyncio.sleep(1.0)
        empty = one.memory_bytes()
        callers = await connect(one.url, sessions, rooms)
        try:
            return await load(one, callers, empty, options)
        finally:
            for caller in callers:
                caller.line.close()


async def connect(url: str, sessions: int, rooms: Rooms) -> list[Caller]:
    loop, address = asyncio.get_running_loop(), parse_uri(url)
    callers = []
    for number in range(sessions):
        _, line = await loop.create_connection(lambda: Line(url), address.host, address.port)
        await line.is_open.wait()
        callers.append(Caller(line, rooms.of(number), number, number / sessions))
    return callers


async def load(one: Server, callers: list[Caller], empty_bytes: int, options: argparse.Namespace) -> Measured:
    loop = asyncio.get_running_loop()
    late_ms: list[float] = []
    began, tick = loop.time(), 0

    async def speak_for(seconds: Seconds, *, may_speak: bool) -> None:
        nonlocal tick
        for _ in range(round(seconds / FRAME_S)):
            for slot in range(SLOTS):
                due = began + (tick + slot / SLOTS) * FRAME_S
                await asyncio.sleep(max(0.0, due - loop.time()))
                late_ms.append((loop.time() - due) * 1000)
                for caller in callers[slot::SLOTS]:
                    caller.send(tick, may_speak=may_speak)
            tick += 1

    await speak_for(3.0, may_speak=False)
    idle = one.memory_bytes()
    await speak_for(CYCLE_S, may_speak=not options.silent)
    before, cpu, start = await one.report(), one.cpu_s(), loop.time()
    stolen = stolen_s(SERVER_CORE)
    late_ms.clear()
    await speak_for(options.seconds, may_speak=not options.silent)
    cpu, wall = one.cpu_s() - cpu, loop.time() - start
    stolen = stolen_s(SERVER_CORE) - stolen
    late = late_ms.copy()
    after = await one.report()
    await speak_for(CYCLE_S, may_speak=False)
    lines = [caller.line for caller in callers]
    return Measured(
        len(callers),
        100 * cpu / wall,
        one.memory_bytes() - empty_bytes,
        idle - empty_bytes,
        sum(line.bursts for line in lines),
        sum(line.answers for line in lines),
        sum(line.responses for line in lines),
        after.turns,
        _windows_a_batch(before, after),
        100 * stolen / wall,
        late,
    )


def _windows_a_batch(before: Report, after: Report) -> float:
    return (after.windows - before.windows) / max(1, after.batches - before.batches)


def show(measured: Measured, name: str) -> None:
    turns = [
        (turn.first_audio - turn.silence_complete) * 1000 - SCRIPTED_MS
        for turn in measured.turns
        if turn.first_audio is not None and turn.silence_complete is not None
    ]
    hearing = [
        (turn.committed - turn.silence_complete) * 1000
        for turn in measured.turns
        if turn.committed is not None and turn.silence_complete is not None
    ]
    count, missed = measured.sessions, measured.bursts - measured.answers
    print(
        f"{name:<10}{count:>9}{measured.core_percent:>8.1f}{measured.core_percent / count:>9.3f}"
        f"{measured.idle_memory_bytes / count / 1e6:>7.2f}{measured.memory_bytes / count / 1e6:>7.2f}"
        f"{percentiles(turns)}{percentiles(hearing)}{measured.bursts:>7}{missed:>8}"
        f"{measured.responses - measured.bursts:>7}{measured.windows_a_batch:>7.1f}{measured.stolen_percent:>8.1f}"
        f"{percentiles(measured.late_ms)}"
    )
    if np.percentile(measured.late_ms, 95) > LATE_MS:
        print(
            f"  the generator itself was more than {LATE_MS:.0f} ms late: added and hearing are not the server's alone"
        )


HEADER = (
    f"{'':<19}{'core':>8}{'core %':>9}{'MB a session':>14}{'added ms':>16}{'hearing ms':>16}{'':>22}{'windows':>7}"
    f"{'stolen':>8}{'generator late':>16}\n"
    f"{'':<10}{'sessions':>9}{'%':>8}{'/session':>9}{'idle':>7}{'end':>7}{'p50':>8}{'p95':>8}{'p50':>8}{'p95':>8}"
    f"{'bursts':>7}{'missed':>8}{'extra':>7}{'/batch':>7}{'%':>8}{'p50':>8}{'p95':>8}"
)


async def measure(options: argparse.Namespace) -> None:
    rooms = prepare(await speech(SENTENCES))
    name = "silent" if options.silent else "talking"
    print(HEADER)
    for sessions in options.sessions:
        show(await run(sessions, rooms, options, Wish(answer=ANSWER)), name)
        if options.ungated:
            show(await run(sessions, rooms, options, Wish(answer=ANSWER, gated=False)), "ungated")
        if options.baseline:
            show(await run(sessions, rooms, options, Wish(answer=ANSWER, gated=False, batched=False)), "unbatched")


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--sessions", type=int, nargs="*", default=[25, 50, 100])
    parser.add_argument("--seconds", type=float, default=28.0, help="that are measured, of each run")
    parser.add_argument("--silent", action="store_true", help="nobody speaks: the room alone")
    parser.add_argument("--ungated", action="store_true", help="run each also without the gate before the detector")
    parser.add_argument("--baseline", action="store_true", help="run each also without batches")
    options = parser.parse_args()
    pin(CALLER_CORE)
    print(machine())
    uvloop.run(measure(options))


if __name__ == "__main__":
    main()
