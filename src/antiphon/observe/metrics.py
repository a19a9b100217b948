"""Every figure that Prometheus may ask for: the instruments, and the page that shows them.

Nothing here is labelled with what grows with use: no session, person, connection, address or word. A label's values are
fixed in this file, or in the operator's configuration. What a figure is taken from is not known here: `observe.watch`
reads sessions, and whoever owns the process hands in the `Standing` of the moment. The names of the founding
documents are kept where they had one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from antiphon.observe.timeline import STAGES

T = TypeVar("T")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

WAITS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Seconds from voice to voice, with the edges of the budget: see `observe.budget`."""
PARTS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 5.0)
"""Seconds of one stage or engine; also with the budget's edges."""
TOOL_TIMES = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
SETUPS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LENGTHS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
SIZES = tuple(float(1 << power) for power in range(16, 27))
"""64 KiB to 64 MiB."""

OTHER = "other"
"""What a label says of everything that it has no word for."""
ENDINGS = (
    "closed by the client", "hung up", "hung up on request", "lost", "idle", "limit", "too_slow", "drain",
    "session_expired", "minutes_used_up", "internal_error", "upstream_lost", "not connected in time",
    "no path to the other side was found", "no data channel was opened",
)  # fmt: skip
"""Why sessions end."""
REFUSALS = (
    "warming", "server_full", "server_busy", "server_draining", "too_many_sessions", "too_many_calls",
    "missing_api_key", "invalid_api_key", "invalid_client_secret", "client_secret_expired",
    "insufficient_permissions", "unknown_host", "foreign_origin", "call_id_not_found",
)  # fmt: skip
"""Codes with which connections are turned away."""
WORKS = ("recognise", "score", "write", "speak", "summarise", "tool", "mcp")
"""What sessions have done for them."""
STATUSES = ("completed", "cancelled", "failed", "incomplete")
VERDICTS = ("confirmed", "dismissed", "backchannel", "echo", "brief")
FATES = ("received", "lost", "recovered", "late")
"""Of a call's packets of sound: see `transport.webrtc.arrivals.Tally`."""


class Upstreams(Struct, frozen=True):
    """How the requests of one role's remote engine went, since the start."""

    role: str
    requests: int
    retries: int
    errors: Mapping[str, int]
    """By our own codes."""


class EngineState(Struct, frozen=True):
    """One engine among several of a role."""

    role: str
    name: str
    """As the configuration makes it, such as "llm 2 (openai)"."""
    rests: bool
    """It failed, and is left alone for now."""
    failures: int
    """Times that it began to fail, since the start."""


class Relayed(Struct, frozen=True):
    """How it goes with the server that is the voice of conversations."""

    ready: int
    """Connections that are open and wait for somebody."""
    warm: int
    """Sessions that found one, since the start."""
    cold: int
    """Those that had to wait for theirs."""
    lost: int
    """Connections that sessions have lost."""


class Standing(Struct, frozen=True):
    """The process at one moment. What ends in `_total` only ever grows."""

    connections: Mapping[str, int]
    """By transport."""
    held_audio_bytes: int
    outbox_bytes: int
    works: int
    """Pieces of work under way."""
    most_sessions: int
    load: float
    """1 is where nobody more is let in."""
    hub_lateness_s: float
    hub_backlog_s: float
    hub_streams: int
    hub_windows_total: int
    hub_batches_total: int
    hub_failures_total: int
    dropped_audio_s_total: float
    sessions: int
    captions: int
    cache_hits_total: int
    cache_misses_total: int
    packets_total: Mapping[str, int]
    """By fate."""
    upstreams: tuple[Upstreams, ...] = ()
    relay: Relayed | None = None
    """Of the server that is the voice, if it is another one."""
    engines: tuple[EngineState, ...] = ()
    """Of roles that have several."""
    history_waiting: int = 0
    """Changes of conversations that are not written yet."""
    history_written_total: int = 0
    history_lost_total: int = 0
    history_errors_total: int = 0
    history_slowest_s: float = 0.0
    """The longest that a batch took to write, since the last look."""


class Labelled(Generic[T]):
    """The series of one metric, by the values of its label: all are made at the start, and none later."""

    def __init__(self, series: Mapping[str, T]) -> None:
        self._series = series

    def of(self, value: str) -> T:
        """The series of this value, or of "other" if it has none of its own."""
        return self._series.get(value) or self._series[OTHER]


class Metrics:
    """The instruments of one process. `watch` and the server turn them; `page` shows them."""

    def __init__(self, tools: Iterable[str] = ()) -> None:
        """`tools` are the names of the server's own tools: what a model invents beside them is "other"."""
        self.registry = CollectorRegistry()
        self._make_connections()
        self._make_turns()
        self._make_barge_ins()
        self._make_work((*sorted(set(tools)), "mcp"))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def page(self, standing: Standing) -> bytes:
        """All of it in Prometheus' text format. Reads files of the system: not for the event loop's thread."""
        moment = CollectorRegistry()
        moment.register(_Moment(standing))
        return self.page_of_instruments() + generate_latest(moment)

    def page_of_instruments(self) -> bytes:
        """What has been counted, without what is so at this moment."""
        return generate_latest(self.registry)

    def _make_connections(self) -> None:
        self.setup = self._histogram(
            "voice_connection_setup_seconds", "From a request's arrival to the session that it opens.", SETUPS
        )
        self.started = self._counter("voice_sessions_started", "Sessions that were begun.")
        self.ended = self._counters("voice_sessions_ended", "Sessions that are over.", "reason", ENDINGS)
        self.resumed = self._counter("voice_connections_resumed", "Broken connections that were taken up again.")
        self.refused = self._counters("voice_requests_refused", "Requests turned away.", "code", REFUSALS)
        self.session_length = self._histogram("voice_session_seconds", "How long sessions lasted.", LENGTHS)
        self.session_bytes = self._histogram("voice_session_bytes", "Sound held by sessions as they end.", SIZES)
        self.heard = self._counter("voice_heard_seconds", "Sound that came, counted as sessions end.")
        self.loop_lag = self._histogram("voice_event_loop_lag_seconds", "How late the event loop's timers fire.", LAGS)
        self.complaints = self._counter("voice_client_errors", "Clients' messages that were refused.")

    def _make_turns(self) -> None:
        self.voice_to_voice = self._histogram(
            "voice_to_voice_latency_seconds", "From the end of speech to the first sound of the answer.", WAITS
        )
        words = "What a person waits for, stage by stage."
        self.stages = self._histograms("voice_stage_seconds", words, "stage", STAGES)
        self.endpoint_delay = self._histogram(
            "voice_endpoint_delay_seconds", "From the end of speech to the decision that the turn is over.", PARTS
        )
        words = "Turns whose person spoke on before any of the answer was heard."
        self.false_endpoints = self._counter("voice_false_endpoints", words)
        self.turns = self._counter("voice_turns", "Spoken turns whose answer has ended.")
        self.responses = self._counters("voice_responses", "Answers that have ended.", "status", STATUSES)
        words = "Tokens of answers and summaries. Cached ones are in the input too."
        self.tokens = self._counters("voice_tokens", words, "kind", ("input", "cached", "output"))
        words = "Answers that were prepared before their turn was over."
        self.speculations = self._counters("voice_speculations", words, "outcome", ("hit", "miss", "failed"))
        self.wasted_tokens = self._counter("voice_speculation_wasted_tokens", "Tokens written for nothing.")

    def _make_barge_ins(self) -> None:
        words = "Voices over an answer, and what they were taken for."
        self.barge_ins = self._counters("voice_barge_ins", words, "outcome", VERDICTS)
        self.barge_in_stop = self._histogram(
            "voice_barge_in_stop_seconds", "From the first sound of an interruption to the answer's end.", PARTS
        )
        self.barge_in_held = self._histogram(
            "voice_barge_in_held_seconds", "How long an answer is held back for a voice over it.", PARTS
        )
        self.spoken = self._counter("voice_spoken_seconds", "Sound of answers that was sent.")
        words = "Times that more of an answer was sent only after what had been sent was over."
        self.underruns = self._counter("voice_underruns", words)
        self.underrun_s = self._counter("voice_underrun_seconds", "How long nothing was heard because of it.")

    def _make_work(self, tools: tuple[str, ...]) -> None:
        self.recognition = self._histogram("voice_recognition_seconds", "From sound to its text.", PARTS)
        self.first_token = self._histogram("voice_first_token_seconds", "From asking the model to its words.", PARTS)
        self.first_sound = self._histogram("voice_first_sound_seconds", "From a clause to its first sound.", PARTS)
        self.failures = self._counters("voice_work_failures", "Work that failed.", "work", WORKS)
        words = "Times that sessions were told of sound that was lost or not understood to be a voice or none."
        self.hearing_failures = self._counter("voice_hearing_failures", words)
        name, words = "tool_execution_seconds", "How long the server's tools run."
        self.tool_times = self._histograms(name, words, "tool_name", (*tools, OTHER), TOOL_TIMES)
        self.tool_failures = self._counters("tool_failures", "Tools that failed.", "tool_name", tools)

    # --- families

    def _counter(self, name: str, words: str) -> Counter:
        return Counter(name, words, registry=self.registry)

    def _counters(self, name: str, words: str, label: str, values: tuple[str, ...]) -> Labelled[Counter]:
        family = Counter(name, words, (label,), registry=self.registry)
        return Labelled({value: family.labels(value) for value in (*values, OTHER)})

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, words, buckets=buckets, registry=self.registry)

    def _histograms(
        self, name: str, words: str, label: str, values: tuple[str, ...], buckets: tuple[float, ...] = PARTS
    ) -> Labelled[Histogram]:
        family = Histogram(name, words, (label,), buckets=buckets, registry=self.registry)
        return Labelled({value: family.labels(value) for value in values})


class _Moment(Collector):
    """A `Standing` as Prometheus reads it."""

    def __init__(self, standing: Standing) -> None:
        self._now = standing

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._upstreams()
        yield from self._engines()
        yield from self._history()
        if self._now.relay is not None:
            yield from _relayed(self._now.relay)

    def _gauges(self) -> Iterator[Metric]:
        now = self._now
        yield _gauge("voice_active_sessions", "Sessions that run.", now.sessions)
        yield _gauge("voice_active_captions", "Live transcriptions beside them.", now.captions)
        yield _gauge("voice_most_sessions", "How many of both there may be.", now.most_sessions)
        yield _family(GaugeMetricFamily, "voice_connections", "Open connections.", "transport", now.connections)
        yield _gauge("voice_load", "How busy it is; from 1 on nobody more is let in.", now.load)
        yield _gauge("voice_held_audio_bytes", "Sound that sessions hold.", now.held_audio_bytes)
        yield _gauge("voice_outbox_bytes", "Messages that wait for their connection.", now.outbox_bytes)
        yield _gauge("voice_work_running", "Pieces of work under way.", now.works)
        yield _gauge("voice_hub_lateness_seconds", "From a whole window to its event, smoothed.", now.hub_lateness_s)
        yield _gauge("voice_hub_backlog_seconds", "Sound that waits to be scored.", now.hub_backlog_s)
        yield _gauge("voice_hub_streams", "Streams that the voice detector hears.", now.hub_streams)

    def _counters(self) -> Iterator[Metric]:
        now = self._now
        yield CounterMetricFamily("voice_hub_windows", "Windows scored.", now.hub_windows_total)
        yield CounterMetricFamily("voice_hub_batches", "Batches of them.", now.hub_batches_total)
        yield CounterMetricFamily("voice_hub_failures", "Batches that failed.", now.hub_failures_total)
        words = "Sound that came faster than it could be heard, and was not."
        yield CounterMetricFamily("voice_dropped_audio_seconds", words, now.dropped_audio_s_total)
        yield _family(CounterMetricFamily, "voice_packets", "Packets of calls.", "fate", now.packets_total)
        yield CounterMetricFamily("tool_cache_hits", "Tools' results that were known.", now.cache_hits_total)
        yield CounterMetricFamily("tool_cache_misses", "Tools' results that were not.", now.cache_misses_total)

    def _upstreams(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("voice_upstream_requests", "Requests to engines elsewhere.", labels=("role",))
        retries = CounterMetricFamily("voice_upstream_retries", "Those made twice.", labels=("role",))
        errors = CounterMetricFamily("voice_upstream_errors", "Those that failed.", labels=("role", "code"))
        for one in self._now.upstreams:
            requests.add_metric((one.role,), one.requests)
            retries.add_metric((one.role,), one.retries)
            for code, count in sorted(one.errors.items()):
                errors.add_metric((one.role, code), count)
        yield from (requests, retries, errors)

    def _engines(self) -> Iterator[Metric]:
        rests = GaugeMetricFamily("voice_engine_rests", "Engines that failed and are left alone.", labels=("engine",))
        words = "Times that an engine began to fail."
        failures = CounterMetricFamily("voice_engine_failures", words, labels=("engine",))
        for one in self._now.engines:
            rests.add_metric((one.name,), one.rests)
            failures.add_metric((one.name,), one.failures)
        yield from (rests, failures)

    def _history(self) -> Iterator[Metric]:
        now = self._now
        yield _gauge("voice_history_waiting", "Changes of conversations to be written.", now.history_waiting)
        yield _gauge("voice_history_slowest_seconds", "The slowest write since the last look.", now.history_slowest_s)
        yield CounterMetricFamily("voice_history_written", "Changes written.", now.history_written_total)
        yield CounterMetricFamily("voice_history_lost", "Changes given up.", now.history_lost_total)
        yield CounterMetricFamily("voice_history_errors", "Batches that failed.", now.history_errors_total)


def _relayed(relay: Relayed) -> Iterator[Metric]:
    words = "Connections to the server that is the voice, open and waiting."
    yield _gauge("voice_relay_ready_connections", words, relay.ready)
    sessions = {"warm": relay.warm, "cold": relay.cold}
    words = "Sessions on another server's voice, by the connection that they found."
    yield _family(CounterMetricFamily, "voice_relay_sessions", words, "connection", sessions)
    yield CounterMetricFamily("voice_relay_losses", "Connections that such sessions have lost.", relay.lost)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value)


def _family(
    kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, words: str, label: str, values: Mapping[str, float]
) -> Metric:
    family = kind(name, words, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
