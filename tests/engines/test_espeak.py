"""The embedded voice, with its real helper process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from processes import children

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest, WordMark
from antiphon.engines.tts import espeak
from antiphon.engines.tts.espeak import (
    LONGEST_CHUNK,
    LONGEST_PIECE,
    RATE_HZ,
    SHORTEST_CHUNK,
    START_S,
    VOICES,
    Espeak,
    Helper,
    Utterance,
    known_voices,
    pieces,
)
from antiphon.errors import EngineError

SPEECH = "This is a rather long sentence, which goes on and on. "
LONG = (SPEECH * 20)[:LONGEST_PIECE]
SLOWLY = TtsRequest("marin", speed=0.25)
"""LONG takes a minute so, and the library a fifth of a second: time to be interrupted in."""


def run(story: Callable[[Espeak], Awaitable[None]]) -> None:
    async def whole() -> None:
        voice = Espeak()
        try:
            await story(voice)
        finally:
            await voice.close()

    asyncio.run(whole())


async def said(voice: Espeak, text: str, request: TtsRequest | None = None) -> Pcm:
    chunks = [chunk async for chunk in voice.speak(text, request or TtsRequest("marin"))]
    assert all(0 < chunk.size <= LONGEST_CHUNK for chunk in chunks)
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def speaking(voice: Espeak, text: str, request: TtsRequest = SLOWLY) -> aclosing[AsyncGenerator[Pcm, None]]:
    return aclosing(cast("AsyncGenerator[Pcm, None]", voice.speak(text, request)))


def helpers(parent: int | None = None) -> list[int]:
    """The helper processes that a process started, zombies too."""
    return [child.id for child in children(parent) if child.is_zombie or b"espeak_helper" in child.command]


# --- what it says ----------------------------------------------------------------------------------------------------


def test_a_long_text_is_cut_where_a_speaker_would_breathe() -> None:
    cut = [piece for _, piece in pieces(SPEECH * 30 + "and, " * 200 + "x" * 1000)]
    assert "".join(cut) == SPEECH * 30 + "and, " * 200 + "x" * 1000
    assert max(map(len, cut)) <= LONGEST_PIECE
    assert all(piece.endswith("on. ") for _, piece in pieces(SPEECH * 30))
    assert all(piece.endswith("and, ") for _, piece in pieces("and, " * 200))


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07", "...", "?!", "🙂", "\ud800"])
def test_what_has_no_words_is_not_said(text: str) -> None:
    assert list(pieces(text)) == []


def test_what_the_library_would_obey_is_taken_out() -> None:
    assert list(pieces("\x01+50S a\x00b\nc \ud800d")) == [(0, " +50S a b c d")]


def test_sound_is_handed_on_in_chunks_that_can_be_played() -> None:
    async def story() -> list[int]:
        utterance, taken = Utterance("Hello.", TtsRequest("marin")), list[int]()

        def take() -> None:
            while (sound := utterance.take()) is not None and sound.size:
                taken.append(sound.size)

        for samples in (100, 150, LONGEST_CHUNK, LONGEST_CHUNK + 5, 30, 7):
            utterance.add(bytes(2 * samples))
            take()
        utterance.end()
        take()
        assert utterance.take() is None
        return taken

    taken = asyncio.run(story())
    assert sum(taken) == 100 + 150 + 2 * LONGEST_CHUNK + 5 + 30 + 7
    assert all(SHORTEST_CHUNK <= size <= LONGEST_CHUNK for size in taken[:-1])


@pytest.mark.real
def test_it_speaks_and_the_same_way_whatever_was_said_before() -> None:
    async def story(voice: Espeak) -> None:
        first = {name: await said(voice, "Hello there.", TtsRequest(name)) for name in VOICES}
        for name, sound in first.items():
            assert 0.5 < sound.size / RATE_HZ < 2.0
            assert 0.1 < np.abs(sound).max() <= 1.0
            assert np.array_equal(sound, await said(voice, "Hello there.", TtsRequest(name)))
        assert len({sound.tobytes() for sound in first.values()}) == len(VOICES)

    run(story)


@pytest.mark.real
@pytest.mark.slow
def test_nothing_of_what_was_said_is_left_in_the_library_and_no_process_is_started_to_say_it() -> None:
    text = "the 1234 what? really! 3.14 dr. smith, naïve x_y (so on) it's 12:30 #5 50% A.B. i.e. über"
    chance = random.Random(1)
    cases = [
        (
            " ".join(chance.choices(text.split(), k=chance.randint(1, 12))),
            TtsRequest(voice, chance.choice((0.7, 1.0, 1.6))),
        )
        for voice in ("marin", "cedar", "de+f2", "fr", "cmn", "ru", "onyx", "sage") * 2
    ]

    async def story(voice: Espeak) -> None:
        first = [await said(voice, *case) for case in cases]
        (helper,) = helpers()
        again = list(zip(cases, first, strict=True))
        chance.shuffle(again)
        for case, sound in again:
            assert np.array_equal(await said(voice, *case), sound), case
        assert helpers() == [helper]
        assert faults_of_children(helper) == 0

    run(story)


def faults_of_children(process: int) -> int:
    """Memory that the children of a process had touched when they ended: none, if it never had any."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[8])


@pytest.mark.real
@pytest.mark.slow
def test_it_speaks_the_same_way_tomorrow() -> None:
    """The library's noise begins with the time in seconds, unless it is told otherwise."""
    sounds: list[Pcm] = []

    async def story(voice: Espeak) -> None:
        sounds.append(await said(voice, "Hello there."))

    run(story)
    time.sleep(1.0)
    run(story)
    assert np.array_equal(sounds[0], sounds[1])


@pytest.mark.real
def test_voices_and_languages() -> None:
    async def story(voice: Espeak) -> None:
        async def hello(name: str, language: str | None = None) -> bytes:
            return (await said(voice, "Hello there.", TtsRequest(name, language=language))).tobytes()

        default = await hello("marin")
        assert default == await hello("nobody") == await hello("en-us+nothing") == await hello("MARIN", "en-US")
        assert default == await hello("marin", "xx-YY") == await hello("../../etc/passwd") == await hello("")
        others = [await hello(name) for name in ("cedar", "en-us", "en-gb", "de", "de+f2", "pt-br", "cmn")]
        assert len({default, *others}) == len(others) + 1
        assert await hello("marin", "de") not in (default, *others)
        assert await hello("marin", "de") == await hello("marin", "de_AT")
        assert await hello("marin", "pt-BR") != await hello("marin", "pt")
        assert await hello("de", "fr") == await hello("de")

    run(story)


@pytest.mark.real
def test_the_languages_that_are_promised_can_be_spoken() -> None:
    names = known_voices()
    assert {"marin", "en-us", "en", "de", "fr", "es", "pt-br", "zh", "ja", "no", "hi"} <= set(names)
    assert len(names) > 130

    async def story(voice: Espeak) -> None:
        for name in names[::10]:
            assert (await said(voice, "2", TtsRequest(name))).size, name

    run(story)


@pytest.mark.real
def test_speed() -> None:
    async def story(voice: Espeak) -> None:
        lengths = [(await said(voice, SPEECH, TtsRequest("marin", speed))).size for speed in (0.25, 0.7, 1, 1.5, 2.5)]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] > 1.7 * lengths[2] > 3.0 * lengths[4]
        assert (await said(voice, SPEECH, TtsRequest("marin", 4))).size

    run(story)


@pytest.mark.real
def test_text_is_read_as_text() -> None:
    async def story(voice: Espeak) -> None:
        assert np.array_equal(await said(voice, "\x0180S one two"), await said(voice, " 80S one two"))
        assert (await said(voice, "<break time='9s'/>one")).size < 6 * RATE_HZ
        assert not np.array_equal(await said(voice, "[[h@l'oU]]"), await said(voice, "hello"))
        assert (await said(voice, "x\ud800\x00\u200b🙂" * 20)).size
        whole = await said(voice, SPEECH * 24)
        assert whole.size == pytest.approx(24 * (await said(voice, SPEECH)).size, rel=0.1)
        async with speaking(voice, "word " * 20_000) as endless:
            assert (await anext(endless)).size

    run(story)


# --- several at once, and leaving ------------------------------------------------------------------------------------


@pytest.mark.real
def test_many_at_once_are_served_in_turn_and_each_gets_its_own() -> None:
    async def story(voice: Espeak) -> None:
        texts = [f"Number {number}, please." for number in range(12)]
        alone = [await said(voice, text) for text in texts]
        done: list[str] = []

        async def ask(text: str) -> Pcm:
            sound = await said(voice, text)
            done.append(text)
            return sound

        together = await asyncio.gather(*map(ask, texts))
        assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
        assert done == texts
        assert len(helpers()) == 1

    run(story)


@pytest.mark.real
def test_leaving_early_does_not_spoil_the_next_words() -> None:
    async def story(voice: Espeak) -> None:
        alone = await said(voice, "Hello there.")
        for _ in range(5):
            async with speaking(voice, LONG) as sound:
                await anext(sound)
            assert np.array_equal(await said(voice, "Hello there."), alone)

    run(story)


@pytest.mark.real
def test_a_cancelled_listener_stops_the_work() -> None:
    async def story(voice: Espeak) -> None:
        alone = await said(voice, "Hello there.")
        whole_s = await time_of(said(voice, LONG, SLOWLY))
        for pause_s in (0.0, 0.002, 0.01):
            tasks = [asyncio.create_task(said(voice, LONG, SLOWLY)) for _ in range(10)]
            await asyncio.sleep(pause_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await time_of(said(voice, "Hello there.")) < 2 * whole_s
            assert np.array_equal(await said(voice, "Hello there."), alone)

    run(story)


async def time_of(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


@pytest.mark.real
def test_who_does_not_listen_holds_up_nobody() -> None:
    async def story(voice: Espeak) -> None:
        async with speaking(voice, LONG) as idle:
            await anext(idle)
            assert (await said(voice, "Hello there.")).size
            assert sum([chunk.size async for chunk in idle]) > 30 * RATE_HZ

    run(story)


@pytest.mark.real
def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "MOST_WAITING", 2)

    async def story(voice: Espeak) -> None:
        results = await asyncio.gather(*(said(voice, LONG, SLOWLY) for _ in range(6)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, EngineError)]
        assert {error.code for error in refused} == {"busy"}
        assert 3 <= len(refused) <= 4
        assert (await said(voice, "Hello.")).size

    run(story)


# --- a helper that dies, hangs or is not there ------------------------------------------------------------------------


@pytest.mark.real
def test_a_helper_that_is_killed_in_mid_speech_is_replaced() -> None:
    async def story(voice: Espeak) -> None:
        alone = await said(voice, "Hello there.")

        async def listen(helper: int) -> None:
            async with speaking(voice, LONG) as sound:
                await anext(sound)
                os.kill(helper, signal.SIGKILL)
                async for _ in sound:
                    pass

        caught: list[str] = []
        for _ in range(10):  # on a busy machine it may have said it all before we get to kill it
            if caught:
                break
            try:
                await voice.warm()
                await listen(*helpers())
            except EngineError as error:
                caught.append(error.message)
        assert caught == ["espeak-ng ended in mid-speech"]
        await asyncio.to_thread(wait_until, lambda: len(helpers()) == 1)  # nobody had to ask for it
        assert np.array_equal(await said(voice, "Hello there."), alone)
        assert len(helpers()) == 1

    run(story)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.real
def test_a_helper_that_has_said_very_much_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "MOST_SAID", 2)

    async def story(voice: Espeak) -> None:
        first = await said(voice, "Hello there.")
        (worn,) = helpers()
        assert np.array_equal(await said(voice, "Hello there."), first)
        await asyncio.to_thread(wait_until, lambda: helpers() not in ([], [worn]))
        assert np.array_equal(await said(voice, "Hello there."), first)
        assert len(helpers()) == 1

    run(story)


@pytest.mark.real
def test_a_helper_that_was_killed_while_idle_is_not_missed() -> None:
    async def story(voice: Espeak) -> None:
        await voice.warm()
        (helper,) = helpers()
        os.kill(helper, signal.SIGKILL)
        await asyncio.to_thread(os.waitid, os.P_PID, helper, os.WEXITED | os.WNOWAIT)
        assert (await said(voice, "Hello there.")).size

    run(story)


@pytest.mark.real
@pytest.mark.slow
def test_a_helper_that_hangs_is_replaced_and_others_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "PATIENCE_S", 0.4)

    async def story(voice: Espeak) -> None:
        await voice.warm()
        (helper,) = helpers()
        os.killpg(helper, signal.SIGSTOP)
        first, second = await asyncio.gather(said(voice, "One."), said(voice, "Two."), return_exceptions=True)
        assert isinstance(first, EngineError)
        assert isinstance(second, np.ndarray)
        assert second.size

    run(story)


@pytest.mark.real
def test_a_helper_may_take_longer_to_start_than_to_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    ready, may_start = Helper.wait_until_ready, threading.Event()

    def late(helper: Helper) -> None:
        may_start.wait(START_S)
        ready(helper)

    monkeypatch.setattr(Helper, "wait_until_ready", late)

    async def story(voice: Espeak) -> None:
        monkeypatch.setattr(espeak, "PATIENCE_S", 0.01)
        speaking = asyncio.create_task(said(voice, "Hello."))
        while not helpers():  # noqa: ASYNC110 - another thread starts it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # which is longer than it may be silent later
        monkeypatch.undo()
        may_start.set()
        assert (await speaking).size

    run(story)


@pytest.mark.real
def test_a_helper_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "MODULE", "antiphon.there_is_no_such_module")

    async def story(voice: Espeak) -> None:
        with pytest.raises(EngineError, match="could not be started") as caught:
            await said(voice, "Hello.")
        assert "doctor" in caught.value.hint
        monkeypatch.undo()
        assert (await said(voice, "Hello.")).size

    run(story)


@pytest.mark.real
def test_closing_ends_whoever_listens() -> None:
    async def story(voice: Espeak) -> None:
        await voice.warm()
        (helper,) = helpers()
        os.killpg(helper, signal.SIGSTOP)  # nobody is done before it is closed, however long we are kept waiting
        listening = [asyncio.create_task(said(voice, LONG, SLOWLY)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await voice.close()
        results = await asyncio.gather(*listening, return_exceptions=True)
        assert all(isinstance(result, EngineError) for result in results)
        assert helpers() == []
        assert (await said(voice, "Hello again.")).size

    run(story)


@pytest.mark.real
def test_nothing_is_left_behind() -> None:
    def counts() -> tuple[int, int, list[int]]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), helpers()

    async def story(voice: Espeak) -> None:
        async with speaking(voice, LONG) as sound:
            await anext(sound)

    run(story)
    before = counts()
    for _ in range(3):
        run(story)
    assert counts() == before
    assert before[2] == []


@pytest.mark.real
def test_one_voice_serves_loop_after_loop_with_one_helper() -> None:
    voice = Espeak()

    async def story() -> int:
        both = await asyncio.gather(said(voice, "Hello."), said(voice, "Hello."))
        return sum(sound.size for sound in both)

    async def abandon() -> None:
        task = asyncio.create_task(said(voice, LONG, SLOWLY))
        await asyncio.sleep(0.005)
        assert not task.done()

    try:
        first = asyncio.run(story())
        (helper,) = helpers()
        asyncio.run(abandon())
        assert asyncio.run(story()) == first > 0
        assert helpers() == [helper]
    finally:
        asyncio.run(voice.close())


@pytest.mark.real
@pytest.mark.slow
def test_the_helper_does_not_outlive_us() -> None:
    program = (
        "import asyncio\n"
        "from antiphon.engines.tts.espeak import Espeak\n"
        "from antiphon.engines.api import TtsRequest\n"
        "async def main():\n"
        f"    async for _ in Espeak().speak({LONG!r}, TtsRequest('marin', 0.25)):\n"
        "        print('speaking', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"speaking\n"
        (helper,) = helpers(process.pid)
        process.kill()
    for _ in range(200):
        if not Path(f"/proc/{helper}/cmdline").exists() or not Path(f"/proc/{helper}/cmdline").read_bytes():
            break
        time.sleep(0.02)
    else:
        pytest.fail("the helper lives on")


@pytest.mark.real
def test_words_are_marked_where_they_begin() -> None:
    text = "One two three, four and five. " * 30

    async def story() -> tuple[list[WordMark], int]:
        voice = Espeak()
        try:
            sounds = [sound async for sound in voice.speak_marked(text, TtsRequest("marin"))]
        finally:
            await voice.close()
        marks = [sound for sound in sounds if isinstance(sound, WordMark)]
        return marks, sum(sound.size for sound in sounds if not isinstance(sound, WordMark))

    marks, made = asyncio.run(story())
    words = [text[mark.letters :].split()[0] for mark in marks]
    assert words == text.split()
    starts = [mark.samples for mark in marks]
    assert starts == sorted(starts)
    assert starts[-1] < made
    # Equal sentences take equally long, also over the border of two requests.
    lengths = np.diff(starts[::6])
    assert lengths.max() < 1.5 * lengths.min()
