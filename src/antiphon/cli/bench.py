"""`antiphon bench URL`: how a Realtime server holds many conversations at once."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from antiphon.cli.options import Destination

if TYPE_CHECKING:
    from antiphon.bench.crowd import Live

CORE = 1  # the second: the server has the first, where one has a choice


@click.command("bench")
@click.argument("url", default="ws://127.0.0.1:8765/v1/realtime")
@click.option("-n", "--sessions", type=click.IntRange(1, 2000), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(5, 86_400), default=30.0, show_default=True, help="To talk for.")
@click.option("--webrtc", is_flag=True, help="Make calls, at the address that the WebSocket's has for them.")
@click.option("--key", envvar="ANTIPHON_BENCH_KEY", help="API key. Better in ANTIPHON_BENCH_KEY than here.")
@click.option(
    "--audio", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="WAV files to say."
)
@click.option("--room", type=click.FloatRange(-90, -20), default=-50.0, show_default=True, help="Its noise, in dBFS.")
@click.option("--interrupt", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of answers.")
@click.option("--patience", type=click.FloatRange(1, 120), default=10.0, show_default=True, help="For an answer, in s.")
@click.option(
    "--own-ms", type=float, help="What engines and end-of-turn silence take by themselves; the rest is told as added."
)
@click.option("--server-pid", type=int, help="The server's process on this machine, to measure what it uses.")
@click.option("--json", "json_path", type=Destination(), help="Write all figures here.")
@click.option("--html", "html_path", type=Destination(), help="Write a page with a picture here.")
def command(
    url: str,
    sessions: int,
    seconds: float,
    webrtc: bool,
    key: str | None,
    audio: tuple[Path, ...],
    room: float,
    interrupt: float,
    patience: float,
    own_ms: float | None,
    server_pid: int | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Call a Realtime server at URL many times at once, talk in real time, and say how long the answers took.

    Any server of the protocol will do that takes 24 kHz PCM and ends turns by itself. Ends with status 1 if a turn was
    missed or a connection lost.
    """
    import msgspec
    import uvloop

    from antiphon.bench.crowd import Wish
    from antiphon.bench.result import Result, lines, page
    from antiphon.bench.run import over_webrtc, over_websocket
    from antiphon.bench.sound import recorded, spoken
    from antiphon.bench.talker import Plan

    _stay_on_the_second_core()
    plan = Plan(interrupt_share=interrupt, patience_s=patience)
    wish = Wish(url, sessions, seconds, plan, own_ms, server_pid)

    recordings = recorded(audio)

    async def measure() -> Result:
        said = recordings or await spoken()
        return await (over_webrtc if webrtc else over_websocket)(wish, said, room, key, _show)

    result = uvloop.run(measure())
    if sys.stderr.isatty():
        click.echo(err=True)
    for line in lines(result):
        click.echo(line)
    if json_path is not None:
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    if html_path is not None:
        html_path.write_text(page(result))
    sys.exit(1 if result.missed or result.lost else 0)


def _show(live: Live) -> None:
    """One line that changes, where somebody looks at it."""
    if sys.stderr.isatty():
        said = f"{live.elapsed_s:5.0f} s  {live.answered} answers, {live.missed} missed, last {live.last_ms:.0f} ms"
        click.echo(f"\r{said:<70}", nl=False, err=True)


def _stay_on_the_second_core() -> None:
    with contextlib.suppress(AttributeError, OSError):  # where the system lets one choose and has it
        if CORE in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {CORE})
