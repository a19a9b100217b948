"""A recording on disk is held against the protocol, and each fault is told with its line and its rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from antiphon.cli import check as verb
from antiphon.errors import ConfigError
from antiphon.protocol import server, session_config
from antiphon.protocol.codec import encode

Json = dict[str, Any]
WELCOME: Json = json.loads(
    encode(
        server.SessionCreated(
            event_id="event_1",
            session=session_config.RealtimeSession(id="sess_1", expires_at=1, model="any"),
        )
    )
)
CLEARED: Json = {"type": "input_audio_buffer.cleared", "event_id": "event_2"}


def sent(**message: Any) -> Json:
    return {"direction": "sent", "message": message}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.jsonl"


def written(path: Path, *lines: Json) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(verb.command, [str(path), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_right_recording_is_said_to_be_right(path: Path) -> None:
    received = {"direction": "received", "message": CLEARED}
    status, output = run(written(path, WELCOME, sent(type="input_audio_buffer.clear"), received))
    assert (status, output) == (0, f"{path}: 3 messages, no faults\n")


@pytest.mark.slow
def test_the_official_types_may_be_asked_too(path: Path) -> None:
    strange = CLEARED | {"type": "error", "error": {"type": "server_error", "message": 7}}
    _, output = run(written(path, WELCOME, strange), "--official")
    assert "error.message: Input should be a valid string\n    official: " in output
    assert "official: " not in run(path)[1]


def test_a_fault_is_told_with_its_line_and_its_rule(path: Path) -> None:
    status, output = run(written(path, WELCOME, sent(type="input_audio_buffer.clear"), CLEARED, CLEARED))
    assert status == 1
    assert "line 4: the event_id 'event_2' was used before\n    ids: every event_id is used once" in output


def test_what_never_came_is_a_fault_unless_the_recording_was_cut(path: Path) -> None:
    written(path, WELCOME, sent(type="input_audio_buffer.clear"))
    status, output = run(path)
    assert status == 1
    assert "at the end: input_audio_buffer.clear was not answered\n    R15: " in output
    assert run(path, "--cut")[0] == 0


def test_a_call_has_rules_of_its_own(path: Path) -> None:
    written(path, WELCOME, {"type": "output_audio_buffer.stopped", "event_id": "event_2", "response_id": "resp_1"})
    assert "R13" in run(path)[1]
    assert "which was not playing" in run(path, "--call")[1]


@pytest.mark.parametrize("line", ["{", "[]", '{"direction":"up","message":{}}', '{"message":{}}', "\xff"])
def test_a_line_that_is_no_message_is_named(path: Path, line: str) -> None:
    path.write_bytes(json.dumps(WELCOME).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(ConfigError, match=r"line 2 of .* is no message") as refusal:
        run(path)
    assert "one JSON object in each line" in refusal.value.hint
