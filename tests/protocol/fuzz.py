"""Mutilated messages, without end: what a client sends never makes reading it raise, nor take long.

    python tests/protocol/fuzz.py [first seed]     until it is stopped, or finds something

Each frame is a function of its seed. `test_fuzz` runs the first few thousand.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from wire_samples import RECEIVED

from antiphon.audio.formats import read_whole
from antiphon.audio.units import Samples
from antiphon.errors import PeerError
from antiphon.protocol.codec import BadMessage, decode, encode
from antiphon.protocol.inbound import read
from antiphon.protocol.items import ErrorDetails
from antiphon.protocol.server import Error
from antiphon.tools.mcp import McpAddresses

LIMIT_S = 0.25  # of processor time for one frame of at most LONGEST; a busy machine needs room
LONGEST = 200_000  # bytes of a frame that is made here
LONGEST_ANSWER = 2_000  # characters of an error: a client's own words are quoted, and cut

SAMPLES: list[Any] = [
    *RECEIVED,
    {"type": "session.close"},
    {"type": "antiphon.playout", "item_id": "item_1", "played_ms": 100},
    {"type": "antiphon.tool.cancel", "call_id": "call_1"},
    {"type": "antiphon.approval.answer", "call_id": "call_1", "approve": True},
]

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 500.0, -0.0, 0.5, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400,
    "", " ", "\x00", "\ud800", "𝄞", "null", "x" * 5_000, " - at `$.type`", "` - at `$", "AAAA", "AAA=", "%%%%",
    "é" * 100, "root", [], {}, [[]], [None], [{}], ["a"] * 500, {"type": None}, {"type": "message"}, {"type": []},
    {"": ""}, {"type": "x", "id": 7}, {str(number): number for number in range(100)},
)  # fmt: skip
"""Values to put where others were."""

SHARDS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc3", b"\\u", b"\\ud800",
    b"\\udc00", b"1e999", b"-", b"1.", b"0x1", b"NaN", b"Infinity", b"-1e-999", b"9" * 400, b"null", b"tru",
    b"[" * 2_000, b'{"a":' * 500, b'"type":', b'"event_id":"x",', b'"type":"session.update",', b"\xef\xbb\xbf", b"/*",
    b"\n" * 50, b"`", b" - at `$.",
)  # fmt: skip
"""Bytes to put anywhere."""


def frame(seed: int) -> str | bytes:
    """A message that was one, more or less."""
    chance = random.Random(seed)
    document = copy.deepcopy(chance.choice(SAMPLES))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        document = _with_other_value(document, chance)
    data = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 0, 1, 1, 3, 10))):
        data = chance.choice(MUTILATIONS)(data, chance)[:LONGEST]
    kind = chance.randrange(3)
    if kind == 0:
        return data
    return data.decode("utf-8", "replace" if kind == 1 else "surrogateescape")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of the document, with each of its keys or positions."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield value, key
        yield from _places(part)


def _with_other_value(document: Any, chance: random.Random) -> Any:
    places = list(_places(document))
    if not places:
        return chance.choice(NASTY)
    container, key = chance.choice(places)
    other, place = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del container[key]
        case 1:
            container[key] = [container[key]]
        case 2:
            container[key] = copy.deepcopy(other[place])
        case 3 if isinstance(container, dict):
            container[chance.choice(("type", "x", "id", "event_id", "content"))] = copy.deepcopy(chance.choice(NASTY))
        case _:
            container[key] = copy.deepcopy(chance.choice(NASTY))
    return document


# --- of the bytes ----------------------------------------------------------------------------------------------------


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.choice(SHARDS) + data[place:]


def _drop(data: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + data[place + chance.randint(1, 20) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(data))
    stop = min(len(data), start + chance.randint(1, 60))
    return data[:start] + data[start:stop] * chance.choice((2, 3, 50)) + data[stop:]


def _exchange(data: bytes, chance: random.Random) -> bytes:
    """A number for a number: digits are replaced where digits are."""
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return data
    place = chance.choice(digits)
    return data[:place] + chance.choice((b"1e5", b"7.0", b"99999999999999999999", b"-3", b"0")) + data[place + 1 :]


MUTILATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_cut, _flip, _insert, _drop, _repeat, _exchange)


# --- what must hold --------------------------------------------------------------------------------------------------


class Porter:
    """Takes the sounds of messages, as a transport does."""

    def sound(self, data: bytes, param: str) -> tuple[int, Samples]:
        return 0, read_whole(data, "pcm", param).size

    def address(self, url: str, headers: Mapping[str, str], param: str) -> int:
        return McpAddresses().address(url, headers, param)


def try_out(text: str | bytes) -> bool:
    """Read it as a transport would. True if it was understood; raises AssertionError if a promise was broken."""
    began = time.thread_time()
    message = decode(text)
    refusal = message.error if isinstance(message, BadMessage) else None
    if not isinstance(message, BadMessage):
        try:
            read(message, "browser", 0, Porter())
        except PeerError as error:
            refusal = error
    took_s = time.thread_time() - began
    assert took_s < LIMIT_S, f"{took_s:.3f} s for {len(text)} bytes"
    if refusal is not None:
        assert refusal.hint
        assert len(refusal.message) <= LONGEST_ANSWER, f"{len(refusal.message)} characters: {refusal.message:.200}"
        details = ErrorDetails(
            type="invalid_request_error", code=refusal.code, message=refusal.message, param=refusal.param,
            event_id=message.event_id,
        )  # fmt: skip
        told = encode(Error(event_id="event_1", error=details))
        assert msgspec.json.decode(told)["error"]["event_id"] == message.event_id
    return refusal is None


def check(seed: int) -> bool:
    """Try out the frame of this seed; a failure shows it."""
    text = frame(seed)
    try:
        return try_out(text)
    except Exception as error:
        raise AssertionError(f"frame {seed}: {text[:2_000]!r}") from error


def main() -> None:
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    understood = 0
    for seed in itertools.count(first):
        understood += check(seed)
        if (seed - first + 1) % 10_000 == 0:
            print(f"{seed - first + 1:,} frames from seed {first}: {understood:,} were understood", flush=True)


if __name__ == "__main__":
    main()
