"""Words while they are spoken, through the whole runtime: in step with the sound, each once, none lost."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from ticking import TickingStt, word

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.engines.fake import Fail, FakeLlm, FakeStt
from antiphon.session import inputs, outputs
from antiphon.session.settings import SessionConfig, Settings, Transcription, TurnDetection
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

WORD = WIRE_RATE // 4


def counting(start: int, stop: int) -> Pcm16:
    """See `ticking.counting`, at the wire's rate."""
    levels = (100 + np.arange(start, stop)) / 1000
    return np.repeat(np.rint(levels * 32768), WORD).astype(np.int16)


def silence(seconds: float) -> Pcm16:
    return np.zeros(round(WIRE_RATE * seconds), np.int16)


def numbers(start: int, stop: int) -> str:
    return " ".join(word(number) for number in range(start, stop))


def writing(stt: TickingStt | FakeStt, detection: TurnDetection | None) -> Conversation:
    settings = Settings(kind="transcription", transcription=Transcription(language="en"), turn_detection=detection)
    return Conversation(stt, config=SessionConfig(settings, follows=True))


def told(call: Conversation, item_id: str) -> str:
    grown = [out for _, _, outs in call.steps for out in outs if isinstance(out, outputs.TranscriptionGrew)]
    return "".join(grew.text for grew in grown if grew.item_id == item_id)


def shown(call: Conversation, item_id: str) -> list[str]:
    """What somebody could read of it at each moment: what was told, and what seemed to follow."""
    texts, before = [], ""
    for _, _, outs in call.steps:
        for grew in outs:
            if isinstance(grew, outputs.TranscriptionGrew) and grew.item_id == item_id:
                before += grew.text
                texts.append(before + (grew.tail or ""))
    return texts


def test_a_turns_words_come_while_it_is_spoken() -> None:
    async def story() -> None:
        async with writing(TickingStt(), TurnDetection()) as call:
            await call.play(np.concatenate((silence(1), counting(0, 12))))
            item_id = (await call.hear(outputs.SpeechStarted, 0.1)).item_id
            before = told(call, item_id)
            # 3 s were spoken; a word is stable once two looks agree on it and another follows.
            assert numbers(0, 9).startswith(before[: len(numbers(0, 6))])
            assert len(before.split()) >= 6
            await call.play(silence(1))
            done = await call.hear(outputs.TranscriptionDone)
            assert (done.item_id, done.text) == (item_id, numbers(0, 12))
            assert told(call, item_id) == numbers(0, 12)

    run(story())


def test_in_a_conversation_too_and_what_is_answered_are_the_words_of_the_whole() -> None:
    async def story() -> None:
        settings = Settings(transcription=Transcription(language="en"))
        config = SessionConfig(settings, follows_conversation=True)
        async with Conversation(TickingStt(), FakeLlm("Well counted."), config=config) as call:
            await call.play(np.concatenate((silence(1), counting(0, 12))))
            item_id = (await call.hear(outputs.SpeechStarted, 0.1)).item_id
            before = told(call, item_id)
            assert len(before.split()) >= 6
            await call.play(silence(1))
            done = await call.hear(outputs.TranscriptionDone)
            assert (done.item_id, done.text) == (item_id, numbers(0, 12))
            assert numbers(0, 12).startswith(told(call, item_id))
            assert (await call.hear(outputs.ResponseEnded)).response.status == "completed"

    run(story())


def test_a_turn_that_comes_all_at_once_is_not_mixed_up_with_the_next() -> None:
    async def story() -> None:
        async with writing(TickingStt(), TurnDetection()) as call:
            call.drive.hear(np.concatenate((silence(1), counting(0, 8), silence(1), counting(20, 28), silence(1))))
            texts = [(await call.hear(outputs.TranscriptionDone)).text for _ in range(2)]
            assert texts == [numbers(0, 8), numbers(20, 28)]

    run(story())


def test_a_stream_that_only_the_client_divides_is_written_down_as_it_comes() -> None:
    async def story() -> None:
        async with writing(TickingStt(), None) as call:
            sound = np.concatenate((silence(1), counting(0, 8), silence(2), counting(8, 16), silence(1)))
            await call.play(sound)
            grew = await call.hear(outputs.TranscriptionGrew, 0.1)
            assert told(call, grew.item_id) == numbers(0, 16), "pauses end utterances, not the item"
            words = {word(number) for number in range(16)}
            assert all(words.issuperset(text.split()) for text in shown(call, grew.item_id)), "words are kept apart"
            call.drive.ask(inputs.CommitAudio("ear", None, sound.size))
            committed = await call.hear(outputs.AudioCommitted, 0.1)
            assert committed.item_id == grew.item_id
            done = await call.hear(outputs.TranscriptionDone)
            assert (done.item_id, done.text) == (grew.item_id, numbers(0, 16))
            assert done.seconds == pytest.approx(7.0 + 1.0)
            await call.play(np.concatenate((counting(30, 34), silence(1))))
            call.drive.ask(inputs.CommitAudio("ear", None, call.drive.position))
            assert (await call.hear(outputs.TranscriptionDone)).text == numbers(30, 34)

    run(story())


def test_silence_that_only_the_client_divides_is_never_recognised() -> None:
    async def story() -> None:
        stt = TickingStt()
        async with writing(stt, None) as call:
            await call.play(silence(20))
            call.drive.ask(inputs.CommitAudio("ear", None, call.drive.position))
            assert (await call.hear(outputs.TranscriptionDone)).text == ""
        assert not stt.heard_s

    run(story())


def test_of_push_to_talk_the_silence_around_the_words_is_kept_and_not_recognised() -> None:
    async def story() -> None:
        stt = TickingStt()
        settings = Settings(transcription=Transcription(language="en"), turn_detection=None)
        async with Conversation(stt, FakeLlm("Well counted."), config=SessionConfig(settings)) as call:
            sound = np.concatenate((silence(5), counting(0, 4), silence(1), counting(4, 8), silence(3)))
            await call.play(sound)
            call.drive.ask(inputs.CommitAudio("ear", None, sound.size))
            done = await call.hear(outputs.TranscriptionDone)
            assert done.text == numbers(0, 8)
            assert done.seconds == pytest.approx(11.0)
            assert stt.heard_s == [pytest.approx(0.3 + 3.0 + 0.2, abs=0.1)]
            call.drive.ask(inputs.RetrieveItem("ear", None, done.item_id))
            await call.hear(outputs.ItemRetrieved)
            assert bytes(call.ear.audio) == sound.tobytes()

    run(story())


def test_a_recogniser_that_fails_on_the_way_is_asked_once_more() -> None:
    async def story() -> None:
        for detection in (TurnDetection(), None):
            async with writing(FakeStt([Fail("gone", "it is gone"), "all of it"]), detection) as call:
                await call.play(np.concatenate((silence(1), counting(0, 8), silence(1))))
                if detection is None:
                    call.drive.ask(inputs.CommitAudio("ear", None, call.drive.position))
                assert (await call.hear(outputs.TranscriptionDone)).text == "all of it"

    run(story())


def test_nothing_is_left_behind_when_the_session_ends_in_the_middle() -> None:
    async def story() -> None:
        for detection in (TurnDetection(), None):
            async with writing(TickingStt(), detection) as call:
                await call.play(np.concatenate((silence(1), counting(0, 8))))
                assert call.drive.works == 1
            assert call.drive.works == 0
            assert len(asyncio.all_tasks()) == 1

    run(story())
