"""Writes the page's TypeScript types from the server's own structs. Run by `make web`; a test sees that they agree.

Types only: what a message means is not known here. The server leaves out a field only where it may be UNSET, so that is
what "optional" means in what is received; what is sent may leave out whatever has a default.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import inspect

from antiphon.protocol.additions import REQUESTS
from antiphon.protocol.additions import TYPES as ADDITIONS
from antiphon.protocol.client import TYPES as CLIENT
from antiphon.protocol.server import TYPES as SERVER

FOLDER = Path(__file__).parent / "src" / "client" / "messages"
NOTE = "// Written by web/message_types.py from the server's structs: change those, then `make web`.\n"


def received() -> str:
    """All that the server may say."""
    return _module({**SERVER, **ADDITIONS}, "ServerMessage", written=True)


def sent() -> str:
    """All that a client may say."""
    return _module({**CLIENT, **REQUESTS}, "ClientMessage", written=False)


def _module(messages: dict[str, type[msgspec.Struct]], union: str, *, written: bool) -> str:
    kinds = [inspect.type_info(kind) for kind in messages.values()]
    structs: dict[str, inspect.StructType] = {}
    for kind in kinds:
        _collect(kind, structs)
    interfaces = [_interface(name, structs[name], written=written) for name in sorted(structs)]
    names = "".join(f"\n  | {kind.cls.__name__}" for kind in kinds if isinstance(kind, inspect.StructType))
    return "\n".join([NOTE, *interfaces, f"export type {union} ={names}\n"])


def _collect(kind: inspect.Type, found: dict[str, inspect.StructType]) -> None:
    if isinstance(kind, inspect.StructType):
        name = kind.cls.__name__
        known = found.get(name)
        if known is not None:
            if known.cls is not kind.cls:
                raise SystemExit(f"two structs are called {name}: {known.cls} and {kind.cls}. Rename one.")
            return
        found[name] = kind
        for field in kind.fields:
            _collect(field.type, found)
    for inner in _inside(kind):
        _collect(inner, found)


def _inside(kind: inspect.Type) -> Iterable[inspect.Type]:
    match kind:
        case inspect.UnionType(types=types):
            return types
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return (item,)
        case inspect.DictType(value_type=value):
            return (value,)
        case _:
            return ()


def _interface(name: str, kind: inspect.StructType, *, written: bool) -> str:
    lines = [] if kind.tag_field is None else [f"  {kind.tag_field}: {_literal(kind.tag)}"]
    for field in kind.fields:
        may_lack = _may_be_unset(field) if written else not field.required
        lines.append(f"  {field.encode_name}{'?' if may_lack else ''}: {_typescript(field.type)}")
    body = "\n".join(lines)
    return f"export interface {name} {{\n{body}\n}}\n" if body else f"export type {name} = Record<string, never>\n"


def _may_be_unset(field: inspect.Field) -> bool:
    """msgspec tells of a field whose default is UNSET that it needs no value, and of no default."""
    return not field.required and field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT


def _typescript(kind: inspect.Type) -> str:
    match kind:
        case inspect.StrType() | inspect.BytesType():
            return "string"
        case inspect.IntType() | inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "boolean"
        case inspect.NoneType():
            return "null"
        case inspect.LiteralType(values=values):
            return " | ".join(_literal(value) for value in values)
        case inspect.UnionType(types=types):
            return " | ".join(dict.fromkeys(_typescript(one) for one in types))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"readonly ({_typescript(item)})[]"
        case inspect.DictType(value_type=value):
            return f"Record<string, {_typescript(value)}>"
        case inspect.StructType(cls=cls):
            return cls.__name__
        case inspect.AnyType():
            return "unknown"
        case _:
            raise SystemExit(f"no TypeScript is known for {kind!r}. Teach web/message_types.py.")


def _literal(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in (("received.ts", received()), ("sent.ts", sent())):
        (FOLDER / name).write_text(text)
        print(FOLDER / name, len(text), file=sys.stderr)
