"""What a connection asks for before its first message, and what its session begins with.

Three have a say: the operator's configuration, the client secret that the connection came with, and its URL. Sockets
and keys are not known here, nor what a session does with its settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, Struct

from antiphon.config import Config
from antiphon.errors import PeerError
from antiphon.protocol import additions
from antiphon.protocol.inbound import Addresses, patch_from
from antiphon.protocol.session_config import SessionPatch
from antiphon.session.mcp import check_choice, resolved
from antiphon.session.settings import Settings, Transcription, patched

Kind = Literal["realtime", "transcription"]

LONGEST_MODEL = 200  # characters of a model's name
BETA_HEADER, BETA_PROTOCOL = "realtime=v1", "openai-beta.realtime-v1"
TRANSCRIBERS = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-realtime-whisper",
    "gpt-live-transcribe",
)
"""Names that only mean a recogniser; dated ones begin alike. All other names are taken for the model's, as every client
asks for one of OpenAI's, and it is the operator who knows which model there is."""


class Wish(Struct, frozen=True):
    """What the URL says."""

    kind: Kind | None = None
    model: str | None = None
    call_id: str | None = None
    additions_version: int = 0
    """Of our own messages beside the protocol's; 0 is without."""
    is_resumable: bool = False
    """The client may want to come back after its connection broke."""
    continues: str | None = None
    """Id of a kept session whose conversation is to go on."""


def read_wish(query: Mapping[str, str]) -> Wish:
    """The parameters of a Realtime URL; others are ignored, as several clients send some. Raises `PeerError`.

    None of them is needed: without, it is a conversation with the model that there is.
    """
    asked = {name: query.get(name) or None for name in ("model", "call_id", "intent", "continue")}
    intent = asked["intent"]
    if intent not in (None, "realtime", "conversation", "transcription"):
        raise _invalid("intent", str(intent), ["transcription"])
    exclusive = ["model", "call_id"] + (["intent"] if intent == "transcription" else [])
    said = [f"'{name}'" for name in exclusive if asked[name] is not None]
    if len(said) > 1:
        raise PeerError(
            f"Mutually exclusive parameters: {' and '.join(said)}.",
            "Give one of them: 'model' for a conversation, 'intent' for a transcription, 'call_id' to join a call. "
            "A transcription's model is set with session.update, in session.audio.input.transcription.model.",
            code="mutually_exclusive_parameters",
            param=said[-1].strip("'"),
        )
    known = [str(version) for version in range(1, additions.VERSION + 1)]
    version = query.get("antiphon", "0")
    if version not in ("", "0", *known):
        raise _invalid("antiphon", version, known)
    kind: Kind | None = "transcription" if intent == "transcription" else "realtime" if intent else None
    is_resumable = query.get("resumable") in ("1", "true") and int(version or 0) > 0
    return Wish(kind, asked["model"], asked["call_id"], int(version or 0), is_resumable, asked["continue"])


def first_settings(config: Config, wish: Wish, patch: SessionPatch | None, addresses: Addresses) -> Settings:
    """What the session begins with. `patch` is the client secret's session, which whoever made it has thought about:
    it wins over the URL, in which some clients put a model that nobody chose. Raises `PeerError`."""
    defaults = config.session
    said = patch or SessionPatch()
    kind = _kind(wish, said)
    model = said.model or wish.model or defaults.model
    if kind == "realtime":
        _check_talks(model, "session.model" if said.model else "model")
    elif said.model:
        raise PeerError(
            "Invalid value: 'session.model'. A transcription session has no model of its own.",
            "Name the recogniser in session.audio.input.transcription.model.",
            code="invalid_value",
            param="session.model",
        )
    settings = Settings(
        kind=kind,
        model=model[:LONGEST_MODEL],
        instructions=defaults.instructions,
        voice=defaults.voice,
        transcription=Transcription() if kind == "transcription" else None,
    )
    return _changed(config, settings, said, addresses)


def further_settings(config: Config, settings: Settings, said: SessionPatch, addresses: Addresses) -> Settings:
    """What a session begins with if its client has said more than its client secret does. Raises `PeerError`."""
    if said.type and said.type != settings.kind:
        raise PeerError(
            f"The client secret is for a {settings.kind} session, and the request for a {said.type} session.",
            "Leave 'type' out of the session, or make a client secret of the other type.",
            code="invalid_value",
            param="session.type",
        )
    return _changed(config, settings, said, addresses)


def _changed(config: Config, settings: Settings, said: SessionPatch, addresses: Addresses) -> Settings:
    """With all that was said but type and model, which are settled before."""
    changes = patch_from(msgspec.structs.replace(said, type=UNSET, model=UNSET), addresses)
    settings = patched(settings, changes)
    tools = resolved(settings.tools, (), config.mcp.max_servers, "session.tools")
    check_choice(settings.tool_choice, tools, "session.tool_choice")
    return msgspec.structs.replace(settings, tools=tools)


def speaks_beta(headers: Mapping[str, str], protocols: Iterable[str]) -> bool:
    """Whether the client announces the dialect from before general availability. `headers` has lower-case names."""
    return BETA_HEADER in headers.get("openai-beta", "") or BETA_PROTOCOL in protocols


def _kind(wish: Wish, said: SessionPatch) -> Kind:
    kind = said.type or None
    if kind is not None and wish.kind is not None and kind != wish.kind:
        raise PeerError(
            f"The client secret is for a {kind} session, and the URL asks for a {wish.kind} session.",
            "Leave 'intent' out of the URL, or make a client secret of the other type.",
            code="invalid_value",
            param="intent",
        )
    return kind or wish.kind or "realtime"


def _check_talks(model: str, param: str) -> None:
    if not model.startswith(TRANSCRIBERS):
        return
    raise PeerError(
        f"Model '{model}' is a transcription model and cannot be used as the realtime session model.",
        "Connect with ?intent=transcription and without a model, or name a model that answers.",
        code="invalid_model",
        param=param,
    )


def _invalid(name: str, value: str, known: list[str]) -> PeerError:
    return PeerError(
        f"Invalid value: {value[:80]!r}. Supported values are: {', '.join(map(repr, known))}.",
        f"Change {name!r} in the URL, or leave it out.",
        code="invalid_value",
        param=name,
    )
