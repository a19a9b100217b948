"""How the replicas of a cluster that hold conversations find each other: who comes back to a session, joins a call or
ends it may be sent to any of them.

Each listens for the others on an address of its machine, and says so, again and again, to the one replica of
`Doorplates`. What is handed on there, and how, is `server.handing_on`'s; no client has a say in where.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.util import get_node_ip_address

from antiphon.audio.units import Seconds
from antiphon.server.app import State
from antiphon.server.handing_on import Unreached, Way
from antiphon.server.process import own_number
from antiphon.server.run import also_at

log = logging.getLogger("antiphon.cluster")

AGAIN_S: Seconds = 5.0
FORGOTTEN_S: Seconds = 15.0  # without a word: it is gone, and whoever it held too
PATIENCE_S: Seconds = 5.0  # with the one who knows, who may just be replaced
GOODBYE_S: Seconds = 1.0  # likewise, by one who is leaving

Address = tuple[str, int]


class TooEarly(Exception):
    """Not everybody who is there has had the time to say so."""


class Doorplates:
    """Where each replica with conversations is, by the number of its process."""

    def __init__(self) -> None:
        self._plates: dict[int, tuple[Address | None, Seconds]] = {}
        self._since: Seconds = math.inf

    async def put_up(self, number: int, address: Address | None) -> None:
        """This replica is there, and will say so again soon; or it is gone, without an address."""
        self._plates[number] = address, self._look()

    async def read(self, number: int) -> Address | None:
        """Where this one was when it last said so; None if that was too long ago, or it is gone. Raises `TooEarly`."""
        now = self._look()
        if number not in self._plates and now - self._since < FORGOTTEN_S:
            raise TooEarly
        address, _ = self._plates.get(number, (None, now))
        return address

    def _look(self) -> Seconds:
        """The time. What was said too long ago is forgotten."""
        now = asyncio.get_running_loop().time()
        self._since = min(self._since, now)
        self._plates = {each: plate for each, plate in self._plates.items() if now - plate[1] < FORGOTTEN_S}
        return now


class Neighbours:
    """Fulfils `handing_on.Others`, for one replica."""

    def __init__(self, plates: DeploymentHandle, own: Address) -> None:
        """`plates` are those of `Doorplates`."""
        self._plates = plates
        self._own = own

    async def put_up(self) -> None:
        """Until cancelled."""
        is_known = True
        while True:
            try:
                await self._plates.put_up.remote(own_number(), self._own)
            except (RayError, RayServeException) as error:
                if is_known:
                    log.warning("the other replicas do not know where this one is: %s", type(error).__name__)
                is_known = False
            else:
                is_known = True
            await asyncio.sleep(AGAIN_S)

    async def take_down(self) -> None:
        """Nobody is to look for us any more. Where that cannot be said, they find nobody until our plate is old."""
        with suppress(RayError, RayServeException, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._plates.put_up.remote(own_number(), None)

    async def find(self, number: int) -> Way | None:
        if number == own_number():
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                address = await self._plates.read.remote(number)
        except (RayError, RayServeException, TimeoutError):
            raise Unreached from None
        # An address may have been another's before.
        return None if address is None or tuple(address) == self._own else Way(host=address[0], port=address[1])


@asynccontextmanager
async def among_neighbours(state: State, plates: DeploymentHandle) -> AsyncIterator[None]:
    """While the block runs, the others find us and we find them."""
    host = get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        sock.setblocking(False)
        neighbours = Neighbours(plates, (host, sock.getsockname()[1]))
        async with also_at(state, sock):
            state.others = neighbours
            saying = asyncio.create_task(neighbours.put_up(), name="doorplate")
            try:
                yield
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
                await neighbours.take_down()
