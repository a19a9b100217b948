"""The guard in `conftest` sees it when our code blocks an event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockingError

from antiphon.server.tls import self_signed


def test_a_file_that_our_code_writes_on_the_loop_fails_the_test(tmp_path: Path) -> None:
    async def on_the_loop() -> None:
        self_signed(tmp_path, "127.0.0.1")

    async def in_a_thread() -> None:
        await asyncio.to_thread(self_signed, tmp_path, "127.0.0.1")

    asyncio.run(in_a_thread())
    with pytest.raises(BlockingError):
        asyncio.run(on_the_loop())
