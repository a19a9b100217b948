"""Calls over WebRTC whose path breaks and that are taken up again over another: with plain aiortc on the other side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from calling import KEY, client, refusal, server, web
from phone import Phone, phone, tone48
from test_resume import until_empty

from antiphon.engines.fake import FakeLlm
from antiphon.server.run import Running

pytestmark = pytest.mark.real

ANSWER = "One two three four five six seven eight nine ten."


def cut(call: Phone) -> None:
    """The network goes away under it: nothing comes, nothing goes, and nobody says goodbye."""
    assert call.connection.sctp is not None
    for socket in call.connection.sctp.transport.transport._connection._protocols:
        socket.transport.abort()


@asynccontextmanager
async def calling(made: Running) -> AsyncIterator[tuple[Phone, str]]:
    """A call that may be taken up again, and its token."""
    async with phone(made, query="?antiphon=1&resumable=1") as call:
        yield call, (await call.receive("antiphon.session.resumable"))["token"]


@asynccontextmanager
async def again(made: Running, token: str, after: str) -> AsyncIterator[Phone]:
    query = f"?antiphon=1&resume={token}&after={after}"
    async with phone(made, query=query, first="antiphon.session.resumed") as back:
        yield back


def ids(*calls: Phone) -> list[str]:
    return [event["event_id"] for call in calls for event in call.events if "session.resumed" not in event["type"]]


@pytest.mark.slow
def test_an_answer_goes_on_over_the_next_call() -> None:
    """Before the server knows that the path is gone, which takes it seconds: who comes back is believed."""

    async def story() -> None:
        async with server(FakeLlm(ANSWER)) as made:
            async with calling(made) as (call, token):
                call.microphone.say(tone48(0.8))
                await call.receive("output_audio_buffer.started")
                last = call.events[-1]["event_id"]
                cut(call)
                async with again(made, token, last) as back:
                    assert back.call_id == call.call_id
                    assert back.events[0]["is_complete"]
                    assert back.events[0]["heard_ms"] > 800
                    done = await back.receive("response.done", patience_s=30)
                    assert done["response"]["status"] == "completed"
                    await back.receive("output_audio_buffer.stopped", patience_s=30)
                    assert back.heard
                    assert len(set(ids(call, back))) == len(ids(call, back))
                    assert len(made.state.sessions.running) == 1
                    back.microphone.say(tone48(0.8))
                    await back.receive("input_audio_buffer.speech_started", len(back.events))
            await until_empty(made)

    asyncio.run(story())


def test_a_path_that_is_silent_is_given_up_and_its_session_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "antiphon.webrtc")
    monkeypatch.setattr("antiphon.transport.webrtc.resumable.SILENT_S", 0.3)
    monkeypatch.setattr("antiphon.transport.webrtc.resumable.LOOK_S", 0.05)

    async def story() -> None:
        async with server(session__resume_s=1.0) as made:
            async with calling(made) as (call, token):
                call.send("conversation.item.create", item=item("I am Ada."))
                last = await call.receive("conversation.item.done")
                cut(call)
                async with asyncio.timeout(10):
                    while "may come back" not in caplog.text:  # noqa: ASYNC110 - what is waited for has no event
                        await asyncio.sleep(0.02)
                async with again(made, token, last["event_id"]) as back:
                    back.send("response.create")
                    await back.receive("response.done", patience_s=30)
                    cut(back)
                    await until_empty(made)

    asyncio.run(story())


def item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_who_hangs_up_is_not_waited_for() -> None:
    async def story() -> None:
        async with server(session__resume_s=600) as made:
            async with calling(made) as (call, _):
                await call.connection.close()
                await until_empty(made)
            assert not made.state.calls.ongoing

    asyncio.run(asyncio.wait_for(story(), 60))


def test_nobody_else_goes_on_with_a_call_and_not_over_another_way() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY, "another-key-of-somebody"]) as made:
            query = "?antiphon=1&resumable=1"
            async with phone(made, KEY, query=query) as call, client(made, query, KEY) as other:
                token = (await call.receive("antiphon.session.resumable"))["token"]
                of_socket = (await other.receive("antiphon.session.resumable"))["token"]
                status, error = await refusal(made, f"?antiphon=1&resume={token}", KEY)
                assert (status, error["code"]) == (409, "session_is_a_call")
                attempts = (
                    (of_socket, KEY, 409, "session_is_no_call"),
                    (token, "another-key-of-somebody", 404, "session_not_resumable"),
                    ("resume_of_nobody", KEY, 404, "session_not_resumable"),
                )
                for tried, key, expected, code in attempts:
                    async with web(made, key) as http:
                        stranger = Phone()
                        answer = await stranger.dial(http, f"?antiphon=1&resume={tried}")
                        await stranger.hang_up()
                        assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)
                async with web(made, KEY) as http:
                    answer = await http.post(f"/v1/realtime/calls?antiphon=1&resume={token}", content="v=0")
                    assert answer.status_code == 400
                call.send("conversation.item.create", item=item("I am still here."))
                await call.receive("conversation.item.done")

    asyncio.run(story())
