"""A real browser with a recorded microphone in front of our page, and what came out of its loudspeaker."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from browser import chromium
from numpy.typing import NDArray
from playwright.async_api import Page, ViewportSize, async_playwright

PICTURES = Path(__file__).parents[2] / "build" / "e2e"
QUEUE, STAGE = PICTURES / "queue.lock", PICTURES / "stage.lock"
DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=740)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
]  # fmt: skip

EAVESDROP = """
// What is heard, and when the server said what: a second listener at the loudspeaker and at the wire.
window.heard = { lastLoudMs: 0, messages: [], session: { asked: 0, answered: 0, now: null } }
const connect = AudioNode.prototype.connect
function listen(node, isOn = () => true) {
  const ear = new AnalyserNode(node.context, { fftSize: 256 })
  connect.call(node, ear)
  const wave = new Float32Array(256)
  setInterval(() => {
    ear.getFloatTimeDomainData(wave)
    if (isOn() && wave.some((sample) => Math.abs(sample) > 0.003)) window.heard.lastLoudMs = performance.now()
  }, 4)
}
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) listen(this)
  return connect.call(this, to, ...rest)
}
function note(event) {
  const { type, session } = JSON.parse(event.data)
  window.heard.messages.push({ type, atMs: performance.now(), lastLoudMs: window.heard.lastLoudMs })
  if (session) window.heard.session.now = session
  if (type === 'session.updated' || type === 'error') window.heard.session.answered += 1
}
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given)
    this.addEventListener('message', note)
  }
  send(data) {
    if (typeof data === 'string' && JSON.parse(data).type === 'session.update') window.heard.session.asked += 1
    super.send(data)
  }
}
const play = HTMLMediaElement.prototype.play
HTMLMediaElement.prototype.play = function () {
  if (this.srcObject) {
    const node = new MediaStreamAudioSourceNode(new AudioContext(), { mediaStream: this.srcObject })
    listen(node, () => !this.muted)
  }
  return play.call(this)
}
window.RTCPeerConnection = class extends RTCPeerConnection {
  createDataChannel(...given) {
    const channel = super.createDataChannel(...given)
    channel.addEventListener('message', note)
    return channel
  }
}
"""


@asynccontextmanager
async def open_page(
    microphone: Path | None = None,
    *,
    allowed: bool = True,
    ours: bool = True,
    size: ViewportSize = DESK,
    choices: str = "{}",
    alone: bool = False,
) -> AsyncIterator[Page]:
    """A page that has not gone anywhere yet. `microphone` is played once, and without it nobody speaks; `choices` is
    what the person has set. If it is not `ours`, the page's own rules of what may run in it do not count. Who measures
    short times wants to be `alone`: no other test has a browser meanwhile.

    A message on the browser's console that is an error fails the test, and so does a script that broke.
    """
    arguments = [*ARGUMENTS]
    if allowed:
        arguments.append("--use-fake-ui-for-media-stream")
    with tempfile.TemporaryDirectory() as folder:
        # Chromium's own microphone beeps once a second, and a voice detector may take that for anything.
        tape = microphone or recorded(Path(folder) / "quiet.wav", np.zeros(24_000, np.int16))
        arguments.append(f"--use-file-for-fake-audio-capture={tape}%noloop")
        async with _on_stage(alone=alone), _opened(arguments, ours, size, choices) as page:
            yield page


@asynccontextmanager
async def _on_stage(*, alone: bool) -> AsyncIterator[None]:
    """Beside the browsers of other processes' tests, or alone. Whoever comes later than one who waits for that waits
    too, or there would always be somebody."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with QUEUE.open("w") as queue, STAGE.open("w") as stage:
        await asyncio.to_thread(fcntl.flock, queue, fcntl.LOCK_EX)
        await asyncio.to_thread(fcntl.flock, stage, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield


@asynccontextmanager
async def _opened(arguments: list[str], ours: bool, size: ViewportSize, choices: str) -> AsyncIterator[Page]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            context = await browser.new_context(viewport=size, bypass_csp=not ours)
            page = await context.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.append(message.text) if _is_bad(message) else None)
            await page.add_init_script(EAVESDROP)
            await page.add_init_script(f"localStorage.setItem('antiphon.choices.1', {choices!r})")
            try:
                yield page
            except BaseException:
                test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].partition(" ")[0]
                await picture(page, f"failed-{test}")
                raise
            assert complaints == []
        finally:
            await browser.close()


def _is_bad(message: Any) -> bool:
    # A request that the server refuses is an error to the console, and for the tests that make one a success.
    return message.type == "error" and "Failed to load resource" not in message.text and "WebSocket" not in message.text


def origin_of(url: str) -> str:
    """The page's address, from that of the Realtime endpoint."""
    return url.replace("ws", "http", 1).removesuffix("/v1/realtime")


async def picture(page: Page, name: str) -> None:
    """Keep what a person sees."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")


def tape(path: Path, sounds: Path, *parts: str | float) -> Path:
    """A microphone's recording: named sounds, and pauses in seconds with a quiet room in them."""
    room = np.frombuffer((sounds / "room.pcm").read_bytes(), np.int16)
    pieces = [
        np.frombuffer((sounds / f"{part}.pcm").read_bytes(), np.int16)
        if isinstance(part, str)
        else np.resize(room, round(part * 24_000))
        for part in parts
    ]
    return recorded(path, np.concatenate(pieces))


def recorded(path: Path, samples: NDArray[np.int16]) -> Path:
    """Mono at 24 kHz, as a file at the rate of most sound cards."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(np.repeat(samples, 2).tobytes())
    return path


class Cable:
    """A network between the page and a server, over TCP, that can be torn. `origin` is the server's through it."""

    def __init__(self, server: asyncio.Server, origin: str) -> None:
        self.origin = origin
        self._server = server
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_whole = True

    @classmethod
    @asynccontextmanager
    async def to(cls, origin: str) -> AsyncIterator[Cable]:
        port = int(origin.rpartition(":")[2])

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not cable._is_whole:
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            cable._ends |= {writer, far_writer}
            async with asyncio.TaskGroup() as both:
                both.create_task(_copied(reader, far_writer))
                both.create_task(_copied(far_reader, writer))
            cable._ends -= {writer, far_writer}

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        cable = cls(server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            yield cable
        finally:
            cable.tear()
            server.close()

    def tear(self) -> None:
        """Whatever goes through it is gone at once, and nothing goes through until it is mended."""
        self._is_whole = False
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._is_whole = True


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    writer.close()
