"""Uploads in memory: a form with a file in it, up to a limit, and never on disk.

It reads the form and knows nothing of what is in the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from antiphon.errors import PeerError
from antiphon.server.limits import ByteBudget

AT_ONCE = 8  # forms in memory; whoever comes next is told to come back
LONGEST_FIELD_BYTES = 64 * 1024
MOST_FIELDS = 64
IDLE_S = 30.0  # without a byte of an upload: it stopped half-way


class _InMemory(MultiPartParser):
    """Starlette's parser would put a file of over a megabyte on disk."""

    spool_max_size = 2**62

    def close(self) -> None:
        """Give back every file, also one whose end never came and that is in no form."""
        for file in self._files_to_close_on_error:
            file.close()


class Uploads:
    """All forms that are being read or worked on."""

    def __init__(self) -> None:
        self._under_way = 0

    @asynccontextmanager
    async def form(self, request: Request, longest_bytes: int, budget: ByteBudget) -> AsyncIterator[FormData]:
        """The request's form, whose file lives until the block is left. Raises `PeerError`."""
        if self._under_way >= AT_ONCE:
            raise PeerError("Too many uploads are being worked on.", "Try again in some seconds.", code="server_full")
        self._under_way += 1
        try:
            parser = _parser(request, longest_bytes, budget)
            try:
                yield await _read(parser)
            finally:
                parser.close()
        finally:
            self._under_way -= 1


def _parser(request: Request, longest_bytes: int, budget: ByteBudget) -> _InMemory:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise PeerError(
            "This is no form.", "Send multipart/form-data with a field 'file'.", code="unsupported_content_type"
        )
    return _InMemory(
        request.headers,
        _bounded(request, longest_bytes, budget),
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD_BYTES,
    )


async def _read(parser: _InMemory) -> FormData:
    try:
        return await parser.parse()
    except MultiPartException as error:
        hint = f"Send one file, and no more than {LONGEST_FIELD_BYTES // 1024} KB in any other field."
        message = f"The form cannot be read: {error.message.rstrip('.')}."
        raise PeerError(message, hint, code="invalid_form") from None
    except (TimeoutError, ClientDisconnect):
        raise PeerError("The upload stopped half-way.", "Send it again.", code="request_timeout") from None


async def _bounded(request: Request, longest_bytes: int, budget: ByteBudget) -> AsyncGenerator[bytes, None]:
    size = int(request.headers.get("content-length") or 0)
    stream = request.stream()
    length = 0
    while True:
        if max(size, length) > longest_bytes:
            raise PeerError(
                f"The upload is larger than {longest_bytes} bytes.",
                "Send compressed sound, such as Opus or MP3, or raise server.max_upload_bytes.",
                code="request_too_large",
                param="file",
            )
        async with asyncio.timeout(IDLE_S):
            part = await anext(stream, None)
        if part is None:
            return
        length += len(part)
        if not budget.allow(len(part)):
            raise PeerError("This key has sent more bytes than it may.", "Wait a minute.", code="rate_limit_exceeded")
        yield part
