"""Speech over HTTP: sound is whole samples, whatever the borders of the pieces and whatever stands before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from remote import everything, failure, leave_after_first, talk

from antiphon.audio.units import Pcm
from antiphon.audio.wav import wav_from_mono, wav_from_stereo
from antiphon.engines.api import TtsRequest
from antiphon.engines.http import Upstream, UpstreamError
from antiphon.engines.tts.openai import OpenAiTts, VoiceOptions
from antiphon.testing.upstream import Act, Fault, Script, ScriptedUpstream

pytestmark = pytest.mark.real

TEXT = "Good morning."
ASKED = TtsRequest(voice="marin")
RAMP = np.arange(-6_000, 6_000, dtype=np.int16)  # half a second, no two samples alike


def spoken(act: Act, options: VoiceOptions | None = None, text: str = TEXT) -> list[Pcm]:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> list[Pcm]:
        return await everything(OpenAiTts(upstream, options).speak(text, ASKED))

    return talk(conversation, Script(tts=act))


def refused(act: Act) -> UpstreamError:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> UpstreamError:
        return await failure(everything(OpenAiTts(upstream).speak(TEXT, ASKED)))

    return talk(conversation, Script(tts=act))


def is_ramp(chunks: list[Pcm]) -> bool:
    return np.array_equal(np.round(np.concatenate(chunks) * 32768).astype(np.int16), RAMP)


@pytest.mark.parametrize("size_bytes", [101, 959, 4_096, 100_000])
def test_samples_are_whole_however_their_bytes_are_cut(size_bytes: int) -> None:
    chunks = spoken(Act(body=RAMP.tobytes(), piece_bytes=size_bytes))
    assert is_ramp(chunks)
    assert all(480 <= chunk.size <= 4_800 for chunk in chunks[:-1])


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert is_ramp(spoken(Act(body=RAMP.tobytes() + b"\x01")))


@pytest.mark.parametrize("size_bytes", [3, 45, 100_000])
def test_a_wav_header_is_not_played(size_bytes: int) -> None:
    assert is_ramp(spoken(Act(body=wav_from_mono(RAMP, 24_000), piece_bytes=size_bytes, media_type="audio/wav")))


def test_sound_of_another_kind_is_an_error_that_says_which() -> None:
    slow = refused(Act(body=wav_from_mono(RAMP, 16_000)))
    assert (slow.code, "16000 Hz" in slow.message) == ("upstream_format", True)
    assert refused(Act(body=wav_from_stereo(RAMP, RAMP, 24_000))).code == "upstream_format"
    assert refused(Act(body=b"\xff\xfb" * 99, media_type="audio/mpeg")).code == "upstream_format"
    assert refused(Act(body=b"RIFF" + bytes(9_000))).code == "upstream_format"
    assert refused(Act(body=b"welcome", media_type="text/html")).code == "upstream_format"


@pytest.mark.parametrize("media_type", ["application/json", "audio/pcm", "application/octet-stream"])
def test_an_error_in_place_of_sound_is_quoted(media_type: str) -> None:
    body = b'{"error": {"message": "no such voice", "code": 7}}'
    error = refused(Act(body=body, media_type=media_type))
    assert (error.code, "no such voice" in error.message) == ("upstream_failed", True)


def test_loud_sound_that_begins_with_a_brace_is_sound() -> None:
    sound = np.full(12_000, 0x227B, "<i2")  # '{"' in its first sample, and in all others
    sound[1:] = -20_000
    assert np.concatenate(spoken(Act(body=sound.tobytes()))).size == sound.size


def test_no_sound_for_words_is_an_error_and_for_nothing_is_not() -> None:
    assert refused(Act(body=b"")).code == "upstream_cut"
    assert spoken(Act(body=b""), text="...") == []
    assert spoken(Act(fault=Fault.STALL, fault_after=0), text="  ") == []


def test_what_is_sent() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> list[Any]:
        options = VoiceOptions(voices={"marin": "af_heart"})
        await everything(OpenAiTts(upstream, options).speak(TEXT, TtsRequest("marin", speed=9.0, model="theirs")))
        fixed = VoiceOptions(model="ours", voice="bella", rate=22_050)
        await everything(OpenAiTts(upstream, fixed).speak(TEXT, TtsRequest("cedar", model="theirs")))
        await everything(OpenAiTts(upstream).speak(TEXT, TtsRequest("cedar")))
        return [request.json for request in scripted.requests]

    same = {"input": TEXT, "response_format": "pcm"}
    assert talk(conversation) == [
        {"model": "theirs", "voice": "af_heart", "speed": 4.0, **same},
        {"model": "ours", "voice": "bella", **same},
        {"model": "tts-1", "voice": "cedar", **same},
    ]


def test_a_voice_that_is_interrupted_hangs_up() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> bool:
        await leave_after_first(OpenAiTts(upstream).speak(TEXT, ASKED))
        await scripted.requests[-1].ended.wait()
        return scripted.requests[-1].hung_up

    assert talk(conversation, Script(tts=Act(fault=Fault.STALL, fault_after=2)))
