"""A voice assistant in a terminal: one conversation with a Realtime server, over as many connections as it takes.

The shell around `Dialogue`: it moves messages, sound and keys, and decides nothing about the conversation. It does not
know where the server is, nor what the sound devices are.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import sys
from collections.abc import Coroutine, Iterable
from typing import assert_never

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import WIRE_RATE, Seconds
from antiphon.desktop.dialogue import (
    Caption,
    Dialogue,
    Effect,
    Hush,
    Message,
    Note,
    Phase,
    Play,
    PlayedOut,
    Send,
)
from antiphon.desktop.keyboard import Keyboard
from antiphon.desktop.returning import Back, Return
from antiphon.desktop.screen import Screen, meter
from antiphon.desktop.sleep import Asleep, asleep_s, awakening
from antiphon.desktop.sound import Sound
from antiphon.errors import ConfigError, TransportClosed

TICK_S: Seconds = 0.02  # between looks at the microphone: one message each
REPORT_S: Seconds = 0.25  # between reports of the played position
CONNECT_S: Seconds = 10.0
FIRST_RETRY_S: Seconds = 0.5
LAST_RETRY_S: Seconds = 10.0
SHORTEST_TOLD_S: Seconds = 0.3  # of the person's sound that was lost: less is no word
WAITING_LINES = 64  # typed while nobody listens
REFUSALS = (400, 401, 403, 404)  # which another attempt does not change
MARKS = {"listening": "●", "hearing": "◉", "thinking": "…", "speaking": "▶"}


class Server(Struct, frozen=True):
    """Whom to talk to."""

    url: str
    key: str | None = None
    is_ours: bool = False
    """An Antiphon of this process, which understands our additions from its first message on."""
    skips_certificate: bool = False
    """For a server with a certificate that it made itself."""


class Talk:
    """One conversation, for one `run`."""

    def __init__(
        self, server: Server, dialogue: Dialogue, sound: Sound, screen: Screen, asleep: Asleep = asleep_s
    ) -> None:
        """`asleep` tells how long the machine has slept so far."""
        self.dialogue = dialogue
        self.is_connected = False
        self._server = server
        self._sound = sound
        self._screen = screen
        self._asleep = asleep
        self._knows_additions = server.is_ours
        self._lines: asyncio.Queue[str] = asyncio.Queue(WAITING_LINES)
        self._typed = self._sent = self._answered = 0
        """Lines that were typed, those of them that the server was sent, and those of these that it has answered."""
        self._phase = "listening"
        self._caption: Caption | None = None
        self._speech_ended: Seconds | None = None
        self._reported: tuple[str, int] | None = None
        self._keyboard: Keyboard | None = None
        self._stop_wanted = asyncio.Event()
        self._return = Return()
        self._to_catch_up: int | None = None
        """Messages that are still to come of those that were missed; None if there is nothing to catch up with."""
        self._said = self._unheard = 0
        """Samples of the microphone that were sent, and that could not be."""

    async def run(self, *, ends_with_input: bool) -> None:
        """Talk until it is cancelled, or, if it `ends_with_input`, until all that was typed is answered.

        Raises `ConfigError` if the server refuses us, and `TransportClosed` if it is not there at all.
        """
        with Keyboard(self._take_line, self._stop_wanted.set) as self._keyboard:
            try:
                async with self._sound, asyncio.TaskGroup() as group:
                    tasks = [group.create_task(work()) for work in (self._sound.tend, self._draw, self._stay_connected)]
                    if ends_with_input:
                        await self._until_answered(self._keyboard)
                        for task in tasks:
                            task.cancel()
            except BaseExceptionGroup as errors:
                raise _cause(errors) from None
            finally:
                self._screen.close()

    async def _until_answered(self, keyboard: Keyboard) -> None:
        await keyboard.is_over.wait()
        while self._sent < self._typed:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(TICK_S)
        await self._until_quiet()

    async def _until_quiet(self) -> None:
        """Until what was typed is answered and heard: a pipe types faster than anybody can listen."""
        while self._answered < self._sent or self.dialogue.is_answering or self._sound.is_playing:  # noqa: ASYNC110 - for pipes only
            await asyncio.sleep(TICK_S)

    # --- connections

    async def _stay_connected(self) -> None:
        was_there, wait_s = False, FIRST_RETRY_S
        while True:
            try:
                async with connect(
                    self._address(),
                    additional_headers={"Authorization": f"Bearer {self._server.key}"} if self._server.key else {},
                    max_size=None,
                    compression=None,
                    open_timeout=CONNECT_S,
                    ssl=self._tls(),
                ) as socket:
                    if was_there and not self._return.is_possible:
                        self._screen.line("state", "connected again: the conversation goes on")
                    was_there, wait_s = True, FIRST_RETRY_S
                    await _apart(self._converse(socket))
            except InvalidStatus as refusal:
                if self._return.is_possible and refusal.response.status_code in (404, 409):
                    self._begin_anew()
                    continue
                _raise_refusal(refusal)
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                if not was_there:
                    raise TransportClosed(
                        f"there is no server at {self._server.url}: {error}",
                        "Start one with: antiphon serve. Or leave --server out, and one is started here.",
                    ) from error
            self.is_connected = False
            if not self._return.is_possible:
                self._begin_anew()
            self._screen.line("state", f"the connection is gone; trying again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            wait_s = min(LAST_RETRY_S, 2 * wait_s)

    def _begin_anew(self) -> None:
        """The session is gone: what it was saying will not be said, and the next one is told what was said before."""
        self._return.forget()
        self._to_catch_up = None
        self._said = self._unheard = 0
        self._sound.hush()
        self._answered = self._sent

    async def _converse(self, socket: ClientConnection) -> None:
        """Until the connection ends. Raises `ConnectionClosed` however it does."""
        if not self._return.is_possible:
            await self._send_all(socket, self.dialogue.opening())
        self.is_connected = True
        try:
            async with asyncio.TaskGroup() as group:
                for work in (self._listen, self._speak, self._type, self._stop_on_wish, self._leave_after_sleep):
                    group.create_task(work(socket))
        except BaseExceptionGroup as errors:
            raise _cause(errors) from None

    async def _leave_after_sleep(self, socket: ClientConnection) -> None:
        """The server has long given us up then, and our side of the connection would wait for its silence."""
        await awakening(self._asleep)
        self._screen.line("state", "the machine slept")
        socket.transport.abort()

    def _address(self) -> str:
        """Servers that know no additions ignore the parameter; OpenAI's is not to be told of us."""
        url = self._server.url
        if ".openai.com" in url or "antiphon=" in url:
            return url
        return f"{url}{'&' if '?' in url else '?'}{self._return.parameters()}"

    def _tls(self) -> ssl.SSLContext | None:
        if not self._server.url.startswith("wss:"):
            return None
        context = ssl.create_default_context()
        if self._server.skips_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    # --- from us to the server

    async def _speak(self, socket: ClientConnection) -> None:
        """The microphone, on a clock; and, while something plays, how far."""
        loop = asyncio.get_running_loop()
        discarded = self._sound.take().size  # what was said while nobody listened
        self._unheard = discarded if self._return.is_possible else 0
        due = reported_at = loop.time()
        while True:
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self._sound.feed()
            pcm = self._sound.take()
            if pcm.size:
                audio = base64.b64encode(int16_from_float(pcm).tobytes()).decode()
                await socket.send(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')
                self._said += pcm.size
            if self._knows_additions and due - reported_at >= REPORT_S:
                reported_at = due
                await self._report(socket)

    async def _report(self, socket: ClientConnection) -> None:
        heard = self._sound.heard()
        if heard is None or self._reported == (heard.item_id, heard.ms):
            return
        self._reported = (heard.item_id, heard.ms)
        await self._send_all(
            socket, [{"type": "antiphon.playout", "item_id": heard.item_id, "played_ms": max(0, heard.ms)}]
        )

    async def _type(self, socket: ClientConnection) -> None:
        while True:
            line = await self._lines.get()
            if not sys.stdin.isatty():
                await self._until_quiet()
            cut = self._sound.hush()
            await self._send_all(socket, [*self.dialogue.interrupted(cut), *self.dialogue.typed(line)])
            self._sent += 1

    async def _stop_on_wish(self, socket: ClientConnection) -> None:
        while True:
            await self._stop_wanted.wait()
            self._stop_wanted.clear()
            cut = self._sound.hush()
            cancel: list[Message] = [{"type": "response.cancel"}] if self.dialogue.is_answering else []
            await self._send_all(socket, [*cancel, *self.dialogue.interrupted(cut)])

    async def _send_all(self, socket: ClientConnection, messages: Iterable[Message]) -> None:
        for message in messages:
            await socket.send(msgspec.json.encode(message).decode())

    def _take_line(self, line: str) -> None:
        if self._lines.full():
            self._screen.line("error", "nobody listens: this line was not sent")
            return
        self._lines.put_nowait(line)
        self._typed += 1

    # --- from the server to us

    async def _listen(self, socket: ClientConnection) -> None:
        async for frame in socket:
            message = msgspec.json.decode(frame)
            kind = message.get("type", "")
            self._knows_additions = self._knows_additions or kind.startswith("antiphon.")
            back = self._return.hear(message)
            if back is not None:
                self._to_catch_up = back.missed
                self._screen.line("state", self._welcome(back))
            if kind == "input_audio_buffer.speech_stopped":
                self._speech_ended = asyncio.get_running_loop().time()
            if kind == "response.done":
                self._answered = min(self._sent, self._answered + 1)
            for effect in self.dialogue.hear(message):
                await self._act(socket, effect)
            if self._to_catch_up is not None:
                await self._catch_up(socket)
        await socket.wait_closed()
        raise ConnectionClosed(None, None)

    async def _catch_up(self, socket: ClientConnection) -> None:
        """One message less that was missed. After the last, the server is told what it did not hear of."""
        if self._to_catch_up:
            self._to_catch_up -= 1
            return
        self._to_catch_up = None
        await self._send_all(socket, self.dialogue.caught_up())

    def _welcome(self, back: Back) -> str:
        missed = "nothing was missed" if back.is_complete else "the first of what was said meanwhile is lost"
        unheard_s = max(0.0, (self._said + self._unheard) / WIRE_RATE - back.heard_ms / 1000)
        self._said, self._unheard = round(back.heard_ms * WIRE_RATE / 1000), 0
        if self._sound.ears is None or unheard_s < SHORTEST_TOLD_S:
            return f"connected again: {missed}"
        return f"connected again: {missed}; {unheard_s:.1f} s of what you said were not heard"

    async def _act(self, socket: ClientConnection, effect: Effect) -> None:
        match effect:
            case Play(item_id, content_index, sound):
                self._time_first_sound()
                self._sound.play(item_id, content_index, sound)
            case PlayedOut():
                self._sound.finish()
                self._phase = "listening"
            case Hush():
                await self._send_all(socket, self.dialogue.interrupted(self._sound.hush()))
            case Send(message):
                await self._send_all(socket, [message])
            case Caption(who, _, text, is_final):
                self._caption = None if is_final else effect
                if is_final:
                    self._screen.line(who, text or "(nothing that could be understood)")
            case Note(kind, text):
                self._screen.line(kind, text)
            case Phase(name):
                self._phase = name
            case _:
                assert_never(effect)

    def _time_first_sound(self) -> None:
        """A server that is not ours does not tell where the time went; how long it took can be seen from here."""
        ended, self._speech_ended = self._speech_ended, None
        if ended is not None and not self._knows_additions:
            waited_ms = (asyncio.get_running_loop().time() - ended) * 1000
            self._screen.line("timeline", f"{waited_ms:.0f} ms from the end of the turn to the first sound")

    # --- the terminal

    async def _draw(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._screen.status(self._status(), loop.time())
            await asyncio.sleep(0.1)

    def _status(self) -> str:
        state = ("speaking" if self._sound.is_playing else self._phase) if self.is_connected else "connecting"
        level = f" {meter(self._sound.level_dbfs)}" if self._sound.ears is not None else ""
        shown = f"{MARKS.get(state, '○')} {state:<10}{level}"
        if self._keyboard is not None and self._keyboard.typed.line:
            return f"{shown} > {self._keyboard.typed.line}▏"
        return f"{shown} {self._caption.text}" if self._caption is not None else shown


async def _apart(work: Coroutine[object, object, None]) -> None:
    """`work`, as a task of its own, which a cancellation ends and which cannot hide it.

    Before Python 3.13 a `TaskGroup` one of whose tasks fails in the moment in which its owner is cancelled raises the
    failure alone: an owner that answers failures by trying again would never end.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    task.result()


def _cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended a group of tasks: the others were only told to stop."""
    first = errors.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first


def _raise_refusal(refusal: InvalidStatus) -> None:
    """A `ConfigError` for what another attempt does not change."""
    status = refusal.response.status_code
    if status not in REFUSALS:
        return
    body = (refusal.response.body or b"").decode("utf-8", "replace").strip()[:300]
    hint = "Give the server's key with --key or ANTIPHON_KEY." if status in (401, 403) else "Check the address."
    raise ConfigError(f"the server refuses us with {status}: {body or refusal.response.reason_phrase}", hint)
