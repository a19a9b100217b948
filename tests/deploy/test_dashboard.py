"""The dashboard asks for what the server counts, and for all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.observe.metrics import FATES, EngineState, Metrics, Standing, Upstreams
from antiphon.server.siblings import one_page

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"
NAME = re.compile(r"\b(?:voice|tool|process)_[a-z_]+")
LABELS = re.compile(r"by \(([^)]*)\)")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


@pytest.fixture(scope="module")
def counted() -> dict[str, set[str]]:
    """Samples of a server with two workers, and the labels that each has."""
    standing = Standing(
        connections={"websocket": 1, "webrtc": 1}, held_audio_bytes=1, outbox_bytes=1, works=1, most_sessions=1,
        load=0.5, hub_lateness_s=0.1, hub_backlog_s=0.1, hub_streams=1, hub_windows_total=1, hub_batches_total=1,
        hub_failures_total=1, dropped_audio_s_total=0.0, sessions=1, captions=0, cache_hits_total=1,
        cache_misses_total=1, packets_total=dict.fromkeys(FATES, 1),
        upstreams=(Upstreams("llm", 3, 1, {"upstream_timeout": 1}),),
        engines=(EngineState("llm", "llm 1 (openai)", True, 1),),
    )  # fmt: skip
    page = Metrics(["clock"]).page(standing)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(one_page([(0, page), (1, page)]).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def questions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_everything_that_is_asked_for_is_counted(dashboard: dict[str, Any], counted: dict[str, set[str]]) -> None:
    for title, question in questions(dashboard):
        names = NAME.findall(LABELS.sub("", question))
        assert names, title
        for name in names:
            assert name in counted, f"{title!r} asks for {name}, which nobody counts"


def test_it_is_grouped_by_labels_that_are_there(dashboard: dict[str, Any], counted: dict[str, set[str]]) -> None:
    for title, question in questions(dashboard):
        wanted = {label.strip() for found in LABELS.findall(question) for label in found.split(",")}
        names = NAME.findall(LABELS.sub("", question))
        assert all(wanted <= counted[name] for name in names), f"{title!r} groups by {wanted}"


def test_everything_of_ours_that_is_counted_is_shown(dashboard: dict[str, Any], counted: dict[str, set[str]]) -> None:
    shown = {name for _, question in questions(dashboard) for name in NAME.findall(question)}
    ours = {name for name in counted if name.startswith(("voice_", "tool_")) and not name.endswith("_created")}
    parts = {name for name in ours if name.endswith(("_sum", "_count"))}
    assert ours - parts - shown == set()


def test_panels_do_not_lie_over_each_other(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
