"""The echo of a session says everything, in the one form that all official clients accept."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from wire_samples import DEFAULT_SESSION, SEMANTIC_SESSION, TRANSCRIPTION_SESSION

from antiphon.protocol import session_config as config


def written(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_a_default_session_writes_every_key() -> None:
    assert written(DEFAULT_SESSION) == {
        "type": "realtime",
        "id": "sess_1",
        "object": "realtime.session",
        "expires_at": 1_790_000_000,
        "model": "gpt-realtime",
        "instructions": "",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "reasoning": None,
        "include": None,
    }


def test_everything_that_can_be_patched_is_echoed() -> None:
    """A client that changes a setting must be able to see that it changed."""

    def keys(struct: type[msgspec.Struct]) -> set[str]:
        return set(struct.__struct_fields__)

    assert keys(config.SessionPatch) - {"type"} <= keys(config.RealtimeSession)
    assert keys(config.AudioPatch) == keys(config.Audio)
    assert keys(config.AudioInputPatch) == keys(config.AudioInput)
    assert keys(config.AudioOutputPatch) == keys(config.AudioOutput)
    assert keys(config.ServerVadPatch) == keys(config.ServerVad)
    assert keys(config.SemanticVadPatch) == keys(config.SemanticVad)


def test_an_empty_patch_writes_nothing() -> None:
    for patch in (
        config.SessionPatch(),
        config.AudioPatch(),
        config.AudioInputPatch(),
        config.AudioOutputPatch(),
        config.Transcription(),
        config.NoiseReduction(),
    ):
        assert written(patch) == {}
    assert written(config.ServerVadPatch()) == {"type": "server_vad"}


def test_transcription_echoes_only_what_was_set() -> None:
    """One official client knows three keys, and fails on any other, null included."""
    chosen = config.Transcription(model="whisper-1", language="en")
    assert written(config.AudioInput(transcription=chosen))["transcription"] == {
        "model": "whisper-1",
        "language": "en",
    }


def test_semantic_turns_fill_in_their_defaults() -> None:
    assert written(SEMANTIC_SESSION)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": True,
        "interrupt_response": True,
    }


def test_a_transcription_session_has_no_voice() -> None:
    session = written(TRANSCRIPTION_SESSION)
    assert set(session) == {"type", "id", "object", "expires_at", "audio", "include"}
    assert set(session["audio"]) == {"input"}
    assert session["object"] == "realtime.transcription_session"
