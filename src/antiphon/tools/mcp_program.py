"""An MCP server that is a program of ours: its standard input and output as the official library's streams.

The library has such a transport of its own, which reads a line of any length. Here a line is bounded, and a program
that writes a longer one has lost its connection; what is no message is passed over, for many programs greet. What the
program writes as errors is shown where the log is read in detail, and thrown away otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from antiphon.audio.units import Seconds
from antiphon.tools.mcp import Program

log = logging.getLogger("antiphon.tools")

LONGEST_LINE_BYTES = 1024 * 1024
LEAVING_S: Seconds = 1.0  # for the program to end by itself once its input is closed, before it is killed

Incoming = MemoryObjectSendStream[SessionMessage | Exception]
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


class NotStarted(OSError):
    """The program cannot be started."""


@asynccontextmanager
async def program_streams(program: Program, on_end: Callable[[], None]) -> AsyncIterator[Streams]:
    """The program's messages and the way to it, until the block is left: then it is ended, with all that it has
    started. `on_end` is called when it ends by itself, or writes what cannot be read. Raises `NotStarted`."""
    process = await _started(program)
    incoming, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    replies, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(process, incoming, on_end))
            writing = group.create_task(_write(process, outgoing))
            yield messages, replies
            reading.cancel()
            writing.cancel()
    finally:
        for stream in (incoming, messages, replies, outgoing):
            stream.close()
        await asyncio.shield(_ended(process))


async def _started(program: Program) -> Process:
    errors = None if log.isEnabledFor(logging.DEBUG) else DEVNULL
    try:
        return await asyncio.create_subprocess_exec(
            *program.command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            env=get_default_environment() | dict(program.environment),
            cwd=program.folder,
            limit=LONGEST_LINE_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise NotStarted(error.errno, error.strerror or "unknown") from None


async def _read(process: Process, incoming: Incoming, on_end: Callable[[], None]) -> None:
    assert process.stdout is not None
    try:
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError):  # a greeting, or a line of a log
                await incoming.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))
    except (ValueError, anyio.BrokenResourceError):
        log.warning("an MCP program wrote more than %d KiB in one line", LONGEST_LINE_BYTES // 1024)
    finally:
        on_end()
        incoming.close()


async def _write(process: Process, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it has ended, which its reader tells
        async for message in outgoing:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()


async def _ended(process: Process) -> None:
    """Close its input, and kill it with its children if it does not end by that."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(LEAVING_S):
            await process.wait()
    except TimeoutError:
        pass
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
