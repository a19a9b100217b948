"""Why a text is not the message or document it should be: from the decoder's complaint to a `PeerError`.

It runs only after decoding has failed, and knows neither sessions nor what messages mean. Code and wording follow the
hosted service, because clients match on them; the list of supported values is read from the structs themselves.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import inspect

from antiphon.errors import PeerError

LONGEST_QUOTE = 80  # characters of a client's own value that we repeat to it

_COMPLAINT = re.compile(r"(?P<what>.*) - at (?:`key` in )?`\$(?P<path>[^`]*)`", re.DOTALL)
_FLOAT_FOR_INTEGER = re.compile(r"Expected `int[^`]*`, got `float`")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\.\.\.)\]")

_KINDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "bytes": "a base64-encoded string",
}


def not_json(cause: Exception) -> PeerError:
    """The text cannot be read at all."""
    if isinstance(cause, RecursionError):
        message, hint = "The JSON is nested too deeply.", "Nothing in the protocol nests more than a few levels."
    elif isinstance(cause, UnicodeError):
        message, hint = "The text is not valid UTF-8.", "Encode the text as UTF-8, without lone surrogates."
    else:
        message, hint = f"Invalid JSON: {cause}", "Send one JSON object."
    return PeerError(message, hint, code="invalid_json")


def unknown_type(name: str, known: Iterable[str]) -> PeerError:
    """The "type" names no message of ours."""
    return _unsupported(name, list(known), "type")


def no_type() -> PeerError:
    """There is no message in the text, only some JSON."""
    return PeerError(
        "The 'type' field is missing.",
        'Send a JSON object with a "type", such as {"type": "response.create"}.',
        code="invalid_event",
    )


def unfit(cause: msgspec.ValidationError, wanted: object) -> PeerError:
    """JSON, but not of the shape of `wanted`, the type that it was to be decoded as."""
    what, path = _split(str(cause))
    for pattern, explain in _EXPLANATIONS:
        if found := pattern.fullmatch(what):
            return explain(found, path, wanted)
    # A rule of a struct's own, such as the parts of a message: it says itself what is wrong and what would be right.
    return PeerError(what, "Change the field, or leave it out.", code="invalid_value", param=path or None)


def wants_integer(cause: msgspec.ValidationError) -> bool:
    """Whether the complaint is that a float stands where an integer belongs."""
    return _FLOAT_FOR_INTEGER.match(str(cause)) is not None


def path_of(cause: msgspec.ValidationError) -> str:
    """Where the complaint is about, such as "item.content[0].type"; "" for the whole."""
    return _split(str(cause))[1]


def steps_of(path: str) -> list[str | int]:
    """A path as keys and positions. A place in an object of free keys is "...", as the decoder does not say which."""
    return [int(position) if position.isdigit() else key or position for key, position in _STEP.findall(path)]


def _split(complaint: str) -> tuple[str, str]:
    """What is wrong, and the path of where."""
    found = _COMPLAINT.fullmatch(complaint)
    if found is None:
        return complaint, ""
    return found["what"], found["path"].removeprefix(".")


# --- one explanation for each kind of complaint ----------------------------------------------------------------------


def _wrong_type(found: re.Match[str], path: str, wanted: object) -> PeerError:
    expected = " or ".join(_KINDS.get(kind, kind) for kind in found["expected"].split(" | "))
    got = f", but got {_KINDS.get(found['got'], found['got'])} instead" if found["got"] else ""
    return PeerError(
        f"Invalid type for {_name(path)}: expected {expected}{got}.",
        f"Send {expected} there.",
        code="invalid_type",
        param=path or None,
    )


def _missing(found: re.Match[str], path: str, wanted: object) -> PeerError:
    full = f"{path}.{found['field']}" if path else found["field"]
    return PeerError(
        f"Missing required parameter: {full!r}.",
        f"Add the field {found['field']!r}.",
        code="missing_required_parameter",
        param=full,
    )


def _wrong_value(found: re.Match[str], path: str, wanted: object) -> PeerError:
    return _unsupported(found["value"].strip("'"), sorted(_supported(wanted, steps_of(path))), path)


def _out_of_bounds(found: re.Match[str], path: str, wanted: object) -> PeerError:
    rule = found["rule"].replace("of length", "with a length")
    expected = f"{_KINDS.get(found['expected'], found['expected'])} {rule}"
    return PeerError(
        f"Invalid value for {_name(path)}: expected {expected}.",
        f"Send {expected}.",
        code="invalid_value",
        param=path or None,
    )


def _bad_base64(found: re.Match[str], path: str, wanted: object) -> PeerError:
    return PeerError(
        f"Invalid value for {_name(path)}: not base64.",
        "Encode the bytes with the standard base64 alphabet and with padding, on one line.",
        code="invalid_value",
        param=path,
    )


def _out_of_range(found: re.Match[str], path: str, wanted: object) -> PeerError:
    return PeerError(
        f"Invalid value for {_name(path)}: the number is out of range.",
        "Send a number that a 64-bit float can hold.",
        code="invalid_value",
        param=path or None,
    )


_EXPLANATIONS: list[tuple[re.Pattern[str], Callable[[re.Match[str], str, object], PeerError]]] = [
    (re.compile(r"Object missing required field `(?P<field>.+)`"), _missing),
    (re.compile(r"Expected `(?P<expected>[^`]+)`(?:, got `(?P<got>[^`]+)`)?"), _wrong_type),
    (re.compile(r"Expected `(?P<expected>[^`]+)` (?P<rule>.+)"), _out_of_bounds),
    (re.compile(r"Invalid (?:enum )?value (?P<value>.+)", re.DOTALL), _wrong_value),
    (re.compile(r"Invalid base64 encoded string"), _bad_base64),
    (re.compile(r"Number out of range"), _out_of_range),
]


def _name(path: str) -> str:
    return repr(path) if path else "the whole"


def _unsupported(value: str, known: list[str], param: str) -> PeerError:
    quote = value if len(value) <= LONGEST_QUOTE else value[:LONGEST_QUOTE] + "…"
    near = difflib.get_close_matches(quote, known, n=1, cutoff=0.6)
    return PeerError(
        f"Invalid value: {quote!r}. Supported values are: {', '.join(map(repr, known))}.",
        f"Did you mean {near[0]!r}?" if near else "Use one of the supported values.",
        code="invalid_value",
        param=param or None,
    )


# --- what would have been right --------------------------------------------------------------------------------------


_shape = functools.cache(inspect.type_info)  # 2 ms for a large message: too long for every mistake of a client


def _supported(wanted: object, steps: list[str | int]) -> set[str]:
    """The words that the types allow at a path of `wanted`; empty when anything goes there."""
    here = list(_alternatives(_shape(wanted)))
    for step in steps[:-1]:
        here = [deeper for kind in here for deeper in _into(kind, step)]
    last = steps[-1] if steps else ""
    tags = {str(kind.tag) for kind in here if isinstance(kind, inspect.StructType) and kind.tag_field == last}
    there = [deeper for kind in here for deeper in _into(kind, last)]
    words = {str(word) for kind in there if isinstance(kind, inspect.LiteralType) for word in kind.values}
    return tags | words


def _into(kind: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    """The types that may stand one step below a value of type `kind`."""
    match kind:
        case inspect.StructType(fields=fields):
            for field in fields:
                if field.encode_name == step:
                    yield from _alternatives(field.type)
        case inspect.VarTupleType(item_type=item) if isinstance(step, int):
            yield from _alternatives(item)


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """The types of a union, which are never unions themselves; or the one type that it is."""
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)
