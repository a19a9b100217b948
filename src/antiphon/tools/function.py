"""Makes a tool of a typed Python function: `@tool`.

The JSON schema comes from the signature, the descriptions from the docstring, and msgspec checks what the model wrote
against both. The function itself stays as it is, and can be called and tested like any other. How a call is run, kept
or cut is not known here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast, get_type_hints, overload

import msgspec

from antiphon.engines.api import ToolSpec
from antiphon.errors import ConfigError
from antiphon.tools.api import BadArguments, Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.threads import in_thread

F = TypeVar("F", bound=Callable[..., Any])

MARK = "__antiphon_tool__"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what models' servers accept
SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):[ ]*$", re.MULTILINE)
ENTRY = re.compile(r"^([ \t]+)\*{0,2}(\w+)(?:[ ]*\([^)\n]*\))?:(.*(?:\n\1[ \t]+.*)*)", re.MULTILINE)
"""One parameter in a section: the lines after its first are indented further."""
FIELD = re.compile(r"^:param[ ]+(?:[^:\n]*[ ])?(\w+):(.*(?:\n[ \t]+.*)*)", re.MULTILINE)


class FunctionTool:
    """A function that the server runs for a model. Made by `tool`."""

    def __init__(self, function: Callable[..., Any], name: str, conduct: Conduct, note: str = "") -> None:
        """`note` is added to the description that the docstring gives. Raises `ConfigError`."""
        hints = _hints(function, name)
        description, about = read_docstring(inspect.getdoc(function) or "")
        self.conduct = conduct
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)
        self._context_name = next((each for each, hint in hints.items() if hint is ToolContext), None)
        self.depends_on_context = self._context_name is not None
        self._arguments = _arguments_type(function, name, hints)
        self.spec = ToolSpec(name, f"{description} {note}".strip(), _schema(self._arguments, about))

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Check the arguments and run the function, off the event loop if it is not async."""
        try:
            # A model's "5" is taken for 5: small models write numbers that way.
            checked = msgspec.convert(arguments, self._arguments, strict=False)
        except msgspec.ValidationError as error:
            raise BadArguments(_in_words(str(error))) from None
        given = {each: getattr(checked, each) for each in self._arguments.__struct_fields__}
        if self._context_name is not None:
            given[self._context_name] = context
        if self._is_async:
            result = await cast(Awaitable[Any], self._function(**given))
        else:
            result = await in_thread(self._function, given)
        return as_json(result)


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, name: str = "", conduct: Conduct | None = None) -> Callable[[F], F]: ...
def tool(function: F | None = None, *, name: str = "", conduct: Conduct | None = None) -> F | Callable[[F], F]:
    """Offer a function to models.

        @tool(conduct=Conduct(reads_only=True))
        def opening_hours(shop: str, day: Literal["today", "tomorrow"] = "today") -> str:
            '''When a shop is open.

            Args:
                shop: Its name, as people say it.
            '''

    Every parameter has a type that JSON can hold. One of type `ToolContext` is not the model's: it is given the context
    of the call. What is returned is anything that JSON can hold. Raise `ToolError` to tell the model what went wrong.
    Raises `ConfigError` for a function that no schema can describe.
    """

    def mark(function: F) -> F:
        setattr(function, MARK, FunctionTool(function, name or function.__name__, conduct or Conduct()))
        return function

    return mark if function is None else mark(function)


def tool_of(thing: object) -> ServerTool | None:
    """The tool that this is or that was made of it by `tool`, if any."""
    made = getattr(thing, MARK, thing)
    if isinstance(made, type) or not isinstance(getattr(made, "spec", None), ToolSpec):
        return None
    return cast("ServerTool", made) if callable(getattr(made, "call", None)) else None


def as_json(result: object) -> str:
    """What the model is given of a result. Raises `ToolError` for what JSON cannot hold."""
    if isinstance(result, str):
        return result
    try:
        return msgspec.json.encode(result).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ToolError(f"the tool returned a {type(result).__name__}, which cannot be read.") from None


# --- from a signature to a schema


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a tool", "Use up to 64 letters, digits, '_' and '-'.")
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(
            f"the types of the tool {name} cannot be read: {error}",
            "Import them at the top of the module: inside a function or under TYPE_CHECKING they are not found.",
        ) from None


def _arguments_type(function: Callable[..., Any], name: str, hints: Mapping[str, Any]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if hints.get(parameter.name) is ToolContext:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"the tool {name} has the parameter {parameter}, which a model cannot give",
                "Give it parameters with names, neither *args, **kwargs nor positional ones.",
            )
        if parameter.name not in hints:
            raise ConfigError(
                f"the parameter {parameter.name} of the tool {name} has no type", "Annotate it: the schema needs it."
            )
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hints[parameter.name]))
        elif isinstance(parameter.default, list | dict | set):
            fields.append((parameter.name, hints[parameter.name], _copies(parameter.default)))
        else:
            fields.append((parameter.name, hints[parameter.name], parameter.default))
    return msgspec.defstruct(name.replace("-", "_"), fields, forbid_unknown_fields=True, kw_only=True)


def _copies(default: Any) -> Any:
    return msgspec.field(default_factory=lambda: default.copy())


def _schema(arguments: type[msgspec.Struct], about: Mapping[str, str]) -> Mapping[str, Any]:
    """A whole object schema, always with the same bytes for the same function."""
    try:
        (reference,), definitions = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    except TypeError as error:
        raise ConfigError(
            f"the tool {arguments.__name__} cannot be described: {error}",
            "Use types that JSON can hold: str, int, float, bool, list, dict, Literal, enums, dataclasses, Structs.",
        ) from None
    schema = dict(definitions.pop(reference["$ref"].rpartition("/")[2]))
    schema.pop("title", None)
    schema["properties"] = {
        each: {**shape, "description": about[each]} if each in about and "description" not in shape else shape
        for each, shape in schema.get("properties", {}).items()
    }
    schema.setdefault("required", [])
    schema["additionalProperties"] = False
    return schema if not definitions else {**schema, "$defs": definitions}


def read_docstring(text: str) -> tuple[str, Mapping[str, str]]:
    """The description, and what is said of each parameter: in Google's form or as ":param name:"."""
    text, *sections = SECTION.split(text)
    about = {found[1]: _one_line(found[2]) for found in FIELD.finditer(text)}
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        if heading.startswith(("Arg", "Param")):
            about |= {found[2]: _one_line(found[3]) for found in ENTRY.finditer(body)}
    return _one_line(re.split(r"^:\w", text, maxsplit=1, flags=re.MULTILINE)[0]), about


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _in_words(error: str) -> str:
    """msgspec's words, with the parameter as the model knows it."""
    text, _, where = error.partition(" - at `$.")
    return f"{where.rstrip('`')}: {text}." if where else f"{text}."
