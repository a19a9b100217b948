"""Transcripts over HTTP, whole and streamed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from remote import everything, failure, talk

from antiphon.audio.wav import read_wav
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta
from antiphon.engines.http import Upstream, UpstreamError
from antiphon.engines.stt.openai import OpenAiStt
from antiphon.testing.upstream import Act, Fault, Received, Script, ScriptedUpstream

pytestmark = pytest.mark.real

SOUND = (0.5 * np.sin(np.arange(16_000) / 10)).astype(np.float32)


def heard(script: Script, **options: Any) -> list[TranscriptDelta | Transcript]:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> list[TranscriptDelta | Transcript]:
        return await everything(OpenAiStt(upstream, **options).transcribe(SOUND, SttRequest()))

    return talk(conversation, script)


def refused(act: Act, *, stream: bool = False) -> UpstreamError:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> UpstreamError:
        return await failure(everything(OpenAiStt(upstream, stream=stream).transcribe(SOUND, SttRequest())))

    return talk(conversation, Script(stt=act))


def sent(request: SttRequest, **options: Any) -> Received:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> Received:
        await everything(OpenAiStt(upstream, **options).transcribe(SOUND, request))
        return scripted.asked("/audio/transcriptions")[0]

    return talk(conversation)


def test_a_transcript_comes_whole() -> None:
    assert heard(Script(transcript="good morning")) == [Transcript("good morning")]


@pytest.mark.parametrize("size_bytes", [None, 1, 7])
def test_a_transcript_comes_in_pieces(size_bytes: int | None) -> None:
    script = Script(transcript="good morning", stt=Act(piece_bytes=size_bytes))
    assert heard(script, stream=True) == [
        TranscriptDelta("good"),
        TranscriptDelta(" morning"),
        Transcript("good morning"),
    ]


def test_a_server_that_does_not_stream_is_understood_when_asked_to() -> None:
    whole = Act(body=b'{"text": " hi ", "language": "en", "usage": {}}', media_type="application/json")
    assert heard(Script(stt=whole), stream=True) == [Transcript("hi", "en")]


@pytest.mark.parametrize(("written", "means"), [("de", "de"), ("pt-BR", "pt-BR"), ("english", None), ("", None)])
def test_a_language_is_a_code_or_not_known(written: str, means: str | None) -> None:
    whole = Act(body=b'{"text": "hi", "language": "%s"}' % written.encode(), media_type="application/json")
    assert heard(Script(stt=whole)) == [Transcript("hi", means)]


def test_what_is_sent_is_a_wav_file_and_what_is_known() -> None:
    request = sent(SttRequest(language="de", prompt="Antiphon", model="theirs"))
    assert request.fields == {"model": "theirs", "response_format": "json", "language": "de", "prompt": "Antiphon"}
    assert len(request.file) == 44 + 2 * SOUND.size
    wav = read_wav(request.file)
    assert wav.rate_hz == 16_000
    assert np.max(np.abs(wav.pcm - SOUND)) < 1e-4


def test_the_configured_model_wins_and_there_is_always_one() -> None:
    assert sent(SttRequest(model="theirs"), model="ours", stream=True).fields == {
        "model": "ours", "response_format": "json", "stream": "true",
    }  # fmt: skip
    assert sent(SttRequest()).fields["model"] == "whisper-1"


def test_a_click_is_not_worth_asking() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> None:
        assert await everything(OpenAiStt(upstream).transcribe(SOUND[:100], SttRequest())) == [Transcript("")]
        assert scripted.requests == []

    talk(conversation)


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"words": 1}', b'{"text": 1}', b""])
def test_nonsense_is_an_error(body: bytes) -> None:
    assert refused(Act(body=body)).code == "upstream_malformed"


def test_a_stream_that_breaks_off_is_an_error() -> None:
    assert refused(Act(fault=Fault.CUT), stream=True).code == "upstream_cut"
    assert refused(Act(fault=Fault.RESET), stream=True).code == "upstream_reset"


def test_an_error_inside_the_stream_is_quoted() -> None:
    error = refused(Act(body=b'data: {"type": "error", "error": {"message": "too loud"}}\n\n'), stream=True)
    assert (error.code, "too loud" in error.message) == ("upstream_failed", True)


def test_how_sure_it_is_is_asked_only_if_both_want_it() -> None:
    wished = SttRequest(logprobs=True)
    assert sent(wished, logprobs=True).fields["include[]"] == "logprobs"
    assert "include[]" not in sent(wished).fields
    assert "include[]" not in sent(SttRequest(), logprobs=True).fields


def test_how_sure_it_was() -> None:
    tokens = b'"logprobs": [{"token": "hi", "logprob": -0.25, "bytes": [104, 105]}]'
    whole = Act(body=b'{"text": "hi", %s}' % tokens, media_type="application/json")
    assert heard(Script(stt=whole)) == [Transcript("hi", logprobs=(("hi", -0.25),))]
    events = b'data: {"type":"transcript.text.delta","delta":"hi",%s}\n\n' % tokens
    events += b'data: {"type":"transcript.text.done","text":"hi",%s}\n\n' % tokens
    streamed = Act(body=events, media_type="text/event-stream")
    assert heard(Script(stt=streamed), stream=True) == [
        TranscriptDelta("hi", (("hi", -0.25),)),
        Transcript("hi", logprobs=(("hi", -0.25),)),
    ]
