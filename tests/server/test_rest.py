"""OpenAI's routes for files of speech, by the official client and by clients that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from calling import KEY, server, web
from recorder import recorded
from ticking import TickingStt, counting

from antiphon.audio.pcm import int16_from_float
from antiphon.engines.fake import Fail, FakeStt
from antiphon.server.run import Running

pytestmark = pytest.mark.real

QUIET = np.zeros(16_000, np.float32)
SPOKEN = np.concatenate([QUIET, counting(5, 9), QUIET, counting(1, 3), QUIET])
FLAC = ("speech.flac", recorded(int16_from_float(SPOKEN), "flac", 16_000))
WAV = ("speech.wav", recorded(int16_from_float(SPOKEN), "wav", 16_000))
TEXT = "five six seven eight one two"


@asynccontextmanager
async def client(made: Running, key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    address = made.url.replace("ws:", "http:").removesuffix("/realtime")
    async with openai.AsyncOpenAI(api_key=key, base_url=address, max_retries=0) as official:
        yield official


def test_the_official_client_transcribes_in_every_format() -> None:
    async def ask() -> None:
        async with server(stt=TickingStt(), server__keys=(KEY,)) as made, client(made, KEY) as official:
            create: Any = official.audio.transcriptions.create
            assert (await create(file=WAV, model="whisper-1")).text == TEXT
            assert (await create(file=WAV, model="whisper-1", response_format="text")).strip() == TEXT
            assert "00:00:00,692 --> 00:00:02,216\nfive" in await create(
                file=WAV, model="whisper-1", response_format="srt"
            )
            assert (await create(file=WAV, model="whisper-1", response_format="vtt")).startswith("WEBVTT\n\n")
            verbose = await create(file=WAV, model="whisper-1", language="de", response_format="verbose_json")
            assert (verbose.language, verbose.duration, len(verbose.segments)) == ("german", 4.5, 2)
            assert abs(verbose.segments[1].start - 2.7) < 0.1
            events = [event async for event in await create(file=FLAC, model="whisper-1", stream=True)]
            assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
            assert "".join(event.delta for event in events[:-1]) == events[-1].text

    asyncio.run(ask())


def test_the_official_client_hears_speech_in_every_format_as_it_is_made() -> None:
    async def ask() -> None:
        async with server() as made, client(made) as official:
            speech = official.audio.speech
            sizes: dict[str, int] = {}
            for kind in ("mp3", "opus", "wav", "pcm", "flac", "aac"):
                request: Any = {"model": "tts-1", "voice": "alloy", "response_format": kind}
                async with speech.with_streaming_response.create(input="Hello there. And again.", **request) as answer:
                    pieces = [piece async for piece in answer.iter_bytes()]
                sizes[kind] = sum(map(len, pieces))
            assert sizes["opus"] < sizes["mp3"] < sizes["pcm"] < sizes["wav"] == sizes["pcm"] + 44
            with pytest.raises(openai.BadRequestError, match="nothing to say"):
                await speech.create(input="...", model="tts-1", voice="alloy")
            with pytest.raises(openai.BadRequestError, match="speed"):
                await speech.create(input="Hello.", model="tts-1", voice="alloy", speed=9)

    asyncio.run(ask())


def test_speech_as_events_and_the_voices() -> None:
    async def ask() -> None:
        async with server() as made, web(made) as http:
            body = {"input": "Hello.", "response_format": "pcm", "stream_format": "sse", "voice": {"id": "alloy"}}
            answer = await http.post("/v1/audio/speech", json=body)
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.text.count("speech.audio.delta") > 0
            assert "speech.audio.done" in answer.text
            assert {"id": "marin", "name": "marin"} in (await http.get("/v1/audio/voices")).json()["voices"]

    asyncio.run(ask())


def test_translation_is_for_engines_that_can() -> None:
    async def ask() -> None:
        stt = TickingStt()
        async with server(stt=stt) as made, web(made) as http:
            refused = await http.post("/v1/audio/translations", files={"file": WAV})
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_operation")
            stt.translates = True
            done = await http.post(
                "/v1/audio/translations", files={"file": WAV}, data={"response_format": "verbose_json"}
            )
            assert (done.json()["task"], done.json()["language"]) == ("translate", "english")
            assert stt.requests[-1].translate

    asyncio.run(ask())


async def _status(http: httpx.AsyncClient, **request: Any) -> tuple[int, str, str]:
    answer = await http.post("/v1/audio/transcriptions", **request)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


def test_mistakes_are_told_in_words() -> None:
    async def ask() -> None:
        async with server(server__max_upload_bytes=500_000, server__max_upload_s=4) as made, web(made) as http:
            assert (await _status(http, json={}))[:2] == (415, "unsupported_content_type")
            mangled: dict[str, Any] = {"content": b"--", "headers": {"Content-Type": "multipart/form-data"}}
            assert (await _status(http, **mangled))[:2] == (400, "invalid_form")
            assert (await _status(http, files={"sound": WAV}))[:2] == (400, "missing_required_parameter")
            assert (await _status(http, files={"file": ("a.wav", b"zzzz" * 100)}))[:2] == (400, "invalid_audio")
            assert (await _status(http, files={"file": ("a.wav", bytes(600_000))}))[:2] == (413, "request_too_large")
            assert (await _status(http, files={"file": WAV}))[:2] == (413, "request_too_large")
            for field in ("response_format", "language", "timestamp_granularities[]"):
                status, code, message = await _status(http, files={"file": WAV}, data={field: "?!"})
                assert (status, code) == (400, "invalid_value"), message

    asyncio.run(ask())


def test_a_recogniser_that_fails_is_a_status_or_an_event() -> None:
    async def ask() -> None:
        async with server(stt=FakeStt(["well", Fail("no_luck")])) as made, web(made) as http:
            answer = await http.post("/v1/audio/transcriptions", files={"file": WAV}, data={"stream": "true"})
            assert "transcript.text.delta" in answer.text
            assert "no_luck" in answer.text
            assert (await _status(http, files={"file": WAV}))[:2] == (502, "no_luck")
            answer = await http.post("/v1/audio/transcriptions", files={"file": WAV}, data={"stream": "true"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "no_luck")

    asyncio.run(ask())


def test_who_hangs_up_stops_the_work() -> None:
    async def ask() -> None:
        stt = TickingStt(seconds_per_second=30.0)
        async with server(stt=stt) as made, web(made) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.post("/v1/audio/transcriptions", files={"file": WAV}, timeout=0.3)
            while [task for task in asyncio.all_tasks() if task.get_name() in ("file", "live transcription")]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(ask(), 10))


def test_an_upload_that_stops_half_way_frees_its_place() -> None:
    async def ask() -> None:
        async with server() as made:
            host, port = made.url.split("/")[2].split(":")
            for _ in range(20):  # more than may be under way at once
                _, writer = await asyncio.open_connection(host, int(port))
                head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9000\r\n"
                writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            async with web(made) as http:
                for _ in range(100):
                    answer = await http.post("/v1/audio/transcriptions", files={"file": WAV})
                    if answer.status_code == 200:
                        return
                    await asyncio.sleep(0.02)
            raise AssertionError("the places were not freed")

    asyncio.run(ask())
