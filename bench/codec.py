"""What a message costs the server's processor: in, out, and a whole written answer.

Three tables. The first two hold our codec beside what others use for the same message: the standard library's json
with base64, orjson with base64 if it is installed (it is not needed otherwise), and the official client's pydantic
types. All read the same text and must give the same sound, or the bench ends. The third is a text response of 1,000
deltas from the model's words to the frames of the socket, engines and the socket itself left out.

    python bench/codec.py

Processor time of one thread, the best of several runs: what else the machine does adds to the others.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import json
import time
import timeit
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, get_args

from msgspec import Struct
from openai.types.realtime import InputAudioBufferAppendEvent, RealtimeClientEvent, ResponseAudioDeltaEvent
from pydantic import TypeAdapter

from antiphon.protocol import client, server
from antiphon.protocol.codec import decode, encode
from antiphon.protocol.outbound import Projection
from antiphon.session import inputs, outputs
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.session import Session
from antiphon.session.settings import ResponseOptions, SessionConfig, Settings
from common import arguments_of, machine

orjson: ModuleType | None = None
with contextlib.suppress(ImportError):
    orjson = importlib.import_module("orjson")

RUNS = 15
CALLS = 2_000  # in one run
HEARD = bytes(range(240)) * 4  # 20 ms of 16-bit sound at 24 kHz
SPOKEN = bytes(range(240)) * 20  # 100 ms, as our server sends them
DELTAS = 1_000
NOTICES = get_args(outputs.Notice)  # what is told to connections; the rest is for the runtime
APPEND_TARGET_US, DELTA_TARGET_US, ANSWER_TARGET_MS = 3.0, 10.0, 25.0


class Contender(Struct, frozen=True):
    name: str
    work: Callable[[], object]


def append_contenders() -> list[Contender]:
    """Each reads the text of one append, and returns its sound."""
    text = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(HEARD).decode()})
    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)

    def ours() -> bytes:
        message = decode(text)
        assert isinstance(message, client.AudioAppend)
        return message.audio

    def standard() -> bytes:
        return base64.b64decode(json.loads(text)["audio"])

    def official() -> bytes:
        return base64.b64decode(adapter.validate_json(text).audio)

    def official_one() -> bytes:
        """Of this one message, as if its type were known beforehand."""
        return base64.b64decode(InputAudioBufferAppendEvent.model_validate_json(text).audio)

    found = [Contender("antiphon: checked, bytes", ours), Contender("json + base64, unchecked", standard)]
    if orjson is not None:
        loads = orjson.loads
        found.append(Contender("orjson + base64, unchecked", lambda: base64.b64decode(loads(text)["audio"])))
    return [
        *found,
        Contender("pydantic + base64, the one message", official_one),
        Contender("pydantic + base64, any message", official),
    ]


def delta_contenders() -> list[Contender]:
    """Each makes the text of one audio delta."""
    where: dict[str, Any] = {
        "event_id": "event_abc000001",
        "response_id": "resp_KJC06DPdRO9YrxPbCkhdV",
        "item_id": "item_qazwJ7QFMPd3W2XyygNde",
        "output_index": 0,
        "content_index": 0,
    }
    name: Literal["response.output_audio.delta"] = "response.output_audio.delta"

    def ours() -> str:
        return encode(server.AudioDelta(**where, delta=SPOKEN))

    def standard() -> str:
        return json.dumps({"type": name, **where, "delta": base64.b64encode(SPOKEN).decode()})

    def official() -> str:
        delta = base64.b64encode(SPOKEN).decode()
        return ResponseAudioDeltaEvent(type=name, **where, delta=delta).model_dump_json()

    found = [Contender("antiphon", ours), Contender("json + base64", standard)]
    if orjson is not None:
        dumps = orjson.dumps

        def fast() -> str:
            text = dumps({"type": name, **where, "delta": base64.b64encode(SPOKEN).decode()})
            return str(text, "ascii")

        found.append(Contender("orjson + base64", fast))
    return [*found, Contender("pydantic + base64", official)]


def compare(title: str, target_us: float, contenders: list[Contender]) -> bool:
    """Print a table; whether the first contender, which is ours, meets the target."""
    wanted = meaning(contenders[0].work())
    print(f"\n{title}; target {target_us:g} µs")
    print(f"{'':38}{'µs':>8}{'times ours':>12}")
    first_us = 0.0
    for contender in contenders:
        if meaning(contender.work()) != wanted:
            raise SystemExit(f"{contender.name} came to something else")
        took_us = best_s(contender.work) * 1e6
        first_us = first_us or took_us
        print(f"{contender.name:38}{took_us:8.2f}{took_us / first_us:12.1f}")
    return first_us <= target_us


def meaning(result: object) -> object:
    """A sound is itself; a text, what it says."""
    return json.loads(result) if isinstance(result, str) else result


def best_s(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    return min(timeit.repeat(work, timer=time.process_time, repeat=RUNS, number=CALLS)) / CALLS


# --- a whole answer --------------------------------------------------------------------------------------------------


def answer() -> tuple[dict[str, float], int]:
    """One text response of `DELTAS` deltas: seconds in each of the three steps, and how many frames came of it."""
    session = Session(SessionConfig(Settings(turn_detection=None, speaks=False)), Ids(1))
    projection = Projection("bench", 0)
    session.handle(inputs.Attach("browser"), 0.0)
    started = session.handle(inputs.CreateResponse("browser", None, ResponseOptions()), 0.0)
    work = next(output.work for output in started if isinstance(output, outputs.Generate))
    story: list[Input] = [inputs.TextWritten(work, "word ")] * DELTAS
    took = dict.fromkeys(("session", "projection", "encoding"), 0.0)
    frames = 0
    clock = time.perf_counter
    for number, item in enumerate([*story, inputs.WritingEnded(work, "stop", 10, DELTAS)]):
        began = clock()
        out = session.handle(item, number / 1000)
        handled = clock()
        messages = [message for output in out if isinstance(output, NOTICES) for message in projection.messages(output)]
        projected = clock()
        texts = [encode(message) for message in messages]
        encoded = clock()
        frames += len(texts)
        took["session"] += handled - began
        took["projection"] += projected - handled
        took["encoding"] += encoded - projected
    return took, frames


def whole_answer_s() -> float:
    """The same without a look at the clock in between: processor time."""
    began = time.process_time()
    answer()
    return time.process_time() - began


def compare_answer() -> bool:
    gc.collect()
    took = [answer() for _ in range(RUNS)]
    total_ms = min(whole_answer_s() for _ in range(RUNS)) * 1000
    steps, frames = min(took, key=lambda run: sum(run[0].values()))
    print(f"\na text response of {DELTAS:,} deltas, {frames:,} frames; target {ANSWER_TARGET_MS:g} ms")
    print(f"{'':38}{'ms':>8}{'µs a delta':>12}")
    for name, step_s in steps.items():
        print(f"{name:38}{step_s * 1000:8.2f}{step_s / DELTAS * 1e6:12.2f}")
    print(f"{'all three, processor time':38}{total_ms:8.2f}{total_ms * 1000 / DELTAS:12.2f}")
    return total_ms <= ANSWER_TARGET_MS


def main() -> None:
    arguments_of(__doc__).parse_args()
    print(machine())
    if orjson is None:
        print("orjson is not installed, and left out: pip install orjson")
    met = [
        compare("reading 20 ms of sound (input_audio_buffer.append)", APPEND_TARGET_US, append_contenders()),
        compare("writing 100 ms of sound (response.output_audio.delta)", DELTA_TARGET_US, delta_contenders()),
        compare_answer(),
    ]
    print("\nevery target is met" if all(met) else "\nnot every target is met")


if __name__ == "__main__":
    main()
