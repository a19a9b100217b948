"""A server that is replaced: nobody new comes in, those inside talk on, and every word of theirs is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from calling import client, refusal, server, web

from antiphon.engines.fake import FakeLlm
from antiphon.server.run import drain
from antiphon.store.reading import SqliteReader

PATIENCE_S = 40.0


@pytest.mark.real
@pytest.mark.slow
def test_who_talks_while_the_server_drains_is_answered_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite3"

    async def story() -> str:
        llm = FakeLlm(lambda request: f"You said {request.messages[-1].text}.")  # type: ignore[union-attr]
        async with server(llm, server__drain_s=PATIENCE_S, history__path=str(path)) as made:
            async with client(made) as call:
                session_id = str((await call.receive("session.created"))["session"]["id"])
                draining = asyncio.create_task(drain(made.state))
                await asyncio.sleep(0)
                status, error = await refusal(made)
                assert (status, error["code"]) == (503, "server_draining")
                async with web(made) as asking:
                    assert (await asking.get("/ready")).status_code == 503, "a load balancer sends nobody more"
                    assert (await asking.get("/health")).status_code == 200, "and nobody kills it for that"
                for text in ("one", "two"):
                    content = [{"type": "input_text", "text": text}]
                    await call.send(
                        "conversation.item.create", item={"type": "message", "role": "user", "content": content}
                    )
                    await call.send("response.create", response={"output_modalities": ["text"]})
                    done = await call.receive("response.done")
                    assert done["response"]["status"] == "completed"
                assert not draining.done()
            async with asyncio.timeout(PATIENCE_S):
                await draining
        return session_id

    session_id = asyncio.run(story())
    texts = [item.text for item in SqliteReader(path).items(session_id)]
    assert texts == ["one", "You said one.", "two", "You said two."]
