"""A thousand conversations in which anything happens at any moment, and what must hold in all of them."""

from __future__ import annotations

import pytest
from chaos import ended, told
from story import Story

from antiphon.session import outputs as o
from antiphon.session.ids import Ids
from antiphon.session.session import Session

CONVERSATIONS = 1000
RARE = (
    o.McpCallEnded, o.McpCallAwaits, o.McpCallSettled, o.LeaveMcpServer, o.ApprovalSettled, o.RunTool, o.PlaybackEnded,
    o.PlaybackCleared, o.Summarise, o.Followed, o.ItemTruncated, o.SpeculationEnded, o.BargeInJudged,
)  # fmt: skip


@pytest.mark.slow
def test_a_thousand_conversations_keep_the_rules() -> None:
    rare: dict[type, int] = dict.fromkeys(RARE, 0)
    for seed in range(CONVERSATIONS):
        try:
            story = told(seed)
            for kind in rare:
                rare[kind] += len(story.all(kind))
            ended(story)
        except Exception as error:
            raise AssertionError(f"conversation {seed}") from error
    assert min(rare.values()) > 2, f"chance has left out what is to be tried: {rare}"


def test_the_same_seed_makes_the_same_ids() -> None:
    config = Story().session.config
    assert Session(config, Ids(5)).id == Session(config, Ids(5)).id != Session(config, Ids(6)).id
