"""A browser's MediaRecorder speaks into /ws/transcribe, and the words appear while it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from stage import KEY, LINES, House
from theatre import open_page, origin_of, picture, tape

PATIENCE_MS = 90_000  # for what takes seconds: looks at unfinished speech yield the processor to everybody else
pytestmark = [pytest.mark.real, pytest.mark.slow]

RECORD = """
async ({ key, url }) => {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true })
  const socket = new WebSocket(url, ['realtime', `openai-insecure-api-key.${key}`])
  window.told = []
  await new Promise((open) => {
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data)
      window.told.push(message)
      if (message.type === 'ready') open()
    }
  })
  const recorder = new MediaRecorder(microphone, { mimeType: 'audio/webm;codecs=opus' })
  recorder.ondataavailable = (event) => socket.send(event.data)
  recorder.onstop = () => setTimeout(() => socket.send(JSON.stringify({ action: 'end' })), 100)
  recorder.start(100)
  setTimeout(() => recorder.stop(), 12_000)
}
"""


def test_a_media_recorder_is_read_live(tmp_path: Path, sounds: Path, embedded: House) -> None:
    async def story() -> list[dict[str, Any]]:
        async with open_page(tape(tmp_path / "mic.wav", sounds, 1.5, "long", 20.0), ours=False) as page:
            origin = origin_of(embedded.url)
            await page.goto(origin)
            address = origin.replace("http", "ws", 1) + "/ws/transcribe?language=en"
            await page.evaluate(RECORD, {"key": KEY, "url": address})
            await page.wait_for_function("window.told.some(({ type }) => type === 'final')", timeout=PATIENCE_MS)
            told: list[dict[str, Any]] = await page.evaluate("window.told")
            return told

    told = asyncio.run(story())
    *_, final = told
    assert [message["code"] for message in told if message["type"] == "error"] == []
    # PocketSphinx's free model is poor: it gets the beginning of what is said right.
    assert final["text"].split()[0] == LINES["long"].split()[0], final["text"]
    kinds = [message.get("partial") for message in told if message["type"] == "transcription"]
    assert True in kinds, "words are there before the end"
    assert 0.5 < final["segments"][0]["start"] < 4.0


def test_the_page_writes_down_what_it_hears(tmp_path: Path, sounds: Path, embedded: House) -> None:
    async def story() -> None:
        async with open_page(tape(tmp_path / "mic.wav", sounds, 4.0, "long", 20.0)) as page:
            await page.goto(origin_of(embedded.url))
            await page.get_by_role("tab", name="Captions").click()
            await page.get_by_role("button", name="Write down").click()
            await expect(page.get_by_role("alert")).to_contain_text("key")
            await page.get_by_role("tab", name="Settings").click()
            await page.get_by_label("Key").fill(KEY)
            await page.get_by_role("tab", name="Captions").click()
            told: list[str | bytes] = []
            page.on("websocket", lambda socket: socket.on("framesent", lambda frame: told.append(frame)))
            await page.get_by_label("Language").fill("English")
            await page.get_by_role("button", name="Write down").click()
            line = page.locator(".caption-lines li p").first
            # While it is spoken, and before anybody says that it is over.
            await expect(line).to_contain_text(LINES["long"].split()[0], timeout=PATIENCE_MS)
            assert '{"action":"language","language":"English"}' in told
            await expect(page.get_by_role("button", name="Stop")).to_be_enabled()
            await picture(page, "11-captions")
            await page.get_by_role("button", name="Stop").click()
            await expect(page.get_by_role("button", name="Write down")).to_be_visible(timeout=PATIENCE_MS)
            await expect(page.locator(".caption-lines li").first).to_have_attribute("data-over", "true")
            await picture(page, "12-captions-over")

    asyncio.run(story())
