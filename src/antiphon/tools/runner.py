"""Runs the calls of one session's models: in turn or side by side, in time, kept and cut.

Whatever a tool does, hang, raise, end the process, return a gigabyte or the wrong thing, the model is told in one
sentence and the conversation goes on. It does not know responses or the wire; a call has an id, and so has its
outcome. Cancelling `run` cancels the tool, unless that says otherwise. This is one of the few places where tasks are
started.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import traceback
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.errors import Bug, did_you_mean
from antiphon.tools.api import BadArguments, Conduct, ToolContext, ToolError
from antiphon.tools.cache import Question, ResultCache
from antiphon.tools.output import fitted
from antiphon.tools.registry import Registered, Registry
from antiphon.tools.threads import STARTED, Thread, in_thread

log = logging.getLogger("antiphon.tools")

BYTES_PER_CHAR = 4  # in UTF-8, at most
LARGE_CHARS = 256_000  # of output: cutting more takes long enough to be done off the event loop
MOST_KEPT_CHARS = 4_000_000  # of one session's outputs, to be read on
READ_MORE = "read_more"  # the tool that reads on, where it is one of ours
PLACE = re.compile(r"\{(\w+)\}")  # of an argument in the name of a resource
LONG_WORK_S: Seconds = 3600.0  # for what may go on beside the conversation, if it says nothing else
PROGRESS_S: Seconds = 0.25  # between two reports of one call
LONGEST_PROGRESS = 200  # characters: it may be said aloud
MOST_WAITING = 64  # calls of one session that are not done: a model that asks for more has lost its way
GIVEN_UP_S: Seconds = 2.0  # that a call which was given up may take to leave, before those behind it give up too
CLOSING_S: Seconds = 2.0  # for tools to leave when the session ends
CLOSING_STEP_S: Seconds = 0.1  # between attempts: a tool that swallows one cancellation seldom swallows the next
"""See `ToolRunner.close`."""


class ToolLimits(Struct, frozen=True):
    """What holds for every tool that says nothing else."""

    deadline_s: Seconds = 60.0
    """Nobody listens to silence for longer."""
    parallel: int = 8
    """Read-only calls of one session at a time."""
    output_bytes: int = 20_000
    """About 5,000 tokens: what a model can read before the person wonders."""
    cache_s: Seconds = 30.0
    cache_entries: int = 1_000
    cache_bytes: int = 16_000_000
    bad_arguments: int = 3
    """Calls of one tool in a row whose arguments are wrong: then the model is told to stop."""


class ToolCall(Struct, frozen=True):
    """A model's wish."""

    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


class Outcome(Struct, frozen=True):
    """What the model is told."""

    call_id: str
    output: str
    ok: bool


class TaskOutcome(Struct, frozen=True):
    """What came of a call that went on after its `Outcome`, or after nobody waited for one any more."""

    call: ToolCall
    output: str
    ok: bool


class Listener(Protocol):
    """Whoever is told what happens beside the calls themselves. Called on the event loop."""

    def progressed(self, call: ToolCall, text: str) -> None:
        """A tool says how far it is: a short text, seldom more than a few times a second."""
        ...

    def ended(self, outcome: TaskOutcome) -> None: ...


class _Nobody:
    def progressed(self, call: ToolCall, text: str) -> None:
        pass

    def ended(self, outcome: TaskOutcome) -> None:
        pass


def _no_context() -> ToolContext:
    raise Bug("a tool was called after its session", "Close what runs tools last.")


class Job(Struct, frozen=True):
    """A call whose tool and arguments are known."""

    registered: Registered
    arguments: Mapping[str, Any]
    resource: str
    """What it reads or changes."""
    call: ToolCall

    @property
    def name(self) -> str:
        return self.registered.name

    @property
    def conduct(self) -> Conduct:
        return self.registered.conduct


class LongTask:
    """A call that goes on beside the conversation."""

    def __init__(self, number: int, job: Job, work: asyncio.Task[str], began: Seconds) -> None:
        self.number = number
        self.job = job
        self.work = work
        self.began = began
        self.progress = ""


class GoesOn(Exception):
    """Not a failure: the call is now the task of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Workroom:
    """What all sessions of a process share: the tools, what they found, and whose turn it is at a resource."""

    def __init__(self, registry: Registry | None = None, limits: ToolLimits | None = None) -> None:
        self.registry = registry or Registry()
        self.limits = limits or ToolLimits()
        self.cache = ResultCache(_now, self.limits.cache_entries, self.limits.cache_bytes)
        self.turns = Turns()


class Turns:
    """One at a time for each name, in the order of asking."""

    def __init__(self, *, yields: bool = False) -> None:
        """Whoever was given up and does not come back keeps its turn, so that nothing else touches what it may still
        be changing; with `yields` it loses it, for what has no name may well be something else."""
        self._yields = yields
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}
        self._holders: dict[str, asyncio.Task[Any]] = {}
        self._frees: dict[asyncio.Task[Any], Callable[[], None]] = {}

    @asynccontextmanager
    async def at(self, name: str, threads: list[Thread], ended: Callable[[], None]) -> AsyncIterator[None]:
        """Wait for the turn, and have it until the block is left and all that is in `threads` then has come back. After
        that, `ended` is called. Raises `ToolError` if whoever has the turn keeps it without coming back."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._users[name] = self._users.get(name, 0) + 1
        try:
            await self._wait(name, lock)
        except BaseException:
            self._leave(name)
            raise
        holder = cast("asyncio.Task[Any]", asyncio.current_task())
        self._holders[name] = holder

        def free() -> None:
            if self._frees.pop(holder, None) is not None:
                lock.release()
                self._leave(name)

        def end() -> None:
            ended()
            free()

        self._frees[holder] = free
        try:
            yield
        finally:
            _when_all_are_done(threads, end)

    def let_go(self, holder: asyncio.Task[Any]) -> None:
        """Whoever waits for the turn of this one need not wait until it ends."""
        free = self._frees.get(holder)
        if free is not None:
            free()

    async def _wait(self, name: str, lock: asyncio.Lock) -> None:
        if not lock.locked():
            await lock.acquire()
            return
        asking = asyncio.create_task(lock.acquire())
        try:
            while not (await asyncio.wait({asking}, timeout=GIVEN_UP_S))[0]:
                holder = self._holders[name]
                if not (holder.done() or holder.cancelling()):
                    continue
                if self._yields:
                    self.let_go(holder)
                else:
                    raise ToolError("an earlier call has not ended, so this one was not made.")
        except BaseException:
            if not asking.cancel():
                lock.release()
            raise

    def _leave(self, name: str) -> None:
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name], self._locks[name]
            self._holders.pop(name, None)


def _when_all_are_done(threads: list[Thread], act: Callable[[], None]) -> None:
    pending = {thread for thread in threads if not thread.done()}

    def done(thread: Thread) -> None:
        pending.discard(thread)
        if not pending:
            act()

    for thread in list(pending):
        thread.add_done_callback(done)
    if not pending:
        act()


class ToolRunner:
    """The calls of one session. Everything is called on the event loop."""

    def __init__(
        self, workroom: Workroom, context: Callable[[], ToolContext], listener: Listener | None = None
    ) -> None:
        """`context` makes what a tool is told of the moment of its call."""
        self._room = workroom
        self._context = context
        self._listener = listener or _Nobody()
        self._running: dict[asyncio.Task[str], Job] = {}
        self._tasks: dict[int, LongTask] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._side_by_side = asyncio.Semaphore(workroom.limits.parallel)
        self._own_turns = Turns(yields=True)
        self._mistakes: dict[str, int] = {}
        self._remainders = Remainders()

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, call: ToolCall) -> Outcome:
        """Run it to its outcome. Never raises anything but `CancelledError`, when it is cancelled itself."""
        try:
            return Outcome(call.call_id, await self._answer(call), True)
        except GoesOn as news:
            return Outcome(call.call_id, started_text(news.number), True)
        except ToolError as error:
            return Outcome(call.call_id, error_text(str(error)), False)

    def cancel(self, call_id: str) -> bool:
        """End the call of this id, wherever it is; the model is told. False if none is at work."""
        works = [work for work, job in self._running.items() if job.call.call_id == call_id]
        for work in works:
            work.cancel()
        return bool(works)

    async def close(self) -> None:
        """Cancel what still runs and wait until it is gone, but no longer than `CLOSING_S`; a tool that will not end is
        left to itself, and logged. Then the tools are told that the session is over."""
        for watching in self._watching:
            watching.cancel()
        for _ in range(round(CLOSING_S / CLOSING_STEP_S)):
            if not self._running:
                break
            for work in self._running:
                work.cancel()
            await asyncio.wait(self._running, timeout=CLOSING_STEP_S)
        for work in self._running:
            log.error("the tool %s does not end when it is cancelled", work.get_name())
        for registered in self._room.registry.leaving:
            await self._leave(registered)
        # They are the session's, which would wait for the garbage collector.
        self._context, self._listener = _no_context, _Nobody()

    async def _leave(self, registered: Registered) -> None:
        try:
            async with asyncio.timeout(CLOSING_S):
                await registered.tool.leave(self._context().session)  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - a border: the tool's own code
            _log_failure(registered.name, error)

    # --- one call

    async def _answer(self, call: ToolCall) -> str:
        registered = self._room.registry.get(call.name)
        if registered is None:
            known = (each.name for each in self._room.registry.offered())
            raise ToolError(f"there is no tool called {call.name}. {did_you_mean(call.name, known)}")
        if len(self._running) >= MOST_WAITING:
            raise ToolError("too many calls are waiting already.")
        try:
            arguments = read_arguments(call.arguments)
            text = await self._found(Job(registered, arguments, resource_of(registered, arguments), call))
        except BadArguments as error:
            raise ToolError(self._complaint(call.name, str(error))) from None
        self._mistakes.pop(call.name, None)
        return await self._fitted(registered, text)

    def _complaint(self, name: str, error: str) -> str:
        self._mistakes[name] = mistakes = self._mistakes.get(name, 0) + 1
        text = f"the arguments of {name} are wrong: {error}"
        if mistakes < self._room.limits.bad_arguments:
            return text
        return f"{text} This was attempt {mistakes}: do not call it again, and tell the person that it did not work."

    async def _found(self, job: Job) -> str:
        """From what was kept, or else from the tool."""
        ttl_s = self._ttl_s(job.registered)
        if ttl_s <= 0:
            return await self._performed(job)
        question = Question(job.name, *self._asker, msgspec.json.encode(job.arguments, order="sorted"))
        return await self._room.cache.found(question, job.resource, ttl_s, partial(self._performed, job))

    @cached_property
    def _asker(self) -> tuple[str, str]:
        """Who asks, and where: the same for a whole session."""
        context = self._context()
        return context.principal, context.folder

    def _ttl_s(self, registered: Registered) -> Seconds:
        conduct = registered.conduct
        if not conduct.reads_only or conduct.background_after_s is not None:
            return 0.0
        if conduct.cache_s is not None:
            return conduct.cache_s
        return 0.0 if getattr(registered.tool, "depends_on_context", True) else self._room.limits.cache_s

    async def _performed(self, job: Job) -> str:
        """The tool's own work, in a task of its own: it can be left behind when it does not end in time."""
        work = asyncio.create_task(self._guarded(job), name=job.name)
        self._running[work] = job
        work.add_done_callback(self._ended)
        began = _now()
        patience_s = job.conduct.background_after_s
        try:
            if patience_s is not None and not (await asyncio.wait({work}, timeout=patience_s))[0]:
                raise GoesOn(self._go_on(job, work, began))
            return await self._waited_for(job, work, began)
        except asyncio.CancelledError:
            if job.conduct.outlives_response:
                self._go_on(job, work, began)
            else:
                work.cancel()
            raise

    async def _waited_for(self, job: Job, work: asyncio.Task[str], began: Seconds) -> str:
        deadline_s = self._deadline_s(job.conduct)
        done, _ = await asyncio.wait({work}, timeout=max(0.0, began + deadline_s - _now()))
        if not done:
            work.cancel()
            raise ToolError(f"{job.name} did not answer within {deadline_s:g} seconds.")
        if work.cancelled():
            raise ToolError(f"{job.name} was cancelled.")
        return work.result()

    def _deadline_s(self, conduct: Conduct) -> Seconds:
        if conduct.deadline_s is not None:
            return conduct.deadline_s
        goes_on = conduct.background_after_s is not None or conduct.outlives_response
        return LONG_WORK_S if goes_on else self._room.limits.deadline_s

    def _ended(self, work: asyncio.Task[str]) -> None:
        self._running.pop(work, None)
        if not work.cancelled():
            work.exception()  # of one that was left behind, nobody else asks

    async def _guarded(self, job: Job) -> str:
        """The border of a tool: whatever breaks inside becomes one sentence."""
        task = cast("asyncio.Task[str]", asyncio.current_task())
        threads: list[Thread] = []
        STARTED.set(threads)
        try:
            async with self._turn(job, threads):
                text: object = await job.registered.tool.call(job.arguments, self._context_of(job, task))
        except ToolError:
            raise
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            raise ToolError(f"{job.name} gave up.") from None
        except (SystemExit, KeyboardInterrupt):
            log.error("the tool %s tried to end the server", job.name)
            raise ToolError(f"{job.name} failed.") from None
        except BaseException as error:  # noqa: BLE001 - a border: the tool's own code
            _log_failure(job.name, error)
            raise ToolError(f"{job.name} failed.") from None
        if not isinstance(text, str):
            log.error("the tool %s returned a %s in place of text", job.name, type(text).__name__)
            raise ToolError(f"{job.name} failed.")
        return text

    def _context_of(self, job: Job, task: asyncio.Task[str]) -> ToolContext:
        loop = asyncio.get_running_loop()
        last: list[Seconds] = []

        def progress(text: str) -> None:
            try:
                loop.call_soon_threadsafe(self._progressed, job, text, last)
            except RuntimeError:
                pass  # the loop has ended: nobody listens

        return msgspec.structs.replace(
            self._context(),
            call_id=job.call.call_id,
            desk=self,
            is_wanted=lambda: not task.cancelling(),
            progress=progress,
        )

    def _progressed(self, job: Job, text: object, last: list[Seconds]) -> None:
        """A tool that tells more than anybody can follow is heard now and then."""
        if last and _now() - last[0] < PROGRESS_S:
            return
        last[:] = [_now()]
        said = str(text)[:LONGEST_PROGRESS]
        for task in self._tasks.values():
            if task.job is job:
                task.progress = said
        self._listener.progressed(job.call, said)

    @asynccontextmanager
    async def _turn(self, job: Job, threads: list[Thread]) -> AsyncIterator[None]:
        """When the call may run: beside others if it changes nothing, otherwise when nobody else changes the same."""
        if job.conduct.reads_only:
            async with self._side_by_side:
                yield
            return
        changed = partial(self._room.cache.changed, job.resource)
        turns = self._room.turns if job.resource else self._own_turns
        async with turns.at(job.resource, threads, changed):
            changed()
            yield

    # --- long work

    def _go_on(self, job: Job, work: asyncio.Task[str], began: Seconds) -> int:
        """Nobody waits here any more; its outcome is told when it is there. Returns the number of the task."""
        if not job.resource:
            self._own_turns.let_go(work)
        task = LongTask(next(self._numbers), job, work, began)
        self._tasks[task.number] = task
        watching = asyncio.create_task(self._watch(task), name=f"task {task.number}")
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return task.number

    async def _watch(self, task: LongTask) -> None:
        job = task.job
        try:
            text = await self._waited_for(job, task.work, task.began)
            output, ok = await self._fitted(job.registered, text), True
        except ToolError as error:
            output, ok = error_text(str(error)), False
        finally:
            known = self._tasks.pop(task.number, None) is not None
        if known:
            self._listener.ended(TaskOutcome(job.call, output, ok))

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """See `Desk`."""
        now = _now()
        return [
            {"task": each.number, "tool": each.job.name, "seconds": round(now - each.began), "progress": each.progress}
            for each in self._tasks.values()
        ]

    def cancel_task(self, number: int) -> bool:
        """See `Desk`. The model that asked for it needs not be told again."""
        task = self._tasks.pop(number, None)
        if task is not None:
            task.work.cancel()
        return task is not None

    # --- its output

    async def _fitted(self, registered: Registered, text: str) -> str:
        return await self.shortened(text, registered.conduct.output_bytes or self._room.limits.output_bytes)

    async def shortened(self, text: str, limit_bytes: int) -> str:
        """As much of an output as the model is given, and how to read on where it can. For outputs of tools that run
        elsewhere too."""
        if len(text) * BYTES_PER_CHAR <= limit_bytes:
            return text
        can_read_on = self._room.registry.get(READ_MORE) is not None
        hint = f'; read on with {READ_MORE}(token="{self._remainders.next_token}")' if can_read_on else ""
        if len(text) <= LARGE_CHARS:
            found = fitted(text, limit_bytes, hint)
        else:
            found = await in_thread(fitted, {"text": text, "limit_bytes": limit_bytes, "hint": hint})
        if found.left_out_bytes and can_read_on:
            self._remainders.keep(text)
        return found.text

    def read_more(self, token: str, start: int) -> str:
        """See `Desk`."""
        return self._remainders.read(token, start, self._room.limits.output_bytes // BYTES_PER_CHAR)


class Remainders:
    """Long outputs of one session that were cut, to be read on. The oldest are given up first."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._number = 0
        self._chars = 0

    @property
    def next_token(self) -> str:
        """Under which the next text will be kept."""
        return f"t{self._number + 1}"

    def keep(self, text: str) -> None:
        """What is too large to be kept whole is kept as far as there is room."""
        self._texts[self.next_token] = text = text[:MOST_KEPT_CHARS]
        self._number += 1
        self._chars += len(text)
        while self._chars > MOST_KEPT_CHARS:
            self._chars -= len(self._texts.popitem(last=False)[1])

    def read(self, token: str, start: int, chars: int) -> str:
        """The next stretch, as JSON with how to go on. Raises `ToolError`."""
        text = self._texts.get(token)
        if text is None:
            raise ToolError(f"nothing is kept under {token} any more; call the tool again and ask it for less.")
        part = text[max(0, start) : max(0, start) + chars]
        following = max(0, start) + len(part)
        more = {"next_start": following} if following < len(text) else {}
        return msgspec.json.encode({"text": part, "total_characters": len(text), **more}).decode()


def read_arguments(text: str) -> Mapping[str, Any]:
    """The arguments of a call. Raises `BadArguments`."""
    try:
        arguments = msgspec.json.decode(text.strip() or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise BadArguments("they are not JSON.") from None
    if not isinstance(arguments, dict):
        raise BadArguments("they are not a JSON object.")
    return arguments


def resource_of(registered: Registered, arguments: Mapping[str, Any]) -> str:
    """What this call reads or changes."""
    pattern = registered.conduct.resource
    if "{" not in pattern:
        return pattern
    return PLACE.sub(lambda found: str(arguments.get(found[1], "")), pattern)


def started_text(number: int) -> str:
    """What the model reads of a call that goes on."""
    return msgspec.json.encode(
        {"status": "started", "task": number, "note": "It goes on; you will be told its result when it is there."}
    ).decode()


def error_text(sentence: str) -> str:
    """What the model reads of an error."""
    return msgspec.json.encode({"error": sentence}).decode()


def _log_failure(name: str, error: BaseException) -> None:
    """Where it broke. What it says may hold what a person said, and is shown only where debugging is wished for."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
    log.error("the tool %s failed: %s at %s", name, type(error).__name__, place)
    log.debug("the tool %s failed", name, exc_info=error)


def _now() -> Seconds:
    return asyncio.get_running_loop().time()
