"""The work that a session asks for: recognising, writing, speaking, calling tools. One task for each piece of it.

A worker knows its task and the engines, never the session's state: what it brings goes back as an input that carries
the work's number, and whether that is still wanted is the session's business. Cancelling the task is all there is to
stopping it; whatever goes wrong in one becomes one `WorkFailed`. This is one of the few places where tasks are started.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Literal, TypeVar, cast

from msgspec import Struct

from antiphon.audio.pcm import float_from_int16, guarded, int16_from_float
from antiphon.audio.resample import Resampler, resampled
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm, Pcm16, seconds_from_samples
from antiphon.engines.api import (
    CallDelta,
    Llm,
    LlmEnd,
    LlmUsage,
    Stt,
    SttRequest,
    TextDelta,
    Transcript,
    TranscriptDelta,
    Tts,
    TtsRequest,
    TurnModel,
    WordMark,
)
from antiphon.errors import AntiphonError, EngineError
from antiphon.hearing.extent import voiced_part
from antiphon.hearing.words import WordReader
from antiphon.runtime.context import request_from, summary_request_from
from antiphon.runtime.following import Companion, Feed
from antiphon.runtime.phrases import KeptPhrases
from antiphon.runtime.voice import SpokenAudio, Stretch
from antiphon.session import inputs
from antiphon.session.clauses import ClauseSplitter
from antiphon.session.outputs import (
    CallMcpTool,
    Follow,
    Generate,
    ListMcpTools,
    RunTool,
    Say,
    ScoreTurn,
    Summarise,
    Transcribe,
)
from antiphon.session.spoken_text import SpokenText
from antiphon.tools.mcp import McpConnections
from antiphon.tools.runner import ToolCall, ToolRunner

log = logging.getLogger("antiphon.workers")

CLAUSES_AHEAD = 64  # that a voice may lag behind its model: a long answer's worth; then the model waits
PIECES_AHEAD = 48  # of an answer that may not be wanted: its first clause, and a little more

RECOGNISED_AT_ONCE = 16  # utterances of a session: nobody talks that fast, but a client can commit hundreds a second

Put = Callable[[inputs.Input], None]
T = TypeVar("T")


class Engines(Struct, frozen=True):
    """The engines that a session's work is done with."""

    stt: Stt
    llm: Llm
    tts: Tts
    phrases: KeptPhrases | None = None
    """The same voice for what is said again and again."""
    turns: TurnModel | None = None
    """Tells from the sound whether a turn is over, if there is one."""
    companion: Companion | None = None
    """Listens along with sessions that only write down. Without it, none may ask for it."""


class Workers:
    """The work of one session in flight, by number."""

    def __init__(
        self,
        engines: Engines,
        tools: ToolRunner,
        mcp: McpConnections,
        audio: SpokenAudio,
        put: Put,
    ) -> None:
        self._mcp = mcp
        self._engines = engines
        self._tools = tools
        self._audio = audio
        self._put = put
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ears = asyncio.Semaphore(RECOGNISED_AT_ONCE)
        self._gates: dict[int, asyncio.Event] = {}
        """Of work that was begun before its turn was over: what costs waits behind them."""
        self._reader = WordReader()

    def __len__(self) -> int:
        return len(self._tasks)

    # --- starting and stopping

    def transcribe(self, task: Transcribe, pcm: Pcm16) -> None:
        self._start(task.work, self._transcribe(task, pcm))

    def follow(self, task: Follow, feed: Feed) -> None:
        self._start(task.work, self._follow(task, feed))

    def generate(self, task: Generate) -> None:
        if task.response_id is None:
            self._gates[task.work] = asyncio.Event()
        self._start(task.work, self._generate(task))

    def summarise(self, task: Summarise) -> None:
        self._start(task.work, self._summarise(task))

    def score_turn(self, task: ScoreTurn, pcm: Pcm16) -> None:
        self._start(task.work, self._score_turn(task, pcm))

    def release(self, work: int) -> None:
        """What was made ready is wanted: go on with the rest."""
        gate = self._gates.pop(work, None)
        if gate is not None:
            gate.set()

    def say(self, task: Say) -> None:
        self._start(task.work, self._say(task))

    def run_tool(self, task: RunTool) -> None:
        self._start(task.work, self._run_tool(task))

    def list_mcp_tools(self, task: ListMcpTools) -> None:
        self._start(task.work, self._list_mcp_tools(task))

    def call_mcp_tool(self, task: CallMcpTool) -> None:
        self._start(task.work, self._call_mcp_tool(task))

    def leave_mcp_server(self, address: int) -> None:
        self._mcp.leave(address)

    def stop(self, work: int) -> None:
        """Cancel it, wherever it is. Its clean-up runs on; nothing of it is waited for here."""
        task = self._tasks.get(work)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel everything and wait until it is gone."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._tools.close()
        await self._mcp.close()
        self._put = _ignore  # it was the session's, which would wait for the garbage collector

    def _start(self, work: int, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work, coroutine), name=f"work {work}")
        self._tasks[work] = task
        task.add_done_callback(lambda _: self._forget(work, coroutine))

    def _forget(self, work: int, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.pop(work, None)
        self._gates.pop(work, None)
        coroutine.close()  # work that was stopped before it began would warn that nobody awaited it

    async def _wanted(self, work: int) -> None:
        """Wait until it is certain that somebody wants this work."""
        gate = self._gates.get(work)
        if gate is not None:
            await gate.wait()

    async def _guard(self, work: int, coroutine: Coroutine[Any, Any, None]) -> None:
        """The border of the work: whatever breaks inside ends this piece alone, with a reason."""
        try:
            await coroutine
        except Exception as error:  # a border: one answer fails, and says so
            failure = _root(error)
            if not isinstance(failure, AntiphonError):
                log.exception("work failed", exc_info=failure)
            code = failure.code if isinstance(failure, EngineError) else "internal_error"
            message = failure.message if isinstance(failure, AntiphonError) else "internal error"
            self._put(inputs.WorkFailed(work, code, message))

    # --- hearing

    async def _transcribe(self, task: Transcribe, pcm: Pcm16) -> None:
        async with self._ears:
            await self._recognise(task, pcm)

    async def _recognise(self, task: Transcribe, pcm: Pcm16) -> None:
        seconds = seconds_from_samples(pcm.size)
        spoken = await self._spoken(task, pcm)
        if not spoken.size:
            # Recognisers hear words in silence, which would be taken for what the person said.
            reading = self._reader.read("", task.language)
            self._put(inputs.TranscriptReady(task.work, "", task.language, seconds, reading=reading))
            return
        sound = resampled(float_from_int16(spoken), WIRE_RATE, HEARING_RATE)
        purpose: Literal["conversation", "transcription"] = "conversation" if task.answer else "transcription"
        request = SttRequest(
            task.language, task.prompt, task.model, purpose, task.logprobs, awaits_consent=task.awaits_consent
        )
        async with closing(self._engines.stt.transcribe(sound, request)) as events:
            async for event in events:
                match event:
                    case TranscriptDelta(text, logprobs):
                        self._put(inputs.TranscriptGrew(task.work, text, logprobs))
                    case Transcript(text=text, language=language, logprobs=logprobs):
                        reading = self._reader.read(text, language or task.language)
                        self._put(inputs.TranscriptReady(task.work, text.strip(), language, seconds, logprobs, reading))
                        return
        raise EngineError("the recogniser ended without a transcript", "This is a mistake in the engine.")

    async def _spoken(self, task: Transcribe, pcm: Pcm16) -> Pcm16:
        """What of this is for a recogniser: of what only the client says that somebody spoke in, the part in which
        somebody did. A recogniser takes as long over the silence before it."""
        companion = self._engines.companion
        return pcm if task.is_voice or companion is None else await voiced_part(companion.hub, pcm)

    async def _follow(self, task: Follow, feed: Feed) -> None:
        companion = self._engines.companion
        assert companion is not None
        request = SttRequest(task.language, task.prompt, task.model, "transcription", task.logprobs)
        follow = companion.follow_turn if task.is_turn else companion.follow_stream

        def grown(text: str, tail: str) -> None:
            self._put(inputs.TranscriptGrew(task.work, text, tail=tail))

        heard = await follow(feed, request, grown)
        seconds = seconds_from_samples(feed.stop - feed.start)
        reading = self._reader.read(heard.text, heard.language or task.language)
        ready = inputs.TranscriptReady(task.work, heard.text.strip(), heard.language, seconds, heard.logprobs, reading)
        self._put(ready)

    async def _score_turn(self, task: ScoreTurn, pcm: Pcm16) -> None:
        assert self._engines.turns is not None
        sound = resampled(float_from_int16(pcm), WIRE_RATE, HEARING_RATE)
        self._put(inputs.TurnScored(task.work, await self._engines.turns.score(sound)))

    # --- thinking and speaking

    async def _generate(self, task: Generate) -> None:
        if task.voice is None:
            await self._write(task, None)
            return
        clauses: asyncio.Queue[str | None] = asyncio.Queue(CLAUSES_AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(task, clauses))
            group.create_task(self._speak(task, clauses, TtsRequest(task.voice, task.speed, task.language)))

    async def _say(self, task: Say) -> None:
        if task.voice is None:
            self._put(inputs.TextWritten(task.work, task.text))
            self._put(inputs.WritingEnded(task.work, "stop"))
            return
        clauses: asyncio.Queue[str | None] = asyncio.Queue(CLAUSES_AHEAD)
        splitter = ClauseSplitter(task.language)
        for clause in (*splitter.feed(task.text, _now()), *splitter.finish()):
            clauses.put_nowait(clause)
        clauses.put_nowait(None)
        self._put(inputs.WritingEnded(task.work, "stop"))
        await self._speak(task, clauses, TtsRequest(task.voice, task.speed, task.language))

    async def _write(self, task: Generate, clauses: asyncio.Queue[str | None] | None) -> None:
        """Ask the model, and pass its text on clause by clause as soon as each can be said."""
        end, pieces = LlmEnd(), 0
        feed = None if clauses is None else ClauseFeed(clauses, task.language)
        try:
            async with closing(self._engines.llm.write(request_from(task))) as events:
                async for event in events:
                    pieces += 1
                    if pieces > PIECES_AHEAD:
                        await self._wanted(task.work)
                    match event:
                        case TextDelta(text):
                            self._put(inputs.TextWritten(task.work, text))
                            if feed is not None:
                                await feed.add(text)
                        case CallDelta(index, call_id, name, arguments):
                            self._put(inputs.CallWritten(task.work, index, call_id, name, arguments))
                        case LlmEnd():
                            end = event
            if feed is not None:
                await feed.finish()
        finally:
            if feed is not None:
                feed.stop()
        usage = end.usage
        self._put(
            inputs.WritingEnded(task.work, end.reason, usage.input_tokens, usage.output_tokens, usage.cached_tokens)
        )

    async def _summarise(self, task: Summarise) -> None:
        text, usage = "", LlmUsage()
        async with closing(self._engines.llm.write(summary_request_from(task))) as events:
            async for event in events:
                match event:
                    case TextDelta(text=more):
                        text += more
                    case LlmEnd(usage=usage):
                        pass
                    case CallDelta():
                        pass  # no tool was offered
        self._put(inputs.Summarised(task.work, text, usage.input_tokens, usage.output_tokens, usage.cached_tokens))

    async def _speak(self, task: Generate | Say, clauses: asyncio.Queue[str | None], request: TtsRequest) -> None:
        """Give each clause its voice, in order, while the ones before it are being played."""
        work = task.work
        spoken_text = SpokenText()
        stretch = self._audio.open(work, task.output_format.kind)
        try:
            while (clause := await clauses.get()) is not None:
                await stretch.until_wanted()
                self._put(inputs.ClauseBegan(work, clause))
                self._reader.spoke(clause)
                words = spoken_text.feed(clause)
                if words:
                    is_fixed = isinstance(task, Say) and task.is_fixed
                    source = self._source(words, request, is_fixed)
                    await self._voice(work, source, stretch, clause.find(words.strip()))
                self._put(inputs.ClauseEnded(work))
                if words:
                    await self._wanted(work)
            stretch.finish()
        finally:
            if not stretch.made:
                self._audio.drop(work)
        self._put(inputs.SpeakingEnded(work))

    def _source(self, words: str, request: TtsRequest, is_fixed: bool) -> AsyncIterator[Pcm | WordMark]:
        tts, phrases = self._engines.tts, self._engines.phrases
        if is_fixed and phrases is not None:
            return phrases.speak(words, request)
        marked: Callable[[str, TtsRequest], AsyncIterator[Pcm | WordMark]] = getattr(tts, "speak_marked", tts.speak)
        return marked(words.strip(), request)

    async def _voice(self, work: int, source: AsyncIterator[Pcm | WordMark], stretch: Stretch, offset: int) -> None:
        """`offset` is where the words stand in their clause; negative if they are not the clause's own."""
        rate = self._engines.tts.rate
        resampler = Resampler(rate, WIRE_RATE) if rate != WIRE_RATE else None
        async with closing(source) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, WordMark):
                    if offset >= 0:
                        mark = (offset + chunk.letters, chunk.samples * WIRE_RATE // rate)
                        self._put(inputs.WordsMarked(work, (mark,)))
                    continue
                sound = guarded(chunk).pcm
                self._made(work, int16_from_float(resampler.push(sound) if resampler else sound), stretch)
        if resampler:
            self._made(work, int16_from_float(resampler.flush()), stretch)

    def _made(self, work: int, pcm: Pcm16, stretch: Stretch) -> None:
        if pcm.size:
            stretch.append(pcm)
            self._put(inputs.AudioMade(work, pcm.size))

    # --- acting

    async def _run_tool(self, task: RunTool) -> None:
        outcome = await self._tools.run(ToolCall(task.call_id, task.name, task.arguments))
        self._put(inputs.ToolReturned(task.work, outcome.output, outcome.ok))

    async def _list_mcp_tools(self, task: ListMcpTools) -> None:
        self._put(inputs.McpToolsListed(task.work, await self._mcp.list_tools(task.address)))

    async def _call_mcp_tool(self, task: CallMcpTool) -> None:
        outcome = await self._mcp.call(task.address, task.name, task.arguments)
        output = outcome.output
        if output is not None:
            output = await self._tools.shortened(output, self._mcp.output_bytes)
        self._put(inputs.McpToolReturned(task.work, output, outcome.failure))


class ClauseFeed:
    """Cuts a model's text into clauses, and also when the model itself pauses: the splitter says after how long."""

    def __init__(self, clauses: asyncio.Queue[str | None], language: str | None) -> None:
        self._clauses = clauses
        self._splitter = ClauseSplitter(language)
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, text: str) -> None:
        for clause in self._splitter.feed(text, _now()):
            await self._clauses.put(clause)
        self._arm()

    async def finish(self) -> None:
        self.stop()
        for clause in self._splitter.finish():
            await self._clauses.put(clause)
        await self._clauses.put(None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.stop()
        if self._splitter.deadline is not None and not self._clauses.full():
            self._timer = asyncio.get_running_loop().call_at(self._splitter.deadline, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        if self._clauses.full():
            return  # the voice has enough to say; the next text or the end flushes
        for clause in self._splitter.handle_timeout(_now()):
            self._clauses.put_nowait(clause)
        self._arm()


def closing(events: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """Ends an engine's iterator when we leave it, also in the middle: that is what frees its connection."""
    return aclosing(cast("AsyncGenerator[T, None]", events))


def _ignore(item: inputs.Input) -> None:
    """The session is over."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def _root(error: BaseException) -> BaseException:
    """The first real failure inside the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
