"""A session's inputs and outputs as lines of JSON, and the replay that finds the first difference.

A trace begins with a header: schema, configuration, seed. Then each line is one input with its time and the outputs
that it caused; lines of the detector's scores may stand between, and what was found in it at the end. It is written
line by line, so a trace that a crash cut short is readable up to there. What a person said or read is payload: in a
redacted trace every letter of it is an "x" and every digit a "0". Lengths, spaces and punctuation stay, and the core
looks at nothing else, so it still replays. This module reads and writes lines; files and clocks are its caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from antiphon.audio.units import Samples, Seconds
from antiphon.errors import ConfigError
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.outputs import Generate, Output, Summarise
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig
from antiphon.session.truncation import CountTokens, estimated

SCHEMA = 1  # raised whenever a line of this module's making could no longer be read by its predecessor

PRIVATE = frozenset(
    {"text", "transcript", "instructions", "arguments", "output", "prompt", "description", "message"}
    | {"error_message", "greeting", "phrases", "url", "logprobs", "why", "summary", "apologies", "unreachable", "tail"}
    | {"question"}
)
"""Fields that hold what people or models said. Ids, names, codes and numbers are not among them."""

OPAQUE = frozenset({"reflected", "metadata", "parameters", "body", "extra", "hints", "event"})
"""Fields of any shape: every string in them is private."""


class Header(Struct, frozen=True, tag="header", tag_field="line"):
    schema: int
    seed: int
    config: SessionConfig
    redacted: bool = False
    started: str = ""
    """Wall time at which the session began, for people."""
    is_counted: bool = False
    """Tokens were counted by a tokeniser, which a replay needs too."""


class Step(Struct, frozen=True, tag="step", tag_field="line"):
    """One input and what followed from it."""

    at: Seconds
    input: Input
    outputs: list[Any]
    """As plain data, so that a trace of another version can still be compared."""


class Scores(Struct, frozen=True, tag="scores", tag_field="line"):
    """What the voice detector thought of windows that follow each other. It explains the steps, and changes none."""

    heard: Samples
    """Where the last of them ends in the stream."""
    scores: tuple[float, ...]
    """P(speech) of each, in [0, 1]."""


class Finding(Struct, frozen=True, tag="finding", tag_field="line"):
    """What somebody who looked at the session holds against it, in a sentence. It changes nothing."""

    text: str


class Difference(Struct, frozen=True):
    """The first step at which a replay did something else."""

    line: int
    step: Step
    replayed: list[Any]


Line = Header | Step | Scores | Finding

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_headers = msgspec.json.Decoder(Header)


def header_line(
    seed: int, config: SessionConfig, *, redacted: bool, started: str = "", is_counted: bool = False
) -> bytes:
    config = redact(config, SessionConfig) if redacted else config
    return _encoder.encode(Header(SCHEMA, seed, config, redacted, started, is_counted)) + b"\n"


def step_line(item: Input, outputs: Iterable[Output], at: Seconds, *, redacted: bool) -> bytes:
    """One line; a redacted one shows the same words crossed out on both sides."""
    data = plain(outputs)
    if redacted:
        item, data = redact(item, Input), _crossed_out(data, private=False)
    return _encoder.encode(Step(at, item, data)) + b"\n"


def scores_line(heard: Samples, scores: Iterable[float]) -> bytes:
    """One line for windows that follow each other; see `Scores`."""
    return _encoder.encode(Scores(heard, tuple(round(score, 3) for score in scores))) + b"\n"


def finding_line(text: str) -> bytes:
    """One line; see `Finding`."""
    return _encoder.encode(Finding(text)) + b"\n"


def plain(outputs: Iterable[Output]) -> list[Any]:
    """Outputs as plain data. A model's context is named by its items' ids: it would repeat the whole conversation."""
    return [_plain(output) for output in outputs]


def _plain(output: Output) -> Any:
    data = msgspec.to_builtins(output)
    if isinstance(output, Generate | Summarise):
        data["context"] = [item.id for item in output.context]
    return data


def redact(value: Any, type: Any) -> Any:
    """The same value with every letter and digit of its private fields crossed out."""
    return msgspec.convert(_crossed_out(msgspec.to_builtins(value), private=False), type)


def _crossed_out(data: Any, *, private: bool) -> Any:
    match data:
        case dict():
            return {
                key: _crossed_out(value, private=private or key in PRIVATE or key in OPAQUE)
                for key, value in data.items()
            }
        case list() | tuple():
            return [_crossed_out(value, private=private) for value in data]
        case str() if private:
            return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", data))
        case _:
            return data


def read(lines: Iterable[bytes]) -> Iterator[Line]:
    """Parse a trace. The last line may be cut off: then the trace ends before it. Raises `ConfigError` for anything
    else that is not a trace of this schema."""
    held: bytes | None = None
    for number, line in enumerate(lines, 1):
        if number == 1:
            yield _header(line)
            continue
        if held is not None:
            yield _parsed(held, number - 1)
        held = line
    if held is None:
        return
    try:
        yield _decoder.decode(held)
    except msgspec.DecodeError:
        return


def _header(line: bytes) -> Header:
    try:
        header = _headers.decode(line)
    except msgspec.DecodeError as error:
        raise ConfigError(f"not a trace: {error}", "Give a file that --trace DIR has written.") from None
    if header.schema != SCHEMA:
        raise ConfigError(
            f"the trace has schema {header.schema}, this version reads {SCHEMA}",
            "Replay it with the version that wrote it.",
        )
    return header


def _parsed(line: bytes, number: int) -> Line:
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ConfigError(f"line {number} of the trace: {error}", "The file was changed or damaged.") from None


class Machine(Protocol):
    """What a trace is of."""

    def handle(self, item: Input, now: Seconds) -> list[Output]: ...


def replay(
    lines: Iterable[bytes],
    count_tokens: CountTokens | None = None,
    make: Callable[[SessionConfig, Ids, CountTokens], Machine] = Session,
) -> tuple[int, Difference | None]:
    """Run a trace through a new session. Returns how many steps were replayed, and the first that differs, if any.
    `count_tokens` is for sessions that counted so; `make` knows the machines of other kinds of session. Raises
    `ConfigError`."""
    entries = read(lines)
    header = next(entries, None)
    if not isinstance(header, Header):
        raise ConfigError("the trace is empty", "Give a file that --trace DIR has written.")
    if header.redacted and header.config.relay is not None:
        raise ConfigError(
            "the words of this trace are crossed out, and another server said them",
            "Record the session without trace.redact: what such a server says cannot be read with its words gone.",
        )
    if header.is_counted and count_tokens is None:
        raise ConfigError("the session counted tokens by its model's tokeniser", "Give it: --tokenizer tokenizer.json")
    session = make(header.config, Ids(header.seed), (header.is_counted and count_tokens) or estimated)
    steps = 0
    for number, entry in enumerate(entries, 2):
        if not isinstance(entry, Step):
            continue
        steps += 1
        replayed = plain(session.handle(entry.input, entry.at))
        if header.redacted:
            replayed = _crossed_out(replayed, private=False)
        if not _same(entry.outputs, replayed):
            return steps, Difference(number, entry, replayed)
    return steps, None


def _same(recorded: list[Any], replayed: list[Any]) -> bool:
    """Whether both say the same. A field that came into being after the trace was written counts as its default."""
    if _encoder.encode(recorded) == _encoder.encode(replayed):
        return True
    try:
        return [_completed(output) for output in recorded] == [_completed(output) for output in replayed]
    except msgspec.ValidationError:
        return False


def _completed(output: dict[str, Any]) -> tuple[Any, Any]:
    """An output with all its fields, and the names of a model's context, which `_plain` has put in place of items."""
    context = output.get("context")
    return context, msgspec.convert(output if context is None else {**output, "context": []}, Output)
