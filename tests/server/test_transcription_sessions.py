"""Sessions that only write down what they hear, over real sockets and with the official client."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from calling import Client, client, refusal, server, tone
from openai import AsyncOpenAI
from ticking import TickingStt, word

from antiphon.engines.fake import Fail, FakeLlm, FakeStt
from antiphon.session import trace

pytestmark = pytest.mark.real
QUERY = "?intent=transcription"
LOGPROBS = "item.input_audio_transcription.logprobs"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def llm_that_must_not_be_asked() -> FakeLlm:
    def refuse(request: object) -> str:
        raise AssertionError("a transcription session asked the model")

    return FakeLlm(refuse)


async def update(call: Client, **session: Any) -> dict[str, Any]:
    await call.send("session.update", session={"type": "transcription", **session})
    shown: dict[str, Any] = (await call.receive("session.updated"))["session"]
    return shown


async def refused(call: Client, kind: str, **fields: Any) -> dict[str, Any]:
    await call.send(kind, event_id="mine", **fields)
    error: dict[str, Any] = (await call.receive("error"))["error"]
    assert error["event_id"] == "mine"
    return error


def test_what_is_said_is_written_down_turn_by_turn_and_never_answered() -> None:
    async def story() -> None:
        stt = FakeStt(["good morning", "and good night"])
        async with server(llm_that_must_not_be_asked(), stt, stt__partials="off") as made, client(made, QUERY) as call:
            session = (await call.receive("session.created"))["session"]
            assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
            assert "model" not in session
            assert "output" not in session["audio"]
            assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
            for words in ("good morning", "and good night"):
                await call.speak()
                committed = await call.receive("input_audio_buffer.committed")
                done = await call.receive(f"{TRANSCRIPTION}.completed")
                assert done["item_id"] == committed["item_id"]
                assert done["transcript"] == words
                assert done["usage"]["type"] == "duration"
                assert done["usage"]["seconds"] > 1
                assert done["languages"] == [{"code": "en"}]
            kinds = [event["type"] for event in call.events]
            assert not [kind for kind in kinds if kind.startswith("response.")]

    asyncio.run(story())


def test_without_turn_detection_the_client_commits() -> None:
    async def story() -> None:
        async with server(llm_that_must_not_be_asked()) as made, client(made, QUERY) as call:
            shown = await update(call, audio={"input": {"turn_detection": None, "transcription": {"language": "de"}}})
            assert shown["audio"]["input"]["turn_detection"] is None
            assert shown["audio"]["input"]["transcription"] == {"language": "de"}
            await call.socket.send(tone(0.5))
            await call.send("input_audio_buffer.commit")
            done = await call.receive(f"{TRANSCRIPTION}.completed")
            assert done["usage"] == {"type": "duration", "seconds": 0.5}
            kinds = [event["type"] for event in call.events]
            assert "input_audio_buffer.speech_started" not in kinds
            assert kinds.index("input_audio_buffer.committed") < kinds.index(f"{TRANSCRIPTION}.completed")

    asyncio.run(story())


def test_a_recogniser_that_fails_fails_one_turn() -> None:
    async def story() -> None:
        stt = FakeStt([Fail("upstream_reset", "gone"), "here again"])
        async with server(stt=stt, stt__partials="off", turns__prepare="never") as made, client(made, QUERY) as call:
            await call.speak()
            failed = await call.receive(f"{TRANSCRIPTION}.failed")
            assert failed["error"] == {
                "type": "transcription_error",
                "code": "upstream_reset",
                "message": "gone",
                "param": None,
            }
            await call.speak()
            assert (await call.receive(f"{TRANSCRIPTION}.completed"))["transcript"] == "here again"

    asyncio.run(story())


def test_transcription_can_be_turned_off_and_on_again() -> None:
    async def story() -> None:
        async with server() as made, client(made, QUERY) as call:
            shown = await update(call, audio={"input": {"transcription": None}})
            assert shown["audio"]["input"]["transcription"] is None
            await call.speak()
            await call.receive("conversation.item.done")
            shown = await update(call, audio={"input": {"transcription": {"language": "en"}}})
            assert shown["audio"]["input"]["transcription"] == {"language": "en"}
            await call.speak()
            second = await call.receive("conversation.item.done")
            assert (await call.receive(f"{TRANSCRIPTION}.completed"))["item_id"] == second["item"]["id"]
            kinds = [event["type"] for event in call.events]
            assert kinds.count(f"{TRANSCRIPTION}.completed") == 1

    asyncio.run(story())


def test_how_sure_the_recogniser_is_is_told_to_who_wants_to_know(tmp_path: Path) -> None:
    async def story() -> None:
        stt = FakeStt("grüß dich")
        traced = server(stt=stt, stt__partials="off", trace__folder=str(tmp_path), trace__redact=True)
        async with traced as made, client(made, QUERY) as call:
            await call.speak()
            assert "logprobs" not in await call.receive(f"{TRANSCRIPTION}.completed")
            assert (await update(call, include=[LOGPROBS]))["include"] == [LOGPROBS]
            await call.speak()
            done = await call.receive(f"{TRANSCRIPTION}.completed")
            assert [entry["token"] for entry in done["logprobs"]] == ["grüß", "dich"]
            assert done["logprobs"][0]["bytes"] == list("grüß".encode())
            assert (await update(call, include=None))["include"] is None
            await call.speak()
            assert "logprobs" not in await call.receive(f"{TRANSCRIPTION}.completed")

    asyncio.run(story())
    (path,) = tmp_path.glob("*.jsonl")
    assert "dich" not in path.read_text()
    with path.open("rb") as lines:
        assert trace.replay(lines)[1] is None


def test_what_belongs_to_the_other_kind_of_session_is_refused() -> None:
    async def story() -> None:
        async with server() as made, client(made, QUERY) as call, client(made) as conversation:
            error = await refused(call, "session.update", session={"type": "realtime", "instructions": "x"})
            assert (error["code"], error["param"]) == ("invalid_value", "session.type")
            assert "realtime session update" in error["message"]
            error = await refused(conversation, "session.update", session={"type": "transcription"})
            assert error["message"].startswith(
                "Passing a transcription session update event to a realtime session is not allowed."
            )
            error = await refused(call, "response.create")
            assert (error["code"], error["param"]) == ("invalid_value", "type")
            assert (await refused(call, "response.cancel"))["code"] == "response_cancel_not_active"
            error = await refused(call, "transcription_session.update", session={})
            assert error["code"] == "invalid_value"
            # Its type may be left out, and what only a conversation has changes nothing.
            await call.send("session.update", session={"include": [], "instructions": "x", "voice": "cedar"})
            assert (await call.receive("session.updated"))["session"]["type"] == "transcription"
            status, body = await refusal(made, f"{QUERY}&model=gpt-realtime")
            assert (status, body["code"], body["param"]) == (400, "mutually_exclusive_parameters", "intent")
            status, body = await refusal(made, "?model=gpt-4o-transcribe")
            assert (status, body["code"], body["param"]) == (400, "invalid_model", "model")
            assert body["message"].startswith(
                "Model 'gpt-4o-transcribe' is a transcription model and cannot be used as the realtime session model."
            )

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.parametrize("detection", [{"type": "server_vad"}, None], ids=["turns", "commits"])
def test_words_come_before_their_item_and_add_up_to_it(detection: dict[str, Any] | None) -> None:
    """The client waits for words before it ends what it says, so that no delay of this machine matters."""

    async def story() -> None:
        async with server(stt=TickingStt()) as made, client(made, f"{QUERY}&antiphon=1") as call:
            await update(call, audio={"input": {"turn_detection": detection}})
            words: Any = asyncio.ensure_future(call.receive(f"{TRANSCRIPTION}.delta"))
            number = 0
            while not words.done():
                await call.socket.send(counting_on_the_wire(number))
                number += 1
                await asyncio.sleep(0.1)
            item_id = (await words)["item_id"]
            if detection is None:
                await call.send("input_audio_buffer.commit")
            else:
                await call.socket.send(bytes(48_000))
            assert (await call.receive("input_audio_buffer.committed"))["item_id"] == item_id
            done = await call.receive(f"{TRANSCRIPTION}.completed")
            assert done["item_id"] == item_id
            deltas = [event["delta"] for event in call.events if event["type"] == f"{TRANSCRIPTION}.delta"]
            assert "".join(deltas) == done["transcript"] == " ".join(word(each) for each in range(number))
            tails = [event for event in call.events if event["type"] == "antiphon.transcription.tail"]
            assert tails[-1] == {**tails[-1], "item_id": item_id, "tail": ""}
            assert any(event["tail"] for event in tails)

    asyncio.run(story())


def counting_on_the_wire(number: int) -> bytes:
    """See `ticking.counting`: one word, at 24 kHz."""
    return np.full(6000, (100 + number) / 1000 * 32768).astype("<i2").tobytes()


@pytest.mark.slow
def test_the_official_client_transcribes() -> None:
    async def story() -> None:
        async with server() as made:
            base_url = made.url.replace("ws:", "http:").removesuffix("/realtime")
            async with AsyncOpenAI(api_key="none", base_url=base_url) as program:
                async with program.realtime.connect(extra_query={"intent": "transcription"}) as connection:
                    event: Any = await connection.recv()
                    assert event.session.type == "transcription"
                    detection = {"type": "server_vad", "silence_duration_ms": 300}
                    wish = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": detection}
                    await connection.session.update(
                        session=cast("Any", {"type": "transcription", "audio": {"input": wish}})
                    )
                    await connection.send_raw(_append(tone(1.0) + bytes(48_000)))
                    async with asyncio.timeout(10):
                        async for event in connection:
                            assert event.type != "error"
                            if event.type == f"{TRANSCRIPTION}.completed":
                                break
                    assert event.transcript == "hello"

    asyncio.run(story())


def _append(sound: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})
