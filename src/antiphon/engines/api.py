"""The engines that a voice system needs, each as a small Protocol: Vad, Stt, Llm, Tts, and TurnModel if there is one.

An engine does not know sessions, responses, wire messages or metrics. It is made once per process by its factory in
`engines.registry` and shared by every session; whatever belongs to one utterance or one answer is an argument.
Cancelling the task that iterates an engine's answer stops the work behind it: an HTTP request is closed, a helper
process is told to stop or is replaced. A failure is an `EngineError` with a hint, never silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.units import Pcm
from antiphon.engines.utterance import Utterance

# --- hearing ---------------------------------------------------------------------------------------------------------


class Vad(Protocol):
    """Tells speech from everything else, one window at a time, for many streams at once."""

    window: int
    """Samples at 16 kHz in one window: 512, which is 32 ms, for Silero."""
    memory: int
    """Floats that a stream carries from one window to the next. A fresh stream's are all zero."""
    most_at_once: int
    """Windows of one stream that it takes in one call; 1 if it knows no order in time."""
    most_in_place: int
    """Windows that it scores in less time than a thread takes to be woken, 0.2 ms: up to so many at once are scored on
    the event loop. 0 if it is slower, or holds the GIL."""

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score a batch; runs in a worker thread, unless it is a small one, and must release the GIL while it computes.

        `memories` is [B, memory], a row for each stream. `windows` is [T * B, window] in [-1, 1]: first the streams'
        first windows in the memories' order, then their second ones, and so on. Returns P(speech) as [T * B] in [0, 1],
        in the same order, and the memories after the last windows as [B, memory].
        """
        ...


LogProbs = tuple[tuple[str, float], ...]
"""Each token of a text, and the natural logarithm of its probability, at most 0."""


class TurnModel(Protocol):
    """Tells from the sound of a turn so far whether it is over."""

    async def warm(self) -> None:
        """Load and run once. May be called again; does nothing then."""
        ...

    async def score(self, pcm: Pcm) -> float:
        """P(the turn is over) in [0, 1], for a turn at 16 kHz that ends in a short silence. Off the event loop."""
        ...


class SttRequest(Struct, frozen=True):
    """What is known about an utterance besides its sound."""

    language: str | None = None
    """ISO-639-1 code such as "en", or None to let the recogniser decide."""
    prompt: str | None = None
    """Words to expect, or text that came before."""
    model: str | None = None
    """The model name that the client asked for; an engine may ignore it."""
    purpose: Literal["conversation", "transcription"] = "conversation"
    """Whether the words go to our own assistant, so that its grammar may be used, or only onto a screen."""
    logprobs: bool = False
    """Whether somebody wants them; an engine that has none ignores it."""
    is_partial: bool = False
    """Whether this is a look at an utterance that goes on: it may wait for others' whole ones, and cut corners."""
    translate: bool = False
    """Whether to write it down in English, whatever was spoken. Only for engines whose `translates` is true."""
    awaits_consent: bool = False
    """Whether the person was just asked something that a yes or a no answers."""


class TranscriptDelta(Struct, frozen=True):
    """More text of an utterance that is still being recognised. Append-only: never taken back."""

    text: str
    logprobs: LogProbs = ()


class Word(Struct, frozen=True):
    """One word, and when it was said: seconds from the beginning of the utterance."""

    text: str
    start_s: float
    end_s: float


class Transcript(Struct, frozen=True):
    """What was said in one utterance, whole."""

    text: str
    """Empty when nothing intelligible was said."""
    language: str | None = None
    """ISO-639-1 code, with or without a region, where the engine knows."""
    confidence: float | None = None
    """In [0, 1], where the engine has one."""
    logprobs: LogProbs = ()
    """Of the whole text, also when deltas had theirs."""
    words: tuple[Word, ...] = ()
    """With their times, where the engine knows them."""


class Stt(Protocol):
    """Turns one utterance into text."""

    languages: frozenset[str] | None
    """ISO-639-1 codes that it understands, or None for any."""

    async def warm(self) -> None:
        """Load and run once, so that the first person does not wait. May be called again; does nothing then."""
        ...

    def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """Yield any number of `TranscriptDelta`, then exactly one `Transcript`.

        `pcm` is the whole utterance at 16 kHz, with up to a second of quiet around it.
        """
        ...


class Hypothesis(Struct, frozen=True):
    """What an utterance that goes on sounds like so far. The text so far is `stable` and `tail` joined."""

    stable: str
    """Append-only: each hypothesis's begins with that of the one before."""
    tail: str
    """May change or go."""


class Listener(Protocol):
    """Turns an utterance into text while it is still being said."""

    def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """Yield any number of `Hypothesis` while the utterance grows, then, once it has ended, exactly one
        `Transcript` of the whole of it. A transcript is its own: it need not begin with what was stable."""
        ...


# --- thinking --------------------------------------------------------------------------------------------------------


class ToolSpec(Struct, frozen=True):
    """A function that the model may call."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of its arguments, an object."""


class Image(Struct, frozen=True):
    """A picture as a data URL, and how closely to look: "auto", "low" or "high"."""

    url: str
    detail: str = "auto"


class UserSaid(Struct, frozen=True, tag="user"):
    text: str
    images: tuple[Image, ...] = ()


class AssistantSaid(Struct, frozen=True, tag="assistant"):
    text: str
    """As far as the person heard it, if it was interrupted."""


class SystemSaid(Struct, frozen=True, tag="system"):
    text: str


class ToolCalled(Struct, frozen=True, tag="tool_call"):
    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


class ToolAnswered(Struct, frozen=True, tag="tool_answer"):
    call_id: str
    output: str


ChatMessage = UserSaid | AssistantSaid | SystemSaid | ToolCalled | ToolAnswered


class LlmRequest(Struct, frozen=True):
    """One question to a model: everything that it may know."""

    messages: tuple[ChatMessage, ...]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    """"auto", "none", "required", or {"type": "function", "name": ...}."""
    max_tokens: int | None = None
    model: str | None = None
    """The model name that the client asked for; an engine may ignore it."""
    hints: Mapping[str, Any] = {}
    """Wishes that some models know: "parallel_tool_calls" (bool), "reasoning" ({"effort": ...})."""


class TextDelta(Struct, frozen=True):
    """More text of the answer."""

    text: str


class CallDelta(Struct, frozen=True):
    """More of a function call. The first one for an `index` carries `call_id` and `name`, later ones may not."""

    index: int
    call_id: str
    name: str
    arguments: str
    """The next piece of the JSON text; pieces join to the whole."""


class LlmUsage(Struct, frozen=True):
    """Tokens that the answer cost; zeros where the engine does not count."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class LlmEnd(Struct, frozen=True):
    """The answer is complete."""

    reason: Literal["stop", "length", "tool_calls", "content_filter"] = "stop"
    usage: LlmUsage = LlmUsage()


class Llm(Protocol):
    """Writes the next answer, or asks for tools to be called."""

    sees: bool
    """Whether it takes images."""

    async def warm(self) -> None:
        """Open connections or load weights. May be called again; does nothing then."""
        ...

    def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        """Yield text and calls as they are written, then exactly one `LlmEnd`."""
        ...


# --- speaking --------------------------------------------------------------------------------------------------------


class TtsRequest(Struct, frozen=True):
    """How to say something."""

    voice: str
    """The voice that the client asked for, by any vendor's name; an engine maps it to one of its own."""
    speed: float = 1.0
    language: str | None = None
    model: str | None = None


class Tts(Protocol):
    """Turns text into sound, one clause at a time."""

    rate: int
    """Samples per second of everything that `speak` yields."""

    async def warm(self) -> None:
        """Start helpers, load weights, say a word into nowhere. May be called again; does nothing then."""
        ...

    def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """Yield chunks of 10-200 ms at `rate`. Stops promptly when cancelled."""
        ...


class WordMark(Struct, frozen=True):
    """A word begins: what stands before it in the text has been said."""

    letters: int
    """How many stand before it."""
    samples: int
    """Where its sound begins, counted from the first sample of the text's, at the voice's `rate`."""


class MarkingTts(Tts, Protocol):
    """A voice that knows when it says each word. Others are cut by proportion when they are interrupted."""

    def speak_marked(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm | WordMark]:
        """As `speak`, with a mark for each word, in order, before or soon after the sound that it is about."""
        ...
