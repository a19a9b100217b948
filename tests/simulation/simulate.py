"""Many simulated conversations, on all cores; of each that breaks a law its seed, and a trace to look at.

    make simulate N=10000               whole conversations, on scripted engines
    make simulate N=0 CORE=1000000      the core alone: what happens to it comes as inputs

`antiphon replay --steps build/simulate/whole-17-0.jsonl` then shows what happened under seed 17.
"""

from __future__ import annotations

import gc
import os
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

from antiphon.session import trace

CHUNK = 100  # seeds that a process is given at a time
SHOWN = 20  # failures that are written down: the first ones are enough
GROWTH = (
    2000  # objects that a process may have more at its end than after its first chunk: what is rare imports modules
)


class Chunk(Struct, frozen=True):
    """Seeds that one process has tried, and what came of it."""

    process: int
    objects: int
    """That Python's collector knows of in the process afterwards."""
    conversations: int
    failures: list[tuple[int, list[str]]]
    """Seeds, and what was wrong."""


# --- in a process of the pool ----------------------------------------------------------------------------------------


def try_whole(seeds: Sequence[int]) -> Chunk:
    """Worlds of whole conversations."""
    count, failures = 0, []
    for seed in seeds:
        held, found = 0, []
        try:
            account = world.live(seed)
            held, found = len(account.calls), laws.breaches(account)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            found = [_told(error)]
        count += held
        if found:
            failures.append((seed, found))
    return Chunk(os.getpid(), _objects(), count, failures)


def try_core(seeds: Sequence[int]) -> Chunk:
    """Conversations with the core."""
    failures = []
    for seed in seeds:
        try:
            chaos.ended(chaos.told(seed))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            failures.append((seed, [_told(error)]))
    return Chunk(os.getpid(), _objects(), len(seeds), failures)


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frame = extract_tb(error.__traceback__)[-1]
    return f"{format_exception_only(error)[0].strip()} at {Path(frame.filename).name}:{frame.lineno}"


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())


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

    def __init__(self, kind: str, folder: Path) -> None:
        self.failures = 0
        self._kind = kind
        self._folder = folder
        self._conversations = 0
        self._began = time.monotonic()
        self._objects: dict[int, tuple[int, int]] = {}
        """Of each process: after its first chunk, and after its last."""

    def take(self, chunk: Chunk) -> None:
        self._conversations += chunk.conversations
        first, _ = self._objects.get(chunk.process, (chunk.objects, 0))
        self._objects[chunk.process] = first, chunk.objects
        for seed, found in chunk.failures:
            self.failures += 1
            if self.failures <= SHOWN:
                self._show(seed, found)

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
        growth = max((last - first for first, last in self._objects.values()), default=0)
        click.echo(
            f"{self._conversations} conversations ({self._kind}) in {seconds:.1f} s, "
            f"{self._conversations / seconds:.0f} a second in {len(self._objects)} processes; "
            f"{self.failures} seeds broke a law; {growth:+d} objects in the process that grew most"
        )
        return self.failures == 0 and growth < GROWTH


@click.command()
@click.argument("whole", type=click.IntRange(min=0), default=1000)
@click.option("--core", type=click.IntRange(min=0), default=0, help="Seeds to try on the core alone.")
@click.option("--first", default=0, help="The first seed.")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("build/simulate"), show_default=True)
def main(whole: int, core: int, first: int, processes: int, folder: Path) -> None:
    """Try WHOLE seeds, each a world of one or two conversations. Ends with status 1 if one of them breaks a law."""
    is_well = True
    for kind, attempt, count in (("whole", try_whole, whole), ("core", try_core, core)):
        if not count:
            continue
        crowd = Crowd(kind, folder)
        seeds = range(first, first + count)
        with ProcessPoolExecutor(processes) as pool:
            for chunk in pool.map(attempt, (seeds[at : at + CHUNK] for at in range(0, count, CHUNK))):
                crowd.take(chunk)
        is_well &= crowd.sum_up()
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
