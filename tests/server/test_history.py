"""Conversations are kept as they were heard, shown to those whose they are, and survive the death of the server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from calling import KEY, client, server, web
from s3_server import BUCKET, KEY_ID, REGION, S3, SECRET_KEY, s3_server
from websockets.asyncio.client import connect

from antiphon.engines.fake import FakeLlm
from antiphon.errors import ConfigError
from antiphon.store.reading import SqliteReader

pytestmark = pytest.mark.real
OTHER_KEY = "other-0123456789-0123456789-0123456789"


async def kept(http: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ended(http: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    """The session, once it is over and written down."""
    async with asyncio.timeout(5):
        while True:
            found: dict[str, Any] = await kept(http, f"/v1/sessions/{session_id}")
            if found["status"] == "ended":
                return found
            await asyncio.sleep(0.02)


def test_a_conversation_can_be_read_searched_and_deleted(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "c.sqlite3"
        async with server(FakeLlm("Hello there. This is the answer."), history__path=path) as made, web(made) as http:
            async with client(made) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
                await one.speak()
                await one.receive("response.done")
                await one.send(
                    "conversation.item.create",
                    item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And Köln?"}]},
                )
                await one.receive("conversation.item.done")
                refused = await http.delete(f"/v1/sessions/{session_id}")
                assert (refused.status_code, refused.json()["error"]["code"]) == (409, "session_in_progress")
            found = await ended(http, session_id)
            assert (found["items"], found["turns"], found["first_words"]) == (3, 1, "hello")
            assert [one["id"] for one in (await kept(http, "/v1/sessions"))["data"]] == [session_id]
            items = (await kept(http, f"/v1/sessions/{session_id}/transcript"))["data"]
            assert [(item["kind"], item["text"]) for item in items] == [
                ("user", "hello"),
                ("assistant", "Hello there. This is the answer."),
                ("user", "And Köln?"),
            ]
            assert 0 <= items[0]["start_s"] < items[0]["end_s"]
            assert 0 < items[1]["start_s"] < items[1]["end_s"]
            text = await http.get(f"/v1/sessions/{session_id}/transcript", params={"format": "text"})
            assert text.text.splitlines()[0] == "User: hello"
            subtitles = await http.get(f"/v1/sessions/{session_id}/transcript", params={"format": "srt"})
            assert subtitles.text.startswith("1\n00:00:0")
            assert "Assistant: Hello there." in subtitles.text
            assert all(begin != end for begin, end in re.findall(r"(\S+) --> (\S+)", subtitles.text))
            (turn,) = (await kept(http, f"/v1/sessions/{session_id}/timeline"))["data"]
            assert turn["status"] == "completed"
            assert turn["moments_s"]["began"] <= turn["moments_s"]["first_audio"] <= turn["moments_s"]["ended"]
            (match,) = (await kept(http, "/v1/sessions", search="koln"))["data"]
            assert (match["session_id"], match["excerpt"]) == (session_id, "And Köln?")
            assert (await http.delete(f"/v1/sessions/{session_id}")).json()["deleted"]
            gone = await http.get(f"/v1/sessions/{session_id}")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")

    asyncio.run(story())


def test_the_sound_of_a_session_is_recorded_where_that_is_wished(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(history__recordings=tmp_path / "sound", server__keys=[KEY, OTHER_KEY]) as made:
            async with client(made, key=KEY) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
                await one.speak()
                await one.receive("response.done")
            async with web(made, KEY) as http:
                await ended(http, session_id)
                history = made.state.sessions.history
                assert history is not None
                assert history.recorder is not None
                async with asyncio.timeout(20):
                    while history.recorder.waiting_bytes:  # noqa: ASYNC110 - a thread's
                        await asyncio.sleep(0.01)
                answer = await http.get(f"/v1/sessions/{session_id}/recording")
                assert answer.headers["content-type"] == "audio/ogg"
                with av.open(io.BytesIO(answer.content), "r") as container:
                    both = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
                assert [bool(np.abs(side).max() > 0.05) for side in both] == [True, True]
                async with web(made, OTHER_KEY) as other:
                    assert (await other.get(f"/v1/sessions/{session_id}/recording")).status_code == 404
                assert (await http.delete(f"/v1/sessions/{session_id}")).status_code == 200
            assert list((tmp_path / "sound").iterdir()) == []

    asyncio.run(story())


def test_the_sound_of_a_session_is_in_a_store_and_gone_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.store.uploading.RETRIES", 0)

    async def story(s3: S3) -> None:
        async with server(
            history__recordings=tmp_path / "sound",
            history__recordings_url=f"s3://{BUCKET}/sound",
            history__recordings_endpoint=s3.url,
            history__recordings_region=REGION,
            history__recordings_key_id=KEY_ID,
            history__recordings_secret_key=SECRET_KEY,
        ) as made:
            async with client(made) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
                await one.speak()
                await one.receive("response.done")
            async with web(made) as http:
                await ended(http, session_id)
                async with asyncio.timeout(20):
                    while not s3.objects or any((tmp_path / "sound").iterdir()):  # noqa: ASYNC110 - a thread's
                        await asyncio.sleep(0.01)
                (name,) = s3.objects
                assert name == f"sound/{session_id}.ogg"
                answer = await http.get(f"/v1/sessions/{session_id}/recording")
                assert answer.headers["content-type"] == "audio/ogg"
                assert answer.content == s3.objects[name]
                s3.is_away = True
                for ask in (
                    http.get(f"/v1/sessions/{session_id}/recording"),
                    http.delete(f"/v1/sessions/{session_id}"),
                ):
                    refused = await ask
                    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "recording_unavailable")
                s3.is_away = False
                assert (await http.delete(f"/v1/sessions/{session_id}")).status_code == 200
                assert not s3.objects

    with s3_server() as s3:
        asyncio.run(story(s3))


def test_what_was_not_recorded_is_said_to_be_so() -> None:
    async def story() -> None:
        async with server(history__keep=True) as made, web(made) as http:
            async with client(made) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
            answer = await http.get(f"/v1/sessions/{session_id}/recording")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_recorded")

    asyncio.run(story())
    with pytest.raises(ConfigError, match=r"history\.keep"):
        asyncio.run(_started(history__keep=False, history__recordings="/tmp/nowhere"))


async def _started(**overrides: Any) -> None:
    async with server(**overrides):
        pass


def test_an_interrupted_answer_is_kept_as_it_was_heard(tmp_path: Path) -> None:
    long = " ".join(f"Sentence number {number} goes on for a while." for number in range(30))

    async def story() -> None:
        path = tmp_path / "c.sqlite3"
        async with server(FakeLlm(long), history__path=path) as made, web(made) as http:
            async with client(made) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
                await one.speak()
                item_id = (await one.receive("response.output_audio.delta"))["item_id"]
                await asyncio.sleep(0.5)
                await one.send("response.cancel")
                await one.receive("response.done")
                await one.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
                await one.receive("conversation.item.truncated")
            await ended(http, session_id)
            items = (await kept(http, f"/v1/sessions/{session_id}/transcript"))["data"]
            (answer,) = [item for item in items if item["kind"] == "assistant"]
            assert len(answer["text"]) < 60
            assert long.startswith(answer["text"])
            assert answer["end_s"] == pytest.approx(answer["start_s"] + 0.3, abs=0.01)

    asyncio.run(story())


def test_each_key_sees_its_own_sessions(tmp_path: Path) -> None:
    async def story() -> None:
        keys = (KEY, OTHER_KEY)
        async with (
            server(history__path=tmp_path / "c.sqlite3", server__keys=keys) as made,
            web(made, KEY) as mine,
            web(made, OTHER_KEY) as theirs,
            web(made) as nobody,
        ):
            async with client(made, key=KEY) as one:
                session_id = (await one.receive("session.created"))["session"]["id"]
            await ended(mine, session_id)
            assert (await kept(theirs, "/v1/sessions"))["data"] == []
            for what in ("", "/transcript", "/timeline"):
                assert (await theirs.get(f"/v1/sessions/{session_id}{what}")).status_code == 404
                assert (await nobody.get(f"/v1/sessions/{session_id}{what}")).status_code == 401
            assert (await theirs.delete(f"/v1/sessions/{session_id}")).status_code == 404
            await kept(mine, f"/v1/sessions/{session_id}")

    asyncio.run(story())


def test_bad_questions_and_a_server_that_keeps_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(history__path=tmp_path / "c.sqlite3") as made, web(made) as http:
            for query in ("limit=0", "limit=x", "limit=101", "limit=-1", "limit=²"):
                answer = await http.get(f"/v1/sessions?{query}")
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit"), query
            for query in ("after=nope", "search=word&after=nope"):
                answer = await http.get(f"/v1/sessions?{query}")
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after"), query
            assert (await kept(http, "/v1/sessions", search="\0"))["data"] == []
            answer = await http.get("/v1/sessions/sess_x/transcript?format=strt")
            assert "Did you mean 'srt'" in answer.json()["error"]["message"]
        async with server(history__keep=False) as made, web(made) as http:
            answer = await http.get("/v1/sessions")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "history_off")

    asyncio.run(story())


PROGRAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from calling import server

async def main():
    async with server(history__path=sys.argv[2]) as made:
        print(made.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
ACKNOWLEDGED_S = 0.25


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            session_id, acknowledged = asyncio.run(chat_until_killed(url, process.pid))
        finally:
            process.kill()
    assert len(acknowledged) >= 5
    texts = [item.text for item in SqliteReader(path).items(session_id)]
    assert texts[: len(acknowledged)] == acknowledged
    assert SqliteReader(path).session("", session_id, time.time() + 60) is not None


async def chat_until_killed(url: str, pid: int) -> tuple[str, list[str]]:
    """The session's id, and what was acknowledged long enough before the server was killed."""
    done: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()
    async with connect(url) as socket:
        session_id = json.loads(await socket.recv())["session"]["id"]
        began = loop.time()
        while loop.time() - began < 0.8 or len(done) < 20:
            text = f"This is line {len(done)}"
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            while json.loads(await socket.recv())["type"] != "conversation.item.done":
                pass
            done.append((text, loop.time()))
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        killed = loop.time()
    return session_id, [text for text, at in done if at <= killed - ACKNOWLEDGED_S]
