"""`antiphon demo`: a whole spoken conversation, with no key, no microphone and no network.

A server is started on a free port, and a caller, who has a voice of his own, speaks to it over a WebSocket in real
time, as any client would. What is said, heard, called and interrupted is printed as it happens, and every turn's
timeline at its end. The demo is also a test: it ends with 0 only if every request was understood and answered,
at the second time of asking at the latest.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from antiphon.cli.options import Destination, engine_options, load_config
from antiphon.engines.llm.assistant.intents import understand

if TYPE_CHECKING:
    from antiphon.audio.units import Pcm16
    from antiphon.observe.timeline import Turn
    from antiphon.testing.caller import Caller, Event


class Line(Struct, frozen=True):
    """One thing that the caller says, and what has to come of it."""

    text: str
    tool: str | None = None
    """Which of the server's tools has to be called."""
    answer: str = ""
    """What has to be in the answer."""
    interrupts: bool = False
    """Said into the answer before."""


SCRIPT = (
    Line("what time is it", tool="time", answer="it is"),
    Line("what is twelve times seven", tool="calculate", answer="84"),
    Line("add milk to my list", tool="list", answer="milk"),
    Line("what can you do"),
    Line("set a timer for five seconds", tool="timer", answer="timer", interrupts=True),
    Line("what is on my list", tool="list", answer="milk"),
    Line("thank you"),
)
CALLER_VOICE = "en-us"
PATIENCE_S = 20.0
INTO_THE_ANSWER_S = 1.2  # before the caller interrupts


@click.command("demo")
@engine_options
@click.option(
    "--audio", type=click.Path(exists=True, path_type=Path), multiple=True, help="A recording (WAV) to say instead."
)
@click.option("--wav", type=Destination(), help="Keep the conversation: caller left, Antiphon right.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Hear a whole conversation with the embedded engines. Ends by itself."""
    with TemporaryDirectory(prefix="antiphon-demo-") as folder:
        config = load_config(
            config_path,
            stt__engine=stt,
            llm__engine=llm,
            tts__engine=tts,
            server__port=0,
            server__drain_s=1.0,
            history__keep=False,
            tools__list_path=str(Path(folder) / "lists.sqlite3"),
        )
        failures = asyncio.run(_demo(config, flags["audio"], flags["wav"]))
    for failure in failures:
        click.secho(f"FAILED: {failure}", fg="red")
    if not failures:
        click.secho("Every request was understood and answered.", fg="green")
    sys.exit(1 if failures else 0)


async def _demo(config: Any, recordings: tuple[Path, ...], wav: Path | None) -> list[str]:
    from antiphon.audio.units import WIRE_RATE
    from antiphon.audio.wav import wav_from_stereo
    from antiphon.server.run import running
    from antiphon.testing.caller import Caller

    turns: list[Turn] = []
    async with running(config, on_turn=turns.append) as server:
        click.echo(f"A server listens on {server.url}")
        for choice in server.state.engines.choices:
            click.echo(f"  {choice.role}: {choice.name}")
        await _until_ready(server)
        lines = [(line, await _spoken(line.text)) for line in SCRIPT]
        if recordings:
            lines = [(Line(path.name), _recording(path)) for path in recordings]
        async with Caller(f"{server.url}?model=antiphon&antiphon=1", seed=1) as caller:
            call = Call(caller)
            await call.begin()
            for line, sound in lines:
                if line == SCRIPT[-1]:
                    await call.hear_timer()
                await call.exchange(line, sound)
            await caller.until_quiet()
            if recordings and server.state.config.llm.base_url is None:
                call.check_understood()
            failures = call.failures
            left, right = caller.recording()
    if wav is not None:
        wav.write_bytes(wav_from_stereo(left, right, WIRE_RATE))  # noqa: ASYNC240 - nothing else runs any more
        click.echo(f"The conversation is in {wav}")
    _show_timelines(turns)
    return failures


class Call:
    """The caller's side of the conversation, printed as it happens."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._shown = 0
        self.failures: list[str] = []

    async def begin(self) -> None:
        await self._caller.send(
            {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
            }
        )
        await self._caller.wait_for(lambda event: event["type"] == "session.updated")

    async def exchange(self, line: Line, sound: Pcm16) -> None:
        """Say one line, and hear the answer to its end, or until the next line interrupts it. Whoever is misheard says
        it once more, as people do: in a room with noise every recogniser mishears now and then."""
        heard, faults = await self._said(line, sound)
        if faults and line.answer and heard not in (None, line.text):
            click.secho("          (misheard, so once more)", fg="magenta")
            _, faults = await self._said(line, sound, is_repeated=True)
        self.failures += faults

    async def _said(self, line: Line, sound: Pcm16, *, is_repeated: bool = False) -> tuple[str | None, list[str]]:
        """What was heard, and what is wrong with the answer; nothing was heard of what is not answered in time."""
        caller = self._caller
        if is_repeated or not line.interrupts:
            await caller.until_quiet()
        since = len(caller.events)
        click.secho(f"caller    {line.text}", fg="cyan")
        await caller.say(sound)
        try:
            heard, done = await self._answer(line, since)
        except TimeoutError:
            self._print(since)
            return None, [f"{line.text!r} was not answered within {PATIENCE_S:.0f} s"]
        if line.interrupts and not is_repeated:
            self._check_interruption(line, since)
        return heard, list(self._faults(line, since, done))

    async def _answer(self, line: Line, since: int) -> tuple[str, Event]:
        """What was heard, and the end of the answer; for a line whose answer will be interrupted, its beginning."""
        caller = self._caller
        _, heard = await caller.wait_for(_is("conversation.item.input_audio_transcription.completed"), since=since)
        click.echo(f"heard     {heard['transcript']}")
        if self._is_interrupted_next(line):
            await caller.wait_for(_is("response.output_audio.delta"), since=since)
            await asyncio.sleep(INTO_THE_ANSWER_S)
            self._print(since)
            return heard["transcript"], {"response": {"status": "completed", "output": []}}
        _, done = await caller.wait_for(
            lambda event: event["type"] == "response.done" and event["response"]["status"] != "cancelled",
            since=since,
            patience_s=PATIENCE_S,
        )
        self._print(since)
        return heard["transcript"], done

    def _is_interrupted_next(self, line: Line) -> bool:
        place = SCRIPT.index(line) if line in SCRIPT else -1
        return 0 <= place < len(SCRIPT) - 1 and SCRIPT[place + 1].interrupts

    def _print(self, since: int) -> None:
        """What happened since, apart from sound: tools, interruptions, and what was said."""
        for _, event in self._caller.events[max(since, self._shown) :]:
            match event["type"]:
                case "antiphon.tool.started":
                    click.secho(f"tool      {event['name']}({event['arguments']})", fg="yellow")
                case "antiphon.tool.done":
                    click.secho(f"          -> {event['output']}", fg="yellow")
                case "response.output_audio_transcript.done":
                    click.secho(f"antiphon  {event['transcript']}", fg="green")
                case "response.done" if event["response"]["status"] == "cancelled":
                    click.secho("          (interrupted)", fg="magenta")
                case _:
                    pass
        self._shown = len(self._caller.events)

    def _faults(self, line: Line, since: int, done: Event) -> Iterator[str]:
        """What says that the line was not understood and answered as it should be."""
        called = [event["name"] for event in self._since(since) if event["type"] == "antiphon.tool.started"]
        words = " ".join(
            part.get("transcript") or "" for item in done["response"]["output"] for part in item.get("content", ())
        ).lower()
        if line.tool is not None and not any(line.tool in name for name in called):
            yield f"{line.text!r} called {called or 'no tool'}, not one for {line.tool}"
        if line.answer not in words:
            yield f"{line.text!r} was answered {words!r}, without {line.answer!r}"
        if done["response"]["status"] != "completed":
            yield f"{line.text!r} ended {done['response']['status']}"

    def _check_interruption(self, line: Line, since: int) -> None:
        if not any(
            event["type"] == "response.done"
            and (event["response"]["status_details"] or {}).get("reason") == "turn_detected"
            for event in self._since(since)
        ):
            self.failures.append(f"{line.text!r} did not interrupt the answer before it")

    def _since(self, number: int) -> list[Event]:
        return [event for _, event in self._caller.events[number:]]

    def check_understood(self) -> None:
        """Of a recording we know only what was heard: each turn has to be something that the assistant knows."""
        for _, event in self._caller.events:
            if (
                event["type"].endswith("input_audio_transcription.completed")
                and understand(event["transcript"]) is None
            ):
                self.failures.append(f"{event['transcript']!r} was not understood")

    async def hear_timer(self) -> None:
        """The timer rings without being asked."""
        since = next(
            number
            for number, (_, event) in enumerate(self._caller.events)
            if event["type"] == "antiphon.tool.done" and "timer" in event["name"]
        )
        rings = _is("response.output_audio_transcript.done")
        try:
            await self._caller.wait_for(
                lambda event: rings(event) and "timer is" in event["transcript"].lower(), since=since
            )
        except TimeoutError:
            self.failures.append("the timer did not ring")
        self._print(self._shown)


def _is(kind: str) -> Any:
    return lambda event: event["type"] == kind


async def _until_ready(server: Any) -> None:
    await server.state.warmed.wait()


async def _spoken(text: str) -> Pcm16:
    """The caller's voice: the embedded one, in another accent. The same sound every time."""
    import numpy as np

    from antiphon.audio.pcm import int16_from_float
    from antiphon.audio.resample import resampled
    from antiphon.audio.units import WIRE_RATE
    from antiphon.engines.api import TtsRequest
    from antiphon.engines.tts.espeak import Espeak

    voice = Espeak()
    try:
        chunks = [chunk async for chunk in voice.speak(text, TtsRequest(CALLER_VOICE, 0.9))]
    finally:
        await voice.close()
    return int16_from_float(0.8 * resampled(np.concatenate(chunks), voice.rate, WIRE_RATE))


def _recording(path: Path) -> Pcm16:
    from antiphon.audio.pcm import int16_from_float
    from antiphon.audio.resample import resampled
    from antiphon.audio.units import WIRE_RATE
    from antiphon.audio.wav import read_wav

    wav = read_wav(path.read_bytes())
    return int16_from_float(resampled(wav.pcm, wav.rate_hz, WIRE_RATE))


COLUMNS = (
    ("silence", "silence_complete"),
    ("commit", "committed"),
    ("words", "transcript"),
    ("token", "first_token"),
    ("clause", "first_clause"),
    ("audio", "first_audio"),
)


def _show_timelines(turns: list[Turn]) -> None:
    """Each turn's stages in milliseconds, from the end of the person's speech to the first audio of the answer."""
    from antiphon.observe.budget import VOICE_TO_VOICE
    from antiphon.observe.turnlog import summary

    click.echo("\nmilliseconds after the last:" + "".join(f"{title:>9}" for title, _ in COLUMNS) + "   voice to voice")
    for turn in turns:
        if turn.speech_end is None:
            continue
        stages = turn.stages_ms()
        cells = "".join(f"{stages[name]:9.1f}" if name in stages else "        -" for _, name in COLUMNS)
        total = turn.voice_to_voice_ms()
        name = turn.heard if len(turn.heard) <= 27 else turn.heard[:26] + "…"
        sum_up = f"{total:14.0f} ms {VOICE_TO_VOICE.verdict(total):<5}" if total is not None else ""
        click.echo(f"{name:<28}{cells}{sum_up}" + (" prepared" if turn.was_prepared else ""))
    click.echo(f"{summary(turns)}\nprepared: the answer was begun before the turn was over, and was the right one")
