"""Clients that do anything, legal or not, at any moment, while engines fail, hang and are late.

Hundreds of random conversations go the whole way of a message: decoding, the session, its runtime, the projection and
encoding, under virtual time. In each one the trace checker finds no fault, the session answers at the end, and its
connection still stands. A failure names its seed, and shows the shortest conversation that has it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from antiphon.engines.api import LlmRequest, ToolSpec
from antiphon.engines.fake import Call, Fail, FakeLlm, FakeStt, FakeTts, Hang, Line
from antiphon.errors import EngineError
from antiphon.observe.timeline import Turn
from antiphon.protocol import server
from antiphon.protocol.outbound import Outgoing, Projection
from antiphon.runtime.drive import Drive
from antiphon.session import inputs, outputs
from antiphon.session.items import McpFailure, McpTool
from antiphon.session.outputs import Notice
from antiphon.session.settings import FunctionTool, SessionConfig, Settings, Speculating, Transcription
from antiphon.testing.checker import Judge, official_judge
from antiphon.testing.conversation import Conversation
from antiphon.testing.loopback import Loopback
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext, ToolError
from antiphon.tools.mcp import McpAddresses, McpConnections, McpLimits, McpOutcome

CONVERSATIONS = 240
STEPS = 30
RATE = 24_000
SECOND_OF_VOICE = np.round(9000 * np.sin(2 * np.pi * 300 / RATE * np.arange(RATE))).astype("<i2").tobytes()

Json = dict[str, Any]


class Outcome(Struct, frozen=True):
    """What one conversation came to."""

    said: list[str]
    """What the client did, in order."""
    faults: list[str]
    received: list[Json]


# --- the engines -----------------------------------------------------------------------------------------------------


class Moody:
    """A server-side tool that works, fails, breaks or hangs."""

    spec = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        match self._chance.randrange(6):
            case 0:
                raise ToolError("The clock has stopped.")
            case 1:
                raise ValueError("a spring came out")
            case 2:
                await asyncio.sleep(100)  # longer than a tool may take
            case 3:
                await asyncio.sleep(0.3)
            case _:
                pass
        return "{}"


class Zoo(McpConnections):
    """MCP servers that list and do what chance wants, or do not."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(McpAddresses(), McpLimits())
        self._chance = chance

    async def list_tools(self, number: int) -> tuple[McpTool, ...]:
        await self._take_time()
        names = self._chance.choice(((), ("feed",), ("feed", "count"), ("look",)))
        return tuple(McpTool(name, "", {"type": "object"}, read_only=name == "count") for name in names)

    async def call(self, number: int, name: str, arguments: str) -> McpOutcome:
        await self._take_time()
        if self._chance.random() < 0.3:
            return McpOutcome(failure=McpFailure(self._chance.choice(("tool", "protocol")), "The tiger is out.", 7))
        return McpOutcome("fed")

    async def _take_time(self) -> None:
        match self._chance.randrange(6):
            case 0:
                raise EngineError("the zoo is closed", "Come back tomorrow.", code="mcp_unreachable")
            case 1:
                await asyncio.sleep(self._chance.choice((5, 90)))
            case 2:
                await asyncio.sleep(0.3)
            case _:
                pass


ZOO: Json = {"type": "mcp", "server_label": "zoo", "server_url": "https://zoo.example/mcp"}
ANSWERS: tuple[Line, ...] = (
    "Yes.", "One, two. Three.", "word " * 60, "", " ", "x" * 300, Call("clock"), Call("look", '{"at":"cat"}'),
    Call("none"), Fail(), Fail("context_length"), Hang(),
)  # fmt: skip


class Speaker:
    """Plays answers on the server's side, and says every 20 ms how far it is."""

    name = "speaker"

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._sent: dict[str, int] = {}
        self._played: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def show(self, notice: Notice, audio: bytes) -> None:
        match notice:
            case outputs.AudioSent(response_id=response_id, start=start, stop=stop):
                self._sent[response_id] = self._sent.get(response_id, 0) + stop - start
                self._arm()
            case outputs.PlaybackCleared(response_id):
                self._sent.pop(response_id, None)

    def report(self, turn: Turn) -> None:
        """It takes no interest in where the time went."""

    def close(self, reason: str) -> None:
        self._sent.clear()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0.02, self._play)

    def _play(self) -> None:
        self._timer = None
        waiting = [name for name, sent in self._sent.items() if sent > self._played.get(name, 0)]
        if not waiting:
            return
        name = waiting[0]
        self._played[name] = min(self._sent[name], self._played.get(name, 0) + RATE // 50)
        self._arm()
        self._drive.put(inputs.Played(name, self._played[name]))


class Story:
    """One conversation; every choice in it comes from `seed`."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.is_healthy = False
        self.plays = self.chance.random() < 0.3
        """Whether the server plays the answers itself, as on a call."""
        self.visits_zoo = self.chance.random() < 0.25
        """Whether MCP servers are what it is about."""
        self.said: list[str] = []
        self.names = 0
        self.offered: list[str] = []
        """Ids that the client gave to items of its own."""

    def conversation(self) -> Conversation:
        chance = self.chance
        words: list[str | Fail | Hang] = ["hello", "go on", "", Fail(), Hang()]
        heard = [chance.choices(words, (6, 3, 1, 1, 1))[0] for _ in range(40)]
        settings = Settings(
            transcription=chance.choice((None, Transcription())),
            speaks=chance.random() < 0.7,
            kind="transcription" if chance.random() < 0.1 else "realtime",
        )
        tool = Moody(chance)
        clock = FunctionTool(tool.spec.name, tool.spec.description, tool.spec.parameters)
        config = SessionConfig(
            settings,
            server_tools=(clock,),
            lead_ms=chance.choice((0, 200, 500)),
            max_items=chance.choice((4, 10_000)),
            context_tokens=chance.choice((300, 28_672)),
            speculation=Speculating(answers=chance.random() < 0.7, most_wasted=chance.choice((20, 50_000))),
            barge_in=chance.choice(("auto", "voice", "words")),
            continuous_endpoint=chance.random() < 0.3,
            plays=self.plays,
        )
        delays = [chance.choice((0.0, 0.02, 0.2, 1.0)) for _ in range(4)]
        return Conversation(
            FakeStt([*heard, "hello"], delays[0]),
            FakeLlm(self.line, delays[1], delays[2] / 20),
            FakeTts(
                delays[3],
                times_real_time=chance.choice((0.0, 3.0, 0.8)),
                script=[chance.choice((Fail(), Hang())) for _ in range(chance.choice((0, 0, 0, 1, 2)))],
            ),
            config=config,
            tools=(tool,),
        )

    def line(self, request: LlmRequest) -> Line:
        if self.is_healthy:
            return "I am here."
        calls = [Call(tool.name) for tool in request.tools if tool.name != "clock"]
        return self.chance.choice(calls if calls and self.chance.random() < 0.5 else ANSWERS)

    # --- the client

    def step(self, line: Loopback) -> float:
        """One thing that the client does. Returns how long it then waits, in seconds."""
        acts: tuple[tuple[int, Callable[[Loopback], None]], ...] = (
            (5, self.speak), (3, self.be_silent), (3, self.update), (2, self.work_on_the_buffer), (4, self.add_item),
            (4, self.touch_item), (4, self.ask), (3, self.cancel), (2, self.report), (2, self.approve),
            (2, self.talk_nonsense),
        )  # fmt: skip
        if self.visits_zoo:
            acts = (*acts, (8, self.approve), (4, self.visit_zoo), (4, self.ask))
        weights = [weight for weight, _ in acts]
        self.chance.choices([act for _, act in acts], weights)[0](line)
        return self.chance.choice((0.0, 0.0, 0.001, 0.05, 0.6, 4.0))

    def send(self, line: Loopback, message: Json) -> None:
        if self.chance.random() < 0.7 and "event_id" not in message:
            self.names += 1
            message = {**message, "event_id": f"mine_{self.names}"}
        self.said.append(_abridged(message))
        line.send(message)

    def speak(self, line: Loopback) -> None:
        length = self.chance.choice((0.02, 0.1, 0.5, 1.0))
        self.said.append(f"(a voice for {length} s)")
        line.append(SECOND_OF_VOICE[: 2 * round(length * RATE)])

    def be_silent(self, line: Loopback) -> None:
        length = self.chance.choice((0.1, 0.4, 0.7, 2.0))
        self.said.append(f"(silence for {length} s)")
        line.append(bytes(2 * round(length * RATE)))

    def update(self, line: Loopback) -> None:
        legal: list[Json] = [
            {"audio": {"input": {"turn_detection": None}}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 100}}}},
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}},
            {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}}},
            {"audio": {"input": {"transcription": None, "noise_reduction": {"type": "near_field"}}}},
            {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24_000}}}},
            {"audio": {"output": {"format": {"type": "audio/pcma"}, "voice": "ash", "speed": 1.5}}},
            {"output_modalities": ["text"]},
            {"output_modalities": ["audio"]},
            {"output_modalities": ["audio"], "voice": "a key that nobody reads"},
            {"tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}], "tool_choice": "auto"},
            {"tools": [{"type": "function", "name": "clock"}], "tracing": "auto", "max_output_tokens": 100},
            {"tools": [ZOO | {"require_approval": "never"}]},
            {"tools": [ZOO | {"require_approval": "always", "allowed_tools": ["feed"]}]},
            {
                "tools": [ZOO, {"type": "function", "name": "look"}],
                "tool_choice": {"type": "mcp", "server_label": "zoo"},
            },
            {"tools": []},
            {"instructions": "Be brief.", "truncation": {"type": "retention_ratio", "retention_ratio": 0.5}},
        ]
        illegal: list[Json] = [
            {"type": "translation"},
            {"type": "transcription"},
            {"output_modalities": ["text", "audio"]},
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 7}}}},
            {"audio": {"output": {"speed": 100}}},
            {"instructions": 7},
            {"tools": [ZOO, ZOO]},
            {"tools": [{"type": "mcp", "server_label": "zoo", "connector_id": "connector_gmail"}]},
        ]
        session = self.chance.choice(legal if self.chance.random() < 0.8 else illegal)
        self.send(line, {"type": "session.update", "session": session})

    def work_on_the_buffer(self, line: Loopback) -> None:
        self.send(line, {"type": f"input_audio_buffer.{self.chance.choice(('commit', 'commit', 'clear'))}"})

    def add_item(self, line: Loopback) -> None:
        text = {"type": "input_text", "text": "typed"}
        sound = {"type": "input_audio", "audio": "AAAA" * 1600}
        image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
        items: list[Json] = [
            {"type": "message", "role": "user", "content": [text]},
            {"type": "message", "role": "system", "content": [text]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said before"}]},
            {"type": "message", "role": "user", "content": [sound]},
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "hi"}, text]},
            {"type": "message", "role": "user", "content": [image]},
            {"type": "function_call", "name": "look", "call_id": "call_1", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
            {"type": "function_call_output", "call_id": "nobody's", "output": ""},
            {"type": "message", "role": "user", "content": [sound, sound]},
            {"type": "message", "role": "assistant", "content": [text]},
            {"type": "message", "role": "user", "content": [image | {"image_url": "http://x/y.png"}]},
            {"type": "message", "role": "user", "content": []},
            {"type": "item_reference", "id": "item_1"},
        ]  # fmt: skip
        item = dict(self.chance.choice(items))
        if self.chance.random() < 0.5:
            self.offered.append(self.chance.choice((f"mine{len(self.offered)}", "twice")))
            item["id"] = self.offered[-1]
        message: Json = {"type": "conversation.item.create", "item": item}
        if self.chance.random() < 0.4:
            message["previous_item_id"] = self.chance.choice(("root", self.some_item(line)))
        self.send(line, message)

    def touch_item(self, line: Loopback) -> None:
        act = self.chance.choice(("retrieve", "delete", "truncate", "truncate"))
        message: Json = {"type": f"conversation.item.{act}", "item_id": self.some_item(line)}
        if act == "truncate":
            index, end = self.chance.choice((0, 0, 0, 1)), self.chance.choice((0, 30, 100, 400, 9999))
            spoken = [m["item_id"] for m in line.received if m["type"] == "response.output_audio.done"]
            named = self.chance.choice([*spoken[-3:], message["item_id"]])
            message |= {"item_id": named, "content_index": index, "audio_end_ms": end}
        self.send(line, message)

    def ask(self, line: Loopback) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "by the way"}]}
        wishes: list[Json] = [
            {},
            {"response": None},
            {"response": {"output_modalities": ["text"], "metadata": {"n": "1"}}},
            {"response": {"conversation": "none", "input": [item]}},
            {"response": {"conversation": "none", "input": [], "output_modalities": ["text"]}},
            {"response": {"conversation": "none", "input": [{"type": "item_reference", "id": self.some_item(line)}]}},
            {"response": {"audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "ash"}}}},
            {"response": {"tools": [], "tool_choice": "none", "instructions": "", "max_output_tokens": 7}},
            {"response": {"tools": [ZOO | {"require_approval": "never"}], "output_modalities": ["text"]}},
            {"response": {"output_modalities": []}},
            {"response": {"metadata": {"n": 1}}},
        ]
        self.send(line, {"type": "response.create", **self.chance.choice(wishes)})

    def cancel(self, line: Loopback) -> None:
        wish = self.chance.choice(({}, {}, {"response_id": self.some_response(line)}, {"response_id": "nobody"}))
        self.send(line, {"type": "response.cancel", **wish})

    def visit_zoo(self, line: Loopback) -> None:
        session = {"tools": [ZOO | {"require_approval": self.chance.choice(("always", "never"))}]}
        self.send(line, {"type": "session.update", "session": session})

    def approve(self, line: Loopback) -> None:
        """Or not; or of what nobody has asked."""
        asked = [m["item"]["id"] for m in line.received if m.get("item", {}).get("type") == "mcp_approval_request"]
        item = {
            "type": "mcp_approval_response",
            "approval_request_id": self.chance.choice([*asked[-3:], *asked[-1:], "nobody"]),
            "approve": self.chance.random() < 0.7,
        }
        self.send(line, {"type": "conversation.item.create", "item": item})

    def report(self, line: Loopback) -> None:
        """A client of ours says how much it has played: true or not."""
        played_ms = self.chance.choice((0, 40, 300, 1_000, 100_000))
        self.send(line, {"type": "antiphon.playout", "item_id": self.some_item(line), "played_ms": played_ms})

    def talk_nonsense(self, line: Loopback) -> None:
        if self.chance.random() < 0.5:
            text = self.chance.choice(("", "{", "[]", "7", '"x"', '{"type":"response.create"', "\x00"))
            self.said.append(repr(text))
            line.send_text(text)
            return
        nonsense: list[Json] = [
            {"type": "scooby.dooby.doo"},
            {"type": "output_audio_buffer.clear"},
            {"type": "conversation.item.create"},
            {"type": "input_audio_buffer.append", "audio": "AAA="},
            {"type": "input_audio_buffer.append", "audio": "%"},
            {"type": None},
            {"no": "type"},
            {"type": "response.create", "event_id": 7},
        ]
        self.send(line, self.chance.choice(nonsense))

    def some_item(self, line: Loopback) -> str:
        added: list[str] = [m["item"]["id"] for m in line.received if m["type"] == "conversation.item.added"]
        return self.chance.choice([*added[-6:], *self.offered[-2:], "nobody"])

    def some_response(self, line: Loopback) -> str:
        created: list[str] = [m["response"]["id"] for m in line.received if m["type"] == "response.created"]
        return self.chance.choice([*created[-3:], "nobody"])

    # --- the end

    async def ask_once_more(self, line: Loopback) -> list[str]:
        """Everybody comes to their senses. Whatever happened before, the session answers now."""
        self.is_healthy = True
        off = {"audio": {"input": {"turn_detection": None}}}
        line.send({"type": "session.update", "session": off})
        await line.settle(200)
        for response_id in _running(line):
            line.send({"type": "response.cancel", "response_id": response_id})
        await line.settle(200)
        if any(session["type"] == "transcription" for session in _sessions(line)):
            return []
        before = len(line.received)
        wish = {"conversation": "none", "input": [], "output_modalities": ["text"], "tools": [], "tool_choice": "none"}
        line.send({"type": "response.create", "event_id": "last", "response": wish})
        await line.settle(200)
        done = [m["response"] for m in line.received[before:] if m["type"] == "response.done"]
        if [response["status"] for response in done] == ["completed"]:
            return []
        return [f"the last question was answered with {line.received[before:]}"]


def _running(line: Loopback) -> list[str]:
    created = [m["response"]["id"] for m in line.received if m["type"] == "response.created"]
    done = {m["response"]["id"] for m in line.received if m["type"] == "response.done"}
    return [response_id for response_id in created if response_id not in done]


def _sessions(line: Loopback) -> list[Json]:
    return [m["session"] for m in line.received if "session" in m]


def _abridged(message: Json) -> str:
    text = str(message)
    return text if len(text) < 250 else text[:250] + "…"


async def _tell(seed: int, steps: int, judge: Judge | None) -> Outcome:
    story = Story(seed)
    async with story.conversation() as call:
        call.drive.detach(call.ear)  # it does not know what was sent, and need not be told everything again
        call.drive._workers._mcp = Zoo(story.chance)
        if story.plays:
            call.drive.attach(Speaker(call.drive))
        async with Loopback(call.drive, with_sound=not story.plays, judge=judge) as line:
            for _ in range(steps):
                await line.settle(story.step(line))
            last = await story.ask_once_more(line)
            # A recogniser that hangs is waited for until the connection ends.
            line.checker.finish(hung_up=True)
            faults = [*map(str, line.checker.faults), *last]
            faults += [f"response {response_id} has no response.done" for response_id in _running(line)]
            if line.why is not None:
                faults.append(f"the server hung up: {line.why}")
        return Outcome(story.said, faults, line.received)


def tell(seed: int, steps: int = STEPS, judge: Judge | None = None) -> Outcome:
    return run(_tell(seed, steps, judge))


def check(seed: int) -> None:
    """Raises with the shortest beginning of the conversation that breaks a rule."""
    if not tell(seed).faults:
        return
    for steps in range(STEPS + 1):
        outcome = tell(seed, steps)
        if outcome.faults:
            said, faults = "\n  ".join(outcome.said), "\n  ".join(outcome.faults)
            raise AssertionError(f"conversation {seed}, {steps} steps:\n  {said}\nfaults:\n  {faults}")
    raise AssertionError(f"conversation {seed} failed once, and not again: it does not only depend on its seed")


@pytest.mark.parametrize("seed", range(1_000, 1_005))
def test_a_few_conversations_are_legal(seed: int) -> None:
    """Of which each is short enough to be tried with every change."""
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_whatever_a_client_does_what_it_is_told_is_legal(part: int) -> None:
    for seed in range(part, CONVERSATIONS, 2):
        check(seed)


@pytest.mark.slow
def test_what_is_told_is_valid_by_the_official_types() -> None:
    judge = official_judge()
    assert judge is not None
    for seed in range(1_000, 1_010):
        assert tell(seed, judge=judge).faults == []


def test_a_conversation_is_the_same_whenever_it_is_told() -> None:
    first, second = tell(1), tell(1)
    assert (first.said, first.received) == (second.said, second.received)


@pytest.mark.slow
def test_a_session_that_breaks_a_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the silence of the others would prove nothing."""
    messages = Projection.messages

    def forgetful(projection: Projection, notice: Notice, *sound: Any) -> list[Outgoing]:
        found = messages(projection, notice, *sound)
        return [m for m in found if not (isinstance(m, server.OutputItemDone) and _is_cut(m))]

    monkeypatch.setattr(Projection, "messages", forgetful)
    broken = (seed for seed in range(CONVERSATIONS) if tell(seed).faults)
    complaint = r"conversation \d+, \d+ steps:(?s:.*)R7: item .* has no response.output_item.done"
    with pytest.raises(AssertionError, match=complaint):
        check(next(broken))


def _is_cut(done: server.OutputItemDone) -> bool:
    return getattr(done.item, "status", None) == "incomplete"
