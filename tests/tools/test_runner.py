"""Calls are run in time and in turn, and whatever a tool does, the model is told in a sentence."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from antiphon.engines.api import ToolSpec
from antiphon.testing.virtual_time import run
from antiphon.tools.api import Conduct, ToolContext, ToolError
from antiphon.tools.builtin.reading import ReadMore
from antiphon.tools.builtin.tasks import task_tools
from antiphon.tools.function import tool
from antiphon.tools.registry import Registry
from antiphon.tools.runner import Outcome, TaskOutcome, ToolCall, ToolLimits, ToolRunner, Workroom

Act = Callable[[Mapping[str, Any]], Any]


class Acting:
    """A tool that does what the test says."""

    def __init__(self, act: Act, conduct: Conduct = Conduct(), name: str = "act") -> None:  # noqa: B008 - frozen
        self.spec = ToolSpec(name, "", {"type": "object"})
        self.conduct = conduct
        self._act = act

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        result = self._act(arguments)
        if asyncio.iscoroutine(result):
            result = await result
        return result  # type: ignore[no-any-return]


def workroom(*tools: object, **limits: Any) -> Workroom:
    return Workroom(Registry(tools), ToolLimits(**limits))


def runner(room: Workroom, principal: str = "", folder: str = "") -> ToolRunner:
    context = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "s", lambda text: None, principal, folder)
    return ToolRunner(room, lambda: context)


async def ask(tools: ToolRunner, name: str = "act", call_id: str = "c", **arguments: Any) -> Outcome:
    return await tools.run(ToolCall(call_id, name, json.dumps(arguments)))


def error_of(outcome: Outcome) -> str:
    assert not outcome.ok
    return str(json.loads(outcome.output)["error"])


def told(act: Act, **conduct: Any) -> Outcome:
    async def story() -> Outcome:
        tools = runner(workroom(Acting(act, Conduct(**conduct))))
        outcome = await ask(tools)
        await tools.close()
        return outcome

    return run(story())


# --- what tools do to themselves


def _raising(error: BaseException) -> Act:
    def act(arguments: Mapping[str, Any]) -> None:
        raise error

    return act


def _hanging(arguments: Mapping[str, Any]) -> Any:
    return asyncio.Event().wait()


async def _deaf(seconds: float) -> None:
    """Will not be cancelled."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        try:
            await asyncio.sleep(end - loop.time())
        except asyncio.CancelledError:
            pass


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (_raising(ToolError("the shop is closed.")), "the shop is closed."),
        (_raising(RuntimeError("secret words")), "act failed."),
        (_raising(SystemExit(1)), "act failed."),
        (_raising(KeyboardInterrupt()), "act failed."),
        (_raising(GeneratorExit()), "act failed."),
        (_raising(asyncio.CancelledError()), "act gave up."),
        (_raising(TimeoutError()), "act failed."),
        (_raising(RecursionError()), "act failed."),
        (lambda arguments: {"not": "text"}, "act failed."),
        (lambda arguments: None, "act failed."),
        (_hanging, "act did not answer within 5 seconds."),
        (lambda arguments: _deaf(600), "act did not answer within 5 seconds."),
    ],
)
def test_whatever_a_tool_does_the_model_is_told_in_a_sentence(
    act: Act, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = told(act, deadline_s=5)
    assert outcome.call_id == "c"
    assert error_of(outcome) == sentence
    assert "secret words" not in caplog.text


def test_b10_a_cancelled_call_leaves_the_others_and_their_ids_alone() -> None:
    async def story() -> None:
        def act(arguments: Mapping[str, Any]) -> Any:
            if arguments["n"] == 1:
                raise asyncio.CancelledError
            return asyncio.sleep(0.3, json.dumps(arguments["n"]))

        tools = runner(workroom(Acting(act, Conduct(reads_only=True))))
        outcomes = await asyncio.gather(*(ask(tools, call_id=f"c{n}", n=n) for n in range(3)))
        assert [(each.call_id, each.ok) for each in outcomes] == [("c0", True), ("c1", False), ("c2", True)]
        assert asyncio.get_running_loop().time() == pytest.approx(0.3)

    run(story())


def test_a_long_output_is_cut() -> None:
    outcome = told(lambda arguments: "ü" * 200_000, output_bytes=1_000)
    assert outcome.ok
    assert "of 400,000 bytes are left out here" in outcome.output
    assert len(outcome.output.encode()) < 1_200


def test_what_is_no_tool_is_answered_with_what_is_near() -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(_hanging, name="list_show")))
        assert error_of(await ask(tools, "list_shows")) == (
            "there is no tool called list_shows. Did you mean 'list_show'? Known: list_show."
        )

    run(story())


# --- arguments


@pytest.mark.parametrize("text", ["{", "nothing", "[1]", '"x"', "[" * 100_000, '{"a": NaN}', "{}{}"])
def test_arguments_that_are_none_are_told_and_after_a_few_times_it_is_enough(text: str) -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: "fine"), bad_arguments=3))
        wrong = ToolCall("c", "act", text)
        first, second, third = [error_of(await tools.run(wrong)) for _ in range(3)]
        assert first == second
        assert first.startswith("the arguments of act are wrong: they are not JSON") or "JSON object" in first
        assert third == f"{first} This was attempt 3: do not call it again, and tell the person that it did not work."
        assert (await tools.run(ToolCall("c", "act", " {} "))).output == "fine"
        assert error_of(await tools.run(wrong)) == first

    run(story())


def test_no_arguments_are_an_empty_object() -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: json.dumps(arguments))))
        assert (await tools.run(ToolCall("c", "act", ""))).output == "{}"

    run(story())


# --- whose turn it is


class Meter:
    """How many run at a time."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def run(self, seconds: float = 1.0) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(seconds)
        self.now -= 1
        return "done"


@pytest.mark.parametrize(
    ("conduct", "most"),
    [
        (Conduct(reads_only=True), 3),
        (Conduct(), 1),
        (Conduct(resource="list"), 1),
        (Conduct(resource="file:{n}"), 5),
    ],
)
def test_reading_runs_side_by_side_and_changing_in_turn(conduct: Conduct, most: int) -> None:
    async def story() -> None:
        meter = Meter()
        tools = runner(workroom(Acting(lambda arguments: meter.run(), conduct), parallel=3))
        await asyncio.gather(*(ask(tools, n=n) for n in range(5)))
        assert meter.most == most

    run(story())


@pytest.mark.parametrize(("resource", "most"), [("list", 1), ("", 2)])
def test_a_resource_is_everybodys_and_no_session_waits_for_another_without(resource: str, most: int) -> None:
    async def story() -> None:
        meter = Meter()
        room = workroom(Acting(lambda arguments: meter.run(), Conduct(resource=resource)))
        await asyncio.gather(ask(runner(room)), ask(runner(room)))
        assert meter.most == most

    run(story())


def test_the_deadline_counts_from_the_wish_and_nobody_waits_long_behind_who_does_not_leave() -> None:
    async def story() -> None:
        room = workroom(Acting(lambda arguments: _deaf(30), Conduct(resource="list", deadline_s=5)))
        first, second = await asyncio.gather(ask(runner(room)), ask(runner(room)))
        assert error_of(first) == error_of(second) == "act did not answer within 5 seconds."
        assert asyncio.get_running_loop().time() == 5
        assert error_of(await ask(runner(room))) == "an earlier call has not ended, so this one was not made."
        assert asyncio.get_running_loop().time() == 7
        await asyncio.sleep(30)
        assert error_of(await ask(runner(room))) == "act did not answer within 5 seconds.", (
            "it has left: the turn is free"
        )

    run(story())


def test_what_has_no_name_is_free_again_when_a_call_is_given_up() -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: _deaf(30), Conduct(deadline_s=5))))
        assert error_of(await ask(tools)) == "act did not answer within 5 seconds."
        assert error_of(await ask(tools)) == "act did not answer within 5 seconds.", "its turn has come"

    run(story())


def test_too_many_calls_are_told_apart_from_the_rest() -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: asyncio.sleep(1, "done"), Conduct(reads_only=True))))
        outcomes = await asyncio.gather(*(ask(tools) for _ in range(70)))
        assert sum(each.ok for each in outcomes) == 64
        assert error_of(outcomes[-1]) == "too many calls are waiting already."

    run(story())


# --- cancelling


def test_cancelling_a_call_cancels_its_tool() -> None:
    async def story() -> None:
        left: list[str] = []

        async def act() -> str:
            try:
                await asyncio.sleep(60)
            finally:
                left.append("left")
            return ""

        tools = runner(workroom(Acting(lambda arguments: act())))
        call = asyncio.create_task(ask(tools))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.sleep(0.01)
        assert call.cancelled()
        assert left == ["left"]
        assert len(tools) == 0

    run(story())


def test_closing_waits_for_tools_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: _deaf(100))))
        call = asyncio.create_task(ask(tools))
        await asyncio.sleep(1)
        call.cancel()
        await tools.close()
        assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.01)
        assert "does not end when it is cancelled" in caplog.text
        await asyncio.sleep(100)
        assert len(tools) == 0

    run(story())


# --- what is kept


def counted(conduct: Conduct) -> tuple[object, list[str]]:
    calls: list[str] = []

    @tool(conduct=conduct)
    async def look(what: str = "x") -> str:
        """Look at something."""
        calls.append(what)
        return json.dumps({"seen": what})

    return look, calls


def test_what_only_reads_is_kept_and_what_acts_never_is() -> None:
    async def story(conduct: Conduct, times: int) -> None:
        look, calls = counted(conduct)
        tools = runner(workroom(look))
        for _ in range(2):
            await ask(tools, "look", what="the sea")
        await tools.run(ToolCall("c", "look", ' { "what" :"the sea"} '))
        assert len(calls) == times

    run(story(Conduct(reads_only=True), 1))
    run(story(Conduct(reads_only=True, cache_s=0), 3))
    run(story(Conduct(cache_s=60), 3))


def test_b9_what_was_kept_is_for_the_same_person_and_folder() -> None:
    async def story() -> None:
        look, calls = counted(Conduct(reads_only=True))
        room = workroom(look)
        for principal, folder in (("anna", "/a"), ("anna", "/b"), ("bert", "/a"), ("anna", "/a")):
            await ask(runner(room, principal, folder), "look")
        assert len(calls) == 3

    run(story())


def test_acting_ends_what_was_kept_of_the_same_thing() -> None:
    async def story() -> None:
        look, calls = counted(Conduct(reads_only=True, resource="list"))
        tools = runner(
            workroom(
                look,
                Acting(lambda arguments: "done", Conduct(resource="list"), "change"),
                Acting(lambda arguments: "done", Conduct(resource="mail"), "send"),
            )
        )
        for name, times in (("look", 1), ("send", 1), ("look", 1), ("change", 1), ("look", 2)):
            await ask(tools, name)
            assert len(calls) == times

    run(story())


def test_what_knows_the_moment_is_not_kept_unless_it_says_so() -> None:
    async def story() -> None:
        calls: list[str] = []

        @tool(conduct=Conduct(reads_only=True))
        async def look(context: ToolContext) -> None:
            calls.append(context.session)

        tools = runner(workroom(look))
        await ask(tools, "look")
        await ask(tools, "look")
        assert len(calls) == 2

    run(story())


# --- reading on


def test_what_was_cut_can_be_read_on_to_its_end() -> None:
    async def story() -> None:
        whole = "".join(f"line {number}\n" for number in range(5_000))
        tools = runner(workroom(Acting(lambda arguments: whole), ReadMore(), output_bytes=4_000))
        outcome = await ask(tools)
        assert outcome.output.startswith("line 0\n")
        assert outcome.output.endswith("line 4999\n")
        assert 'read_more(token="t1")' in outcome.output
        read, start = "", 0
        while True:
            more = json.loads((await ask(tools, "read_more", token="t1", start=start)).output)
            read += more["text"]
            if "next_start" not in more:
                break
            start = more["next_start"]
        assert read == whole
        assert "nothing is kept under t9" in error_of(await ask(tools, "read_more", token="t9"))
        assert "whole number" in error_of(await ask(tools, "read_more", token=3))

    run(story())


def test_an_output_from_elsewhere_is_cut_as_ours_are_and_read_on_where_that_is_possible() -> None:
    async def story() -> None:
        whole = "r" * 5_000
        without = await runner(workroom()).shortened(whole, 1_000)
        assert without.startswith("r" * 700 + "\n[4,000 of 5,000 bytes are left out here]\n")
        tools = runner(workroom(ReadMore()))
        assert 'read_more(token="t1")' in await tools.shortened(whole, 1_000)
        assert json.loads((await ask(tools, "read_more", token="t1", start=4_990)).output)["text"] == "r" * 10
        assert await tools.shortened("short", 1_000) == "short"

    run(story())


def test_of_long_outputs_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.tools.runner.MOST_KEPT_CHARS", 10_000)

    async def story() -> None:
        tools = runner(workroom(Acting(lambda arguments: "x" * 6_000), ReadMore(), output_bytes=1_000))
        for _ in range(3):
            await ask(tools)
        assert "nothing is kept" in error_of(await ask(tools, "read_more", token="t2"))
        assert (await ask(tools, "read_more", token="t3")).ok

    run(story())


# --- threads


@pytest.mark.real
def test_a_thread_that_hangs_holds_nothing_but_its_turn() -> None:
    released = threading.Event()

    @tool(conduct=Conduct(deadline_s=0.05, resource="list"))
    def stuck() -> None:
        released.wait(20)

    @tool(conduct=Conduct(deadline_s=0.05, resource="list"))
    def write() -> str:
        return "written"

    async def story() -> None:
        tools = runner(workroom(stuck, write))
        assert error_of(await ask(tools, "stuck")) == "stuck did not answer within 0.05 seconds."
        # It may still be writing: nobody else is let at the list.
        assert error_of(await ask(tools, "write")) == "write did not answer within 0.05 seconds."
        released.set()
        await asyncio.sleep(0.02)
        assert (await ask(tools, "write")).output == "written"
        await tools.close()

    asyncio.run(story())


@pytest.mark.real
def test_a_thread_that_ends_the_process_ends_itself() -> None:
    @tool
    def leave() -> None:
        raise SystemExit(3)

    @tool
    def stop() -> None:
        raise StopIteration

    async def story() -> None:
        tools = runner(workroom(leave, stop))
        assert error_of(await ask(tools, "leave")) == "the tool tried to end the server."
        assert error_of(await ask(tools, "stop")) == "the tool ended without a result."

    asyncio.run(story())


@pytest.mark.real
def test_hung_threads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.tools.threads._places", threading.BoundedSemaphore(2))
    released = threading.Event()

    @tool(conduct=Conduct(reads_only=True, cache_s=0, deadline_s=0.02))
    def stuck() -> None:
        released.wait(20)

    async def story() -> None:
        tools = runner(workroom(stuck))
        answers = [error_of(await ask(tools, "stuck")) for _ in range(3)]
        assert answers[-1] == "too many other tools are at work; try again later."
        released.set()

    asyncio.run(story())


# --- long work


class Listening:
    def __init__(self) -> None:
        self.progress: list[tuple[float, str, str]] = []
        self.outcomes: list[tuple[float, TaskOutcome]] = []

    def progressed(self, call: ToolCall, text: str) -> None:
        self.progress.append((asyncio.get_running_loop().time(), call.call_id, text))

    def ended(self, outcome: TaskOutcome) -> None:
        self.outcomes.append((asyncio.get_running_loop().time(), outcome))


def listened(*tools: object) -> tuple[ToolRunner, Listening]:
    listening = Listening()
    context = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "s", lambda text: None)
    return ToolRunner(workroom(*tools, *task_tools()), lambda: context, listening), listening


@tool(conduct=Conduct(background_after_s=2.0))
async def report(context: ToolContext, pages: int = 5) -> str:
    """Write a report, a page a second."""
    for page in range(pages):
        context.progress(f"page {page} of {pages}")
        await asyncio.sleep(1)
    if pages == 13:
        raise ToolError("no thirteen pages.")
    return f"{pages} pages"


def test_long_work_goes_on_and_its_result_is_told() -> None:
    async def story() -> None:
        tools, listening = listened(report)
        assert (await ask(tools, "report", pages=1)).output == "1 pages"
        outcome = await ask(tools, "report", "c2")
        assert asyncio.get_running_loop().time() == 3
        assert json.loads(outcome.output)["status"] == "started"
        assert json.loads(outcome.output)["task"] == 1
        await asyncio.sleep(0.5)
        tasks = json.loads((await ask(tools, "list_tasks")).output)["tasks"]
        assert tasks == [{"task": 1, "tool": "report", "seconds": 2, "progress": "page 2 of 5"}]
        await asyncio.sleep(60)
        ((when, told),) = listening.outcomes
        assert (when, told.call.call_id, told.output, told.ok) == (6, "c2", "5 pages", True)
        assert [text for _, call, text in listening.progress if call == "c2"][-1] == "page 4 of 5"
        assert json.loads((await ask(tools, "list_tasks")).output)["tasks"] == []
        assert len(tools) == 0

    run(story())


def test_others_do_not_wait_for_what_goes_on_beside_the_conversation() -> None:
    async def story() -> None:
        tools, _ = listened(report, Acting(lambda arguments: asyncio.sleep(0, "done")))
        await ask(tools, "report")
        assert (await ask(tools)).output == "done"
        assert asyncio.get_running_loop().time() == 2
        await asyncio.sleep(60)
        assert (await ask(tools)).output == "done", "the turn was given back once"

    run(story())


def test_long_work_that_fails_says_so_later() -> None:
    async def story() -> None:
        tools, listening = listened(report)
        await ask(tools, "report", pages=13)
        await asyncio.sleep(60)
        assert [(told.output, told.ok) for _, told in listening.outcomes] == [('{"error":"no thirteen pages."}', False)]

    run(story())


def test_long_work_can_be_ended_by_the_model_and_by_its_call() -> None:
    async def story() -> None:
        tools, listening = listened(report)
        await ask(tools, "report", "c1")
        assert (await ask(tools, "cancel_task", task=1)).ok
        assert asyncio.get_running_loop().time() == 2, "nobody waits until it has ended by itself"
        assert error_of(await ask(tools, "cancel_task", task=1)) == "there is no task 1 at work."
        await ask(tools, "report", "c2")
        assert tools.cancel("c2")
        assert not tools.cancel("c9")
        await asyncio.sleep(60)
        # Who asked for it was told; of the other, the model is.
        assert [(told.call.call_id, told.output) for _, told in listening.outcomes] == [
            ("c2", '{"error":"report was cancelled."}')
        ]
        call = asyncio.create_task(ask(tools, "report", "c3"))
        await asyncio.sleep(1)
        assert tools.cancel("c3")
        assert error_of(await call) == "report was cancelled."

    run(story())


@pytest.mark.parametrize("outlives", [True, False])
def test_what_outlives_its_answer_tells_its_result_later(outlives: bool) -> None:
    async def story() -> None:
        done: list[str] = []

        async def book() -> str:
            await asyncio.sleep(5)
            done.append("booked")
            return "booked"

        tools, listening = listened(Acting(lambda arguments: book(), Conduct(outlives_response=outlives)))
        call = asyncio.create_task(ask(tools))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.sleep(60)
        assert call.cancelled()
        assert bool(done) == outlives
        assert [told.output for _, told in listening.outcomes] == ["booked"] * outlives

    run(story())


def test_a_flood_of_progress_is_heard_now_and_then() -> None:
    async def story() -> None:
        @tool
        async def chatter(context: ToolContext) -> str:
            for number in range(1_000):
                context.progress("x" * 1_000 + str(number))
                await asyncio.sleep(0.001)
            return "done"

        tools, listening = listened(chatter)
        await ask(tools, "chatter")
        assert len(listening.progress) == 4
        assert len(listening.progress[0][2]) == 200

    run(story())


def test_tasks_end_with_their_session() -> None:
    async def story() -> None:
        tools, listening = listened(report)
        await ask(tools, "report")
        await tools.close()
        await asyncio.sleep(60)
        assert listening.outcomes == []
        assert len(tools) == 0

    run(story())
