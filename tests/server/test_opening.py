"""What a URL may ask for, and what a session begins with; and that no name of a model keeps anybody out."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from calling import client, refusal, server
from msgspec import UNSET

from antiphon.config import Config, SessionDefaults
from antiphon.errors import PeerError
from antiphon.protocol import session_config as config
from antiphon.protocol.session_config import AudioInputPatch, AudioPatch, SessionPatch, Transcription
from antiphon.server.opening import Wish, first_settings, read_wish, speaks_beta
from antiphon.session.settings import McpServer, Settings
from antiphon.tools.mcp import McpAddresses

DEFAULTS = SessionDefaults(model="house", instructions="Be brief.", voice="cedar")


@pytest.mark.parametrize(
    ("query", "wish"),
    [
        ({}, Wish()),
        ({"model": "gpt-realtime"}, Wish(model="gpt-realtime")),
        ({"model": ""}, Wish()),
        ({"intent": "transcription"}, Wish(kind="transcription")),
        ({"intent": "conversation", "model": "m"}, Wish(kind="realtime", model="m")),
        ({"call_id": "rtc_1"}, Wish(call_id="rtc_1")),
        ({"model": "m", "temperature": "0.8", "agent_id": "x"}, Wish(model="m")),
        ({"antiphon": "1"}, Wish(additions_version=1)),
        ({"antiphon": "0"}, Wish()),
    ],
)
def test_what_a_url_says(query: dict[str, str], wish: Wish) -> None:
    assert read_wish(query) == wish


@pytest.mark.parametrize(
    ("query", "code", "param", "said"),
    [
        ({"model": "m", "call_id": "c"}, "mutually_exclusive_parameters", "call_id", "'model' and 'call_id'"),
        ({"model": "m", "intent": "transcription"}, "mutually_exclusive_parameters", "intent", "'model' and 'intent'"),
        ({"call_id": "c", "intent": "transcription"}, "mutually_exclusive_parameters", "intent", "'call_id' and"),
        ({"intent": "dictation"}, "invalid_value", "intent", "'transcription'"),
        ({"antiphon": "2"}, "invalid_value", "antiphon", "Supported values are: '1'"),
        ({"antiphon": "yes"}, "invalid_value", "antiphon", "'yes'"),
        ({"antiphon": "²"}, "invalid_value", "antiphon", "'²'"),
        ({"intent": "x" * 5000}, "invalid_value", "intent", "'transcription'"),
    ],
)
def test_what_a_url_may_not_say(query: dict[str, str], code: str, param: str, said: str) -> None:
    with pytest.raises(PeerError) as refused:
        read_wish(query)
    error = refused.value
    assert (error.code, error.param) == (code, param)
    assert said in error.message
    assert len(error.message) < 300


def begun(wish: Wish, said: SessionPatch | None) -> Settings:
    return first_settings(Config(session=DEFAULTS), wish, said, McpAddresses())


def test_the_operator_the_url_and_the_client_secret_each_have_a_say() -> None:
    plain = begun(Wish(), None)
    assert (plain.kind, plain.model, plain.instructions, plain.voice) == ("realtime", "house", "Be brief.", "cedar")
    assert plain.transcription is None
    assert begun(Wish(model="theirs"), None).model == "theirs"
    assert begun(Wish(model="theirs"), SessionPatch(model="secret's")).model == "secret's"
    said = SessionPatch(instructions="Be long.")
    assert begun(Wish(), said).instructions == "Be long."
    assert len(begun(Wish(model="m" * 5000), None).model) == 200


def test_a_transcription_has_no_model_of_its_own_and_listens_from_the_first() -> None:
    settings = begun(Wish(kind="transcription"), None)
    assert settings.kind == "transcription"
    assert settings.transcription is not None
    heard = AudioPatch(input=AudioInputPatch(transcription=Transcription(language="de")))
    settings = begun(Wish(), SessionPatch(type="transcription", audio=heard))
    assert settings.transcription is not None
    assert settings.transcription.language == "de"


@pytest.mark.parametrize(
    ("wish", "said", "code", "param"),
    [
        (Wish(kind="realtime"), SessionPatch(type="transcription"), "invalid_value", "intent"),
        (Wish(kind="transcription"), SessionPatch(type="realtime"), "invalid_value", "intent"),
        (Wish(), SessionPatch(type="transcription", model="m"), "invalid_value", "session.model"),
        (Wish(model="whisper-1"), SessionPatch(), "invalid_model", "model"),
        (Wish(), SessionPatch(model="gpt-4o-mini-transcribe-2025-12-15"), "invalid_model", "session.model"),
    ],
)
def test_what_does_not_go_together(wish: Wish, said: SessionPatch, code: str, param: str) -> None:
    assert said.instructions is UNSET
    with pytest.raises(PeerError) as refused:
        begun(wish, said)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_who_speaks_the_beta() -> None:
    assert speaks_beta({"openai-beta": "realtime=v1"}, ())
    assert speaks_beta({}, ["realtime", "openai-beta.realtime-v1"])
    assert not speaks_beta({"openai-beta": "assistants=v2"}, ["realtime"])


@pytest.mark.real
def test_any_name_of_a_model_is_shown_and_keeps_nobody_out() -> None:
    async def story() -> None:
        async with server(session__model="house") as made:
            for query, model in (
                ("", "house"),
                ("?model=gpt-realtime-2.1", "gpt-realtime-2.1"),
                ("?model=models%2Fdoes-not-exist%20%F0%9F%8E%89", "models/does-not-exist 🎉"),
                ("?model=gpt-realtime&intent=realtime", "gpt-realtime"),
            ):
                async with client(made, query) as call:
                    session = (await call.receive("session.created"))["session"]
                    assert (session["type"], session["model"]) == ("realtime", model)

    asyncio.run(story())


@pytest.mark.real
def test_a_wrong_url_is_refused_before_there_is_a_connection() -> None:
    async def story() -> None:
        async with server() as made:
            status, error = await refusal(made, "?model=m&call_id=rtc_1")
            assert (status, error["type"]) == (400, "invalid_request_error")
            assert (error["code"], error["param"]) == ("mutually_exclusive_parameters", "call_id")
            status, error = await refusal(made, "?call_id=rtc_unknown")
            assert status == 404
            assert error == {
                "message": "No session found for the provided call_id",
                "type": "invalid_request_error",
                "code": "call_id_not_found",
                "param": "",
            }
            assert (await refusal(made, "?antiphon=9"))[1]["code"] == "invalid_value"
            assert not made.state.admission.let_in

    asyncio.run(story())


ZOO = config.McpTool(server_label="zoo", server_url="https://zoo.example/mcp", authorization="hush")


def test_mcp_servers_of_a_client_secret_are_known_from_the_first_without_their_secrets() -> None:
    addresses = McpAddresses()
    settings = first_settings(Config(), Wish(), SessionPatch(tools=(ZOO,)), addresses)
    (server,) = settings.tools
    assert isinstance(server, McpServer)
    assert server.address is not None
    assert addresses[server.address].headers == {"Authorization": "Bearer hush"}
    assert "hush" not in repr(settings) + repr(addresses[server.address])


@pytest.mark.parametrize(
    ("said", "param"),
    [
        (SessionPatch(tools=(config.McpTool(server_label="zoo"),)), "session.tools[0].server_url"),
        (SessionPatch(tools=(ZOO, ZOO)), "session.tools[0].server_label"),
        (SessionPatch(tool_choice=config.ToolChoiceMcp("zoo")), "session.tool_choice.server_label"),
        (
            SessionPatch(tools=tuple(msgspec.structs.replace(ZOO, server_label=f"zoo{n}") for n in range(9))),
            "session.tools",
        ),
    ],
)
def test_mcp_servers_that_a_session_cannot_begin_with(said: SessionPatch, param: str) -> None:
    with pytest.raises(PeerError) as refused:
        begun(Wish(), said)
    assert refused.value.param == param
