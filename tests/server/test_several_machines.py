"""Servers that share nothing but Redis: a conversation goes on at another one, and is read there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from calling import client, server, web
from redis_process import needs_redis, running

from antiphon.engines.fake import FakeLlm

pytestmark = [pytest.mark.real, needs_redis]


def test_a_conversation_goes_on_at_another_server(tmp_path: Path) -> None:
    async def story(url: str) -> None:
        async with (
            server(FakeLlm("Nice to meet you."), history__redis_url=url) as one,
            server(FakeLlm("You are Ada."), history__redis_url=url) as other,
        ):
            async with client(one) as call:
                session_id = (await call.receive("session.created"))["session"]["id"]
                content = [{"type": "input_text", "text": "I am Ada."}]
                await call.send(
                    "conversation.item.create", item={"type": "message", "role": "user", "content": content}
                )
                await call.send("response.create", response={"output_modalities": ["text"]})
                await call.receive("response.done")
            await asyncio.sleep(0.5)  # what is acknowledged is there a quarter of a second later
            async with client(other, f"?continue={session_id}") as call:
                await call.receive("session.created")
                told = [(await call.receive("conversation.item.done"))["item"]["content"][0]["text"] for _ in range(2)]
                assert told == ["I am Ada.", "Nice to meet you."]
            async with web(other) as http:
                kept = (await http.get("/v1/sessions", params={"search": "ada"})).json()["data"]
                assert [one["session_id"] for one in kept] == [session_id]

    with running(tmp_path) as port:
        asyncio.run(story(f"redis://127.0.0.1:{port}/0"))
