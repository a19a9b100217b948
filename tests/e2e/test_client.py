"""The client library on a page that is not ours, in a real browser: from another origin, under strict rules of
security, and with a client secret in place of a key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect
from stage import KEY
from theatre import open_page, origin_of

from antiphon.config import load
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.silero import SileroVad
from antiphon.server.run import running

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "web" / "example" / "index.html"
PATIENCE_MS = 40_000


def test_the_example_page_talks_with_the_library_that_the_server_hands_out(tmp_path: Path) -> None:
    example = EXAMPLE.read_text()

    async def story() -> None:
        async with Site.open() as site, server_for(site, tmp_path) as origin, open_page() as page:
            secret = await secret_of(origin)
            site.show(example.replace("http://127.0.0.1:8765", origin).replace("key: null", f"key: '{secret}'"), origin)
            await page.goto(site.origin)
            await page.get_by_role("button").click()
            await expect(page.get_by_role("status")).to_have_text("connected", timeout=PATIENCE_MS)
            await page.get_by_role("textbox").fill("Who is there?")
            await page.get_by_role("textbox").press("Enter")
            # An answer's words are shown as they are heard: the loudspeaker's own script works too.
            await expect(page.get_by_role("listitem")).to_have_text(["Who is there?", "It is me."], timeout=PATIENCE_MS)

    asyncio.run(story())


class Site:
    """A web server of somebody else's, with one page."""

    def __init__(self) -> None:
        self.origin = ""
        self._answer = b""

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Site]:
        site = cls()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(site._answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            site.origin = f"http://localhost:{server.sockets[0].getsockname()[1]}"
            yield site

    def show(self, page: str, origin: str) -> None:
        """From now on this page, which may do no more than the how-to says with the voice server at `origin`."""
        script = page.partition('<script type="module">')[2].partition("</script>")[0]
        proof = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; script-src 'sha256-{proof}' {origin}; "
            f"connect-src {origin} {origin.replace('http', 'ws', 1)}"
        )
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: {policy}\r\nConnection: close"
        self._answer = f"{head}\r\n\r\n{page}".encode()


@asynccontextmanager
async def server_for(site: Site, folder: Path) -> AsyncIterator[str]:
    """Our server, which knows that site. Returns its origin."""
    config = load(
        None,
        {},
        {
            "server.port": 0,
            "server.keys": [KEY],
            "server.drain_s": 1.0,
            "server.allowed_origins": [site.origin],
            "history.path": str(folder / "history.sqlite3"),
        },
    )
    engines = EngineSet(SileroVad(), FakeStt("never heard"), FakeLlm("It is me."), FakeTts(), ())
    async with running(config, engines=engines, tools=()) as server:
        await server.state.warmed.wait()
        yield origin_of(server.url)


async def secret_of(origin: str) -> str:
    """What a site's own server gets for each of its visitors."""
    async with httpx.AsyncClient(base_url=origin, headers={"Authorization": f"Bearer {KEY}"}) as http:
        return str((await http.post("/v1/realtime/client_secrets", json={})).json()["value"])
