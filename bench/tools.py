"""What tools cost, and what the founding documents' own ways cost beside them.

    python bench/tools.py                  about half a minute, one core

Each figure has its limit behind it. Costs are processor time, waits are the loop's clock. "theirs" is the way that the
founding documents describe, written here as they describe it: a cache keyed by name and arguments in a list, gather
without limits, a cut by characters. What a call of a tool costs is everything between a model's last byte and the
input that carries the outcome, less the tool itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from antiphon.engines.llm.tokens import token_counter
from antiphon.session import inputs, outputs
from antiphon.session.ids import Ids
from antiphon.session.items import Message, Role, Text
from antiphon.session.session import Session
from antiphon.session.settings import FunctionTool, ResponseOptions, SessionConfig, Settings
from antiphon.session.truncation import CountTokens, estimated, tokens_of
from antiphon.tools.api import Conduct, ToolContext
from antiphon.tools.function import tool
from antiphon.tools.output import cut, fitted
from antiphon.tools.registry import Registry
from antiphon.tools.runner import ToolCall, ToolRunner, Workroom
from common import machine

CONTEXT = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "s", lambda text: None)


@tool(conduct=Conduct(resource="bench"))
async def act(words: str, times: int = 1) -> dict[str, Any]:
    """Do nothing."""
    return {"words": words, "times": times}


@tool(conduct=Conduct(reads_only=True))
async def look(words: str) -> dict[str, Any]:
    """Look at nothing."""
    return {"words": words}


@tool(conduct=Conduct(reads_only=True, cache_s=0.0))
async def wait(number: int) -> int:
    """Take 300 ms, as a service far away does."""
    await asyncio.sleep(0.3)
    return number


@tool
def block() -> str:
    """Run in a thread."""
    return "done"


def runner() -> ToolRunner:
    return ToolRunner(Workroom(Registry([act, look, wait, block])), lambda: CONTEXT)


def say(what: str, ours: float, unit: str, limit: str, theirs: float | None = None) -> None:
    beside = f"{theirs:10.2f}" if theirs is not None else f"{'–':>10}"
    print(f"{what:<52}{ours:10.2f}{beside}  {unit:<3} {limit}")


async def each_us(run: Callable[[], Awaitable[object]], times: int) -> float:
    """Processor time of one, in microseconds."""
    for _ in range(times // 10):
        await run()
    start = time.process_time()
    for _ in range(times):
        await run()
    return (time.process_time() - start) / times * 1e6


def once_us(run: Callable[[], object], times: int) -> float:
    for _ in range(times // 10 + 1):
        run()
    start = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - start) / times * 1e6


# --- calls


async def calls() -> None:
    tools = runner()
    arguments = '{"words": "milk and bread", "times": 2}'
    cost = await each_us(lambda: tools.run(ToolCall("c", "act", arguments)), 5_000)
    say("a call of an async tool that changes things", cost / 1000, "ms", "at most 1")
    cost = await each_us(lambda: tools.run(ToolCall("c", "block", "{}")), 2_000)
    say("a call of a tool in a thread", cost / 1000, "ms", "at most 1")
    hit = await each_us(lambda: tools.run(ToolCall("c", "look", '{"words": "milk"}')), 20_000)
    question = next(iter(tools._room.cache._kept))
    inside = once_us(lambda: tools._room.cache.get(question, ""), 200_000)
    theirs = _their_cache()
    say("a hit of the cache", inside, "µs", "at most 5", once_us(lambda: theirs("look", {"words": "milk"}), 50_000))
    say("a call that the cache answers, parsed, keyed and cut", hit, "µs", "")
    loop = asyncio.get_running_loop()
    start = loop.time()
    outcomes = await asyncio.gather(*(tools.run(ToolCall(f"c{n}", "wait", f'{{"number": {n}}}')) for n in range(3)))
    took = (loop.time() - start) * 1000
    assert [(each.call_id, each.output) for each in outcomes] == [("c0", "0"), ("c1", "1"), ("c2", "2")]
    start = loop.time()
    for _ in range(3):
        await asyncio.sleep(0.3)
    say("three calls of 300 ms at once", took, "ms", "at most 310", (loop.time() - start) * 1000)


def _their_cache() -> Callable[[str, dict[str, Any]], object]:
    """A hash of name and arguments, a dictionary, and a list of what was used last, full as it is after a while."""
    kept: dict[str, tuple[object, float]] = {}
    order: list[str] = []

    def get(name: str, arguments: dict[str, Any]) -> object:
        key = hashlib.sha256(f"{name}:{json.dumps(arguments, sort_keys=True)}".encode()).hexdigest()
        if key in kept and time.monotonic() - kept[key][1] < 30:
            order.remove(key)
            order.append(key)
            return kept[key][0]
        kept[key] = (arguments, time.monotonic())
        order.append(key)
        return arguments

    for number in range(99):
        get("look", {"words": str(number)})
    get("look", {"words": "milk"})
    return get


async def start_of_a_call() -> None:
    """From the session's input with the last byte of the arguments to the first line of the tool."""
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(200):
        began: asyncio.Future[float] = loop.create_future()
        session, work = _asked()
        registry = Registry([_stamping(began)])
        tools = ToolRunner(Workroom(registry), lambda: CONTEXT)
        start = time.perf_counter()
        out = session.handle(inputs.CallWritten(work, 0, "c", "stamp", '{"words": "now"}'), loop.time())
        run = next(each for each in out if isinstance(each, outputs.RunTool))
        call = asyncio.create_task(tools.run(ToolCall(run.call_id, run.name, run.arguments)))
        waits.append((await began - start) * 1000)
        await call
    waits.sort()
    say("from the last byte of arguments to the tool (p95)", waits[len(waits) * 95 // 100], "ms", "at most 2")


def _stamping(began: asyncio.Future[float]) -> Any:
    @tool(name="stamp")
    async def stamp(words: str) -> None:
        """Say when it began."""
        began.set_result(time.perf_counter())

    return stamp


def _asked() -> tuple[Session, int]:
    """A session whose model is being asked, and the number of that work."""
    config = SessionConfig(Settings(speaks=False), server_tools=(FunctionTool("stamp"),))
    session = Session(config, Ids(1))
    session.handle(inputs.Attach("c1"), 0.0)
    session.handle(_said("what time is it"), 0.0)
    out = session.handle(inputs.CreateResponse("c1", None, ResponseOptions()), 0.0)
    return session, next(each.work for each in out if isinstance(each, outputs.Generate))


def _said(text: str) -> inputs.CreateItem:
    return inputs.CreateItem("c1", None, Message("", Role.USER, (Text(text),)))


# --- outputs


def cutting() -> None:
    text = "a line of a hundred letters, more or less, as programs write them when they are asked for much\n" * 1_050
    value = json.dumps({"matches": [{"file": f"f{n}.txt", "line": n, "text": "x" * 60} for n in range(1_000)]})
    theirs = once_us(lambda: text[:20_000] + "... truncated" if len(str(text)) > 20_000 else text, 2_000)
    say("100 kB of text cut", once_us(lambda: cut(text, 20_000), 2_000) / 1000, "ms", "at most 1", theirs / 1000)
    umlauts = "Größenwahn übt Äquilibristik. " * 3_200
    say("100 kB of text with umlauts cut", once_us(lambda: cut(umlauts, 20_000), 2_000) / 1000, "ms", "at most 1")
    say("100 kB of JSON cut inside", once_us(lambda: fitted(value, 20_000), 200) / 1000, "ms", "at most 1")


# --- context


def context(how: str, count: CountTokens) -> None:
    """A conversation of 10,000 turns: what the last thousand cost each, beside the first."""
    config = SessionConfig(Settings(speaks=False), context_tokens=8_000)
    session = Session(config, Ids(1), count)
    session.handle(inputs.Attach("c1"), 0.0)
    costs = []
    for turn in range(10_000):
        start = time.process_time()
        now = turn / 100
        session.handle(_said(f"What about number {turn}, and how does it go together with the one before?"), now)
        out = session.handle(inputs.CreateResponse("c1", None, ResponseOptions()), now)
        asked = next(each for each in out if isinstance(each, outputs.Generate))
        work = asked.work
        session.handle(inputs.TextWritten(work, "It goes well together, as such things do, and nobody minds."), now)
        session.handle(inputs.WritingEnded(work, "stop"), now)
        costs.append(time.process_time() - start)
        assert sum(tokens_of(item, count) for item in asked.context if not turn % 100) <= 8_000
    say(f"one turn {how}, among the first 1,000", sum(costs[:1_000]) * 1000 / 1_000, "ms", "")
    say(f"one turn {how}, among the last 1,000 of 10,000", sum(costs[-1_000:]) * 1000 / 1_000, "ms", "no more")


def tokenizer() -> CountTokens:
    """One of 2,000 tokens, made of our own documents: what a count costs hardly depends on whose it is."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [path.read_text() for path in Path(__file__).parent.parent.glob("docs/*.md")]
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2_000, show_progress=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        made.save(str(path))
        return token_counter(path)


async def main() -> None:
    print(machine())
    print(f"{'':<52}{'ours':>10}{'theirs':>10}")
    await calls()
    await start_of_a_call()
    cutting()
    context("estimated", estimated)
    count = tokenizer()
    context("counted", count)
    text = "a line of a hundred letters, more or less, as programs write them when they are asked for much\n" * 200
    say("20 kB counted by a tokeniser", once_us(lambda: count(text), 100) / 1000, "ms", "")


if __name__ == "__main__":
    uvloop.run(main())
