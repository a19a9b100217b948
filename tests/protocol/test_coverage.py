"""What docs/coverage.md says is true of the code, and nothing is left out of it."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct, inspect
from wire_samples import ITEMS, Json

import antiphon
from antiphon.audio.units import Samples
from antiphon.errors import PeerError
from antiphon.protocol import additions, client, inbound, items, server, session_config
from antiphon.protocol.codec import decode
from antiphon.protocol.coverage import held, page
from antiphon.protocol.support import FIELDS, MESSAGES, Entry, State

SOURCE = Path(antiphon.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"
ASK = "say so in src/antiphon/protocol/support.py, and run `make docs`"


def messages() -> set[type[Struct]]:
    unions = (client.ClientMessage, server.ServerMessage, additions.AdditionMessage)
    return {kind for union in unions for kind in get_args(union)} | set(additions.REQUESTS.values())


@cache
def everything() -> frozenset[type[Struct]]:
    """Every message, and every struct inside one."""
    found: set[type[Struct]] = set()
    waiting = list(messages())
    while waiting:
        kind = waiting.pop()
        if kind in found:
            continue
        found.add(kind)
        shape = inspect.type_info(kind)
        assert isinstance(shape, inspect.StructType)
        waiting += [inner for field in shape.fields for inner, _ in held(field.type)]
    return frozenset(found)


def name_of(kind: type[Struct]) -> str:
    return kind.__name__


def test_every_message_has_an_entry() -> None:
    assert set(MESSAGES) == messages(), f"a message was added or is gone: {ASK}"


STRUCTS = sorted(everything(), key=name_of)


@pytest.mark.parametrize("kind", STRUCTS, ids=name_of)
def test_every_field_has_an_entry(kind: type[Struct]) -> None:
    assert set(FIELDS.get(kind, {})) == set(kind.__struct_fields__), f"{kind.__name__} has other fields: {ASK}"


def test_nothing_is_told_that_is_not_there() -> None:
    assert set(FIELDS) == everything(), f"not in any message: {set(FIELDS) - everything()}"


def test_whatever_is_not_implemented_has_a_reason() -> None:
    entries = [(kind.__name__, entry) for kind, entry in MESSAGES.items()]
    entries += [(f"{kind.__name__}.{name}", entry) for kind, fields in FIELDS.items() for name, entry in fields.items()]
    assert [name for name, entry in entries if entry.state is not State.WORKS and not entry.why] == []


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == page(), "docs/coverage.md is stale: run `make docs`"


def test_the_document_names_every_message_and_field() -> None:
    text = page()
    for name in (*client.TYPES, *server.TYPES, *additions.REQUESTS, *additions.TYPES):
        assert f"\n| `{name}` |" in text
    for kind in everything() - messages():
        for field in kind.__struct_fields__:
            assert f".{field}` |" in text, f"{kind.__name__}.{field}"


# --- and it is true --------------------------------------------------------------------------------------------------


@cache
def made() -> frozenset[str]:
    """The full names of all messages and nouns that our code makes, outside of what is for tests."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if path.name not in ("support.py", "coverage.py") and path.parent.name != "testing":
            found |= made_in(ast.parse(path.read_text()))
    return frozenset(found)


def made_in(tree: ast.Module) -> set[str]:
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found.add(full_name(node.func, known))
        elif isinstance(node, ast.IfExp | ast.Dict):  # one of two kinds is chosen first, and called then
            found |= {full_name(inner, known) for inner in ast.walk(node)}
    return found


def full_name(node: ast.AST, known: dict[str, str]) -> str:
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return f"{known.get(module, module)}.{name}"
        case ast.Name(id=name):
            return known.get(name, name)
        case _:
            return ""


def is_made(kind: type[Struct]) -> bool:
    return f"{kind.__module__}.{kind.__name__}" in made()


SENT = [*server.TYPES.items(), *additions.TYPES.items()]


@pytest.mark.parametrize(("name", "kind"), SENT, ids=[name for name, _ in SENT])
def test_a_message_is_said_to_be_sent_if_the_code_makes_it(name: str, kind: type[Struct]) -> None:
    claim = MESSAGES[kind].state
    assert is_made(kind) is (claim is not State.UNSENT), (
        f"the code {'does' if is_made(kind) else 'never'} make it: {ASK}"
    )


def test_what_is_said_never_to_be_sent_is_not_made() -> None:
    nouns = [kind for kind, fields in FIELDS.items() if fields and all(is_unsent(entry) for entry in fields.values())]
    assert len(nouns) > 2
    assert [kind.__name__ for kind in nouns if is_made(kind)] == [], ASK
    assert is_made(items.LogProb)


def is_unsent(entry: Entry) -> bool:
    return entry.state is State.UNSENT


def test_what_is_said_to_be_reflected_is_what_is_reflected() -> None:
    settings = FIELDS[session_config.SessionPatch]
    assert named(settings, State.REFLECTED) == set(inbound.REFLECTED), ASK
    assert named(settings, State.LIMITED) >= set(inbound.HINTS), ASK


def named(fields: dict[str, Entry], state: State) -> set[str]:
    return {name for name, entry in fields.items() if entry.state is state}


class Porter:
    """Takes whatever a message brings, and keeps nothing."""

    def sound(self, data: bytes, param: str) -> tuple[int, Samples]:
        return 0, len(data)

    def address(self, url: str, headers: Mapping[str, str], param: str) -> int:
        return 0


KINDS: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(items.Item)}


@pytest.mark.parametrize("item", ITEMS, ids=[item["type"] + item.get("role", "") for item in ITEMS])
def test_an_item_is_said_to_be_refused_if_it_is(item: Json) -> None:
    silent = json.loads(json.dumps(item))
    for part in silent.get("content", []):
        part.pop("audio", None)
    message = decode(json.dumps({"type": "conversation.item.create", "item": silent}))
    assert isinstance(message, client.ItemCreate)
    states = {entry.state for entry in FIELDS[KINDS[item["type"]]].values()}
    if states != {State.REFUSED}:
        inbound.read(message, "browser", 0, Porter())
        return
    with pytest.raises(PeerError) as refusal:
        inbound.read(message, "browser", 0, Porter())
    assert refusal.value.hint
