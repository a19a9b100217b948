"""`antiphon transcribe FILE…`: sound in, text out, through the same recogniser as the server's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from antiphon.cli.options import engine_options, load_config, set_up_log


@click.command("transcribe")
@engine_options
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", help="ISO-639-1 code, such as en.")
@click.option("--assistant", is_flag=True, help="Expect the offline assistant's requests, and nothing else.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Write down what is said in FILES (WAV)."""
    set_up_log(verbose=verbose)
    config = load_config(config_path, stt__engine=stt)
    asyncio.run(_transcribe(config, flags["files"], flags["language"], assistant=flags["assistant"]))


async def _transcribe(config: Any, files: tuple[Path, ...], language: str | None, *, assistant: bool) -> None:
    from antiphon.audio.resample import resampled
    from antiphon.audio.units import HEARING_RATE
    from antiphon.audio.wav import read_wav
    from antiphon.engines import registry
    from antiphon.engines.api import SttRequest, Transcript

    choice = registry.choose("stt", config.stt)
    if choice.caveat:
        click.echo(f"{choice.name}: {choice.caveat}", err=True)
    stt: Any = registry.FACTORIES["stt"][choice.name](config.stt, registry.Workshop())
    request = SttRequest(language, purpose="conversation" if assistant else "transcription")
    try:
        for path in files:
            wav = read_wav(path.read_bytes())
            sound = resampled(wav.pcm, wav.rate_hz, HEARING_RATE)
            async for event in stt.transcribe(sound, request):
                if isinstance(event, Transcript):
                    click.echo(f"{path}: {event.text}" if len(files) > 1 else event.text)
    finally:
        close = getattr(stt, "close", None)
        if close is not None:
            await close()
