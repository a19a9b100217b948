"""The rules that chaos is held against notice a breach of each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rules import Rules

from antiphon.session import outputs as o
from antiphon.session.items import Message, Role
from antiphon.session.outputs import Output
from antiphon.session.settings import AudioFormat, TurnDetection


def response(id: str) -> o.ResponseInfo:
    return o.ResponseInfo(
        id, "conv_1", "completed", speaks=True, voice="marin", output_format=AudioFormat(), max_output_tokens=None
    )


ITEM = Message("item_1", Role.ASSISTANT, ())
BEGAN = o.ResponseBegan(response("resp_1"))
ENDED = o.ResponseEnded(response("resp_1"))
OPENED = o.OutputBegan("resp_1", 0, ITEM, speaks=True)
SENT = o.AudioSent("resp_1", 0, "item_1", 5, 0, 480)
RUNS = o.RunTool(7, "resp_1", "call_1", "clock", "{}")
SENDS = o.RunTool(8, "resp_1", "call_2", "send", "{}")
ASKED = o.ApprovalAsked("call_2", "send", "{}", 60.0)
PLAYED = o.PlaybackBegan("resp_1")

BREACHES: dict[str, Sequence[Output]] = {
    "a response began twice": (BEGAN, BEGAN),
    "two responses at a time": (BEGAN, o.ResponseBegan(response("resp_2"))),
    "a response ended twice": (BEGAN, ENDED, ENDED),
    "a response ended that never began": (ENDED,),
    "an item was left open": (BEGAN, OPENED, ENDED),
    "an unknown item was named": (BEGAN, o.OutputBegan("resp_1", 0, ITEM, speaks=True, previous="item_0")),
    "words after the end": (BEGAN, o.TextSent("resp_1", 0, "item_1", "hello", spoken=True)),
    "audio after the end": (BEGAN, SENT),
    "audio out of order": (BEGAN, OPENED, SENT, SENT),
    "two pieces of work have one number": (RUNS, RUNS),
    "work was stopped that never began": (o.StopWork(7),),
    "a call was carried out twice": (RUNS, o.RunTool(8, "resp_1", "call_1", "clock", "{}")),
    "a call was carried out that nobody had allowed": (ASKED, SENDS),
    "a question was answered twice": (ASKED, *2 * (o.ApprovalSettled("call_2", "send", "refused"),)),
    "it began to be played twice": (PLAYED, PLAYED),
    "it was played to its end twice": (PLAYED, *2 * (o.PlaybackEnded("resp_1"),)),
    "the words of an item were told twice": 2 * (o.TranscriptionDone("item_1", "hello", 1.0),),
    "a turn within a turn": 2 * (o.SpeechStarted("item_1", 0),),
    "a turn that was announced became no item": (o.SpeechStarted("item_1", 0), o.AudioCommitted("item_2", None)),
    "a response never ended": (BEGAN,),
    "a question is open for ever": (ASKED,),
    "an answer is played for ever": (PLAYED,),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_noticed(breach: str) -> None:
    rules = Rules(frozenset({"send"}))

    def tell() -> None:
        for output in BREACHES[breach]:
            rules.note(output)
        rules.end()

    with pytest.raises(AssertionError, match=breach):
        tell()


def test_what_is_right_is_no_breach() -> None:
    rules = Rules(frozenset({"send"}))
    said = (
        o.Listen(TurnDetection()),
        BEGAN,
        ASKED,
        o.ApprovalSettled("call_2", "send", "allowed"),
        SENDS,
        OPENED,
        SENT,
        o.OutputEnded("resp_1", 0, ITEM, speaks=True),
        ENDED,
    )
    for output in said:
        rules.note(output)
    rules.end()
