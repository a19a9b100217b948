"""A Realtime conversation as its client sees it: what the server says, made into what to play, show and answer.

Pure: messages go in as they came, effects come out, and it neither waits nor knows sockets, cards or terminals. Any
server of the protocol will do; what ours adds (`antiphon.*`) is used where it comes.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from antiphon.audio.units import Pcm16
from antiphon.desktop.playback import Heard

Message = dict[str, Any]

MOST_TURNS = 200  # that are told to a new connection: older ones are of little use and cost tokens
TIMEOUT_CODES = ("session_expired", "idle_timeout")


class Play(Struct, frozen=True):
    """More sound of an answer, at 24 kHz."""

    item_id: str
    content_index: int
    sound: Pcm16


class PlayedOut(Struct, frozen=True):
    """The answer has no more sound."""


class Hush(Struct, frozen=True):
    """The person speaks: nothing of the answer is to be heard any more."""


class Send(Struct, frozen=True):
    """Answer the server with this."""

    message: Message


class Caption(Struct, frozen=True):
    """What one side says, so far or whole. The same `key` replaces what was shown before."""

    who: Literal["you", "antiphon"]
    key: str
    text: str
    is_final: bool


class Note(Struct, frozen=True):
    """Something to be told once."""

    kind: Literal["tool", "error", "timeline", "state"]
    text: str


class Phase(Struct, frozen=True):
    """What the conversation waits for now."""

    name: Literal["listening", "hearing", "thinking", "speaking"]


Effect = Play | PlayedOut | Hush | Send | Caption | Note | Phase


class Turn(Struct, frozen=True):
    """Something that was said, for a server that has not heard it."""

    item_id: str
    role: Literal["user", "assistant"]
    text: str


class Dialogue:
    """One conversation, which may outlive its connections."""

    def __init__(self, *, with_voice: bool = True, instructions: str | None = None, voice: str | None = None) -> None:
        self.turns: list[Turn] = []
        """What both sides said, in order."""
        self.is_answering = False
        """Between a response's beginning and its end."""
        self._with_voice = with_voice
        self._instructions = instructions
        self._voice = voice
        self._captions: dict[str, str] = {}
        self._muted: set[str] = set()
        """Items that were interrupted: their late sound is not played."""
        self._response_id = ""
        self._speaking_item: str | None = None
        self._unanswered: list[Message] = []
        """What was typed last, until the server has it, and the request for an answer, until one has begun."""

    # --- what we say

    def opening(self) -> list[Message]:
        """The first messages of a session: its settings, what was said in the ones before, and what nobody there has
        answered."""
        audio: Message = {"input": {"transcription": {"model": "whisper-1"}}}
        if self._voice is not None:
            audio["output"] = {"voice": self._voice}
        session: Message = {"type": "realtime", "audio": audio}
        if not self._with_voice:
            session["output_modalities"] = ["text"]
        if self._instructions is not None:
            session["instructions"] = self._instructions
        self._captions.clear()
        self._muted.clear()
        self.is_answering = bool(self._unanswered)
        self._speaking_item = None
        told = map(_told, self.turns[-MOST_TURNS:])
        return [{"type": "session.update", "session": session}, *told, *self._unanswered]

    def typed(self, text: str) -> list[Message]:
        """What to send for a typed turn. An answer that is under way ends."""
        messages: list[Message] = [{"type": "response.cancel"}] if self.is_answering else []
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        self.is_answering = True  # from here on: the server is told in order
        self._unanswered = [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]
        return [*messages, *self._unanswered]

    def caught_up(self) -> list[Message]:
        """What to send once all has come that was missed while the connection was broken: what was typed into it."""
        return self._unanswered

    def interrupted(self, heard: Heard | None) -> list[Message]:
        """What to send when the answer's sound was cut after `heard`."""
        if heard is None or heard.is_whole:
            return []
        self._muted.add(heard.item_id)
        self._shorten(heard)
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": heard.item_id,
                "content_index": heard.content_index,
                "audio_end_ms": heard.ms,
            }
        ]

    # --- what the server says

    def hear(self, message: Message) -> list[Effect]:
        """What comes of one message. One that is not known, or not whole, is no reason to stop."""
        match message:
            case {"type": "input_audio_buffer.speech_started"}:
                return [Hush(), Phase("hearing")]
            case {"type": "input_audio_buffer.speech_stopped"}:
                return [Phase("thinking")]
            case {"type": "conversation.item.input_audio_transcription.delta", "item_id": str(item), "delta": delta}:
                return [self._grown("you", item, str(delta))]
            case {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": str(item),
                "transcript": str(text),
            }:
                return self._said("user", item, text)
            case {"type": "conversation.item.input_audio_transcription.failed", "error": {"message": str(text)}}:
                return [Note("error", f"what you said could not be written down: {text}")]
            case {"type": "conversation.item.added" | "conversation.item.created", "item": {"role": "user"} as item}:
                return self._typed_item(item)
            case {"type": str(kind), **rest} if kind.startswith(("response.", "antiphon.")):
                return self._hear_answer(kind, rest)
            case {"type": "error", "error": {"message": str(text), **rest}}:
                return [] if rest.get("code") == "response_cancel_not_active" else [Note("error", text)]
            case _:
                return []

    def _hear_answer(self, kind: str, rest: Message) -> list[Effect]:
        match kind, rest:
            case "response.created", {"response": {"id": str(name)}}:
                self.is_answering, self._response_id = True, name
                self._unanswered = []
                return [Phase("thinking")]
            case "response.output_audio.delta" | "response.audio.delta", {"item_id": str(item), "delta": str(delta)}:
                return self._played(item, int(rest.get("content_index", 0)), delta)
            case (
                "response.output_audio_transcript.delta"
                | "response.audio_transcript.delta"
                | "response.output_text.delta",
                {"item_id": str(item), "delta": str(delta)},
            ):
                return [] if item in self._muted else [self._grown("antiphon", item, delta)]
            case "response.output_audio_transcript.done" | "response.audio_transcript.done", {"item_id": str(item)}:
                return self._said("assistant", item, str(rest.get("transcript", "")))
            case "response.output_text.done", {"item_id": str(item)}:
                return self._said("assistant", item, str(rest.get("text", "")))
            case "response.done", {"response": dict(response)}:
                return self._ended(response)
            case "antiphon.tool.started", {"name": name}:
                return [Note("tool", f"{name}({rest.get('arguments', '')})")]
            case "antiphon.tool.progress", {"name": name, "text": text}:
                return [Note("tool", f"{name}: {text}")]
            case "antiphon.tool.done" | "antiphon.task.done", {"name": name}:
                return [Note("tool", f"{name} -> {_short(str(rest.get('output', '')))}")]
            case "antiphon.timeline", {"stages": list(stages)}:
                return _timeline(stages, rest.get("wait_ms"))
            case _:
                return []

    def _played(self, item: str, content_index: int, delta: str) -> list[Effect]:
        if item in self._muted:
            return []
        sound = np.frombuffer(base64.b64decode(delta), "<i2")
        effects: list[Effect] = [] if item == self._speaking_item else [Phase("speaking")]
        self._speaking_item = item
        return [*effects, Play(item, content_index, sound)]

    def _grown(self, who: Literal["you", "antiphon"], item: str, delta: str) -> Caption:
        self._captions[item] = self._captions.get(item, "") + delta
        return Caption(who, item, self._captions[item], is_final=False)

    def _said(self, role: Literal["user", "assistant"], item: str, text: str) -> list[Effect]:
        """One side has said something. Muted is what the person did not hear to its end: that was settled already."""
        self._captions.pop(item, None)
        text = text.strip()
        if role == "assistant" and item in self._muted:
            return []
        if text:
            self._keep(Turn(item, role, text))
        return [Caption("you" if role == "user" else "antiphon", item, text, is_final=True)]

    def _typed_item(self, item: Message) -> list[Effect]:
        parts = item.get("content") or []
        text = " ".join(part["text"] for part in parts if part.get("type") == "input_text" and part.get("text"))
        name = str(item.get("id", ""))
        if not text or any(turn.item_id == name for turn in self.turns):
            return []
        self._keep(Turn(name, "user", text))
        self._unanswered = self._unanswered[-1:]
        return [Caption("you", name, text, is_final=True)]

    def _ended(self, response: Message) -> list[Effect]:
        self.is_answering = False
        self._speaking_item = None
        effects: list[Effect] = [PlayedOut()]
        match response:
            case {"status": "failed", "status_details": {"error": {"message": str(text)}}}:
                effects.append(Note("error", text))
            case {"status": "failed"}:
                effects.append(Note("error", "the server could not answer"))
            case {"status": "incomplete"}:
                effects.append(Note("state", "the answer was cut short by its limit"))
            case _:
                pass
        for item in response.get("output") or ():
            if item.get("type") == "function_call":
                effects.append(Note("tool", f"{item.get('name')}({item.get('arguments', '')}): nobody here runs it"))
        return effects

    def _keep(self, turn: Turn) -> None:
        self.turns.append(turn)
        del self.turns[: -2 * MOST_TURNS]

    def _shorten(self, heard: Heard) -> None:
        """Forget what the person has not heard: nobody knows which words those are, so the turn is marked."""
        shown = self._captions.pop(heard.item_id, "")
        for number, turn in enumerate(self.turns):
            if turn.item_id == heard.item_id:
                self.turns[number] = Turn(turn.item_id, turn.role, f"{turn.text} (interrupted)")
                return
        if shown:
            self._keep(Turn(heard.item_id, "assistant", f"{shown} (interrupted)"))


def _told(turn: Turn) -> Message:
    kind = "input_text" if turn.role == "user" else "output_text"
    item = {"type": "message", "role": turn.role, "content": [{"type": kind, "text": turn.text}]}
    return {"type": "conversation.item.create", "item": item}


def _timeline(stages: list[Any], wait_ms: Any) -> list[Effect]:
    if not isinstance(wait_ms, int | float):
        return []
    parts = " · ".join(f"{str(stage['name']).replace('_', ' ')} {stage['ms']:.0f}" for stage in stages)
    return [Note("timeline", f"{wait_ms:.0f} ms: {parts}")]


def _short(text: str, letters: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= letters else line[: letters - 1] + "…"
