"""A right recording has no faults, and each rule has recordings that break it and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.protocol import items, server, session_config
from antiphon.protocol.codec import encode
from antiphon.testing.checker import RULES, Checker, Exchange, check, official_judge

Json = dict[str, Any]
Recording = list[Exchange]
WITH_IDLE_TIMEOUT = session_config.ServerVad(idle_timeout_ms=6000)


# --- telling a story -------------------------------------------------------------------------------------------------


class Told:
    """A recording in the making; event ids are given by its place in it."""

    def __init__(self) -> None:
        self.recording: Recording = []
        self.previous: str | None = None

    def sent(self, kind: str, **fields: Any) -> None:
        self.recording.append(Exchange("sent", {"type": kind, **fields}))

    def got(self, kind: type[server.ServerMessage], **fields: Any) -> None:
        message = kind(event_id=f"event_{len(self.recording)}", **fields)  # type: ignore[call-arg]
        self.recording.append(Exchange("received", json.loads(encode(message))))

    def welcome(self, **audio_input: Any) -> None:
        self.got(server.SessionCreated, session=session(**audio_input))

    def item(self, item: items.Item) -> None:
        self.got(server.ItemAdded, previous_item_id=self.previous, item=item)
        self.got(server.ItemDone, previous_item_id=self.previous, item=item)
        self.previous = item.id

    def committed(self, name: str) -> None:
        self.got(server.AudioCommitted, item_id=name, previous_item_id=self.previous)
        self.item(user(name))

    def turn(self, name: str) -> None:
        self.got(server.SpeechStarted, item_id=name, audio_start_ms=100)
        self.got(server.SpeechStopped, item_id=name, audio_end_ms=900)
        self.committed(name)

    def transcript(self, name: str) -> None:
        self.got(server.TranscriptionDelta, item_id=name, delta="hello")
        usage = items.TranscriptionDuration(1.0)
        self.got(server.TranscriptionCompleted, item_id=name, transcript="hello", usage=usage)

    def created(self, name: str, *, detached: bool = False) -> None:
        self.got(server.ResponseCreated, response=response(name, detached=detached))

    def done(self, name: str, *written: items.Item, detached: bool = False, **changes: Any) -> None:
        changes = {"status": "completed", "output": written, "usage": items.Usage()} | changes
        self.got(server.ResponseDone, response=response(name, detached=detached, **changes))
        self.got(server.RateLimitsUpdated, rate_limits=())

    def began(self, answer: str, item: items.Item, index: int = 0, *, detached: bool = False) -> None:
        self.got(server.OutputItemAdded, response_id=answer, output_index=index, item=item)
        if not detached:
            self.got(server.ItemAdded, previous_item_id=self.previous, item=item)

    def ended(self, answer: str, item: items.Item, index: int = 0, *, detached: bool = False) -> None:
        self.got(server.OutputItemDone, response_id=answer, output_index=index, item=item)
        if not detached:
            self.got(server.ItemDone, previous_item_id=self.previous, item=item)
            self.previous = item.id

    def speaking(self, answer: str, name: str, *, detached: bool = False) -> None:
        """The item from its beginning to where it could be cut."""
        where = {"response_id": answer, "item_id": name, "output_index": 0, "content_index": 0}
        self.began(answer, assistant(name, "in_progress"), detached=detached)
        self.got(server.ContentPartAdded, **where, part=items.AudioPart())
        self.got(server.TranscriptDelta, **where, delta="Yes, ")
        self.got(server.AudioDelta, **where, delta=bytes(6))

    def silent(self, answer: str, name: str, words: str, status: Any, *, detached: bool = False) -> items.Item:
        """The item from there to its end."""
        where = {"response_id": answer, "item_id": name, "output_index": 0, "content_index": 0}
        self.got(server.AudioDone, **where)
        self.got(server.TranscriptDone, **where, transcript=words)
        self.got(server.ContentPartDone, **where, part=items.AudioPart(words))
        item = assistant(name, status, items.OutputAudio(transcript=words))
        self.ended(answer, item, detached=detached)
        return item

    def answer(self, name: str, item: str, *, detached: bool = False) -> None:
        """A whole spoken response."""
        self.created(name, detached=detached)
        self.speaking(name, item, detached=detached)
        where = {"response_id": name, "item_id": item, "output_index": 0, "content_index": 0}
        self.got(server.TranscriptDelta, **where, delta="you are.")
        final = self.silent(name, item, "Yes, you are.", "completed", detached=detached)
        self.done(name, final, detached=detached)


def session(**audio_input: Any) -> session_config.RealtimeSession:
    heard = session_config.AudioInput(**{"transcription": session_config.Transcription(model="any"), **audio_input})
    return session_config.RealtimeSession(
        id="sess_1", expires_at=1, model="any", audio=session_config.Audio(input=heard)
    )


def response(name: str, *, detached: bool = False, **changes: Any) -> items.Response:
    fields: Json = {"id": name, "status": "in_progress", "conversation_id": None if detached else "conv_1"}
    return items.Response(**fields | {"output_modalities": ("audio",)} | changes)


def user(name: str) -> items.Message:
    return items.Message(id=name, status="completed", role="user", content=(items.InputAudio(),))


def typed(name: str) -> items.Message:
    return items.Message(id=name, status="completed", role="user", content=(items.InputText("hi"),))


def assistant(name: str, status: Any, *content: items.Content) -> items.Message:
    return items.Message(id=name, status=status, role="assistant", content=content)


def call(status: Any, arguments: str = "") -> items.FunctionCall:
    return items.FunctionCall(id="item_c", status=status, call_id="call_1", name="look", arguments=arguments)


# --- right recordings ------------------------------------------------------------------------------------------------


def spoken() -> Recording:
    told = Told()
    told.welcome()
    told.turn("item_1")
    told.answer("resp_1", "item_2")
    told.transcript("item_1")
    told.turn("item_3")
    told.transcript("item_3")
    told.answer("resp_2", "item_4")
    return told.recording


def interrupted() -> Recording:
    told = Told()
    told.welcome()
    told.turn("item_1")
    told.transcript("item_1")
    told.created("resp_1")
    told.speaking("resp_1", "item_2")
    told.got(server.SpeechStarted, item_id="item_3", audio_start_ms=2000)
    final = told.silent("resp_1", "item_2", "Yes,", "incomplete")
    why = items.StatusDetails(type="cancelled", reason="turn_detected")
    told.done("resp_1", final, status="cancelled", status_details=why)
    told.got(server.SpeechStopped, item_id="item_3", audio_end_ms=3000)
    told.committed("item_3")
    told.transcript("item_3")
    return told.recording


def function_call() -> Recording:
    told = Told()
    told.welcome()
    told.sent("response.create")
    told.created("resp_1")
    where = {"response_id": "resp_1", "item_id": "item_c", "output_index": 0, "call_id": "call_1"}
    told.began("resp_1", call("in_progress"))
    told.got(server.ArgumentsDelta, **where, delta='{"at"')
    told.got(server.ArgumentsDelta, **where, delta=":1}")
    told.got(server.ArgumentsDone, **where, name="look", arguments='{"at":1}')
    told.ended("resp_1", call("completed", '{"at":1}'))
    told.done("resp_1", call("completed", '{"at":1}'))
    return told.recording


def side_by_side() -> Recording:
    """An out-of-band response within another."""
    told = Told()
    told.welcome()
    told.sent("response.create")
    told.created("resp_1")
    told.speaking("resp_1", "item_2")
    told.sent("response.create", response={"conversation": "none"})
    told.answer("resp_x", "item_x", detached=True)
    final = told.silent("resp_1", "item_2", "Yes, ", "completed")
    told.done("resp_1", final)
    return told.recording


def written() -> Recording:
    told = Told()
    told.welcome()
    told.created("resp_1")
    where = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
    told.began("resp_1", assistant("item_2", "in_progress"))
    told.got(server.ContentPartAdded, **where, part=items.TextPart())
    told.got(server.TextDelta, **where, delta="Yes.")
    told.got(server.TextDone, **where, text="Yes.")
    told.got(server.ContentPartDone, **where, part=items.TextPart("Yes."))
    final = assistant("item_2", "completed", items.OutputText("Yes."))
    told.ended("resp_1", final)
    told.done("resp_1", final)
    return told.recording


def by_hand() -> Recording:
    told = Told()
    told.welcome(turn_detection=None)
    told.sent("input_audio_buffer.commit")
    told.committed("item_1")
    told.sent("response.create")
    told.answer("resp_1", "item_2")
    told.transcript("item_1")
    return told.recording


def dictated() -> Recording:
    """Words that are told before their item is there."""
    told = Told()
    told.welcome()
    told.got(server.SpeechStarted, item_id="item_1", audio_start_ms=100)
    told.got(server.TranscriptionDelta, item_id="item_1", delta="so ")
    told.got(server.SpeechStopped, item_id="item_1", audio_end_ms=900)
    told.committed("item_1")
    told.transcript("item_1")
    told.got(server.SessionUpdated, session=session(turn_detection=None))
    told.got(server.TranscriptionDelta, item_id="item_2", delta="so ")
    told.got(server.TranscriptionDelta, item_id="item_2", delta="it ")
    told.committed("item_2")
    told.transcript("item_2")
    return told.recording


def requests() -> Recording:
    told = Told()
    told.welcome()
    told.sent("session.update", event_id="a", session={"instructions": "Be brief."})
    told.sent("session.update", event_id="b", session={"audio": {"output": {"speed": 9}}})
    told.sent("session.update", session={"audio": {"input": {"turn_detection": None}}})
    changed = session(turn_detection=None)
    told.got(server.SessionUpdated, session=replace(session(), instructions="Be brief."))
    told.got(server.Error, error=error("b"))
    told.got(server.SessionUpdated, session=replace(changed, instructions="Be brief."))
    for number in (1, 2):
        told.sent("conversation.item.create", item={"type": "message", "role": "user", "content": []})
        told.item(typed(f"item_{number}"))
    told.sent("conversation.item.create", previous_item_id="root", item={"type": "message"})
    told.sent("conversation.item.create", previous_item_id="root", item=plain_item("item_0"))
    told.got(server.ItemAdded, previous_item_id=None, item=typed("item_0"))
    told.got(server.ItemDone, previous_item_id=None, item=typed("item_0"))
    told.sent("conversation.item.retrieve", item_id="item_1")
    told.got(server.ItemRetrieved, item=typed("item_1"))
    told.sent("conversation.item.delete", item_id="item_1")
    told.got(server.ItemDeleted, item_id="item_1")
    told.sent("conversation.item.delete", event_id="c", item_id="item_1")
    told.got(server.Error, error=error("c"))
    told.sent("input_audio_buffer.clear")
    told.got(server.AudioCleared)
    return told.recording


def timed_out() -> Recording:
    told = Told()
    told.welcome(turn_detection=WITH_IDLE_TIMEOUT)
    told.got(server.TimeoutTriggered, item_id="item_1", audio_start_ms=0, audio_end_ms=6000)
    told.committed("item_1")
    told.transcript("item_1")
    told.answer("resp_1", "item_2")
    return told.recording


def timed_out_after_a_refused_commit() -> Recording:
    told = Told()
    told.welcome(turn_detection=WITH_IDLE_TIMEOUT)
    told.sent("input_audio_buffer.commit", event_id="a")
    told.got(server.Error, error=error("a"))
    told.got(server.TimeoutTriggered, item_id="item_1", audio_start_ms=0, audio_end_ms=6000)
    told.committed("item_1")
    told.transcript("item_1")
    told.answer("resp_1", "item_2")
    return told.recording


def used_again() -> Recording:
    """The name of an item that was deleted, in another place."""
    told = Told()
    told.welcome()
    told.item(typed("item_1"))
    told.item(typed("item_2"))
    told.got(server.ItemDeleted, item_id="item_2")
    told.previous = "item_1"
    told.item(typed("item_3"))
    told.item(typed("item_2"))
    return told.recording


def truncated_while_spoken() -> Recording:
    told = Told()
    told.welcome()
    told.sent("response.create")
    told.created("resp_1")
    told.speaking("resp_1", "item_1")
    told.sent("conversation.item.truncate", item_id="item_1", content_index=0, audio_end_ms=0)
    told.got(server.ItemTruncated, item_id="item_1", content_index=0, audio_end_ms=0)
    told.done("resp_1", told.silent("resp_1", "item_1", "", "completed"))
    return told.recording


def refused_without_a_name() -> Recording:
    """Which of two equal requests was refused, is not said; what follows is answered."""
    told = Told()
    told.welcome()
    told.item(typed("item_1"))
    for name in (None, "a", "b"):
        told.sent("conversation.item.retrieve", item_id="item_1", **({"event_id": name} if name else {}))
    told.got(server.Error, error=items.ErrorDetails(type="server_error", message="Not now."))
    told.got(server.ItemRetrieved, item=typed("item_1"))
    told.got(server.ItemRetrieved, item=typed("item_1"))
    return told.recording


def on_a_call() -> Recording:
    told = Told()
    told.welcome()
    told.created("resp_1")
    where = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
    told.began("resp_1", assistant("item_2", "in_progress"))
    told.got(server.ContentPartAdded, **where, part=items.AudioPart())
    told.got(server.OutputAudioStarted, response_id="resp_1")
    told.got(server.TranscriptDelta, **where, delta="Yes, ")
    told.done("resp_1", told.silent("resp_1", "item_2", "Yes, ", "completed"))
    told.got(server.OutputAudioStopped, response_id="resp_1")
    return told.recording


def cut_on_a_call() -> Recording:
    told = Told()
    told.welcome()
    told.sent("response.create")
    told.created("resp_1")
    told.speaking("resp_1", "item_2")
    told.recording = without(told.recording, AUDIO)
    told.got(server.OutputAudioStarted, response_id="resp_1")
    told.got(server.SpeechStarted, item_id="item_3", audio_start_ms=100)
    cut = told.silent("resp_1", "item_2", "Yes, ", "incomplete")
    reason = items.StatusDetails(type="cancelled", reason="turn_detected")
    told.done("resp_1", cut, status="cancelled", status_details=reason)
    told.got(server.OutputAudioCleared, response_id="resp_1")
    told.got(server.ItemTruncated, item_id="item_2", content_index=0, audio_end_ms=0)
    return told.recording


def mcp() -> Recording:
    told = Told()
    told.welcome()
    tools = items.McpListTools(id="mcpl_1", server_label="zoo", tools=())
    told.got(server.ItemAdded, previous_item_id=None, item=tools)
    told.got(server.McpListToolsInProgress, item_id="mcpl_1")
    told.got(server.McpListToolsCompleted, item_id="mcpl_1")
    told.got(server.ItemDone, previous_item_id=None, item=tools)
    told.previous = "mcpl_1"
    told.created("resp_1")
    where = {"response_id": "resp_1", "item_id": "mcp_1", "output_index": 0}
    call = items.McpCall(id="mcp_1", server_label="zoo", name="feed", arguments="")
    final = items.McpCall(id="mcp_1", server_label="zoo", name="feed", arguments="{}", output="fed")
    told.began("resp_1", call)
    told.got(server.McpArgumentsDelta, **where, delta="{}")
    told.got(server.McpArgumentsDone, **where, arguments="{}")
    told.got(server.McpCallInProgress, item_id="mcp_1", output_index=0)
    told.got(server.McpCallCompleted, item_id="mcp_1", output_index=0)
    told.ended("resp_1", final)
    told.done("resp_1", final)
    return told.recording


def mcp_asked() -> Recording:
    """A call that waits to be allowed is made after its response."""
    told = Told()
    told.welcome()
    told.created("resp_1")
    call = items.McpCall(id="mcp_1", server_label="zoo", name="feed", arguments="")
    waiting = replace(call, arguments="{}", approval_request_id="mcpr_1")
    request = items.McpApprovalRequest(id="mcpr_1", server_label="zoo", name="feed", arguments="{}")
    answer = items.McpApprovalResponse(id="mcpa_1", approval_request_id="mcpr_1", approve=True)
    told.began("resp_1", call)
    told.got(server.McpArgumentsDone, response_id="resp_1", item_id="mcp_1", output_index=0, arguments="{}")
    told.got(server.OutputItemDone, response_id="resp_1", output_index=0, item=waiting)
    told.previous = "mcp_1"
    told.began("resp_1", request, 1)
    told.ended("resp_1", request, 1)
    told.done("resp_1", waiting, request)
    told.item(answer)
    told.got(server.McpCallInProgress, item_id="mcp_1", output_index=0)
    told.got(server.McpCallCompleted, item_id="mcp_1", output_index=0)
    told.got(server.ItemDone, previous_item_id=None, item=replace(waiting, output="fed"))
    return told.recording


def plain_item(name: str) -> Json:
    return {"type": "message", "role": "user", "id": name, "content": [{"type": "input_text", "text": "hi"}]}


def error(event_id: str) -> items.ErrorDetails:
    return items.ErrorDetails(type="invalid_request_error", message="No.", event_id=event_id)


RIGHT: list[Callable[[], Recording]] = [
    spoken, interrupted, function_call, side_by_side, written, by_hand, dictated, requests, timed_out, mcp, mcp_asked,
    timed_out_after_a_refused_commit, used_again, truncated_while_spoken, refused_without_a_name,
]  # fmt: skip


@pytest.mark.parametrize("tell", RIGHT)
def test_a_right_recording_has_no_faults(tell: Callable[[], Recording]) -> None:
    assert check(tell()) == []


def test_a_call_has_rules_of_its_own() -> None:
    assert check(on_a_call(), "webrtc") == check(cut_on_a_call(), "webrtc") == []
    assert {fault.rule for fault in check(cut_on_a_call())} == {"R13", "R15"}
    assert {fault.rule for fault in check(on_a_call())} == {"R13"}


def test_what_the_client_sent_may_be_left_out() -> None:
    for tell in RIGHT:
        assert check([exchange for exchange in tell() if exchange.direction == "received"]) == []


# --- wrong recordings -----------------------------------------------------------------------------------------------


def two_at_a_time() -> Recording:
    told = Told()
    told.welcome()
    told.created("resp_1")
    told.created("resp_2")
    told.done("resp_2")
    told.done("resp_1")
    return told.recording


def cut_in_words() -> Recording:
    """A response out of band that fails in the middle of an item."""
    told = Told()
    told.welcome()
    told.created("resp_x", detached=True)
    told.speaking("resp_x", "item_x", detached=True)
    final = told.silent("resp_x", "item_x", "Yes, ", "incomplete", detached=True)
    why = items.StatusDetails(type="failed", error=items.FailureDetails(type="server_error"))
    told.done("resp_x", final, detached=True, status="failed", status_details=why)
    return told.recording


def announced_aside() -> Recording:
    """An out-of-band response that adds its item to the conversation."""
    told = Told()
    told.welcome()
    told.created("resp_x", detached=True)
    told.began("resp_x", assistant("item_x", "in_progress"))
    told.ended("resp_x", assistant("item_x", "completed"))
    told.done("resp_x", assistant("item_x", "completed"), detached=True)
    return told.recording


# --- breaking it -----------------------------------------------------------------------------------------------------


def place(recording: Recording, kind: str, number: int = 0) -> int:
    places = [index for index, exchange in enumerate(recording) if exchange.message["type"] == kind]
    return places[number]


def without(recording: Recording, *kinds: str, number: int = 0) -> Recording:
    for kind in kinds:
        del recording[place(recording, kind, number)]
    return recording


def swapped(recording: Recording, first: str, second: str) -> Recording:
    one, other = place(recording, first), place(recording, second)
    recording[one], recording[other] = recording[other], recording[one]
    return recording


def moved(recording: Recording, kind: str, behind: str, behind_number: int = 0) -> Recording:
    exchange = recording.pop(place(recording, kind))
    recording.insert(place(recording, behind, behind_number) + 1, exchange)
    return recording


def doubled(recording: Recording, kind: str) -> Recording:
    index = place(recording, kind)
    again = {**recording[index].message, "event_id": "event_again"}
    recording.insert(index + 1, Exchange("received", again))
    return recording


def changed(recording: Recording, kind: str, number: int = 0, **fields: Any) -> Recording:
    """The message with other values at these places, written with "__" for a dot."""
    index = place(recording, kind, number)
    message = json.loads(json.dumps(recording[index].message))
    for path, value in fields.items():
        *way, last = path.split("__")
        inner = message
        for step in way:
            inner = inner[int(step) if isinstance(inner, list) else step]
        inner[last] = value
    recording[index] = Exchange(recording[index].direction, message)
    return recording


def lacking(recording: Recording, kind: str, key: str) -> Recording:
    index = place(recording, kind)
    message = {name: value for name, value in recording[index].message.items() if name != key}
    recording[index] = Exchange("received", message)
    return recording


ADDED, DONE = "conversation.item.added", "conversation.item.done"
OUT_ADDED, OUT_DONE = "response.output_item.added", "response.output_item.done"
PART_ADDED, PART_DONE = "response.content_part.added", "response.content_part.done"
AUDIO, AUDIO_DONE = "response.output_audio.delta", "response.output_audio.done"
WORDS, WORDS_DONE = "response.output_audio_transcript.delta", "response.output_audio_transcript.done"
ARGUMENTS_DONE = "response.function_call_arguments.done"
COMPLETED = "conversation.item.input_audio_transcription.completed"
TOLD = "conversation.item.input_audio_transcription.delta"
COMMITTED, STARTED, STOPPED = (
    f"input_audio_buffer.{kind}" for kind in ("committed", "speech_started", "speech_stopped")
)
UPDATED, TIMEOUT = "session.updated", "input_audio_buffer.timeout_triggered"

BREAKS: list[tuple[str, Callable[[], Recording]]] = [
    ("schema", lambda: changed(spoken(), AUDIO, colour="blue")),
    ("schema", lambda: lacking(spoken(), AUDIO, "content_index")),
    ("schema", lambda: lacking(spoken(), COMPLETED, "content_index")),
    ("schema", lambda: changed(spoken(), "rate_limits.updated", type="rate_limits.changed")),
    ("schema", lambda: changed(spoken(), "rate_limits.updated", rate_limits="none")),
    ("ids", lambda: changed(spoken(), AUDIO, event_id="event_0")),
    ("R1", lambda: without(written(), "session.created")),
    ("R1", lambda: doubled(spoken(), "session.created")),
    ("R1", lambda: swapped(written(), "session.created", "response.created")),
    ("R2", lambda: without(spoken(), "response.done", number=1)),
    ("R2", lambda: doubled(spoken(), "response.done")),
    ("R2", lambda: moved(spoken(), AUDIO, "response.done")),
    ("R2", lambda: changed(spoken(), "response.done", response__usage=None)),
    ("R2", lambda: changed(spoken(), "response.done", response__output=[])),
    ("R2", lambda: changed(spoken(), "response.created", response__status="completed")),
    ("R3", lambda: swapped(spoken(), OUT_ADDED, PART_ADDED)),
    ("R3", lambda: swapped(spoken(), AUDIO_DONE, PART_DONE)),
    ("R3", lambda: moved(spoken(), AUDIO, AUDIO_DONE)),
    ("R3", lambda: moved(written(), ADDED, "response.output_text.delta")),
    ("R3", lambda: changed(spoken(), WORDS_DONE, transcript="No.")),
    ("R3", lambda: changed(spoken(), OUT_ADDED, output_index=1)),
    ("R3", lambda: moved(spoken(), AUDIO, PART_DONE)),
    ("R4", lambda: without(function_call(), ARGUMENTS_DONE)),
    ("R4", lambda: changed(function_call(), ARGUMENTS_DONE, name="see")),
    ("R4", lambda: changed(function_call(), "response.function_call_arguments.delta", call_id="call_2")),
    ("R4", lambda: moved(function_call(), "response.function_call_arguments.delta", ARGUMENTS_DONE)),
    ("R5", lambda: without(spoken(), STARTED)),
    ("R5", lambda: swapped(spoken(), STOPPED, COMMITTED)),
    ("R5", lambda: moved(spoken(), COMPLETED, "session.created")),
    ("R5", lambda: doubled(spoken(), COMPLETED)),
    ("R5", lambda: without(spoken(), COMPLETED)),
    ("R5", lambda: without(by_hand(), "response.create")),
    ("R5", lambda: changed(spoken(), STARTED, number=1, item_id="item_1")[:-20]),
    ("R5", lambda: changed(dictated(), TOLD, item_id="item_0")),
    ("R5", lambda: changed(dictated(), TOLD, number=2, item_id="item_3")),
    ("R5", lambda: changed(dictated(), TOLD, number=3, item_id="item_3")),
    ("R5", lambda: moved(dictated(), COMPLETED, STARTED)),
    ("R6", lambda: moved(interrupted(), AUDIO, STARTED, behind_number=1)),
    ("R6", lambda: moved(interrupted(), WORDS, STARTED, behind_number=1)),
    ("R6", lambda: without(interrupted(), STARTED, STOPPED, number=1)),
    ("R6", lambda: changed(interrupted(), "response.done", **FAILED)),
    ("R7", lambda: without(spoken(), AUDIO_DONE, WORDS_DONE, PART_DONE)),
    ("R7", lambda: without(interrupted(), PART_DONE)),
    ("R7", lambda: without(interrupted(), DONE, number=1)),
    ("R7", lambda: without(written(), DONE)),
    ("R7", lambda: without(cut_in_words(), OUT_DONE)),
    ("R8", two_at_a_time),
    ("R9", lambda: changed(side_by_side(), "response.done", response__conversation_id="conv_1")),
    ("R9", lambda: announced_aside()),
    ("R9", lambda: changed(side_by_side(), "response.done", **SPOKEN_OVER)),
    ("R10", lambda: changed(spoken(), COMMITTED, number=1, previous_item_id=None)),
    ("R10", lambda: changed(spoken(), DONE, number=1, previous_item_id="item_9")),
    ("R10", lambda: changed(requests(), ADDED, number=1, previous_item_id="item_9")),
    ("R10", lambda: changed(function_call(), ADDED, previous_item_id="item_c")),
    ("R11", lambda: without(requests(), UPDATED)),
    ("R11", lambda: without(requests(), UPDATED, number=1)),
    ("R11", lambda: doubled(requests(), UPDATED)),
    ("R11", lambda: changed(requests(), UPDATED, session__instructions="")),
    ("R12", lambda: moved(timed_out(), TIMEOUT, "response.created")),
    ("R12", lambda: changed(timed_out(), "session.created", **NO_TIMEOUT)),
    ("R13", on_a_call),
    ("R14", lambda: without(mcp(), "mcp_list_tools.in_progress")),
    ("R14", lambda: swapped(mcp(), "response.mcp_call.in_progress", "response.mcp_call.completed")),
    ("R14", lambda: without(mcp(), "mcp_list_tools.completed")),
    ("R15", lambda: without(requests(), "conversation.item.retrieved")),
    ("R15", lambda: without(requests(), "input_audio_buffer.clear")),
    ("R15", lambda: changed(requests(), "error", number=1, error__event_id="z")),
]
NO_TIMEOUT: Json = {"session__audio__input__turn_detection__idle_timeout_ms": None}
FAILED: Json = {"response__status": "failed", "response__status_details": None}


SPOKEN_OVER: Json = {
    "response__status": "cancelled",
    "response__status_details": {"type": "cancelled", "reason": "turn_detected"},
}


@pytest.mark.parametrize(("rule", "tell"), BREAKS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BREAKS)])
def test_a_broken_rule_is_named_and_no_other(rule: str, tell: Callable[[], Recording]) -> None:
    faults = check(tell())
    assert {fault.rule for fault in faults} == {rule}, "\n".join(map(str, faults))


def test_every_rule_is_broken_by_some_recording() -> None:
    assert {rule for rule, _ in BREAKS} == RULES.keys() - {"official"}


def test_a_fault_says_where_it_is() -> None:
    recording = doubled(spoken(), "session.created")
    [fault] = check(recording)
    assert (fault.rule, fault.index) == ("R1", 1)
    assert str(fault) == "message 1: R1: session.created came a second time"


def test_who_hangs_up_leaves_things_open() -> None:
    checker = Checker()
    for exchange in spoken()[:12]:
        assert checker.feed(exchange) == []
    assert checker.finish(hung_up=True) == []
    assert {fault.rule for fault in checker.finish()} == {"R2", "R5"}


@pytest.mark.slow
def test_the_official_types_are_asked_too() -> None:
    judge = official_judge()
    assert judge is not None
    checker = Checker(official=judge)
    for exchange in spoken():
        checker.feed(exchange)
    assert checker.faults == []
    wrong = changed(spoken(), STARTED, audio_start_ms="soon")
    assert {fault.rule for fault in Checker(official=judge).feed(wrong[place(wrong, STARTED)])} == {
        "official",
        "schema",
    }
