"""What writes conversations down, in a thread: in batches, by size or by time, and nobody ever waits for it.

Whoever has a change hands it over and goes on. If the disk is slow, changes wait; if it stays slow, or is full, the
newest are given up, counted, and said of their session, rather than memory or anybody's conversation. A change that no
place takes is given up alone. What was handed over is safe from the death of this process once its batch is written,
`BATCH_S` later and the time of the disk. It does not know sessions.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Generator
from typing import TypeVar

from antiphon.store.changes import DAY_S, Change, ItemGone, ItemKept, SessionBegan, SessionEnded
from antiphon.store.drafts import Draft, ItemDraft, draft_weight, made
from antiphon.store.pace import Pace, Pause
from antiphon.store.shelf import BEAT_S, Shelf, Unwritten

log = logging.getLogger("antiphon.store")

BATCH_S = 0.05  # that the first change of a batch waits for others
BATCH_MOST = 500  # changes in one transaction: some 10 ms of work
MOST_WAITING_BYTES = 64 << 20  # an hour of a thousand conversations
MOST_WAITING = 100_000
MOST_BEGUN = 2 * MOST_WAITING  # up to which a session's beginning is taken: without it, nothing of it could be written
RETRY_S = 1.0
PRUNE_EVERY_S = 3600.0
SETTLE_CHECK_S = 0.01
CLOSE_S = 5.0  # a disk that hangs must not keep the process from ending


Weighed = tuple[Change | Draft, int]
"""A change, and the bytes that it was taken to hold when it was handed over."""


class Stop:
    """The last thing in the queue."""


Returned = TypeVar("Returned")
Steps = Generator[Pause, Weighed | Stop | None, Returned]


class Writer:
    """Writes until it is closed. `put`, `waiting` and `close` belong to the event loop."""

    def __init__(self, shelf: Shelf, pace: Pace[Weighed | Stop], *, keep_days: int = 0) -> None:
        """The shelf and the pace are its own from now on. `keep_days` 0 is forever."""
        self.worker = secrets.token_hex(8)
        """What this process is called in the file."""
        self.errors = 0
        """Times that a batch could not be written."""
        self.written = 0
        """Changes that are in the file, newer versions of the same counted once."""
        self._slowest_s = 0.0
        self._keep_s = keep_days * DAY_S
        self._shelf = shelf
        self._pace = pace
        # Each number is written by one side only, so that none needs a lock; differences may be a moment old.
        self._put, self._put_bytes = 0, 0
        self._done, self._done_bytes = 0, 0
        self._lost_of: Counter[str] = Counter()
        self._told_of: Counter[str] = Counter()
        self._lost_in_batches = 0
        self._refused: Counter[str] = Counter()
        """Of the changes lost in batches, how many each session has: the thread's own."""
        self._unbegun: set[str] = set()
        """Sessions that are not over and whose beginning was refused: what comes of them finds no place."""
        self._is_stopping = False
        self._is_over = asyncio.Event()
        pace.begin(self._run(), self._is_over.set)

    @property
    def waiting(self) -> int:
        """Changes that are not written yet."""
        return self._put - self._done

    @property
    def lost(self) -> int:
        """Changes that were given up."""
        return self._lost_of.total() + self._lost_in_batches

    def take_slowest_s(self) -> float:
        """The longest that a batch took since this was last asked."""
        slowest_s, self._slowest_s = self._slowest_s, 0.0
        return slowest_s

    def put(self, change: Change | Draft) -> None:
        """Have it written. Never waits and never fails; what there is no room for is lost and counted."""
        size = draft_weight(change)
        if not self._has_room(change, size):
            if not self._lost_of:
                log.error("conversations come faster than %s takes them: some are not kept", self._shelf.name)
            self._lost_of[change.session_id] += 1
            return
        self._put += 1
        self._put_bytes += size
        self._pace.put((change, size))

    def _has_room(self, change: Change | Draft, size: int) -> bool:
        waiting = self._put - self._done
        if isinstance(change, SessionBegan):
            return waiting < MOST_BEGUN
        return waiting < MOST_WAITING and self._put_bytes - self._done_bytes + size <= MOST_WAITING_BYTES

    async def settle(self, patience_s: float) -> None:
        """Wait until what was handed over before is written, but no longer than this."""
        wanted = self._put
        try:
            async with asyncio.timeout(patience_s):
                while self._done < wanted:  # noqa: ASYNC110 - the thread, which nobody may hold up, tells nobody
                    await asyncio.sleep(SETTLE_CHECK_S)
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Write what waits, and end; or give up after `CLOSE_S`."""
        self._is_stopping = True
        self._pace.put(Stop())
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._is_over.wait()
        except TimeoutError:
            log.error("%d changes of conversations could not be written to %s in time", self.waiting, self._shelf.name)

    def join(self) -> None:
        """Block until the thread has ended."""
        self._pace.join()

    # --- in the thread

    def _run(self) -> Steps[None]:
        try:
            yield from self._write_all()
        except Exception:  # the border of the thread: nothing else is left to tell
            log.exception("conversations are not kept any more")
        finally:
            self._shelf.close()

    def _write_all(self) -> Steps[None]:
        clock = self._pace.clock
        next_beat = next_prune = clock()
        is_last = False
        while not is_last:
            if clock() >= next_beat:
                self._chore(lambda: self._shelf.note_alive(self.worker, self._pace.now()))
                next_beat = clock() + BEAT_S
            if self._keep_s and clock() >= next_prune:
                self._chore(self._prune)
                next_prune = clock() + PRUNE_EVERY_S
            batch, is_last = yield from self._next_batch(max(0.0, next_beat - clock()))
            if batch or is_last:
                yield from self._write(batch)

    def _chore(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except Unwritten as error:
            self._note(error)

    def _prune(self) -> None:
        forgotten = self._shelf.prune(self._pace.now() - self._keep_s)
        if forgotten:
            log.info("%d sessions were old enough to be forgotten", forgotten)

    def _next_batch(self, patience_s: float) -> Steps[tuple[list[Weighed], bool]]:
        """What is to be written next, oldest first, and whether it is the last."""
        batch: list[Weighed] = []
        item = yield Pause(patience_s, until_put=True)
        if item is None:
            return batch, False
        if self._pace.waiting() < BATCH_MOST:
            yield Pause(BATCH_S)  # so that it is woken once for many changes
        while not isinstance(item, Stop):
            batch.append(item)
            if len(batch) == BATCH_MOST or not self._pace.waiting():
                return batch, False
            item = self._pace.take()
        return batch, True

    def _write(self, batch: list[Weighed]) -> Steps[None]:
        """Until it is written, or there is no use in it."""
        changes = self._made(newest([change for change, _ in batch]))
        try:
            yield from self._insist(changes)
        except Unwritten as error:
            if error.may_pass:
                log.error("%d changes of conversations could not be written", len(batch))
                return
            for change in changes:  # one of them is at fault, and shall not take others with it
                yield from self._write_alone(change)
        self._done_bytes += sum(size for _, size in batch)
        self._done += len(batch)

    def _write_alone(self, change: Change) -> Steps[None]:
        try:
            left_out = yield from self._insist([change])
        except Unwritten:
            self._give_up(change)
            return
        if left_out and change.session_id in self._unbegun:
            self._give_up(change)

    def _give_up(self, change: Change | Draft) -> None:
        self._lost_in_batches += 1
        self._refused[change.session_id] += 1
        if isinstance(change, SessionBegan):
            self._unbegun.add(change.session_id)

    def _made(self, drafts: list[Change | Draft]) -> list[Change]:
        changes = []
        for draft in drafts:
            try:
                changes.append(made(draft))
            except Exception:  # the border of one change: a mistake of ours, which shall not take others with it
                log.exception("a change of session %s cannot be put into words", draft.session_id)
                self._give_up(draft)
        return changes

    def _insist(self, changes: list[Change]) -> Steps[int]:
        """Have them written, together; returns how many were left out, since their session is not there. Raises
        `Unwritten` if they never will be, or if there is no more time."""
        given_up = Counter(dict(self._lost_of)) + self._refused  # the copy is one step of the interpreter
        news = given_up - self._told_of
        while True:
            began = self._pace.clock()
            try:
                left_out = self._shelf.write(self.worker, changes, news.items())
                break
            except Unwritten as error:
                self._note(error)
                if not error.may_pass:
                    raise
                yield from self._rest()
                if self._is_stopping:
                    raise
            finally:
                self._slowest_s = max(self._slowest_s, self._pace.clock() - began)
        self._told_of = given_up
        self.written += len(changes) - left_out
        self._unbegun.difference_update(change.session_id for change in changes if isinstance(change, SessionEnded))
        return left_out

    def _rest(self) -> Steps[None]:
        """Wait before the next attempt, as long as there is to be one."""
        until = self._pace.clock() + RETRY_S
        while not self._is_stopping and self._pace.clock() < until:
            yield Pause(BATCH_S)

    def _note(self, error: Unwritten) -> None:
        self.errors += 1
        if self.errors == 1 or self.errors % 60 == 0:
            log.error("conversations cannot be written to %s: %s", self._shelf.name, error.message)


def newest(batch: list[Change | Draft]) -> list[Change | Draft]:
    """The batch without versions of items that a later one replaces."""
    last = {
        (change.session_id, change.item_id): number
        for number, change in enumerate(batch)
        if isinstance(change, ItemDraft | ItemKept | ItemGone)
    }
    return [
        change
        for number, change in enumerate(batch)
        if not isinstance(change, ItemDraft | ItemKept | ItemGone) or last[change.session_id, change.item_id] == number
    ]
