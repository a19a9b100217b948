"""What an application does around a client that only passes messages: it plays, runs its function, and cuts short.

It does not know a client: it is given what the server sent, as the official types, and gives back what to answer.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from openai.types.realtime import (
    ConversationItem,
    RealtimeClientEventParam,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutputParam,
    RealtimeServerEvent,
)
from openai.types.realtime.session_update_event_param import Session
from pydantic import TypeAdapter

BYTES_PER_MS = 48  # 16-bit samples at 24 kHz
STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)

SESSION: Session = {
    "type": "realtime",
    "instructions": "You are a helpful guide.",
    "audio": {
        "input": {
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "interrupt_response": True},
        },
        "output": {"voice": "marin"},
    },
    "tools": [
        {
            "type": "function",
            "name": "get_weather",
            "description": "What the weather is like in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }
    ],
}


def typed(text: str) -> RealtimeClientEventParam:
    """The message of a person who types."""
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
    }


class Application:
    """Notes what was received, and says what to send because of it."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self._playing: str | None = None
        """The item whose sound is being played, until its response is done."""
        self._began_s = 0.0
        self._got_bytes = 0

    def answer(self, event: RealtimeServerEvent) -> list[RealtimeClientEventParam]:
        """What to send because of this event. The client parses leniently, so the official types check it again."""
        STRICT.validate_python(event.to_dict())
        match event.type:
            case "error":
                self._note("error", error=event.error.message)
            case "conversation.item.input_audio_transcription.completed":
                self._note("heard", text=event.transcript)
            case "response.output_audio.delta":
                self._play(event.item_id, base64.b64decode(event.delta))
            case "input_audio_buffer.speech_started":
                return self.cut()
            case "response.done":
                self._playing = None
                items = event.response.output if event.response.status == "completed" else None
                return [reply for item in items or [] for reply in self._finish(item)]
            case _:
                pass
        return []

    def _play(self, item_id: str, sound: bytes) -> None:
        if item_id != self._playing:
            self._playing, self._began_s, self._got_bytes = item_id, time.monotonic(), 0
        self._got_bytes += len(sound)
        self._note("audio", bytes=len(sound))

    def cut(self) -> list[RealtimeClientEventParam]:
        """Stop playing; tells the server how much was heard."""
        if self._playing is None:
            return []
        played_ms = min(self._got_bytes // BYTES_PER_MS, int(1000 * (time.monotonic() - self._began_s)))
        item_id, self._playing = self._playing, None
        self._note("interrupted")
        return [
            {
                "type": "conversation.item.truncate",
                "item_id": item_id,
                "content_index": 0,
                "audio_end_ms": played_ms,
            }
        ]

    def _finish(self, item: ConversationItem) -> list[RealtimeClientEventParam]:
        match item:
            case RealtimeConversationItemAssistantMessage():
                self._note("answered", text="".join(part.transcript or "" for part in item.content))
            case RealtimeConversationItemFunctionCall(call_id=str(call_id)):
                self._note("tool", city=json.loads(item.arguments)["city"])
                output: RealtimeConversationItemFunctionCallOutputParam = {
                    "type": "function_call_output",
                    "call_id": call_id,
                    "output": "sunny",
                }
                return [{"type": "conversation.item.create", "item": output}, {"type": "response.create"}]
            case _:
                pass
        return []
