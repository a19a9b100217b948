"""Writes docs/coverage.md: what of the protocol is done, from the messages themselves and the data in `support`.

python -m antiphon.protocol.coverage > docs/coverage.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, inspect

from antiphon.protocol import additions, client, items, server
from antiphon.protocol import session_config as config
from antiphon.protocol.support import FIELDS, MESSAGES, Entry, State

HEAD = """\
# What of the protocol is done

Every message and every field of the Realtime protocol, of both sides, and our own additions. This page is generated
from the code: `make docs` writes it, and a test fails when it is stale. To change it, change
`src/antiphon/protocol/support.py`.

| word | meaning |
|---|---|
| implemented | does what the protocol says |
| in part | does so, except for what is said |
| accepted and reflected | taken, shown again in the session's configuration, and without effect |
| accepted and ignored | taken, without effect, and shown nowhere |
| refused | answered with an `error` that names the field and says what to do |
| always the same | sent, always with this value |
| never sent | our server has no reason to send it |
"""

NOUNS: Mapping[str, tuple[type[Struct], ...]] = {
    "The session, as a client asks for it": (config.SessionPatch,),
    "The session, as it is shown": (config.RealtimeSession, config.TranscriptionSession),
    "Items": (
        items.Message, items.FunctionCall, items.FunctionCallOutput, items.McpListTools, items.McpCall,
        items.McpApprovalRequest, items.McpApprovalResponse, items.ItemReference,
    ),
    "A response, as a client asks for it": (client.ResponseParams,),
    "A response, as it is shown": (items.Response,),
    "Errors, usage and the like": (
        items.ErrorDetails, items.TranscriptionDuration, items.TranscriptionTokens, items.TranscriptionLanguage,
        items.TranscriptionFailure, items.LogProb, items.RateLimit, items.Conversation, items.TextPart, items.AudioPart,
        additions.Stage, additions.ToolSpan,
    ),
}  # fmt: skip
"""What messages hold, by the heading under which it is told; what these hold in turn is told with them."""


def page() -> str:
    """The whole document."""
    told: set[type[Struct]] = set()
    sections = [
        HEAD,
        _counts(),
        _messages("Messages of a client", client.TYPES),
        _messages("Messages of the server", server.TYPES),
        _messages("Our own messages, for connections that asked for them (`?antiphon=1`)", _OURS),
        *(_nouns(title, kinds, told) for title, kinds in NOUNS.items()),
    ]
    return "\n".join(sections)


_OURS: Mapping[str, type[Struct]] = {**additions.REQUESTS, **additions.TYPES}


def _counts() -> str:
    """How many of each state, so that a change is seen at once."""
    rows = []
    for what, kinds in (("a client", client.TYPES), ("the server", server.TYPES)):
        for state in State:
            count = sum(MESSAGES[kind].state is state for kind in kinds.values())
            if count:
                rows.append(f"| messages of {what} | {state} | {count} |")
    return "\n".join(["| what | state | how many |", "|---|---|---:|", *rows, ""])


def _messages(title: str, kinds: Mapping[str, type[Struct]]) -> str:
    rows = [f"## {title}", "", "| message | state | its fields |", "|---|---|---|"]
    for name, kind in sorted(kinds.items()):
        entry = MESSAGES[kind]
        fields = _names(FIELDS[kind]) if entry.state is State.UNSENT else _fields(FIELDS[kind])
        rows.append(f"| `{name}` | {_told(entry)} | {fields} |")
    return "\n".join([*rows, ""])


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fields(fields: Mapping[str, Entry]) -> str:
    """The names of those that are as they should be, and a word about each of the others."""
    plain = _names(name for name, entry in fields.items() if not entry.why)
    others = [f"`{name}`: {_told(entry)}" for name, entry in fields.items() if entry.why]
    return "; ".join([plain, *others] if plain else others) or "–"


def _nouns(title: str, kinds: Iterable[type[Struct]], told: set[type[Struct]]) -> str:
    rows = [f"## {title}", "", "| field | state |", "|---|---|"]
    for kind in kinds:
        rows += [f"| `{path}` | {_told(entry)} |" for path, entry in _paths(kind, _start(kind), told)]
    return "\n".join([*rows, ""])


def _start(kind: type[Struct]) -> str:
    """What the paths of a noun begin with."""
    if issubclass(kind, config.SessionPatch):
        return "session"
    tag = kind.__struct_config__.tag
    return str(tag) if tag else kind.__name__[0].lower() + kind.__name__[1:]


def _told(entry: Entry) -> str:
    return f"{entry.state}: {entry.why}" if entry.why else str(entry.state)


def _paths(kind: type[Struct], start: str, told: set[type[Struct]]) -> Iterator[tuple[str, Entry]]:
    """Every field of the noun, and of what it holds, by its path. What was told in another place is not told again."""
    told.add(kind)
    for field in msgspec.structs.fields(kind):
        path = f"{start}.{field.encode_name}"
        yield path, FIELDS[kind][field.name]
        for inner, mark in held(inspect.type_info(field.type)):
            if inner not in told and not any(inner in kinds for kinds in NOUNS.values()):
                yield from _paths(inner, path + mark, told)


def held(kind: inspect.Type) -> Iterator[tuple[type[Struct], str]]:
    """The structs directly in a type, each with the mark that tells where: "[]" in a list, "[tag]" of several."""
    match kind:
        case inspect.StructType(cls=struct, tag=tag):
            yield struct, f"[{tag}]" if tag else ""
        case inspect.UnionType(types=types):
            for inner in types:
                yield from held(inner)
        case inspect.VarTupleType(item_type=inner):
            for struct, mark in held(inner):
                yield struct, mark or "[]"
        case inspect.Metadata(type=inner):
            yield from held(inner)
        case _:
            pass


if __name__ == "__main__":
    print(page(), end="")
