"""The socket by which anything can steer a running dictation: a hotkey of the desktop, a script, another terminal.

One line in, one line out, over a Unix socket that only its owner can open. It does not know what the commands do.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from antiphon.audio.units import Seconds
from antiphon.errors import ConfigError, TransportClosed, did_you_mean

COMMANDS = ("start", "stop", "toggle", "cancel", "status", "counters", "paste-last")
LONGEST_LINE_BYTES = 256
PATIENCE_S: Seconds = 5.0

Act = Callable[[str], Awaitable[str]]


def socket_path() -> Path:
    """Where the socket of this person is."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"antiphon-{os.getuid()}"
    return folder / "antiphon-dictate.sock"


@asynccontextmanager
async def listening(act: Act, path: Path) -> AsyncIterator[None]:
    """Answer commands while the block runs. Raises `ConfigError` if another dictation already does."""
    if await asyncio.to_thread(_is_answered, path):
        raise ConfigError("antiphon dictate runs already", "Steer it with: antiphon dictate toggle")
    await asyncio.to_thread(_make_room, path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                command = (await reader.readline()).decode("utf-8", "replace").strip()
                reply = await act(command) if command in COMMANDS else f"error: {did_you_mean(command, COMMANDS)}"
                writer.write(reply.encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # whoever asked has gone, or never said what they want
        finally:
            writer.close()

    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(answer, path, limit=LONGEST_LINE_BYTES)
    finally:
        os.umask(before)
    try:
        async with server:
            yield
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


def ask(command: str, path: Path) -> str:
    """Have a running dictation do something; its answer. Raises `TransportClosed` if none runs."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE_S)
            line.connect(str(path))
            line.sendall(command.encode() + b"\n")
            return line.makefile(encoding="utf-8").readline().strip()
    except OSError as error:
        raise TransportClosed("no dictation runs here", "Start one with: antiphon dictate") from error


def _is_answered(path: Path) -> bool:
    try:
        return bool(ask("status", path))
    except TransportClosed:
        return False


def _make_room(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise ConfigError(f"{path.parent} belongs to somebody else", "Set XDG_RUNTIME_DIR to a folder of your own.")
    path.unlink(missing_ok=True)
