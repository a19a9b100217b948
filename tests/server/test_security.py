"""What a stranger may not do that no other test is about: see docs/security.md."""

from __future__ import annotations

import asyncio

import pytest
from calling import server
from websockets.asyncio.client import connect

from antiphon.config import load
from antiphon.errors import ConfigError
from antiphon.server.run import check


@pytest.mark.real
def test_compression_is_not_negotiated() -> None:
    """A message of a kilobyte would be one of a megabyte by the time its size is known."""

    async def story() -> None:
        async with server() as made, connect(made.url, compression="deflate") as socket:
            assert socket.protocol.extensions == []
            assert "Sec-WebSocket-Extensions" not in socket.response.headers  # type: ignore[union-attr]

    asyncio.run(story())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.com"])
def test_the_network_is_not_listened_to_without_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="no key is configured"):
        check(load(None, {}, {"server.host": host}))
    check(load(None, {}, {"server.host": host, "server.keys": ["a key"]}))
