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
from typing import Any

import click

from antiphon.cli.options import Destination, engine_options, load_config, set_up_log

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
    """Write down what is said in FILES: WAV, WebM, Ogg, MP4, MP3, FLAC."""
    output: Path | None = flags["output"]
    if len(flags["files"]) > 1 and output is not None and str(output) != "-" and not output.is_dir():
        raise click.UsageError(f"-o {output} is one file, for several texts: give a folder that is there.")
    set_up_log(verbose=verbose)
    config = load_config(config_path, stt__engine=stt)
    asyncio.run(_transcribe_all(config, **flags))


async def _transcribe_all(
    config: Any,
    files: tuple[Path, ...],
    language: str | None,
    kind: str,
    output: Path | None,
    **flags: bool,
) -> None:
    from antiphon.engines import registry
    from antiphon.engines.api import SttRequest
    from antiphon.errors import ConfigError
    from antiphon.hearing.hub import HearingHub
    from antiphon.runtime.whole import Ears, in_thread

    choice = registry.choose("stt", config.stt)
    if choice.caveat:
        click.echo(f"{choice.name}: {choice.caveat}", err=True)
    workshop = registry.Workshop(config.models.folder)
    stt: Any = registry.FACTORIES["stt"][choice.name](config.stt, workshop)
    vad: Any = registry.FACTORIES["vad"][registry.choose("vad", config.vad).name](config.vad, workshop)
    if flags["translate"] and not getattr(stt, "translates", False):
        raise ConfigError(f"the recogniser {choice.name} does not translate", "Leave out --translate, or use whisper.")
    purpose = "conversation" if flags["assistant"] else "transcription"
    request = SttRequest(language, purpose=purpose, translate=flags["translate"])  # type: ignore[arg-type]
    hub = HearingHub(vad, gates=True)
    try:
        for path in files:
            text = await _transcribed(path, Ears(hub, stt), request, kind)
            await in_thread(partial(_write, text, path, output, kind, label=len(files) > 1))
    finally:
        await hub.close()
        close = getattr(stt, "close", None)
        if close is not None:
            await close()


async def _transcribed(path: Path, ears: Any, request: Any, kind: str) -> str:
    """The file's text in this format; a bar shows how far it is where somebody looks at one."""
    from contextlib import aclosing

    from antiphon.media.subtitles import Segment
    from antiphon.runtime.live import Final
    from antiphon.runtime.whole import Read, transcribe_file

    segments: list[Segment] = []
    language: str | None = request.language
    events: Any = transcribe_file(path, ears, request)
    with click.progressbar(length=1000, label=path.name, file=sys.stderr) as bar:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Final():
                        if event.text:
                            segments.append(Segment(event.text, event.start_s, event.end_s, event.words))
                            language = event.language or language
                    case Read(done_s, all_s) if all_s:
                        bar.update(min(1000, round(1000 * done_s / all_s)) - bar.pos)
    return _formatted(segments, kind, language)


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


def _write(text: str, path: Path, output: Path | None, kind: str, *, label: bool) -> None:
    if output is None or str(output) == "-":
        click.echo(f"{path}: {text}" if label and kind == "text" else text, nl=False)
        return
    if output.is_dir():
        output = output / (path.stem + SUFFIXES[kind])
    output.write_text(text, encoding="utf-8")
    click.echo(str(output), err=True)
