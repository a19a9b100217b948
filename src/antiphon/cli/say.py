"""`antiphon say TEXT`: text in, sound out, through the same voice as the server's."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from antiphon.cli.options import Destination, engine_options, load_config, set_up_log
from antiphon.errors import ConfigError

PLAYERS = (("pw-play",), ("paplay",), ("aplay", "-q"), ("play", "-q"), ("afplay",))


@click.command("say")
@engine_options
@click.argument("text", nargs=-1, required=True)
@click.option("--voice", default="marin", show_default=True)
@click.option("--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True)
@click.option("-o", "--output", type=Destination(), help="WAV file; '-' for standard output. Else it is played.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Speak TEXT."""
    set_up_log(verbose=verbose)
    config = load_config(config_path, tts__engine=tts)
    text = " ".join(flags["text"])
    wav = asyncio.run(_speak(config, text, flags["voice"], flags["speed"]))
    output: Path | None = flags["output"]
    if output is None:
        _play(wav)
    elif str(output) == "-":
        sys.stdout.buffer.write(wav)
    else:
        output.write_bytes(wav)


async def _speak(config: Any, text: str, voice: str, speed: float) -> bytes:
    import numpy as np

    from antiphon.audio.pcm import int16_from_float
    from antiphon.audio.wav import wav_from_mono
    from antiphon.engines import registry
    from antiphon.engines.api import TtsRequest
    from antiphon.session.spoken_text import SpokenText

    workshop = registry.Workshop(config.models.folder)
    tts: Any = registry.make_one("tts", config, workshop)
    try:
        words = SpokenText().feed(text)
        chunks = [chunk async for chunk in tts.speak(words, TtsRequest(voice, speed))] if words else []
    finally:
        close = getattr(tts, "close", None)
        if close is not None:
            await close()
        await workshop.close()
    sound = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    return wav_from_mono(int16_from_float(sound), tts.rate)


def _play(wav: bytes) -> None:
    """By the first program that can: one may be installed whose sound server does not run."""
    players = [command for command in PLAYERS if shutil.which(command[0])]
    for player in players:
        source = "-" if player[0] in ("aplay", "play") else "/dev/stdin"
        if subprocess.run([*player, source], input=wav, check=False).returncode == 0:
            return
    names = ", ".join(player[0] for player in players)
    raise ConfigError(
        f"{names} could not play it" if players else "there is no program here that plays sound",
        "Write a file instead: antiphon say -o out.wav TEXT",
    )
