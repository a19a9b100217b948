"""Turns the instruments by what one session does: another reader of its steps, beside the trace and the timeline.

Every figure comes from inputs, outputs and their times, so a session's trace, run through this again, gives the same
ones. It costs two look-ups by type for each step that tells it nothing. It does not know what Prometheus is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds, seconds_from_samples
from antiphon.observe.metrics import Metrics
from antiphon.observe.timeline import Turn, moment_of
from antiphon.session import inputs, outputs
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output

UNHEARD_S: Seconds = 0.005  # of a gap in what was sent: no player is empty by less


class Work(Struct):
    """A piece of work under way."""

    name: str
    """One of `metrics.WORKS`."""
    began: Seconds
    speaks: bool = False
    """A voice says what is written."""
    tool: str = ""
    """Which one it runs."""
    waits: bool = True
    """Nothing has come of it yet."""


class Sounding(Struct):
    """The item that is being said, and when what was sent of it will have been played."""

    item_id: str
    until: Seconds
    is_held: bool = False
    """It was kept back on purpose since."""


BEGUN: Mapping[type, str] = {
    outputs.Transcribe: "recognise",
    outputs.Followed: "recognise",
    outputs.ScoreTurn: "score",
    outputs.Generate: "write",
    outputs.Summarise: "summarise",
    outputs.Say: "speak",
    outputs.ListMcpTools: "mcp",
    outputs.CallMcpTool: "mcp",
}
"""Which kind of work begins with it."""


class Watch:
    """One session's. `record` takes its steps, `turn_ended` its timeline's turns."""

    def __init__(self, metrics: Metrics, began: Seconds) -> None:
        self._metrics = metrics
        self._began = began
        metrics.started.inc()
        self._works: dict[int, Work] = {}
        self._clauses: dict[int, Seconds] = {}
        """When the clauses began that have no sound yet, by their work."""
        self._voice_began: Seconds | None = None
        self._sounding: Sounding | None = None

    @property
    def open_ends(self) -> int:
        """Pieces of work that something is still expected of."""
        return len(self._works) + len(self._clauses)

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        """Take in one step of the session."""
        told = self._inputs.get(type(item))
        if told is not None:
            told(self, now, item)
        for output in out:
            told = self._outputs.get(type(output))
            if told is not None:
                told(self, now, output)

    def turn_ended(self, turn: Turn) -> None:
        """A turn's answer has ended."""
        metrics = self._metrics
        waited = turn.voice_to_voice_ms()
        if waited is not None:
            metrics.voice_to_voice.observe(waited / 1000)
        for stage, length_ms in turn.stages_ms().items():
            metrics.stages.of(stage).observe(length_ms / 1000)
        if turn.speech_end is None:
            return
        metrics.turns.inc()
        if turn.committed is not None:
            metrics.endpoint_delay.observe(turn.committed - turn.speech_end)
        if turn.reason == "turn_detected" and turn.first_audio is None:
            metrics.false_endpoints.inc()

    def session_ended(self, now: Seconds, reason: str, heard: Samples, held_bytes: int) -> None:
        """It is over, `heard` so much and held so much sound until then."""
        metrics = self._metrics
        metrics.ended.of(reason).inc()
        metrics.session_length.observe(now - self._began)
        metrics.session_bytes.observe(held_bytes)
        metrics.heard.inc(seconds_from_samples(heard))

    # --- hearing

    def _voice(self, now: Seconds, item: inputs.VoiceSuspected | inputs.VoiceBegan) -> None:
        self._voice_began = moment_of(item.at, item.heard, item.arrived)

    def _hearing_failed(self, now: Seconds, item: inputs.HearingFailed) -> None:
        self._metrics.hearing_failures.inc()

    # --- work

    def _work_began(self, now: Seconds, output: Any) -> None:
        self._works[output.work] = Work(BEGUN[type(output)], now, getattr(output, "voice", None) is not None)

    def _run_tool(self, now: Seconds, output: outputs.RunTool) -> None:
        self._works[output.work] = Work("tool", now, tool=output.name)

    def _recognised(self, now: Seconds, item: inputs.TranscriptReady) -> None:
        work = self._works.pop(item.work, None)
        if work is not None:
            self._metrics.recognition.observe(now - work.began)

    def _written(self, now: Seconds, item: inputs.TextWritten | inputs.CallWritten) -> None:
        work = self._works.get(item.work)
        if work is not None and work.waits and work.name == "write":
            work.waits = False
            self._metrics.first_token.observe(now - work.began)

    def _writing_ended(self, now: Seconds, item: inputs.WritingEnded) -> None:
        """What can still fail is its voice, if it has one."""
        work = self._works.get(item.work)
        if work is not None and work.speaks:
            work.name = "speak"
        else:
            self._works.pop(item.work, None)

    def _summarised(self, now: Seconds, item: inputs.Summarised) -> None:
        self._count_tokens(item.input_tokens, item.cached_tokens, item.output_tokens)
        self._work_ended(now, item)

    def _clause_began(self, now: Seconds, item: inputs.ClauseBegan) -> None:
        if item.work in self._works:
            self._clauses[item.work] = now

    def _audio_made(self, now: Seconds, item: inputs.AudioMade) -> None:
        began = self._clauses.pop(item.work, None)
        if began is not None:
            self._metrics.first_sound.observe(now - began)

    def _clause_ended(self, now: Seconds, item: inputs.ClauseEnded) -> None:
        self._clauses.pop(item.work, None)

    def _tool_returned(self, now: Seconds, item: inputs.ToolReturned) -> None:
        work = self._works.pop(item.work, None)
        if work is None:
            return
        self._metrics.tool_times.of(work.tool).observe(now - work.began)
        if not item.ok:
            self._metrics.tool_failures.of(work.tool).inc()

    def _mcp_returned(self, now: Seconds, item: inputs.McpToolReturned) -> None:
        work = self._works.pop(item.work, None)
        if work is None:
            return
        self._metrics.tool_times.of("mcp").observe(now - work.began)
        if item.failure is not None:
            self._metrics.tool_failures.of("mcp").inc()

    def _work_failed(self, now: Seconds, item: inputs.WorkFailed) -> None:
        work = self._works.get(item.work)
        if work is not None:  # else it was stopped, and nobody cares how it ended
            self._metrics.failures.of(work.name).inc()
        self._work_ended(now, item)

    def _work_ended(self, now: Seconds, item: inputs.Result | outputs.StopWork) -> None:
        self._works.pop(item.work, None)
        self._clauses.pop(item.work, None)

    # --- answering

    def _audio_sent(self, now: Seconds, output: outputs.AudioSent) -> None:
        length = seconds_from_samples(output.stop - output.start)
        self._metrics.spoken.inc(length)
        sounding = self._sounding
        if sounding is None or sounding.item_id != output.item_id:
            self._sounding = Sounding(output.item_id, now + length)
            return
        gap = now - sounding.until
        if gap > UNHEARD_S and not sounding.is_held:
            self._metrics.underruns.inc()
            self._metrics.underrun_s.inc(gap)
        sounding.until = max(sounding.until, now) + length
        sounding.is_held = False

    def _line_lost(self, now: Seconds, item: inputs.LineLost) -> None:
        if self._sounding is not None:
            self._sounding.is_held = True

    def _response_ended(self, now: Seconds, output: outputs.ResponseEnded) -> None:
        response, metrics = output.response, self._metrics
        metrics.responses.of(response.status).inc()
        self._count_tokens(response.input_tokens, response.cached_tokens, response.output_tokens)
        sounding, self._sounding = self._sounding, None
        if response.reason == "turn_detected" and sounding is not None and self._voice_began is not None:
            metrics.barge_in_stop.observe(now - self._voice_began)

    def _count_tokens(self, read: int, cached: int, written: int) -> None:
        for kind, tokens in (("input", read), ("cached", cached), ("output", written)):
            self._metrics.tokens.of(kind).inc(tokens)

    def _speculation_ended(self, now: Seconds, output: outputs.SpeculationEnded) -> None:
        self._metrics.speculations.of(output.outcome).inc()
        if output.outcome == "miss":
            self._metrics.wasted_tokens.inc(output.tokens)

    def _barge_in_judged(self, now: Seconds, output: outputs.BargeInJudged) -> None:
        self._metrics.barge_ins.of(output.outcome).inc()
        self._metrics.barge_in_held.observe(output.held_ms / 1000)
        if self._sounding is not None:
            self._sounding.is_held = True

    def _refused(self, now: Seconds, output: outputs.Refused) -> None:
        self._metrics.complaints.inc()

    _inputs: ClassVar[Mapping[type, Callable[[Any, Seconds, Any], None]]] = {
        inputs.VoiceSuspected: _voice,
        inputs.VoiceBegan: _voice,
        inputs.LineLost: _line_lost,
        inputs.TranscriptReady: _recognised,
        inputs.TextWritten: _written,
        inputs.CallWritten: _written,
        inputs.ClauseBegan: _clause_began,
        inputs.AudioMade: _audio_made,
        inputs.ClauseEnded: _clause_ended,
        inputs.SpeakingEnded: _work_ended,
        inputs.TurnScored: _work_ended,
        inputs.ToolReturned: _tool_returned,
        inputs.McpToolsListed: _work_ended,
        inputs.McpToolReturned: _mcp_returned,
        inputs.WritingEnded: _writing_ended,
        inputs.Summarised: _summarised,
        inputs.WorkFailed: _work_failed,
        inputs.HearingFailed: _hearing_failed,
    }
    _outputs: ClassVar[Mapping[type, Callable[[Any, Seconds, Any], None]]] = {
        **dict.fromkeys(BEGUN, _work_began),
        outputs.RunTool: _run_tool,
        outputs.StopWork: _work_ended,
        outputs.AudioSent: _audio_sent,
        outputs.ResponseEnded: _response_ended,
        outputs.SpeculationEnded: _speculation_ended,
        outputs.BargeInJudged: _barge_in_judged,
        outputs.Refused: _refused,
    }
