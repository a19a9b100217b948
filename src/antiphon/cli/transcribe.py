"""`antiphon transcribe FILE…`: sound in any container and of any length in; text, subtitles or JSON out.

Through the same detector and recogniser as the server's. Files are read piece by piece, so that ten hours need no more
memory than a minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from antiphon.cli.options import Destination, engine_options, load_config, set_up_log
from antiphon.errors import AntiphonError, ConfigError

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

BAR_STEPS = 1000
SUFFIXES = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json"}


@click.command("transcribe")
@engine_options
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", help="ISO-639-1 code, such as en; without, the recogniser decides.")
@click.option("--translate", is_flag=True, help="Write it down in English. Only some recognisers can.")
@click.option("-f", "--format", "kind", type=click.Choice(list(SUFFIXES)), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    type=Destination(may_be_folder=True),
    help="A file to write to, or a folder: then each file's text is put there under its name.",
)
@click.option("--assistant", is_flag=True, help="Expect the offline assistant's requests, and nothing else.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Write down what is said in FILES: WAV, WebM, Ogg, MP4, MP3, FLAC.

    A file that cannot be read does not keep the others from it: it is named, and the status at the end is 1.
    """
    files: tuple[Path, ...] = flags.pop("files")
    work = list(zip(files, _places(files, flags.pop("output"), flags["kind"]), strict=True))
    set_up_log(verbose=verbose)
    config = load_config(config_path, stt__engine=stt)
    failed = asyncio.run(_transcribe_all(config, work, **flags))
    if not failed:
        return
    if len(files) > 1:
        click.echo(f"antiphon: {len(failed)} of {len(files)} files failed: {', '.join(map(str, failed))}", err=True)
    sys.exit(1)


def _places(files: tuple[Path, ...], output: Path | None, kind: str) -> list[Path | None]:
    """Where each file's text goes; None is standard output. Refuses to write a text over another one, or over a file
    that is to be read."""
    if output is None or str(output) == "-":
        return [None] * len(files)
    is_folder = output.is_dir()
    if len(files) > 1 and not is_folder:
        raise click.UsageError(f"-o {output} is one file, for several texts: give a folder that is there.")
    sources: dict[Path, list[Path]] = {}
    places = [output / (path.stem + SUFFIXES[kind]) if is_folder else output for path in files]
    for path, place in zip(files, places, strict=True):
        sources.setdefault(place, []).append(path)
    for place, paths in sources.items():
        if len(paths) > 1:
            raise click.UsageError(
                f"the texts of {', '.join(map(str, paths))} would all be written to {place}: "
                "transcribe them one by one, or into several folders."
            )
    for clash in {path.resolve() for path in files} & {place.resolve() for place in places}:
        raise click.UsageError(f"{clash} is to be read, and would be written over: give another -o.")
    return [*places]


async def _transcribe_all(
    config: Any, work: list[tuple[Path, Path | None]], language: str | None, kind: str, **flags: bool
) -> list[Path]:
    """Transcribe each file to its place. Returns those that failed, which were told; raises `ConfigError` for what
    concerns all of them."""
    from antiphon.engines import registry
    from antiphon.engines.api import SttRequest
    from antiphon.hearing.hub import HearingHub
    from antiphon.runtime.whole import Ears, in_thread

    choice = registry.choose("stt", config.stt)
    if choice.caveat:
        click.echo(f"{choice.name}: {choice.caveat}", err=True)
    workshop = registry.Workshop(config.models.folder)
    stt: Any = registry.make_one("stt", config, workshop)
    if flags["translate"] and not getattr(stt, "translates", False):
        names = ", ".join((choice.name, *(name for _, name in registry.fallbacks("stt", config.stt))))
        raise ConfigError(f"not every recogniser translates: {names}", "Leave out --translate, or use whisper alone.")
    purpose = "conversation" if flags["assistant"] else "transcription"
    request = SttRequest(language, purpose=purpose, translate=flags["translate"])  # type: ignore[arg-type]
    ears = Ears(HearingHub(registry.make_one("vad", config, workshop), gates=True), stt)
    failed: list[Path] = []
    try:
        for path, place in work:
            try:
                text = await _transcribed(path, ears, request, kind)
                if place is None and kind == "text" and len(work) > 1:
                    text = f"{path}: {text}"
                await in_thread(partial(_write, text, place))
            except BrokenPipeError:  # nobody reads any more
                raise
            except (AntiphonError, OSError) as error:
                click.echo(f"antiphon: {path}: {error}", err=True)
                failed.append(path)
    finally:
        await ears.hub.close()
        close = getattr(stt, "close", None)
        if close is not None:
            await close()
        await workshop.close()
    return failed


async def _transcribed(path: Path, ears: Any, request: Any, kind: str) -> str:
    """The file's text in this format; a bar shows how far it is where somebody looks at one."""
    from contextlib import aclosing

    from antiphon.media.subtitles import Segment
    from antiphon.runtime.live import Final
    from antiphon.runtime.whole import Read, transcribe_file

    segments: list[Segment] = []
    language: str | None = request.language
    events: Any = transcribe_file(path, ears, request)
    with _bar(path.name, sys.stderr) as bar:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Final():
                        if event.text:
                            segments.append(Segment(event.text, event.start_s, event.end_s, event.words))
                            language = event.language or language
                    case Read(done_s, share):
                        _show(bar, done_s, share)
    return _formatted(segments, kind, language)


def _bar(name: str, screen: TextIO) -> ProgressBar[int]:
    return click.progressbar(
        length=BAR_STEPS,
        label=name,
        file=screen,
        item_show_func=lambda done_s: None if done_s is None else f"{done_s // 60}:{done_s % 60:02}",
        update_min_steps=0,  # the seconds change when the share does not
    )


def _show(bar: ProgressBar[int], done_s: float, share: float | None) -> None:
    """Both the share and the minutes of sound: a pipe has no share, and the bar only moves."""
    if share is None:
        bar.length = None
        bar.update(1, int(done_s))
    else:
        bar.update(max(0, round(BAR_STEPS * share) - bar.pos), int(done_s))


def _formatted(segments: list[Any], kind: str, language: str | None) -> str:
    from antiphon.media import subtitles

    match kind:
        case "srt":
            return subtitles.srt(segments)
        case "vtt":
            return subtitles.vtt(segments)
        case "json":
            spoken = [
                {
                    "start": round(segment.start_s, 3),
                    "end": round(segment.end_s, 3),
                    "text": segment.text,
                    "words": [
                        {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
                        for word in segment.words
                    ],
                }
                for segment in segments
            ]
            made = {"language": language, "text": subtitles.plain(segments), "segments": spoken}
            return json.dumps(made, ensure_ascii=False, indent=2) + "\n"
        case _:
            return subtitles.plain(segments) + "\n"


def _write(text: str, place: Path | None) -> None:
    if place is None:
        click.echo(text, nl=False)
        return
    place.write_text(text, encoding="utf-8")
    click.echo(str(place), err=True)
