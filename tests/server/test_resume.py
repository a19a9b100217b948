"""Connections that break and are taken up again: nothing is missing, nothing comes twice, and nobody else may."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from calling import KEY, Client, client, refusal, server, tone, web
from websockets.exceptions import ConnectionClosed

from antiphon.engines.fake import FakeLlm
from antiphon.server.run import Running

pytestmark = pytest.mark.real

ANSWER = "One two three four."
RESUMABLE = "?antiphon=1&resumable=1"


def cut(call: Client) -> None:
    """The network goes away under it."""
    call.socket.transport.abort()


@asynccontextmanager
async def again(made: Running, token: str, after: str = "", key: str | None = None) -> AsyncIterator[Client]:
    async with client(made, f"?antiphon=1&resume={token}&after={after}", key) as back:
        yield back


def sound_of(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(one["delta"]) for one in events if one["type"] == "response.output_audio.delta")


def ids(*calls: Client) -> list[str]:
    return [event["event_id"] for call in calls for event in call.events if "session.resumed" not in event["type"]]


async def ask(call: Client) -> str:
    """Ask for the answer; returns the token."""
    token: str = (await call.receive("antiphon.session.resumable"))["token"]
    await call.send("conversation.item.create", item=item("user", "input_text", "Count."))
    await call.send("response.create")
    return token


def item(role: str, kind: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def test_an_answer_goes_on_where_the_connection_broke() -> None:
    async def story() -> None:
        async with server(FakeLlm(ANSWER)) as made:
            async with client(made) as call:
                await call.send("response.create")
                await call.receive("response.done")
                whole = len(sound_of(call.events))
            async with client(made, RESUMABLE) as call:
                token = await ask(call)
                for _ in range(3):
                    last = await call.receive("response.output_audio.delta")
                cut(call)
                await asyncio.sleep(0.3)
            async with again(made, token, last["event_id"]) as back:
                first = await back.receive("antiphon.session.resumed")
                assert first["is_complete"]
                assert len(back.events) == 1
                done = await back.receive("response.done")
                assert done["response"]["status"] == "completed"
                assert len(sound_of(call.events)) + len(sound_of(back.events)) == whole
                assert len(set(ids(call, back))) == len(ids(call, back))
                assert len(made.state.sessions.running) == 1
            await until_empty(made)

    asyncio.run(story())


async def until_empty(made: Running) -> None:
    async with asyncio.timeout(20):
        while made.state.sessions.running:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def test_what_was_on_its_way_comes_again() -> None:
    """The client says which message came last; what was sent after it was lost with the connection."""

    async def story() -> None:
        async with server(FakeLlm(ANSWER)) as made:
            async with client(made, RESUMABLE) as call:
                token = await ask(call)
                await call.receive("response.done")
                cut(call)
            place = next(i for i, event in enumerate(call.events) if event["type"] == "response.created")
            async with again(made, token, call.events[place]["event_id"]) as back:
                resumed = await back.receive("antiphon.session.resumed")
                await back.receive("response.done")
                missed = [event["event_id"] for event in call.events[place + 1 :]]
                assert [event["event_id"] for event in back.events[1:]] == missed
                assert resumed["missed"] >= len(missed)

    asyncio.run(story())


def test_who_missed_more_than_is_kept_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.transport.sent.KEPT_BYTES", 20_000)

    async def story() -> None:
        async with server(FakeLlm(ANSWER)) as made:
            async with client(made, RESUMABLE) as call:
                token = await ask(call)
                await call.receive("response.done")
                cut(call)
            first, last = call.events[0]["event_id"], call.events[-1]["event_id"]
            async with again(made, token, first) as back:
                resumed = await back.receive("antiphon.session.resumed")
                assert not resumed["is_complete"]
                await back.receive("response.done")
                cut(back)
            async with again(made, token, last) as back:
                assert (await back.receive("antiphon.session.resumed"))["is_complete"]

    asyncio.run(story())


def test_a_turn_that_was_begun_is_finished_over_the_next_connection() -> None:
    async def story() -> None:
        async with server(history__keep=True) as made:
            async with client(made, RESUMABLE) as call:
                token = (await call.receive("antiphon.session.resumable"))["token"]
                await call.socket.send(tone(0.6))
                session = call.events[0]["session"]["id"]
                started = await call.receive("input_audio_buffer.speech_started")
                cut(call)
            async with again(made, token, started["event_id"]) as back:
                assert (await back.receive("antiphon.session.resumed"))["heard_ms"] == 600
                await back.speak(0.4)
                await back.receive("response.done")
            await until_empty(made)
            async with web(made) as http:
                kept = (await http.get(f"/v1/sessions/{session}/transcript")).json()
                assert [one["text"] for one in kept["data"]] == ["hello", "Hello there."]
                assert kept["session"]["status"] == "ended"

    asyncio.run(story())


def test_a_connection_that_only_seems_to_live_gives_way() -> None:
    async def story() -> None:
        async with server(FakeLlm(ANSWER)) as made, client(made, RESUMABLE) as call:
            token = await ask(call)
            last = await call.receive("response.output_audio.delta")
            async with again(made, token, last["event_id"]) as back:
                await back.receive("antiphon.session.resumed")
                await back.receive("response.done")
                with pytest.raises(ConnectionClosed):
                    await call.receive_all()

    asyncio.run(story())


def test_only_the_owner_of_a_session_that_lives_may_go_on_with_it() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY, "another-key-of-somebody"]) as made:
            async with client(made, RESUMABLE, KEY) as call:
                token = (await call.receive("antiphon.session.resumable"))["token"]
                for query, key in ((token, "another-key-of-somebody"), (token[:-1] + "x", KEY), ("nonsense", KEY)):
                    status, error = await refusal(made, f"?antiphon=1&resume={query}", key)
                    assert (status, error["code"]) == (404, "session_not_resumable")
                assert (await refusal(made, f"?antiphon=1&resume={token}"))[0] == 401
            await until_empty(made)  # it said goodbye, so nobody waits for it
            assert (await refusal(made, f"?antiphon=1&resume={token}", KEY))[0] == 404
            assert not len(made.state.resumable)

    asyncio.run(story())


def test_who_does_not_come_back_in_time_is_not_waited_for() -> None:
    async def story() -> None:
        async with server(session__resume_s=0.2) as made:
            async with client(made, RESUMABLE) as call:
                await call.receive("antiphon.session.resumable")
                cut(call)
            await until_empty(made)

    asyncio.run(story())


def test_without_asking_for_it_a_session_ends_with_its_connection() -> None:
    async def story() -> None:
        async with server() as made:
            async with client(made, "?antiphon=1") as call:
                await call.receive("session.created")
                cut(call)
            await until_empty(made)
            assert "antiphon.session.resumable" not in [event["type"] for event in call.events]

    asyncio.run(story())


def test_a_server_that_stops_does_not_wait_for_who_is_away() -> None:
    async def story() -> None:
        async with server(session__resume_s=600) as made:
            async with client(made, RESUMABLE) as call:
                await call.receive("antiphon.session.resumable")
                cut(call)
            await asyncio.sleep(0.1)
            assert made.state.sessions.running

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_new_session_goes_on_with_an_old_conversation() -> None:
    async def story() -> None:
        llm = Remembering("Your name is Ada.")
        async with server(llm, history__keep=True, server__keys=[KEY, "another-key-of-somebody"]) as made:
            previous = ""
            for text in ("I am Ada.", "I live in London.", "Who am I?"):
                query = f"?continue={previous}" if previous else ""
                async with client(made, query, KEY) as call:
                    previous = (await call.receive("session.created"))["session"]["id"]
                    await call.send("conversation.item.create", item=item("user", "input_text", text))
                    await call.send("response.create", response={"output_modalities": ["text"]})
                    await call.receive("response.done")
            told = [event["item"]["content"][0]["text"] for event in call.events if event["type"] == TOLD]
            assert told == ["I am Ada.", REPLY, "I live in London.", REPLY, "Who am I?", REPLY]
            assert llm.asked[-1] == ["I am Ada.", REPLY, "I live in London.", REPLY, "Who am I?"]
            async with web(made, KEY) as http:
                kept = (await http.get(f"/v1/sessions/{previous}/transcript")).json()
                assert [one["text"] for one in kept["data"]] == ["Who am I?", REPLY]
                assert kept["session"]["continues"]
            status, error = await refusal(made, f"?continue={previous}", "another-key-of-somebody")
            assert (status, error["code"]) == (404, "session_not_found")

    asyncio.run(story())


TOLD = "conversation.item.done"
REPLY = "Your name is Ada."


class Remembering(FakeLlm):
    """A model that notes what it is asked."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.asked: list[list[str]] = []

    def write(self, request: Any) -> Any:
        self.asked.append([turn.text for turn in request.messages])
        return super().write(request)
