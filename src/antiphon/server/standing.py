"""The process at one moment, read off what the routes share: for the metrics' page.

It is read on the event loop, where nothing of it changes meanwhile, and costs a walk over the sessions.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from antiphon.audio.units import seconds_from_samples
from antiphon.observe.metrics import FATES, EngineState, Relayed, Standing, Upstreams
from antiphon.server.calls import fates

if TYPE_CHECKING:
    from antiphon.engines.registry import EngineSet
    from antiphon.server.app import State


def standing_of(state: State) -> Standing:
    hub, drives = state.hub, state.sessions.running.values()
    writer = state.sessions.history.writer if state.sessions.history is not None else None
    calls = [one.call for one in state.calls.ongoing.values()]
    return Standing(
        sessions=len(state.sessions.running),
        captions=state.captions,
        most_sessions=state.admission.room.most,
        load=state.admission.load,
        connections={"websocket": len(state.links), "webrtc": len(calls)},
        held_audio_bytes=sum(drive.held_bytes for drive in drives),
        outbox_bytes=sum(link.waiting_bytes for link in state.links) + sum(call.waiting_bytes for call in calls),
        works=sum(drive.works for drive in drives),
        hub_lateness_s=hub.lateness_ms / 1000,
        hub_backlog_s=hub.backlog_s,
        hub_streams=len(hub.streams),
        hub_windows_total=hub.windows,
        hub_batches_total=hub.batches,
        hub_failures_total=hub.failures,
        dropped_audio_s_total=seconds_from_samples(hub.dropped),
        cache_hits_total=state.cache.hits,
        cache_misses_total=state.cache.misses,
        packets_total=_packets(state),
        upstreams=_upstreams(state),
        relay=_relayed(state),
        engines=engine_states(state.engines),
        history_waiting=writer.waiting if writer else 0,
        history_written_total=writer.written if writer else 0,
        history_lost_total=writer.lost if writer else 0,
        history_errors_total=writer.errors if writer else 0,
        history_slowest_s=writer.take_slowest_s() if writer else 0.0,
    )


def engine_states(engines: EngineSet) -> tuple[EngineState, ...]:
    """Of all that are servers, or share a role with others."""
    return tuple(
        EngineState(role, link.name, link.breaker.is_open, link.breaker.opened)
        for role, links in engines.chains.items()
        for link in links
    )


def _packets(state: State) -> dict[str, int]:
    """Of the calls that are over and of those that go on, so that the sums only grow."""
    sums = Counter(state.calls.past)
    for one in state.calls.ongoing.values():
        sums.update(fates(one.call.tally))
    return {fate: sums[fate] for fate in FATES}


def _upstreams(state: State) -> tuple[Upstreams, ...]:
    found = []
    for role, servers in state.engines.traffic.items():
        errors: Counter[str] = Counter()
        for traffic in servers:
            errors.update(traffic.errors)
        requests, retries = sum(one.requests for one in servers), sum(one.retries for one in servers)
        if servers:
            found.append(Upstreams(role, requests, retries, errors))
    counts = state.pools.counts
    if counts.opened or counts.errors:
        found.append(Upstreams("relay", counts.opened, counts.lost, counts.errors))
    return tuple(found)


def _relayed(state: State) -> Relayed | None:
    if state.sessions.source is None:
        return None
    counts = state.pools.counts
    return Relayed(state.pools.ready, counts.warm, counts.cold, counts.lost)
