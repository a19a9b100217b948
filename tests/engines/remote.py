"""A scripted server and a client for it, for the tests of the remote engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import pytest

from antiphon.engines.deadlines import Deadlines
from antiphon.engines.http import Upstream, UpstreamError, open_client
from antiphon.testing.upstream import Script, ScriptedUpstream, serving

T = TypeVar("T")
KEY = "sk-test-0123456789"

Conversation = Callable[[ScriptedUpstream, Upstream], Coroutine[Any, Any, T]]


@asynccontextmanager
async def connected(
    script: Script | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[tuple[ScriptedUpstream, Upstream]]:
    async with serving(script) as scripted, open_client() as client:
        yield scripted, Upstream(client, scripted.base_url, KEY, deadlines or Deadlines())


def talk(conversation: Conversation[T], script: Script | None = None, deadlines: Deadlines | None = None) -> T:
    """Run a conversation with a scripted server, from a plain test."""

    async def whole() -> T:
        async with connected(script, deadlines) as (scripted, upstream):
            return await conversation(scripted, upstream)

    return asyncio.run(whole())


async def everything(events: AsyncIterator[T]) -> list[T]:
    return [event async for event in events]


async def leave_after_first(events: AsyncIterator[T]) -> T:
    async with aclosing(cast("AsyncGenerator[T, None]", events)) as closing:
        return await anext(closing)


async def failure(doing: Awaitable[object]) -> UpstreamError:
    """What it fails with; it must, and neither message nor hint may hold the key."""
    with pytest.raises(UpstreamError) as caught:
        await doing
    assert KEY not in str(caught.value)
    return caught.value
