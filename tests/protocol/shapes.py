"""The types of two worlds brought to one form, and compared: openai's pydantic models, and our structs.

One side may spread over several types what the other has in one (the parts of a message, its three roles), so what is
compared are groups: all types of a place whose "type" may be the same.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Struct, inspect
from pydantic import BaseModel


class Shape(Struct, frozen=True):
    """Everything that a value may be."""

    plain: frozenset[str] = frozenset()
    """Of "a string", "an integer", "a number", "a boolean", "null", "an object", "anything" and "nothing"."""
    words: frozenset[str] = frozenset()
    """Literals."""
    objects: tuple[type, ...] = ()
    """Models or structs."""
    items: Shape | None = None
    """Of a list."""


class Field(Struct, frozen=True):
    is_required: bool
    shape: Shape


Fields = Mapping[str, Field]


def _merged(shapes: Iterable[Shape]) -> Shape:
    known = list(shapes)
    lists = [shape.items for shape in known if shape.items is not None]
    return Shape(
        frozenset[str]().union(*(shape.plain for shape in known)),
        frozenset[str]().union(*(shape.words for shape in known)),
        tuple(kind for shape in known for kind in shape.objects),
        _merged(lists) if lists else None,
    )


# --- theirs ----------------------------------------------------------------------------------------------------------

_PLAIN: Mapping[Any, str] = {
    str: "a string", int: "an integer", float: "a number", bool: "a boolean", type(None): "null",
    object: "anything", Any: "anything",
}  # fmt: skip


@cache
def their_fields(model: type[BaseModel]) -> Fields:
    return {
        info.alias or name: Field(info.is_required(), their_shape(info.annotation))
        for name, info in model.model_fields.items()
    }


def their_shape(annotation: Any) -> Shape:
    """What the annotation of a pydantic model allows."""
    if annotation in _PLAIN:
        return Shape(plain=frozenset({_PLAIN[annotation]}))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return their_shape(arguments[0])
    if origin in (Union, types.UnionType):
        return _merged(map(their_shape, arguments))
    if origin is Literal:
        return Shape(words=frozenset(map(str, arguments)))
    if origin is list:
        return Shape(items=their_shape(arguments[0]))
    if origin is dict:
        return Shape(plain=frozenset({"an object"}))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape(objects=(annotation,))
    raise TypeError(f"no shape for {annotation!r}: teach `their_shape` this kind of type")


# --- ours ------------------------------------------------------------------------------------------------------------

_OURS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "a string", inspect.BytesType: "a string",  # bytes are written as base64
    inspect.IntType: "an integer", inspect.FloatType: "a number", inspect.BoolType: "a boolean",
    inspect.NoneType: "null", inspect.AnyType: "anything", inspect.DictType: "an object",
}  # fmt: skip


@cache
def our_fields(struct: type[Struct]) -> Fields:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    fields = {field.encode_name: Field(field.required, our_shape(field.type)) for field in kind.fields}
    if kind.tag is not None:
        fields[str(kind.tag_field)] = Field(True, Shape(words=frozenset({str(kind.tag)})))
    return fields


def our_shape(kind: inspect.Type) -> Shape:
    """What a type of msgspec allows; "nothing" is a field that is not there."""
    match kind:
        case inspect.StructType(cls=struct):
            return Shape(objects=(struct,))
        case inspect.UnionType(types=kinds):
            return _merged(map(our_shape, kinds))
        case inspect.VarTupleType(item_type=inner):
            return Shape(items=our_shape(inner))
        case inspect.LiteralType(values=values):
            return Shape(words=frozenset(map(str, values)))
        case inspect.Metadata(type=inner):
            return our_shape(inner)
        case inspect.CustomType(cls=cls) if cls.__name__ == "UnsetType":
            return Shape(plain=frozenset({"nothing"}))
    if type(kind) in _OURS:
        return Shape(plain=frozenset({_OURS[type(kind)]}))
    raise TypeError(f"no shape for {kind!r}: teach `our_shape` this kind of type")


# --- differences -----------------------------------------------------------------------------------------------------

Group = tuple[type, ...]


def differences(theirs: Shape, ours: Shape, *, sent: bool) -> set[str]:
    """What differs between the objects of two shapes and all inside them, in sentences that begin with our names.

    `sent` is whether we write them, or read them. What we read may be more than theirs, and what we write less; but
    fields and words that only one side knows are told in both cases, because they are how a newer version shows.
    """
    found: set[str] = set()
    seen: set[tuple[Group, Group]] = set()
    waiting = list(_groups(theirs.objects, ours.objects))
    while waiting:
        pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        title = _title(pair[1] or pair[0])
        if not all(pair):
            found.add(f"{title}: only {'there' if pair[0] else 'here'}")
            continue
        there, here = _all_fields(their_fields, pair[0]), _all_fields(our_fields, pair[1])
        found |= {f"{title}.{name}: only there" for name in there.keys() - here.keys()}
        found |= {f"{title}.{name}: only here" for name in here.keys() - there.keys()}
        for name in there.keys() & here.keys():
            found |= {f"{title}.{name}: {what}" for what in _compared(there[name], here[name], sent=sent)}
            waiting += _pairs(there[name].shape, here[name].shape)
    return found


def _title(group: Group) -> str:
    return "|".join(sorted({kind.__name__ for kind in group}))


def _all_fields(fields_of: Callable[[Any], Fields], group: Group) -> Fields:
    """The fields of any of these types; required are those that all of them require."""
    each = [fields_of(kind) for kind in group]
    return {
        name: Field(
            all(name in fields and fields[name].is_required for fields in each),
            _merged(fields[name].shape for fields in each if name in fields),
        )
        for name in {name for fields in each for name in fields}
    }


def _pairs(there: Shape, here: Shape) -> Iterator[tuple[Group, Group]]:
    yield from _groups(there.objects, here.objects)
    if there.items is not None and here.items is not None:
        yield from _pairs(there.items, here.items)


def _groups(theirs: Group, ours: Group) -> Iterator[tuple[Group, Group]]:
    """Types of one place, put together where their "type" may be the same."""
    single: list[tuple[frozenset[str], Group, Group]] = [(_words(their_fields, kind), (kind,), ()) for kind in theirs]
    single += [(_words(our_fields, kind), (), (kind,)) for kind in ours]
    joined: list[tuple[frozenset[str], Group, Group]] = []
    for words, there, here in single:
        same = [group for group in joined if group[0] & words]
        joined = [group for group in joined if not group[0] & words]
        for more_words, more_there, more_here in same:
            words, there, here = words | more_words, (*more_there, *there), (*more_here, *here)
        joined.append((words, there, here))
    for _, there, here in joined:
        yield there, here


def _words(fields_of: Callable[[Any], Fields], kind: type) -> frozenset[str]:
    """What an object's "type" may say; objects without one are all of one kind."""
    field = fields_of(kind).get("type")
    return (field.shape.words if field else None) or frozenset({""})


def _compared(there: Field, here: Field, *, sent: bool) -> Iterator[str]:
    if sent and there.is_required and "nothing" in here.shape.plain:
        yield "always there, and may be left out here"
    if not sent and here.is_required and not there.is_required:
        yield "may be left out there, and not here"
    yield from _differing(there.shape, here.shape, sent=sent)


def _differing(there: Shape, here: Shape, *, sent: bool) -> Iterator[str]:
    wide, narrow = (there, here) if sent else (here, there)
    for what in sorted(narrow.plain - wide.plain - {"nothing"}):
        is_whole = what == "an integer" and "a number" in wide.plain
        if not is_whole and "anything" not in wide.plain:
            yield f"{what} only {'here' if sent else 'there'}"
    if "a string" not in there.plain | here.plain:
        for word in sorted(there.words ^ here.words):
            yield f"{word!r} only {'there' if word in there.words else 'here'}"
    if (there.items is None) is not (here.items is None):
        yield f"a list only {'there' if here.items is None else 'here'}"
    elif there.items is not None and here.items is not None:
        yield from _differing(there.items, here.items, sent=sent)
