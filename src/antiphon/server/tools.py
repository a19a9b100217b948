"""What `GET /v1/tools` shows: the tools that the server runs itself, and how each is run.

It is our own page, in the shape of OpenAI's lists; it holds nothing of any session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.tools.api import Conduct
from antiphon.tools.registry import Offer, Registry


class ListedTool(Struct, frozen=True, kw_only=True):
    id: str
    object: str = "tool"
    description: str
    parameters: Mapping[str, Any]
    source: str
    offered: bool
    """Whether models are told of it, in the sessions of whoever asks."""
    conduct: Conduct


class ToolList(Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[ListedTool]


def tools_page(registry: Registry, narrower: Offer | None) -> bytes:
    """As JSON, by name, for somebody with this offer."""
    listed = [
        ListedTool(
            id=each.name,
            description=each.tool.spec.description,
            parameters=each.tool.spec.parameters,
            source=each.source,
            offered=registry.offers(each.name, narrower),
            conduct=each.conduct,
        )
        for each in registry
    ]
    return msgspec.json.encode(ToolList(data=listed))
