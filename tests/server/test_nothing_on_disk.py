"""What is uploaded, streamed and spoken is worked on in memory and in this process: no file is written for a request,
and no process started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
from calling import server, web
from recorder import recorded
from websockets.asyncio.client import connect

from antiphon.server.run import Running

pytestmark = [pytest.mark.real, pytest.mark.slow]

RATE_HZ = 48_000
BEGINNINGS = (
    "subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "tempfile.mkstemp", "tempfile.mkdtemp",
)  # fmt: skip
"""Of Python's audit events, those of processes that begin and of temporary files."""


@contextmanager
def watched() -> Iterator[list[str]]:
    """What this process does meanwhile that begins a process or opens a file to write to."""
    found: list[str] = []
    is_over = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if is_over:
            return
        if event in BEGINNINGS or (event == "open" and _writes(arguments[2])):
            found.append(f"{event} {arguments[0]}")

    sys.addaudithook(hook)  # which stays, for there is no way to take it out
    try:
        yield found
    finally:
        is_over = True


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@cache
def speech(form: str) -> bytes:
    """A second of it, and silence until it is more than a megabyte of samples."""
    tone = np.round(9000 * np.sin(2 * np.pi * 300 / RATE_HZ * np.arange(RATE_HZ))).astype(np.int16)
    return recorded(np.concatenate([np.zeros(RATE_HZ, np.int16), tone, np.zeros(10 * RATE_HZ, np.int16)]), form)


async def ask_for_everything(made: Running) -> None:
    """Files, in a size that many a framework puts on the disk; each kind of live stream; and speech."""
    async with web(made) as http:
        for form in ("wav", "m4a"):
            files = {"file": (f"speech.{form}", speech(form))}
            answer = await http.post("/v1/audio/transcriptions", files=files)
            assert answer.json()["text"] == "hello"
        for kind in ("mp3", "opus", "pcm"):
            body = {"input": "Hello there.", "voice": "alloy", "response_format": kind}
            assert (await http.post("/v1/audio/speech", json=body)).content
    for form in ("webm", "ogg", "mp4"):
        async with connect(made.url.replace("/v1/realtime", "/ws/transcribe")) as socket:
            await socket.send(speech(form))
            await socket.send(b"END")
            async with asyncio.timeout(20):
                while '"final"' not in (text := str(await socket.recv())):
                    pass
            assert '"text":"hello"' in text


def test_no_file_is_written_and_no_process_started_for_a_request() -> None:
    async def story() -> list[str]:
        async with server(history__keep=False) as made:
            await ask_for_everything(made)  # what is imported now is compiled, perhaps, and kept
            with watched() as found:
                await ask_for_everything(made)
            return found

    assert asyncio.run(story()) == []


def test_the_watch_sees_both(tmp_path: object) -> None:
    with watched() as found:
        os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "--version"], {}), 0)
        with open(f"{tmp_path}/file", "w"):  # noqa: PTH123 - as plainly as can be
            pass
    assert [each.split()[0] for each in found] == ["os.posix_spawn", "open"]
