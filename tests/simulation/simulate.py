"""Many simulated conversations, on all cores; of each that breaks a law its seed, and a trace to look at.

    make simulate N=10000               whole conversations, on scripted engines
    make simulate N=0 CORE=1000000      the core alone: what happens to it comes as inputs

`antiphon replay --steps build/simulate/whole-17-0.jsonl` then shows what happened under seed 17. A long run says every
half minute how far it is; one that is broken off (Ctrl-C, SIGTERM) says with which seed the next one goes on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from traceback import extract_tb, format_exception_only

import chaos
import click
import laws
import world
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.session import trace
from slope import FEWEST_BLOCKS, Slope, slope_of

BREAKING_OFF = (signal.SIGINT, signal.SIGTERM)
CHUNK = 100  # seeds that a process is given at a time
COLLECTED = 10  # seeds of whole conversations after which what they left is collected: they hold sound
SHOWN = 20  # failures that are written down: the first ones are enough
GROWTH = 2000  # objects that a process may gain after its first chunk: what is rare imports modules
TELLS_S: Seconds = 30.0  # between two words on how far it is
BLOCK = 10  # chunks of which one mean of memory is made


class Chunk(Struct, frozen=True):
    """Seeds that one process has tried, and what came of it."""

    process: int
    objects: int
    """That Python's collector knows of in the process afterwards."""
    memory_bytes: int
    """That the process has resident afterwards."""
    conversations: int
    failures: list[tuple[int, list[str]]]
    """Seeds, and what was wrong."""


# --- in a process of the pool ----------------------------------------------------------------------------------------


def prepare() -> None:
    """Once in a process. What a conversation leaves is collected when it is over, and nothing is looked for before."""
    for sign in BREAKING_OFF:  # the one that has begun them ends them
        signal.signal(sign, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    gc.disable()


def try_whole(seeds: Sequence[int]) -> Chunk:
    """Worlds of whole conversations."""
    count = 0
    failures: list[tuple[int, list[str]]] = []
    for number, seed in enumerate(seeds):
        held, found = 0, []
        try:
            account = world.live(seed)
            held, found = len(account.calls), laws.breaches(account)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            found = [_told(error)]
        count += held
        if found:
            failures.append((seed, found))
        if number % COLLECTED == 0:
            gc.collect()
    return _chunk(count, failures)


def try_core(seeds: Sequence[int]) -> Chunk:
    """Conversations with the core."""
    failures: list[tuple[int, list[str]]] = []
    for seed in seeds:
        try:
            chaos.ended(chaos.told(seed))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            failures.append((seed, [_told(error)]))
    return _chunk(len(seeds), failures)


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frame = extract_tb(error.__traceback__)[-1]
    return f"{format_exception_only(error)[0].strip()} at {Path(frame.filename).name}:{frame.lineno}"


def _chunk(conversations: int, failures: list[tuple[int, list[str]]]) -> Chunk:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Chunk(os.getpid(), len(gc.get_objects()), resident, conversations, failures)


# --- what is left of a failure ---------------------------------------------------------------------------------------


def traces_of(kind: str, seed: int, found: list[str]) -> Iterator[tuple[str, list[bytes]]]:
    """The conversations of this seed, had once more, each with a name and as lines; nothing if they broke off."""
    told = [trace.finding_line(text) for text in found]
    if kind == "core":
        story = chaos.Chaos(seed)
        try:
            story.tell()
            chaos.ended(story)
        except Exception:  # noqa: BLE001 - it is known to fail; its steps are wanted
            pass
        lines = [trace.header_line(1, story.session.config, redacted=False)]
        lines += [trace.step_line(item, out, now, redacted=False) for now, item, out in story.steps]
        yield f"core-{seed}", lines + told
        return
    try:
        account = world.live(seed)
    except Exception:  # noqa: BLE001 - what broke out of a world was said; there is nothing to replay
        return
    for number, call in enumerate(account.calls):
        yield f"whole-{seed}-{number}", laws.recorded(call) + told


class Crowd:
    """All conversations of one kind."""

    def __init__(self, kind: str, folder: Path, seeds: range) -> None:
        self.failures = 0
        self._kind = kind
        self._folder = folder
        self._seeds = seeds
        self._tried = 0
        """Seeds, in order and without a gap."""
        self._conversations = 0
        self._began = self._told = time.monotonic()
        self._objects: dict[int, list[int]] = {}
        """Of each process, after each of its chunks."""
        self._looks: dict[int, list[tuple[float, int]]] = {}
        """Of each process: chunks that it has done, and what was resident after them."""

    @property
    def next_seed(self) -> int:
        """Where a run that goes on with this one begins."""
        return self._seeds.start + self._tried

    def take(self, chunk: Chunk, seeds: int) -> None:
        """The next one has been tried, of so many seeds."""
        self._tried += seeds
        self._conversations += chunk.conversations
        self._objects.setdefault(chunk.process, []).append(chunk.objects)
        looks = self._looks.setdefault(chunk.process, [])
        looks.append((len(looks), chunk.memory_bytes))
        for seed, found in chunk.failures:
            self.failures += 1
            if self.failures <= SHOWN:
                self._show(seed, found)
        now = time.monotonic()
        if now - self._told >= TELLS_S:
            self._told = now
            rate = self._tried / (now - self._began)
            click.echo(
                f"{self._tried:,} of {len(self._seeds):,} seeds ({self._kind}), {rate:.0f} a second; "
                f"{self.failures} broke a law; the next is {self.next_seed}",
                err=True,
            )

    def _show(self, seed: int, found: list[str]) -> None:
        click.echo(f"seed {seed} breaks {len(found)}:")
        for text in found[:5]:
            click.echo(f"  {text}")
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, lines in traces_of(self._kind, seed, found):
            path = self._folder / f"{name}.jsonl"
            path.write_bytes(b"".join(lines))
            click.echo(f"  antiphon replay --steps {path}")

    def sum_up(self) -> bool:
        """Say what came of it. Returns whether all was well."""
        seconds = time.monotonic() - self._began
        growth = max((counts[-1] - counts[0] for counts in self._objects.values()), default=0)
        click.echo(
            f"{self._conversations} conversations ({self._kind}) in {seconds:.1f} s, "
            f"{self._conversations / seconds:.0f} a second in {len(self._objects)} processes; "
            f"{self.failures} seeds broke a law; {growth:+d} objects in the process that grew most"
        )
        for looks in self._looks.values():
            slope = _slope(looks)
            if slope is not None:
                click.echo(
                    f"memory of a process, {looks[-1][1] / 1e6:.0f} MB at last: {slope.mean / 1e3:+.1f} ± "
                    f"{slope.margin / 1e3:.1f} kB for every {CHUNK} seeds of the second half, with 95 % confidence"
                )
        return self.failures == 0 and growth < GROWTH


def _slope(looks: list[tuple[float, int]]) -> Slope | None:
    """Of the second half of a run, in bytes a chunk: before it, caches fill. None if that is too short."""
    late = looks[len(looks) // 2 :]
    return slope_of(late, BLOCK) if len(late) >= BLOCK * FEWEST_BLOCKS else None


@click.command()
@click.argument("whole", type=click.IntRange(min=0), default=1000)
@click.option("--core", type=click.IntRange(min=0), default=0, help="Seeds to try on the core alone.")
@click.option("--first", default=0, help="The first seed.")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("build/simulate"), show_default=True)
def main(whole: int, core: int, first: int, processes: int, folder: Path) -> None:
    """Try WHOLE seeds, each a world of one or two conversations. Ends with status 1 if one of them breaks a law."""
    is_well, is_broken_off = True, False

    def break_off(*_: object) -> None:
        """After the chunk that is looked at: an exception in the middle of the pool's own work may leave it locked."""
        nonlocal is_broken_off
        is_broken_off = True

    for sign in BREAKING_OFF:
        signal.signal(sign, break_off)
    for kind, attempt, count in (("whole", try_whole, whole), ("core", try_core, core)):
        if not count:
            continue
        crowd = Crowd(kind, folder, range(first, first + count))
        chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
        pool = ProcessPoolExecutor(processes, initializer=prepare)
        try:
            for seeds, chunk in zip(chunks, pool.map(attempt, chunks), strict=True):
                crowd.take(chunk, len(seeds))
                if is_broken_off:
                    click.echo(f"broken off: {kind} goes on with FIRST={crowd.next_seed}")
                    is_well = False
                    break
        finally:
            pool.shutdown(cancel_futures=True)
        is_well &= crowd.sum_up()
        if is_broken_off:
            break
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
