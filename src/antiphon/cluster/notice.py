"""How a replica with conversations learns that it is to go, while there is time for them to end.

Ray Serve tells it to nobody but the proxies in front, which ask each replica's own server again and again; the
application hears of it when its last connection is gone or cut off. So the replica asks its server too. Serve's own
proxy, in the place of HAProxy, brings connections without such a server; whoever is asked there never says it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx

from antiphon.audio.units import Seconds

LOOK_S: Seconds = 1.0
TOLD = "DRAINING"


async def until_told_to_go(host: str, port: int) -> None:
    """Returns when the server at this address says that its replica is to go; until then, never."""
    host = f"[{host}]" if ":" in host else host
    async with httpx.AsyncClient(trust_env=False, timeout=LOOK_S) as server:
        while True:
            with suppress(httpx.HTTPError):
                answer = await server.get(f"http://{host}:{port}/-/healthz")
                if answer.text == TOLD:
                    return
            await asyncio.sleep(LOOK_S)
