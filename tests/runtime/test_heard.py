"""Whenever the person interrupts, the model remembers what was heard: to the word where a client says how far it got.

A client plays what it is sent after a delay of its own, without a gap while there is something to play, and stops when
the person begins to speak. What it had played by then is the truth.
"""

from __future__ import annotations

import asyncio

import pytest

from antiphon.audio.units import WIRE_RATE, Samples, Seconds
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.session import inputs, outputs
from antiphon.session.items import Message, Role, text_of
from antiphon.session.ledger import Ledger
from antiphon.session.settings import SessionConfig, Settings, Speculating, Transcription
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

STORY = " ".join(f"word{number}," if number % 7 == 6 else f"word{number}" for number in range(120)) + "."
CLIENT_DELAY_S: Seconds = 0.08
ONSET_S: Seconds = 0.1  # at most, from the first sound of a voice to its being told
INSTANTS = [0.02 * step + 0.37 * (step % 3) for step in range(0, 240, 19)]
"""Seconds after the first audio at which the person begins to speak."""


class Player:
    """The client's loudspeaker, from what came and when."""

    def __init__(self, call: Conversation) -> None:
        self._arrivals = [
            (at, output.stop - output.start, output.item_id)
            for at, _, out in call.steps
            for output in out
            if isinstance(output, outputs.AudioSent)
        ]

    def played(self, now: Seconds) -> Samples:
        """How much it has played by `now`."""
        end, done = 0.0, 0
        for at, samples, _ in self._arrivals:
            start = max(end, at + CLIENT_DELAY_S)
            end = start + samples / WIRE_RATE
            done += round(min(max(0.0, now - start), samples / WIRE_RATE) * WIRE_RATE)
        return done

    @property
    def item_id(self) -> str:
        return self._arrivals[0][2]


def words(text: str) -> int:
    return len(text.split())


async def interrupted(instant: Seconds, *, reports: bool) -> tuple[str, Ledger, Samples]:
    """What the model remembers of an answer that was interrupted then, its ledger, and how much was really played."""
    config = SessionConfig(Settings(transcription=Transcription()), speculation=Speculating(answers=True))
    stt, llm, tts = FakeStt("go on", 0.05), FakeLlm(STORY, 0.05, 0.005), FakeTts(0.05)
    async with Conversation(stt, llm, tts, config=config) as call:
        await call.talk(0.5)
        await call.pause(0.6)
        await call.hear(outputs.AudioSent)
        await call.pause(instant)
        before = len(call.ear.shown)
        while not any(isinstance(notice, outputs.SpeechStarted) for _, notice in call.ear.shown[before:]):
            await call.talk(0.02)
        now = asyncio.get_running_loop().time()
        player = Player(call)
        played = player.played(now)
        if reports:
            call.drive.put(inputs.AudioPlayed(player.item_id, played))
        entry = call.drive.session.conversation.visible(player.item_id)
        assert entry is not None
        assert entry.ledger is not None
        assert isinstance(entry.item, Message)
        remembered = [
            text_of(item)
            for item in call.drive.session.conversation.as_heard()
            if isinstance(item, Message) and item.role is Role.ASSISTANT
        ]
        return remembered[0], entry.ledger, played


@pytest.mark.parametrize("instant", INSTANTS)
def test_by_our_clock_it_is_what_was_heard_within_the_clients_own_delay(instant: Seconds) -> None:
    remembered, ledger, played = run(interrupted(instant, reports=False))
    most = ledger.text_until(played + round((CLIENT_DELAY_S + ONSET_S) * WIRE_RATE))
    assert words(ledger.text_until(played)) <= words(remembered) <= words(most)


@pytest.mark.parametrize("instant", INSTANTS[::3])
def test_where_the_client_says_it_is_exactly_what_was_heard(instant: Seconds) -> None:
    remembered, ledger, played = run(interrupted(instant, reports=True))
    assert remembered == ledger.text_until(played)
    assert STORY.startswith(remembered)
