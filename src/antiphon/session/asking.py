"""What a model is asked for a response: in which manner, with which tools, and how much of the conversation.

It decides what a question is, and not when it is put nor what becomes of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from antiphon.session.inputs import Result
from antiphon.session.items import Item
from antiphon.session.manner import Manner
from antiphon.session.mcp import Offer, Toolbox, offered, servers_among
from antiphon.session.outputs import Generate
from antiphon.session.room import Room
from antiphon.session.settings import AudioFormat, FunctionTool, McpServer, ResponseOptions
from antiphon.session.truncation import Scale, left_behind

AUTO_RATIO = 0.8  # of the room that stays used: a cut with every turn would change what models keep of their prefix


class Asking:
    """For all responses of a session; what MCP servers offer is asked for once, and kept here."""

    def __init__(self, room: Room) -> None:
        limits = (room.config.max_mcp_servers, room.config.max_mcp_tools)
        self._room = room
        self._scale = Scale(room.count_tokens)
        self._toolbox = Toolbox(room.conversation, limits, room.ids, room.emit)
        """Of the client's MCP servers."""
        self._own_toolbox = Toolbox(None, limits, room.ids, room.emit)
        """Of the operator's."""

    # --- tools

    def list_tools(self, servers: Iterable[McpServer], *, again: bool) -> None:
        """Ask these servers of the client what they offer; those that have said so only if `again`."""
        self._toolbox.ask(tuple(servers), self._room.new_work, again=again)

    def list_own_tools(self, *, again: bool) -> None:
        """The same of the operator's servers."""
        self._own_toolbox.ask(self._room.config.mcp_servers, self._room.new_work, again=again)

    def toolbox_of(self, result: Result) -> Toolbox | None:
        """Whose question this answers."""
        return next((box for box in (self._toolbox, self._own_toolbox) if box.expects(result)), None)

    def awaits_tools(self, manner: Manner) -> bool:
        """Whether a server has yet to say what it offers."""
        own = self._room.config.mcp_servers
        return self._toolbox.awaits(manner.mcp_servers) or self._own_toolbox.awaits(own)

    def offer(self, manner: Manner, *, in_first_round: bool = True) -> Offer:
        """What the model may call. A wish of the client is for the first round. Raises `LookupError` if it is for a
        tool that no MCP server has."""
        own = manner.client_tools + manner.server_tools
        taken = {tool.name for tool in own}
        remote = self._toolbox.offers(manner.mcp_servers, taken)
        remote += self._own_toolbox.offers(self._room.config.mcp_servers, taken)
        return offered(own, remote, manner.tool_choice if in_first_round else "auto")

    def finish(self) -> None:
        """The session is over."""
        self._toolbox.finish()
        self._own_toolbox.finish()

    # --- questions

    def manner(self, options: ResponseOptions) -> Manner:
        """The session's settings with a response's own options over them."""
        settings, config = self._room.settings, self._room.config
        tools = settings.tools if options.tools is UNSET else options.tools
        client_tools = tuple(tool for tool in tools if isinstance(tool, FunctionTool))
        taken = {tool.name for tool in client_tools}
        return Manner(
            instructions=chosen(options.instructions, settings.instructions),
            speaks=chosen(options.speaks, settings.speaks),
            voice=chosen(options.voice, settings.voice),
            speed=settings.speed,
            output_format=AudioFormat() if config.plays else chosen(options.output_format, settings.output_format),
            client_tools=client_tools,
            server_tools=tuple(tool for tool in config.server_tools if tool.name not in taken),
            withheld=frozenset(config.withheld_tools) - taken,
            asks_before=frozenset(config.asks_before),
            mcp_servers=servers_among(tools),
            tool_choice=chosen(options.tool_choice, settings.tool_choice),
            max_tokens=chosen(options.max_output_tokens, settings.max_output_tokens),
            model=settings.model,
            hints={**settings.hints, **options.hints},
            metadata=dict(options.metadata) if options.metadata else None,
        )

    def question(
        self, manner: Manner, offer: Offer, note: str, context: tuple[Item, ...], language: str | None
    ) -> Generate:
        """What the model is asked, as a command that has no number yet."""
        return Generate(
            work=0,
            response_id=None,
            context=context,
            instructions=f"{manner.instructions}\n\n{note}".strip() if note else manner.instructions,
            tools=offer.tools,
            tool_choice=offer.choice,
            max_tokens=manner.max_tokens,
            model=manner.model,
            voice=manner.voice if manner.speaks else None,
            speed=manner.speed,
            output_format=manner.output_format,
            hints=manner.hints,
            language=language,
        )

    def left_behind(self, question: Generate) -> int:
        """How many of the oldest items the model can no longer be told of."""
        wish = self._room.settings.truncation
        frame = self._scale.of_frame(question.instructions, question.tools)
        frame += self._scale.count(self._room.summary)
        room = max(0, self._room.config.context_tokens - frame)
        limit = room if wish.limit is None else min(room, wish.limit)
        ratio = wish.ratio if wish.kind == "retention_ratio" else AUTO_RATIO
        return left_behind(question.context, self._scale.of(question.context), limit, ratio)


def chosen(option: Any, setting: Any) -> Any:
    """A response's own option if it has one, else the session's setting."""
    return setting if option is UNSET else option
