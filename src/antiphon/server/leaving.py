"""Work for a request, which stops if its client hangs up before there is an answer.

What the work is, is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

log = logging.getLogger("antiphon.server")

CLIENT_LEFT = 499  # nobody reads it


async def unless_left(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """The answer. If the client hangs up before there is one, the work for it is stopped. The request's body has been
    read."""
    loop = asyncio.get_running_loop()
    working, leaving = loop.create_task(work, name="answering"), loop.create_task(_left(request), name="watch")
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        log.info("a client left before its answer was ready")
        return Response(status_code=CLIENT_LEFT)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
