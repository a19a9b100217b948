"""The official agents client, unchanged, calls our server from a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from stage import KEY, LINES, PRODUCT, House
from theatre import open_page, origin_of, tape

pytestmark = [pytest.mark.real, pytest.mark.slow]

BUNDLE = (
    Path(__file__).parents[1]
    / "conformance/node/node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.umd.js"
)

CALL = """
async ({ key }) => {
  const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebRTC } = window.OpenAIAgentsRealtime
  const answer = await fetch('/v1/realtime/client_secrets', {
    method: 'POST', body: '{}', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  })
  const { value } = await answer.json()
  const transport = new OpenAIRealtimeWebRTC({ baseUrl: `${location.origin}/v1/realtime/calls` })
  const session = new RealtimeSession(new RealtimeAgent({ name: 'Assistant' }), { transport })
  window.told = { errors: [], history: [] }
  session.on('error', (error) => window.told.errors.push(JSON.stringify(error)))
  session.on('history_updated', (history) => {
    window.told.history = history.flatMap((item) =>
      item.type === 'message' ? [[item.role, item.content.map((part) => part.transcript ?? part.text).join('')]] : [],
    )
  })
  await session.connect({ apiKey: value })
  window.told.callId = transport.callId
}
"""


def test_the_official_client_talks_by_webrtc(tmp_path: Path, sounds: Path, embedded: House) -> None:
    async def story() -> None:
        # Its bundle makes functions of strings, which our page forbids; a page that uses it cannot.
        async with open_page(tape(tmp_path / "mic.wav", sounds, 6.0, "product", 20.0), ours=False) as page:
            await page.goto(origin_of(embedded.url))
            await page.evaluate(await asyncio.to_thread(BUNDLE.read_text))
            await page.evaluate(CALL, {"key": KEY})
            expected = [["user", LINES["product"]], ["assistant", PRODUCT]]
            told = await settled(page, expected)
            assert told["history"] == expected
            assert told["callId"].startswith("rtc_")
            assert told["errors"] == []

    asyncio.run(story())


async def settled(page: Page, history: list[list[str]]) -> dict[str, Any]:
    """What the client told, as soon as it has this history, or after a while without."""
    for _ in range(900):
        told: dict[str, Any] = await page.evaluate("window.told")
        if told["history"] == history:
            break
        await asyncio.sleep(0.1)
    return told
