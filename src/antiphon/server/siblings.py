"""The other processes of the same port: where each of them is, and what all of them count.

Every worker also listens on a socket in a folder that only this user can enter. What is handed on to it there, and how,
is `handing_on`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import httpx
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.server.handing_on import Way
from antiphon.server.process import own_number

log = logging.getLogger("antiphon.siblings")

PAGE_PATH = "/worker/metrics"


class Siblings:
    """The workers of one port, as one of them sees them."""

    def __init__(self, folder: Path, number: int, count: int) -> None:
        """Worker `number` of `count`, from 0. The folder is for this user alone."""
        self.number = number
        self.count = count
        self.own_path = folder / f"{number}.{own_number():x}.sock"
        self._folder = folder

    async def find(self, number: int) -> Way | None:
        """See `Others`."""
        if number == own_number():
            return None
        found = await asyncio.to_thread(lambda: list(self._folder.glob(f"*.{number:x}.sock")))
        return Way(str(found[0])) if found else None

    async def pages(self) -> dict[int, bytes | None]:
        """What each of the others counts, by number; None of one that does not answer."""
        others = [number for number in range(self.count) if number != self.number]
        return dict(zip(others, await asyncio.gather(*map(self._page, others)), strict=True))

    async def _page(self, number: int) -> bytes | None:
        found = await asyncio.to_thread(lambda: sorted(self._folder.glob(f"{number}.*.sock")))
        for path in found:
            try:
                async with Way(str(path)).client() as client:
                    return (await client.get(PAGE_PATH)).raise_for_status().content
            except httpx.HTTPError:
                log.warning("worker %d does not tell its metrics", number)
        return None


def with_own_page(app: ASGIApp, page: Callable[[], Awaitable[bytes]]) -> ASGIApp:
    """What a worker answers on the socket that only its siblings reach: all that the others do, and what it counts."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PAGE_PATH:
            await Response(await page(), media_type="text/plain")(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


def one_page(pages: Iterable[tuple[int, bytes | None]]) -> bytes:
    """The pages of all workers as one, each sample labelled with its worker, and whether each of them is there."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    up = []
    for number, page in pages:
        up.append(f'voice_worker_up{{worker="{number}"}} {int(page is not None)}')
        family = ""
        for line in page.decode().splitlines() if page is not None else ():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                heads.setdefault(family, [])
                samples.setdefault(family, [])
            if not line.startswith("#"):
                samples[family].append(_labelled(line, number))
            elif line not in heads[family]:
                heads[family].append(line)
    heads["voice_worker_up"] = [
        "# HELP voice_worker_up Whether a worker told what it counts.",
        "# TYPE voice_worker_up gauge",
    ]
    samples["voice_worker_up"] = up
    lines = [line for family, head in heads.items() for line in (*head, *samples[family])]
    return "\n".join((*lines, "")).encode()


def _labelled(sample: str, number: int) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{number}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{number}"}} {value}'
