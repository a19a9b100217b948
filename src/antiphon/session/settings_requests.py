"""What clients ask of the settings and of a response's tools: whether they may, and which MCP servers they mean.

It changes nothing; all refusals are `PeerError`s.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from antiphon.errors import PeerError
from antiphon.session.asking import chosen
from antiphon.session.item_requests import ItemRequests
from antiphon.session.mcp import check_choice, resolved, servers_among
from antiphon.session.outputs import Remark
from antiphon.session.room import Room
from antiphon.session.settings import FunctionTool, McpServer, ResponseOptions, SettingsPatch

Wish = tuple[FunctionTool | McpServer, ...] | UnsetType


class SettingsRequests:
    """For one session."""

    def __init__(self, room: Room, items: ItemRequests) -> None:
        self._room = room
        self._items = items

    def check_patch(self, patch: SettingsPatch) -> SettingsPatch:
        """The patch with every label of an MCP server resolved. All of it is refused if a part of it is."""
        settings, conversation = self._room.settings, self._room.conversation
        if patch.voice not in (UNSET, settings.voice) and conversation.has_assistant_speech():
            raise PeerError(
                "Cannot update a conversation's voice if assistant audio is present.",
                "Set the voice before the first spoken answer, or open a new session.",
                code="cannot_update_voice",
                param="session.audio.output.voice",
            )
        tools = self._resolved(patch.tools, "session")
        self._check_choice(patch.tool_choice, tools, "session")
        return msgspec.structs.replace(patch, tools=tools)

    def check_options(self, options: ResponseOptions) -> ResponseOptions:
        """The same of a response's own options."""
        tools = self._resolved(options.tools, "response")
        self._check_choice(options.tool_choice, tools, "response")
        return msgspec.structs.replace(options, tools=tools)

    def _resolved(self, wish: Wish, place: str) -> Wish:
        if wish is UNSET:
            return UNSET
        tools = resolved(wish, self._room.settings.tools, self._room.config.max_mcp_servers, f"{place}.tools")
        if servers_among(tools):
            self._items.check_room(0, f"{place}.tools")  # what they offer becomes an item
        return tools

    def _check_choice(self, choice: Any, tools: Wish, place: str) -> None:
        """One of them is not there without the other."""
        if tools is UNSET and choice is UNSET:
            return
        settings = self._room.settings
        offered = chosen(tools, settings.tools)
        check_choice(chosen(choice, settings.tool_choice), offered, f"{place}.tool_choice")

    def warn_of_namesakes(self) -> None:
        """The client's own function wins: it may be what the person counts on. Who runs the server is to know."""
        ours = {tool.name for tool in self._room.config.server_tools}
        for tool in self._room.settings.tools:
            if isinstance(tool, FunctionTool) and tool.name in ours:
                self._room.emit(Remark(f"the client's own {tool.name} takes the place of the server's", warns=True))
