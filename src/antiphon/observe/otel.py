"""Turns as OpenTelemetry traces: one for each, its stages and tools as spans, the model's by the GenAI conventions.

Made of a turn's timeline once it has ended, so nothing is measured twice and nothing costs while people wait. No word
that was said or written is in it. It does not know where spans go: the standard OTEL_ variables say, and whoever gives
the tracer.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from antiphon.audio.units import Seconds
from antiphon.observe.timeline import Turn

SERVICE = "antiphon"


class Export:
    """The way to a collector: a bounded queue and a thread that sends what is in it."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is of OTLP over HTTP, such as "http://127.0.0.1:4318/v1/traces"."""
        self._provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self.tracer = self._provider.get_tracer(SERVICE)

    def close(self) -> None:
        """Send what is left. Waits for the collector, for seconds if it does not answer."""
        self._provider.shutdown()


class TurnTraces:
    """Writes turns down as spans."""

    def __init__(self, tracer: Tracer, model: str, epoch_s: float) -> None:
        """`model` is what the engine that answers is called. `epoch_s` is when, in seconds since 1970, the clock of
        the turns stood at zero."""
        self._tracer = tracer
        self._model = model
        self._epoch_s = epoch_s

    def turn_ended(self, session_id: str, turn: Turn) -> None:
        if turn.start is None or turn.ended is None:
            return
        root = self._tracer.start_span(
            "turn", trace.set_span_in_context(trace.INVALID_SPAN), SpanKind.SERVER, _about(session_id, turn),
            start_time=self._at(turn.start),
        )  # fmt: skip
        if turn.status == "failed":
            root.set_status(Status(StatusCode.ERROR, turn.reason))
        self._add_stages(root, turn)
        self._add_answer(root, turn)
        for run in turn.tools:
            about = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": run.name,
                "gen_ai.tool.type": "function",
            }
            about["gen_ai.tool.call.id"] = run.call_id
            self._add(root, f"execute_tool {run.name}", run.began, run.ended or turn.ended, about)
        root.end(self._at(turn.ended))

    def _add_stages(self, root: Span, turn: Turn) -> None:
        for name, begin, end in turn.stages():
            self._add(root, name, begin, end, {})

    def _add_answer(self, root: Span, turn: Turn) -> None:
        """From the question's words, or the request, to the answer's end: as the person knows it, not as it was
        prepared."""
        began = turn.transcript or turn.began
        if began is None or turn.ended is None:
            return
        about: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._model,
            "gen_ai.request.model": self._model,
            "gen_ai.output.type": "speech",
            "gen_ai.usage.input_tokens": turn.input_tokens,
            "gen_ai.usage.cache_read.input_tokens": turn.cached_tokens,
            "gen_ai.usage.output_tokens": turn.output_tokens,
        }
        self._add(root, f"chat {self._model}", began, turn.ended, about, SpanKind.CLIENT)

    def _add(
        self,
        root: Span,
        name: str,
        start: Seconds,
        end: Seconds,
        about: Mapping[str, AttributeValue],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        context = trace.set_span_in_context(root)
        span = self._tracer.start_span(name, context, kind, about, start_time=self._at(start))
        span.end(self._at(end))

    def _at(self, moment: Seconds) -> int:
        """Nanoseconds since 1970."""
        return round((self._epoch_s + moment) * 1e9)


def _about(session_id: str, turn: Turn) -> dict[str, AttributeValue]:
    waited_ms = turn.voice_to_voice_ms()
    found: dict[str, AttributeValue] = {
        "gen_ai.conversation.id": session_id,
        "gen_ai.response.id": turn.response_id,
        "antiphon.status": turn.status,
        "antiphon.prepared": turn.was_prepared,
    }
    if turn.reason is not None:
        found["antiphon.reason"] = turn.reason
    if waited_ms is not None:
        found["antiphon.voice_to_voice_ms"] = waited_ms
    return found
