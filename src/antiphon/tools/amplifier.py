"""Tool modules of Amplifier (the package amplifier-core) as tools of ours, in this process.

Each session has a coordinator of its own with its own instances of the modules, as in Amplifier, so that nothing leaks
from one conversation into another. Modules are imported and mounted once when the server starts: what is wrong with one
is found then, and no first call waits for it. They run on a loop of their own, for some read files without leaving it.
Providers, hooks and orchestrators of Amplifier have no place here; the conversation is ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.engines.api import ToolSpec
from antiphon.errors import ConfigError, NotInstalled
from antiphon.tools.api import BadArguments, Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.aside import LoopAside
from antiphon.tools.function import as_json

log = logging.getLogger("antiphon.tools.amplifier")

MOST_SESSIONS = 1_000  # with modules mounted; the one that was used least recently gives way
CALLBACKS_S: Seconds = 1.0  # for a module to be told that it is cancelled
SPARE = "start"
"""Name of the session that is mounted when the server starts."""


class Module(Struct, frozen=True):
    """A tool module, by its id, such as "tool-filesystem", and its configuration."""

    id: str
    config: Mapping[str, Any] = {}


class _Denying:
    """Nobody is asked through Amplifier: what may run is our own approval's business, before the call."""

    async def request_approval(self, prompt: str, options: list[str], timeout: float, default: str) -> str:  # noqa: ASYNC109
        return next((each for each in options if each.casefold() in ("deny", "no", "reject")), default)


class _Quiet:
    def show_message(self, message: str, level: str, source: str = "hook") -> None:
        log.debug("%s says something (%s)", source, level)  # what it says may be what a person said


class Modules:
    """The modules, and which session has them mounted. `start` and `close` are for the server's loop; the rest is done
    on the loop aside."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self._modules = modules
        self._aside = LoopAside("amplifier")
        self._coordinators: dict[str, Any] = {}
        self._mounting = asyncio.Lock()
        self._loader: Any = None

    async def start(self) -> list[ServerTool]:
        """Import and mount all, and return their tools. Raises `ConfigError`."""
        return await self._aside.run(self._start())

    async def _start(self) -> list[ServerTool]:
        try:
            from amplifier_core.loader import ModuleLoader
        except ImportError:
            raise NotInstalled("amplifier-core, which tools.amplifier needs,", "amplifier") from None
        self._loader = ModuleLoader()
        coordinator = await self._coordinator(SPARE)
        tools: list[ServerTool] = []
        for name, tool in sorted(coordinator.get("tools").items()):
            tools.append(AmplifierTool(name, str(tool.description), _schema_of(tool), self))
        if not tools:
            ids = ", ".join(module.id for module in self._modules)
            raise ConfigError(f"tools.amplifier: {ids} brought no tools", "Name modules of the kind tool.")
        return tools

    async def _coordinator(self, session: str) -> Any:
        """The session's own, with everything mounted."""
        async with self._mounting:
            found = self._coordinators.pop(session, None)
            if found is None:
                found = await self._mounted(session)
            self._coordinators[session] = found  # as the one that was used last
            while len(self._coordinators) > MOST_SESSIONS:
                oldest = next(iter(self._coordinators))
                await self._unmount(oldest)
        return found

    async def _mounted(self, session: str) -> Any:
        from amplifier_core import ModuleCoordinator

        config = {"session": {"orchestrator": "antiphon", "context": "antiphon"}}
        whose = SimpleNamespace(session_id=session, parent_id=None, config=config)
        coordinator = ModuleCoordinator(whose, _Denying(), _Quiet())
        for module in self._modules:
            try:
                mount = await self._loader.load(module.id, dict(module.config))
                coordinator.register_cleanup(await self._loader.initialize(mount, coordinator))
            except Exception as error:  # the module's own code: whatever it raises, it is named
                raise ConfigError(
                    f"tools.amplifier: {module.id} cannot be mounted: {type(error).__name__}: {error}",
                    "Install its package into this environment, and look at its config.",
                ) from error
        return coordinator

    async def _unmount(self, session: str) -> None:
        coordinator = self._coordinators.pop(session, None)
        if coordinator is not None:
            await coordinator.cleanup()  # what breaks in it is logged by Amplifier

    async def execute(self, name: str, arguments: Mapping[str, Any], session: str, call_id: str) -> str:
        """Run the session's own instance of a tool. Raises `ToolError`."""
        return await self._aside.run(self._execute(name, arguments, session, call_id))

    async def _execute(self, name: str, arguments: Mapping[str, Any], session: str, call_id: str) -> str:
        try:
            coordinator = await self._coordinator(session)
        except ConfigError:
            log.exception("the modules cannot be mounted again")
            raise ToolError(f"{name} is not available.") from None
        token = coordinator.cancellation
        if token.is_cancelled and not token.running_tools:
            token.reset()  # of what was cancelled before, the last has seen it
        token.register_tool_start(call_id, name)
        try:
            return _told(await coordinator.get("tools", name).execute(dict(arguments)))
        except asyncio.CancelledError:
            token.request_immediate()
            await asyncio.wait_for(token.trigger_callbacks(), CALLBACKS_S)
            raise
        finally:
            token.register_tool_complete(call_id)

    async def leave(self, session: str) -> None:
        """The session is over."""
        if session in self._coordinators:
            await self._aside.run(self._unmount(session))

    async def close(self) -> None:
        for session in list(self._coordinators):
            await self.leave(session)
        await self._aside.close()


class AmplifierTool:
    """One tool of a module."""

    def __init__(self, name: str, description: str, parameters: Mapping[str, Any], modules: Modules) -> None:
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(parameters)
        except SchemaError as error:
            raise ConfigError(
                f"tools.amplifier: the schema of {name} is none: {error.message[:200]}", "Tell its author."
            ) from None
        self.conduct = Conduct()
        self.spec = ToolSpec(name, " ".join(description.split()), parameters)
        self._validator = Draft202012Validator(parameters)
        self._modules = modules

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        from jsonschema.exceptions import best_match

        wrong = best_match(self._validator.iter_errors(arguments))
        if wrong is not None:
            place = ".".join(str(part) for part in wrong.absolute_path)
            raise BadArguments(f"{place}: {wrong.message[:200]}." if place else f"{wrong.message[:200]}.")
        return await self._modules.execute(self.spec.name, arguments, context.session, context.call_id)

    async def leave(self, session: str) -> None:
        """See `Modules.leave`; of its tools, the first does it."""
        await self._modules.leave(session)

    async def close(self) -> None:
        await self._modules.close()


def _schema_of(tool: Any) -> Mapping[str, Any]:
    schema = getattr(tool, "input_schema", None) or {}
    return {"type": "object", "properties": {}, **schema}


def _told(result: Any) -> str:
    """A ToolResult in words for the model. Raises `ToolError` for one that failed, or is none."""
    if not hasattr(result, "success"):
        raise ToolError("the tool returned nothing that can be read.")
    if not result.success:
        error = result.error if isinstance(result.error, dict) else {}
        raise ToolError(str(error.get("message") or result.get_serialized_output()))
    if result.output is None and result.content:
        return "\n".join(str(getattr(block, "text", "")) for block in result.content).strip()
    return result.get_serialized_output() if isinstance(result.output, str) else as_json(result.output)
