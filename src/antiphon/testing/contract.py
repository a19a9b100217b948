"""What every engine must keep to, as checks that real, remote and scripted engines all pass.

For the tests of this package and of whoever writes an engine. It judges form and manners: order, one end, sizes,
being cancelled, being shared. Whether the words are right or the voice is pleasant is for other tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar, cast

import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import (
    CallDelta,
    Llm,
    LlmEnd,
    LlmRequest,
    Stt,
    SttRequest,
    TextDelta,
    Transcript,
    TranscriptDelta,
    Tts,
    TtsRequest,
    UserSaid,
    Vad,
)

T = TypeVar("T")

AT_ONCE = 4  # requests that an engine is given at the same time
PROMPT_S = 1.0  # to be gone after being cancelled: a helper process may have to be replaced, and no more
SHORTEST_CHUNK_S = 0.010
LONGEST_CHUNK_S = 0.200

QUESTION = LlmRequest(messages=(UserSaid("What can you do?"),), instructions="Answer in one sentence.")
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the sun."


class ContractError(AssertionError):
    """An engine does what its Protocol forbids, or does not do what it demands."""


async def check_stt(stt: Stt, pcm: Pcm, request: SttRequest | None = None) -> Transcript:
    """Check a recogniser with an utterance at 16 kHz; returns its transcript. Raises `ContractError`."""
    asked = request or SttRequest()
    heard = pcm.copy()
    heard.flags.writeable = False  # an engine that scribbles in a shared utterance fails here

    def begin() -> AsyncIterator[TranscriptDelta | Transcript]:
        return stt.transcribe(heard, asked)

    _require(
        stt.languages is None or all(len(code) == 2 for code in stt.languages), "languages are not ISO-639-1 codes"
    )
    await _check_warm(stt.warm)
    transcript = _transcript(await _all(begin()))
    for events in await _at_once(begin):
        again = _transcript(events)
        _require(bool(again.text) == bool(transcript.text), "the same sound has words only sometimes")
    silence = np.zeros(HEARING_RATE // 2, np.float32)
    _transcript(await _all(stt.transcribe(silence, asked)))
    await _check_stopping(begin)
    return transcript


async def check_llm(llm: Llm, request: LlmRequest = QUESTION) -> str:
    """Check a model with a question; returns the text of its answer. Raises `ContractError`."""

    def begin() -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        return llm.write(request)

    await _check_warm(llm.warm)
    text = _answer(await _all(begin()))
    for events in await _at_once(begin):
        _answer(events)
    await _check_stopping(begin)
    return text


async def check_tts(tts: Tts, request: TtsRequest | None = None, text: str = SENTENCE) -> Pcm:
    """Check a voice with a sentence; returns its sound at `tts.rate`. Raises `ContractError`."""
    asked = request or TtsRequest(voice="marin")

    def begin() -> AsyncIterator[Pcm]:
        return tts.speak(text, asked)

    _require(8_000 <= tts.rate <= 48_000, f"{tts.rate} Hz is no rate of speech")
    await _check_warm(tts.warm)
    sound = _sound(await _all(begin()), tts.rate)
    for chunks in await _at_once(begin):
        other = _sound(chunks, tts.rate)
        _require(abs(other.size - sound.size) <= sound.size / 2, "sounds spoken at the same time were mixed up")
    await _check_stopping(begin)
    return sound


def check_vad(vad: Vad) -> None:
    """Check a voice detector with noise and silence. Raises `ContractError`."""
    random = np.random.default_rng(1)
    windows = random.normal(0, 0.1, (AT_ONCE, vad.window)).clip(-1, 1).astype(np.float32)
    windows[0] = 0.0
    memories = np.zeros((AT_ONCE, vad.memory), np.float32)
    kept = windows.copy(), memories.copy()

    first, memories_after = vad.score(windows, memories)
    scores, _ = vad.score(windows, memories_after)

    unchanged = np.array_equal(windows, kept[0]) and np.array_equal(memories, kept[1])
    _require(unchanged, "score wrote into its arguments")
    _require(first.shape == (AT_ONCE,) and first.dtype == np.float32, "scores are not float32 [B]")
    _require(memories_after.shape == memories.shape, "the memories changed their shape")
    _require(memories_after.dtype == np.float32, "memories are not float32")
    _require(bool(np.all((scores >= 0) & (scores <= 1) & (first >= 0) & (first <= 1))), "a score is no probability")
    _require(scores[0] < 0.5, "digital silence is speech")
    for row in range(AT_ONCE):
        alone, _ = vad.score(windows[row : row + 1], memories_after[row : row + 1])
        _require(abs(float(alone[0] - scores[row])) < 1e-4, "a stream's score depends on the others in its batch")
    if vad.most_at_once > 1:
        both, memories_both = vad.score(np.concatenate((windows, windows)), memories)
        in_turn = np.concatenate((first, scores))
        _require(np.allclose(both, in_turn, atol=1e-4), "two windows at once are not scored as two in turn")
        _require(memories_both.shape == memories.shape, "two windows at once change the memories' shape")


# --- what each kind of answer must look like -------------------------------------------------------------------------


def _transcript(events: Sequence[TranscriptDelta | Transcript]) -> Transcript:
    _require(len(events) > 0, "nothing came, not even an empty transcript")
    *deltas, last = events
    _require(isinstance(last, Transcript), "the last event is not a Transcript")
    _require(all(isinstance(event, TranscriptDelta) for event in deltas), "more than one Transcript")
    transcript = cast("Transcript", last)
    _require(transcript.confidence is None or 0 <= transcript.confidence <= 1, "the confidence is not in [0, 1]")
    return transcript


def _answer(events: Sequence[TextDelta | CallDelta | LlmEnd]) -> str:
    _require(len(events) > 0, "nothing came, not even an end")
    *pieces, end = events
    _require(isinstance(end, LlmEnd), "the last event is not an LlmEnd")
    _require(not any(isinstance(piece, LlmEnd) for piece in pieces), "more than one LlmEnd")
    calls: dict[int, CallDelta] = {}
    for piece in pieces:
        if isinstance(piece, CallDelta):
            first = calls.setdefault(piece.index, piece)
            _require(bool(first.call_id and first.name), "a call does not begin with its id and name")
    ids = {call.call_id for call in calls.values()}
    _require(len(ids) == len(calls), "two calls have one id")
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    _require(bool(text or calls), "the answer is empty")
    return text


def _sound(chunks: Sequence[Pcm], rate: int) -> Pcm:
    _require(len(chunks) > 0, "no sound came")
    for number, chunk in enumerate(chunks):
        _require(chunk.dtype == np.float32 and chunk.ndim == 1, f"a chunk is {chunk.dtype} {chunk.shape}")
        _require(bool(np.all(np.isfinite(chunk))), "a chunk holds NaN or infinity")
        _require(float(np.max(np.abs(chunk), initial=0.0)) <= 1.0, "a chunk leaves [-1, 1]")
        _require(0 < chunk.size <= LONGEST_CHUNK_S * rate, f"a chunk lasts {1000 * chunk.size / rate:.0f} ms")
        is_last = number == len(chunks) - 1
        _require(is_last or chunk.size >= SHORTEST_CHUNK_S * rate, "a chunk in the middle lasts under 10 ms")
    sound = np.concatenate(chunks)
    _require(float(np.max(np.abs(sound))) > 0.001, "the sound is silence")
    return sound


# --- what is the same for all three ----------------------------------------------------------------------------------


async def _check_warm(warm: Callable[[], Awaitable[None]]) -> None:
    """It may be asked for twice, and the second time is nothing."""
    await warm()
    await warm()


async def _at_once(begin: Callable[[], AsyncIterator[T]]) -> list[list[T]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_all(begin())) for _ in range(AT_ONCE)]
    return [task.result() for task in tasks]


async def _check_stopping(begin: Callable[[], AsyncIterator[T]]) -> None:
    """Being cancelled before, at and after the first event is prompt, and does not hurt the next request."""
    await _cancelled_soon(begin)
    await _cancelled_after_first(begin)
    await _left_after_first(begin)
    _require(len(await _all(begin())) > 0, "nothing came after an earlier request was cancelled")


async def _cancelled_soon(begin: Callable[[], AsyncIterator[T]]) -> None:
    for turns in (0, 1, 5):  # of the event loop: before it starts, at its first wait, a little later
        task = asyncio.ensure_future(_all(begin()))
        for _ in range(turns):
            await asyncio.sleep(0)
        await _cancel(task)


async def _cancelled_after_first(begin: Callable[[], AsyncIterator[T]]) -> None:
    first = asyncio.Event()
    task = asyncio.ensure_future(_all(begin(), first))
    waiting = asyncio.ensure_future(first.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await _cancel(task)


async def _left_after_first(begin: Callable[[], AsyncIterator[T]]) -> None:
    """As a consumer that has heard enough leaves: by closing the iterator."""
    events = begin()
    await anext(events)
    with _promptly("closing the iterator"):
        await cast("AsyncGenerator[T, None]", events).aclose()


async def _cancel(task: asyncio.Future[list[T]]) -> None:
    task.cancel()
    with _promptly("cancelling"):
        await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        raise ContractError("being cancelled raised an error") from error


@contextmanager
def _promptly(what: str) -> Iterator[None]:
    now = asyncio.get_running_loop().time
    began_s = now()
    yield
    took_s = now() - began_s
    _require(took_s <= PROMPT_S, f"{what} took {took_s:.2f} s")


async def _all(events: AsyncIterator[T], first: asyncio.Event | None = None) -> list[T]:
    out: list[T] = []
    async with aclosing(cast("AsyncGenerator[T, None]", events)):
        async for event in events:
            out.append(event)
            if first is not None:
                first.set()
                await asyncio.sleep(0)
    return out


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ContractError(otherwise)
