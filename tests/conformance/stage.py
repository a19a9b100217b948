"""A stage for real clients: our server, a client's program in an environment of its own, and what both of them saw.

It does not know any client. A program is told where the server is and where the sounds are, holds a conversation the
way its client's documentation shows, and prints a line of JSON for everything that its client showed it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.config import load
from antiphon.engines.api import LlmRequest, ToolAnswered, TtsRequest, UserSaid
from antiphon.engines.fake import Call, FakeLlm, FakeStt, FakeTts, Line
from antiphon.engines.registry import EngineSet
from antiphon.engines.tts.espeak import Espeak
from antiphon.engines.vad.silero import SileroVad
from antiphon.relay.session import make_session
from antiphon.server.run import running
from antiphon.session import trace

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".venv-clients"
KEY = "a-key-for-tests"
PATIENCE_S = 50.0

Plot = Literal["whole", "own", "sum"]
"""What a program plays. "whole", against scripted engines: a typed turn, a spoken one with a function call, and an
answer that is interrupted. "own": the same, while the client's own voice detector finds the turns. "sum", against the
embedded engines: one spoken question."""

LINES = {
    "weather": "what is the weather",
    "story": "please tell me a story",
    "stop": "stop now please",
    "sum": "what is five times eleven",
    "product": "what is twelve times seven",
    "long": "what is five times eleven and what is twelve times seven and what is nine times six and what time is it",
}
"""What a program's person can say, by the name of its sound. The sum is one that the embedded recogniser understands
with room to spare, louder and quieter, and with more or less of the room around it: the clients are tested here. The
product is one that is understood through what browsers do to a microphone's sound. The long one still goes on after a
slow look at its beginning."""
SUM, PRODUCT = "That is 55.", "That is 84."
"""What the embedded model says to them."""
STORY = " ".join(f"And then the {animal} went up the hill." for animal in ("fox", "cat", "dog", "owl", "hen") * 4)


class Performance(Struct, frozen=True):
    """What came of one program."""

    seen: list[dict[str, Any]]
    """What the client showed, in order: each has its kind as "saw"."""
    steps: list[dict[str, Any]]
    """The traces of the server's sessions, one after the other: "input" and "outputs" of each step as plain data."""
    log: str
    """What the program wrote to standard error."""

    def shown(self, kind: str) -> list[dict[str, Any]]:
        return [note for note in self.seen if note["saw"] == kind]

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """The inputs of this type that reached the session."""
        return [step["input"] for step in self.steps if step["input"]["type"] == kind]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The outputs of this type that the session gave."""
        return [output for step in self.steps for output in step["outputs"] if output["type"] == kind]


def answer(request: LlmRequest) -> Line:
    """The scripted model: calls the client's function when asked for the weather, and tells a long story."""
    last = request.messages[-1]
    if isinstance(last, ToolAnswered):
        return f"It is {_plain(last.output)} in Paris."
    words = next((said.text for said in reversed(request.messages) if isinstance(said, UserSaid)), "")
    if "weather" in words:
        return Call("get_weather", '{"city":"Paris"}')
    if "story" in words:
        return STORY
    return f"You said {words}."


def _plain(output: str) -> str:
    """Clients wrap what a function returns, each in its own JSON."""
    return " ".join(re.findall(r"\w+", output.partition(":")[2] if output.startswith("{") else output))


# --- the server -------------------------------------------------------------------------------------------------------


class House(Struct, frozen=True):
    """Where a server is, and where it writes its traces."""

    url: str
    traces: Path
    certificate: Path | None = None
    """What a client has to trust, if the server speaks TLS."""


@asynccontextmanager
async def scripted(
    folder: Path,
    *,
    tls: bool,
    says: Sequence[str] = ("weather", "story", "stop"),
    partials: Literal["own", "off"] = "own",
) -> AsyncIterator[House]:
    """Our server in this process, with the real voice detector and engines that follow a script. `says` are the lines
    that the person speaks. A session that only writes down wants its `partials` off: each look at an utterance that
    goes on would use up a line."""
    config = load(
        None,
        {},
        {
            "server.port": 0,
            "server.keys": [KEY],
            "server.drain_s": 1.0,
            "server.tls_self_signed": tls,
            "trace.folder": str(folder / "traces"),
            "history.path": str(folder / "history.sqlite3"),
            # A line that is heard for an answer in advance, and then said on, would be missing from the script.
            "turns.prepare": "never",
        },
    )
    heard = FakeStt([LINES[name] for name in says])
    engines = EngineSet(SileroVad(), heard, FakeLlm(answer), FakeTts(), (), partials=partials)
    async with running(config, engines=engines, tools=()) as server:
        await server.state.warmed.wait()
        yield await asyncio.to_thread(house_at, server.url, folder)


@asynccontextmanager
async def relayed(folder: Path) -> AsyncIterator[House]:
    """Our server, whose voice is such a one."""
    async with scripted(folder / "there", tls=False) as there:
        config = load(
            None,
            {},
            {
                "server.port": 0,
                "server.keys": [KEY],
                "server.drain_s": 1.0,
                "trace.folder": str(folder / "traces"),
                "relay.url": there.url,
                "relay.api_key": KEY,
            },
        )
        engines = EngineSet(SileroVad(), FakeStt("never heard"), FakeLlm("Never said."), FakeTts(), ())
        async with running(config, engines=engines, tools=()) as server:
            await server.state.warmed.wait()
            yield await asyncio.to_thread(house_at, server.url, folder)


@contextmanager
def embedded(folder: Path, *, tls: bool, port: int = 0) -> Iterator[House]:
    """`antiphon serve` as a person starts it: a process of its own, with the engines that it comes with."""
    command = [sys.executable, "-m", "antiphon", "serve", "--port", str(port), "--trace", str(folder / "traces")]
    environment = os.environ | {
        "ANTIPHON_SERVER__KEYS": KEY,
        "ANTIPHON_SERVER__DRAIN_S": "1",
        "ANTIPHON_SERVER__MAX_LAG_MS": "0",  # nobody is turned away because the machine is busy with others
        "ANTIPHON_TOOLS__LIST_PATH": str(folder / "lists.sqlite3"),
        "ANTIPHON_HISTORY__PATH": str(folder / "history.sqlite3"),
    }
    if tls:
        command.append("--tls-self-signed")
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            house = house_at(process.stdout.readline().split()[-1], folder)
            _wait_until_ready(house)
            yield house
        finally:
            process.terminate()


def house_at(url: str, folder: Path) -> House:
    """The server at `url`; if it speaks TLS, the certificate that it shows is kept in a file for clients to trust."""
    traces = folder / "traces"
    if not url.startswith("wss:"):
        return House(url, traces)
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    path = folder / "shown.pem"
    path.write_text(ssl.get_server_certificate((address.hostname, address.port)))
    return House(url, traces, path)


def _wait_until_ready(house: House) -> None:
    trust = ssl.create_default_context(cafile=house.certificate) if house.certificate else True
    address = house.url.replace("ws", "http", 1).replace("/v1/realtime", "/ready")
    end = time.monotonic() + PATIENCE_S
    while httpx.get(address, verify=trust).status_code != 200:
        assert time.monotonic() < end, "the server does not get ready"
        time.sleep(0.1)


# --- the program ------------------------------------------------------------------------------------------------------


def python(environment: str, program: str) -> list[Path]:
    """The command of a program for a Python client."""
    return [ENVIRONMENTS / environment / "bin" / "python", HERE / "clients" / program]


def node(program: str) -> list[Path]:
    """The command of a program for a Node client."""
    return [ENVIRONMENTS / "node" / "bin" / "node", HERE / "node" / program]


def own_python(program: str) -> list[Path]:
    """The command of a program for a Python client that our own development environment contains."""
    return [Path(sys.executable), HERE / "clients" / program]


def whole(
    command: Sequence[Path],
    sounds: Path,
    folder: Path,
    *,
    tls: bool = False,
    refused: Sequence[str] = (),
    partials: Literal["own", "off"] = "own",
) -> Performance:
    """The whole plot, against a server of its own with scripted engines. `refused` are the codes of the errors that
    the client may provoke, because it passes over them; any other error fails."""

    async def play() -> Performance:
        async with scripted(folder, tls=tls, partials=partials) as house:
            return await _perform(command, "whole", sounds, house, refused)

    return asyncio.run(play())


def whole_through_another(command: Sequence[Path], sounds: Path, folder: Path) -> Performance:
    """The same, where the voice of our server is another one."""

    async def play() -> Performance:
        async with relayed(folder) as house:
            return await _perform(command, "whole", sounds, house)

    return asyncio.run(play())


def with_turns_of_its_own(command: Sequence[Path], sounds: Path, folder: Path) -> Performance:
    """The same without a voice detector of ours. When its person speaks, a client cancels at once, without asking
    itself whether there is anything to cancel."""

    async def play() -> Performance:
        async with scripted(folder, tls=False) as house:
            return await _perform(command, "own", sounds, house, ["response_cancel_not_active"])

    return asyncio.run(play())


def spoken(command: Sequence[Path], sounds: Path, house: House) -> Performance:
    """One spoken question to a server with the embedded engines."""
    return asyncio.run(_perform(command, "sum", sounds, house))


def check_whole(
    performance: Performance,
    *,
    cancelled_by: str = "turn_detected",
    stops: bool = True,
    truncated_by: Literal["client", "server"] = "client",
) -> None:
    """What the whole plot has to come to with any client that keeps a conversation. `cancelled_by` is who ends the
    story when its person speaks, `stops` whether the program has a button that ends one more, and `truncated_by` who
    knows how far it was played."""
    answers = [note["text"] for note in performance.shown("answered")]
    assert [text for text in answers if text and not STORY.startswith(text.strip())] == [
        "You said hello.",
        "It is sunny in Paris.",
        "You said stop now please.",
        *(["You said goodbye."] if stops else []),
    ]
    assert [note["text"] for note in performance.shown("heard")] == [
        LINES[name] for name in ("weather", "story", "stop")
    ]
    assert performance.shown("tool") == [{"saw": "tool", "city": "Paris"}]
    endings = [output["response"] for output in performance.told("response_ended")]
    assert [(ending["status"], ending["reason"]) for ending in endings] == [
        *[("completed", None)] * 3,
        ("cancelled", cancelled_by),
        ("completed", None),
        *([("cancelled", "client_cancelled"), ("completed", None)] if stops else []),
    ]
    for ending in endings:
        if ending["status"] == "cancelled":
            _check_truncated(performance, ending["output"][0]["id"], truncated_by)


def _check_truncated(performance: Performance, item_id: str, truncated_by: str) -> None:
    """The story was cut to what had been played of it: for 1 s before the button, or 1.5 s and as long as it takes to
    be heard."""
    (told,) = [told for told in performance.told("item_truncated") if told["item_id"] == item_id]
    assert 700 < told["audio_end_ms"] < 4000
    asked = [asked["audio_end_ms"] for asked in performance.asked("truncate_item") if asked["item_id"] == item_id]
    assert asked == ([told["audio_end_ms"]] if truncated_by == "client" else [])


def check_spoken(performance: Performance) -> None:
    """What the spoken question has to come to, whatever was answered before it was asked."""
    assert [note["text"] for note in performance.shown("heard")] == [LINES["sum"]]
    assert performance.shown("answered")[-1]["text"] == SUM
    assert sum(note["bytes"] for note in performance.shown("audio")) > 24_000


async def _perform(
    command: Sequence[Path], plot: Plot, sounds: Path, house: House, refused: Sequence[str] = ()
) -> Performance:
    """Play it to its end. What no client may see is checked here: an error, a trace that replays differently."""
    assert command[0].exists(), f"{command[0]} is missing: `make conformance` installs the clients"
    before = set(house.traces.glob("*.jsonl"))
    seen, log = await _run(command, [house.url, KEY, str(sounds), plot], house.certificate)
    assert seen, log
    assert seen[-1] == {"saw": "end"}, (seen[-5:], log)
    ended = await _ended(house.traces, before)
    steps = sorted((step for path in ended for step in _steps(path)), key=lambda step: float(step["at"]))
    performance = Performance(seen, steps, log)
    assert performance.shown("error") == []
    assert [error for error in performance.told("refused") if error["code"] not in refused] == []
    return performance


async def _ended(traces: Path, before: set[Path]) -> set[Path]:
    """The traces that were not there before, once every session has come to its end."""
    async with asyncio.timeout(20):
        while True:
            new = set(traces.glob("*.jsonl")) - before  # noqa: ASYNC240 - a folder of a few files
            if new and all(b'"type":"finish"' in path.read_bytes() for path in new):
                return new
            await asyncio.sleep(0.05)


async def _run(command: Sequence[Path], arguments: list[str], certificate: Path | None) -> tuple[list[Any], str]:
    """Run the program; what it said, and what it wrote to standard error. A program that hangs is ended."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if certificate is not None:
        environment |= {"NODE_EXTRA_CA_CERTS": str(certificate), "SSL_CERT_FILE": str(certificate)}
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    talking = asyncio.create_task(process.communicate())
    try:
        async with asyncio.timeout(PATIENCE_S):
            said, log = await asyncio.shield(talking)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        said, log = await talking
    return [json.loads(line) for line in said.splitlines() if line.startswith(b"{")], log.decode()[-4000:]


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    """The trace, after a replay that has to do the same."""
    with path.open("rb") as lines:
        _, difference = trace.replay(lines, make=make_session)
    assert difference is None
    with path.open("rb") as lines:
        for entry in trace.read(lines):
            if isinstance(entry, trace.Step):
                yield {"at": entry.at, "input": msgspec.to_builtins(entry.input), "outputs": entry.outputs}


# --- sound ------------------------------------------------------------------------------------------------------------


async def record(folder: Path) -> None:
    """Every line, and ten seconds of a quiet room, as 24 kHz PCM files that any program can read."""
    room = np.random.default_rng(0).normal(0, 0.003, 240_000).astype(np.float32)
    (folder / "room.pcm").write_bytes(int16_from_float(room).tobytes())
    voice = Espeak()
    try:
        for name, text in LINES.items():
            said = np.concatenate([chunk async for chunk in voice.speak(text, TtsRequest("en-us", 0.9))])
            sound = 0.5 * resampled(said, voice.rate, 24_000)
            (folder / f"{name}.pcm").write_bytes(int16_from_float(sound + room[: sound.size]).tobytes())
    finally:
        await voice.close()
