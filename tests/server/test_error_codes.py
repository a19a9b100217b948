"""Every error code that a client can meet, and how it is provoked.

A connection lives on after each error, except after those that say that it is over; and each error names the message
that caused it. A code that is written anywhere in the server without a line here fails the last test.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from calling import KEY, Client, client, refusal, server, tone, web
from msgspec import Struct
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

import antiphon
from antiphon.engines.api import LlmRequest, UserSaid
from antiphon.engines.fake import Fail, FakeLlm, Hang, Line
from antiphon.server.run import Running
from antiphon.server.tokens import Grant
from antiphon.session.inputs import HearingFailed

ROOT = Path(antiphon.__file__).parent
TESTS = Path(__file__).parents[1]


class Raw(Struct, frozen=True):
    """A frame as it is."""

    frame: str | bytes


class Until(Struct, frozen=True):
    """Wait for a message of this type."""

    kind: str


Step = dict[str, Any] | Raw | Until


class Way(Struct, frozen=True):
    """The last step is refused, with its event_id if it is readable."""

    code: str | None
    steps: tuple[Step, ...]
    param: str | None = None
    says: str = ""
    """How the message begins, where clients read it."""
    query: str = ""


def item(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content, **fields},
    }


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


def append(sound: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}


ANSWER: dict[str, Any] = {"type": "response.create"}
SPOKEN = (
    item("hello"),
    ANSWER,
    Until("response.output_audio.delta"),
    {"type": "response.cancel"},
    Until("response.done"),
)
TRUNCATE = {"type": "conversation.item.truncate", "content_index": 0}
DETACHED = {"type": "response.create", "response": {"conversation": "none"}}
FORMAT = {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}
COMMIT = {"type": "input_audio_buffer.commit"}
TOO_SMALL = (
    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has "
)

WAYS = [
    Way("invalid_json", (Raw("{"),)),
    Way("invalid_json", (Raw('{"type":"x","deep":' + "[" * 100_000),)),
    Way("invalid_event", (Raw("[1]"),)),
    Way("invalid_event", ({"session": {}},), says="The 'type' field is missing."),
    Way("invalid_type", ({"type": "input_audio_buffer.append", "audio": 7},), "audio"),
    Way("invalid_value", ({"type": "scooby.dooby.doo"},), "type", "Invalid value: 'scooby.dooby.doo'"),
    Way("invalid_value", ({"type": "output_audio_buffer.clear"},), "type"),
    Way("invalid_value", ({"type": "input_audio_buffer.append", "audio": "%%%%"},), "audio"),
    Way("invalid_value", (append(bytes(3)),), "audio"),
    Way("invalid_value", (Raw(bytes(3)),), "audio"),
    Way("invalid_value", (update(audio=FORMAT),), "session.audio.input.format.rate"),
    Way("invalid_value", (update(type="transcription"),), "session.type"),
    Way("invalid_value", (update(type="realtime"),), "session.type", query="?intent=transcription"),
    Way("invalid_value", (ANSWER,), "type", query="?intent=transcription"),
    Way("missing_required_parameter", ({"type": "session.update"},), "session"),
    Way("missing_required_parameter", ({"type": "conversation.item.delete"},), "item_id"),
    Way("string_above_max_length", (update(instructions="x" * 600_000),), "session"),
    Way("string_above_max_length", (item("x" * 1_000_001),), "item.content[0].text"),
    Way("cannot_update_voice", (*SPOKEN, update(audio={"output": {"voice": "cedar"}})), "session.audio.output.voice",
        "Cannot update a conversation's voice if assistant audio is present."),
    Way("input_audio_buffer_commit_empty", (COMMIT,), says=f"{TOO_SMALL}0.00ms of audio."),
    Way("input_audio_buffer_commit_empty", (append(tone(0.05)), COMMIT), says=f"{TOO_SMALL}50.00ms of audio."),
    Way("item_create_duplicate_item_id", (item("a", id="twice"), item("b", id="twice")), "item.id"),
    Way("item_create_invalid_previous_item_id", (item("a") | {"previous_item_id": "nobody"},), "previous_item_id",
        "Error adding item: the previous item with id 'nobody' does not exist."),
    Way("item_retrieve_invalid_item_id", ({"type": "conversation.item.retrieve", "item_id": "nobody"},), "item_id"),
    Way("item_delete_invalid_item_id", ({"type": "conversation.item.delete", "item_id": "nobody"},), "item_id",
        "Error deleting item: the item with id 'nobody' does not exist."),
    Way("item_truncate_invalid_item_id", (TRUNCATE | {"item_id": "nobody", "audio_end_ms": 1},), "item_id"),
    Way(None, (item("a", id="typed"), TRUNCATE | {"item_id": "typed", "audio_end_ms": 1}), "item_id",
        "Only model output audio messages can be truncated"),
    Way(None, (*SPOKEN, TRUNCATE | {"item_id": "<spoken>", "audio_end_ms": 900_000}), "audio_end_ms",
        "Audio content of "),
    Way("conversation_already_has_active_response", (item("hang"), ANSWER, Until("response.created"), ANSWER),
        says="Conversation already has an active response in progress: resp_"),
    Way("too_many_responses", (*[DETACHED] * 17,)),
    Way("approval_not_found", ({"type": "antiphon.approval.answer", "call_id": "call_1", "approve": True},), "call_id"),
    Way("tool_call_not_found", ({"type": "antiphon.tool.cancel", "call_id": "call_1"},), "call_id"),
    Way("response_cancel_not_active", ({"type": "response.cancel"},),
        says="Cancellation failed: no active response found"),
]  # fmt: skip


def answer_to(request: LlmRequest) -> Line:
    """What the model does is what it was told to; told nothing, it never answers."""
    told = [message.text for message in request.messages if isinstance(message, UserSaid)]
    lines: dict[str, Line] = {"hang": Hang(), "fail": Fail("upstream_reset", "gone")}
    return lines.get(told[-1], "Hello there.") if told else Hang()


def model() -> FakeLlm:
    return FakeLlm(answer_to, token_s=0.01)


async def walk(call: Client, way: Way) -> dict[str, Any]:
    """Go this way to its end, and return the error. One that comes earlier fails the test."""
    for number, step in enumerate(way.steps, 1):
        match step:
            case Raw(frame):
                await call.socket.send(frame)
            case Until(kind):
                await call.seen(kind)
            case dict():
                spoken = next((event["item_id"] for event in call.events if "delta" in event), "")
                last = {"event_id": "mine"} if number == len(way.steps) else {}
                await call.socket.send(json.dumps(step | last).replace("<spoken>", spoken))
    return dict((await call.receive("error"))["error"])


async def lives(call: Client) -> None:
    await call.send("input_audio_buffer.clear")
    await call.receive("input_audio_buffer.cleared")


async def hold(made: Running, way: Way) -> None:
    async with client(made, way.query) as call:
        error = await walk(call, way)
        assert error["type"] == "invalid_request_error", way
        assert error["code"] == way.code, way
        assert error["param"] == way.param, way
        assert error["message"].startswith(way.says), way
        assert error["event_id"] == (None if isinstance(way.steps[-1], Raw) else "mine"), way
        await lives(call)


@pytest.mark.real
@pytest.mark.slow
def test_each_refused_message_is_named_and_its_connection_lives() -> None:
    async def story() -> None:
        async with server(model()) as made:
            for way in WAYS:
                await hold(made, way)

    asyncio.run(story())


# --- what fails inside an answer is told with it, not as an error ----------------------------------------------------


@pytest.mark.real
def test_an_answer_that_fails_says_why_and_is_no_error() -> None:
    async def failed(made: Running, text: str) -> dict[str, Any]:
        async with client(made) as call:
            await call.socket.send(json.dumps(item(text)))
            await call.send("response.create")
            response = (await call.receive("response.done"))["response"]
            assert response["status"] == "failed"
            await lives(call)
            return dict(response["status_details"]["error"])

    async def story() -> None:
        async with server(model()) as made:
            error = await failed(made, "fail")
            assert (error["type"], error["code"]) == ("server_error", "upstream_reset")

    asyncio.run(story())


# --- errors after which the connection is over -----------------------------------------------------------------------


async def last_words(call: Client) -> tuple[dict[str, Any], int]:
    """The error, and the code with which the connection is closed."""
    with pytest.raises(ConnectionClosed) as closed:
        await call.receive_all()
    assert closed.value.rcvd is not None
    (error,) = (event["error"] for event in call.events if event["type"] == "error")
    return error, closed.value.rcvd.code


@pytest.mark.real
def test_an_ear_that_breaks_is_told_and_heard_with_again() -> None:
    async def story() -> None:
        async with server() as made, client(made) as call:
            await call.receive("session.created")
            (drive,) = made.state.sessions.running.values()
            drive.put(HearingFailed("audio_backlog", "too much"))
            error = (await call.receive("error"))["error"]
            assert (error["type"], error["code"]) == ("server_error", "audio_backlog")
            await lives(call)

    asyncio.run(story())


@pytest.mark.real
def test_who_sends_more_than_the_key_allows_is_told_and_cut() -> None:
    async def story() -> None:
        async with server(server__max_bytes_per_minute=10_000) as made, client(made) as call:
            await call.socket.send(bytes(20_000))
            error, code = await last_words(call)
            assert (error["code"], code) == ("rate_limit_exceeded", 1008)

    asyncio.run(story())


# --- refused before there is a connection ----------------------------------------------------------------------------


@pytest.mark.real
def test_who_is_not_let_in_is_told_why_in_a_form_that_clients_show() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY], server__max_sessions=1) as made:
            tokens = made.state.door.tokens
            old = tokens.make(tokens.name_of(KEY), Grant(int(time.time()) - 1, None), int(time.time()) - 20)
            async with client(made, key=KEY):
                found = {
                    (await refusal(made))[1]["code"]: 401,
                    (await refusal(made, key="guess"))[1]["code"]: 401,
                    (await refusal(made, key="ek_guess"))[1]["code"]: 401,
                    (await refusal(made, key=old))[1]["code"]: 401,
                    (await refusal(made, "?call_id=rtc_x", KEY))[1]["code"]: 404,
                    (await refusal(made, "?model=a&call_id=b", KEY))[1]["code"]: 400,
                    (await refusal(made, "?model=whisper-1", KEY))[1]["code"]: 400,
                    (await refusal(made, key=KEY))[1]["code"]: 503,
                }
                made.state.admission.lateness_ms, made.state.admission.most_lag_ms = lambda: 1e6, 1.0
                found[(await refusal(made, key=KEY))[1]["code"]] = 503
            made.state.admission.is_draining = True
            found[(await refusal(made, key=KEY))[1]["code"]] = 503
            made.state.warmed.clear()
            found[(await refusal(made, key=KEY))[1]["code"]] = 503
            assert found == {
                "missing_api_key": 401,
                "invalid_api_key": 401,
                "invalid_client_secret": 401,
                "client_secret_expired": 401,
                "call_id_not_found": 404,
                "mutually_exclusive_parameters": 400,
                "invalid_model": 400,
                "server_full": 503,
                "server_busy": 503,
                "server_draining": 503,
                "warming": 503,
            }

    asyncio.run(story())


@pytest.mark.real
def test_hosts_pages_and_addresses_that_are_not_known() -> None:
    def code(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["code"]

    async def story() -> None:
        async with server() as made, web(made) as program:
            assert code(await program.get("/ready", headers={"Host": "evil.example"})) == (421, "unknown_host")
            origin = {"Origin": "https://evil.example"}
            assert code(await program.get("/ready", headers=origin)) == (403, "foreign_origin")
            assert code(await program.get("/nowhere")) == (404, "unknown_url")
            with pytest.raises(InvalidStatus) as refused:
                await connect(made.url, origin=Origin("https://evil.example"))
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "foreign_origin"
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{made.url}/nowhere")
            assert refused.value.response.status_code == 404
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "unknown_url"

    asyncio.run(story())


# --- nothing is forgotten --------------------------------------------------------------------------------------------

PROVOKED_HERE = {
    "audio_backlog", "rate_limit_exceeded", "missing_api_key", "invalid_api_key", "invalid_client_secret",
    "client_secret_expired", "call_id_not_found", "mutually_exclusive_parameters", "invalid_model", "server_full",
    "server_busy", "server_draining", "warming", "unknown_host", "foreign_origin", "unknown_url",
}  # fmt: skip
ELSEWHERE = {
    "conversation_full": "session/test_session.py",
    "context_length_exceeded": "session/test_truncation.py",
    "history_off": "server/test_history.py",
    "insufficient_permissions": "server/test_client_secrets.py",
    "internal_error": "server/test_bounded.py",
    "invalid_audio": "server/test_transcribe.py",
    "invalid_command": "server/test_transcribe.py",
    "invalid_offer": "server/test_calls.py",
    "mcp_list_tools_failed": "session/test_mcp.py",
    "mcp_tool_not_found": "session/test_mcp.py",
    "minutes_used_up": "server/test_minutes.py",
    "message_too_large": "server/test_calls.py",
    "not_recorded": "server/test_history.py",
    "recording_unavailable": "store/test_uploading.py",
    "request_timeout": "server/test_client_secrets.py",
    "request_too_large": "server/test_client_secrets.py",
    "session_expired": "server/test_session_end.py",
    "session_in_progress": "server/test_history.py",
    "session_is_a_call": "server/test_resumed_calls.py",
    "session_is_no_call": "server/test_resumed_calls.py",
    "session_not_found": "server/test_history.py",
    "session_not_resumable": "server/test_resume.py",
    "too_many_sessions": "server/test_client_secrets.py",
    "too_many_calls": "server/test_calls.py",
    "invalid_form": "server/test_rest.py",
    "unsupported_operation": "server/test_rest.py",
    "worker_unreachable": "server/test_siblings.py",
    "tool_loop": "session/test_session.py",
    "unsupported_content_type": "server/test_calls.py",
    "upstream_auth": "runtime/test_upstream.py",
    "upstream_closed": "runtime/test_upstream.py",
    "upstream_failed": "runtime/test_upstream.py",
    "upstream_malformed": "runtime/test_upstream.py",
    "upstream_not_found": "runtime/test_upstream.py",
    "upstream_rate_limited": "runtime/test_upstream.py",
    "upstream_rejected": "runtime/test_upstream.py",
    "upstream_reset": "runtime/test_upstream.py",
    "upstream_slow": "runtime/test_upstream.py",
    "upstream_timeout": "runtime/test_upstream.py",
    "upstream_tls": "runtime/test_upstream.py",
    "upstream_unreachable": "runtime/test_upstream.py",
    "upstream_unavailable": "relay/test_line.py",
}
"""Codes that another test provokes, and where."""
NEVER = {
    "unknown_parameter": "keys that we do not know are ignored: several clients send some, and would break",
    "insufficient_quota": "LiveKit takes it for final; an overload of ours passes",
    "credit_balance_exhausted": "nobody pays here",
    "billing_hard_limit_reached": "nobody pays here",
    "account_deactivated": "there are no accounts",
    "item_not_found": "the newer, specific codes are sent in its place",
}
"""Codes of the official service that are never sent, and why."""
FOLDERS = ("audio", "hearing", "protocol", "relay", "runtime", "server", "session", "transport")
PLACES = {"Refusal": 1, "Refused": 3, "HearingFailed": 0, "WorkFailed": 1, "_refuse": 1}
"""Where the code stands among the arguments of what carries one."""


def literal(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in values)
        case _:
            return None


def written_codes() -> Iterator[tuple[str, str]]:
    """Every code that stands in our source, and where."""
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            said = [keyword.value for keyword in node.keywords if keyword.arg in ("code", "error_code")]
            said += node.args[PLACES[name] : PLACES[name] + 1] if name in PLACES else []
            for code in filter(None, map(literal, said)):
                yield code, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_code_that_is_written_is_provoked() -> None:
    provoked = {way.code for way in WAYS} | PROVOKED_HERE | set(ELSEWHERE)
    provoked.add("item_*_invalid_item_id")  # its three forms stand in WAYS
    missing = [f"{code} ({place})" for code, place in written_codes() if code not in provoked]
    assert not missing, f"no test provokes {missing}: add a way to WAYS, or the place of its test to ELSEWHERE"


def test_every_code_that_is_said_to_be_tested_elsewhere_is() -> None:
    for code, place in ELSEWHERE.items():
        assert f'"{code}"' in (TESTS / place).read_text(), f"{place} does not speak of {code}"


def test_codes_that_mean_something_else_to_clients_are_never_sent() -> None:
    assert not {code for code, _ in written_codes()} & set(NEVER)
