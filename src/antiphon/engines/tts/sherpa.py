"""Local voices by sherpa-onnx: Kokoro, Piper and other VITS voices, and pocket-tts, from a folder on this machine.

A clause is streamed as far as the model streams: sentence by sentence, pocket-tts in pieces of a sentence. Voices that
read phonemes are told them by espeak-ng, which is not in sherpa-onnx any more: in a process of its own, as our voice of
that name. It does not cut text, nor download.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.pcm import guarded
from antiphon.audio.units import Pcm, Seconds
from antiphon.audio.wav import read_wav
from antiphon.engines.api import TtsRequest
from antiphon.engines.pool import Share
from antiphon.engines.stt.sherpa import check_model, figures_of
from antiphon.engines.tts.espeak import Espeak
from antiphon.engines.tts.phonetics import sentences_from
from antiphon.errors import ConfigError, EngineError, NotInstalled

log = logging.getLogger("antiphon.tts")

LONGEST_CHUNK_S: Seconds = 0.2  # what cannot be taken back once it is handed on
SHORTEST_CHUNK_S: Seconds = 0.01
LIMIT_S: Seconds = 120.0
FIRST_WORD = "Hello."
KOKORO_RATE = POCKET_RATE = 24_000
KOKORO_FRAME = 3  # phonemes less than there are styles: one stands before, one behind, and sherpa-onnx wants one more
KOKORO_EN = ("af", "af_bella", "af_nicole", "af_sarah", "af_sky", "am_adam", "am_michael", "bf_emma", "bf_isabella",
             "bm_george", "bm_lewis")  # fmt: skip
"""The voices of kokoro-en, in order."""

Kind = Literal["kokoro", "vits", "pocket"]


class VoiceFiles(Struct, frozen=True):
    """A folder's voice."""

    kind: Kind
    folder: Path
    models: Mapping[str, Path]
    """By their part in sherpa-onnx's configuration."""
    rate_hz: int
    spoken: str | None = None
    """The language whose phonemes it wants to be told, as espeak-ng calls it; None if it reads letters itself."""
    longest: int = 400
    """Phonemes at a time."""


class SherpaTts:
    """`Tts` on a folder."""

    def __init__(
        self, folder: Path, pool: Share, voice: str | None = None, voices: Mapping[str, str] | None = None
    ) -> None:
        """`voice` is spoken whatever is asked for; `voices` are the model's for names that clients ask for. A voice is
        a number, or a name that the model's list has. Raises `ConfigError` for what is no voice."""
        try:
            import sherpa_onnx  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise NotInstalled("sherpa-onnx", "sherpa") from None
        self._files = find_voice(folder)
        self.rate = self._files.rate_hz
        self._pool = pool
        self._voice = voice
        self._voices = voices or {}
        self._tts: Any = None
        self._reference: tuple[NDArray[np.float32], int] | None = None
        self._speller = Espeak()
        self._loading = asyncio.Lock()

    def voices(self) -> list[str]:
        """Names that a client may ask for."""
        return [*self._voices, *(KOKORO_EN if self._files.kind == "kokoro" else ())]

    def languages_of(self, voice: str) -> list[str]:
        """The code of what this model speaks, with any of its voices."""
        return [self._files.spoken or "en"]

    async def warm(self) -> None:
        """Load the weights, and say a word to nobody."""
        async with self._loading:
            if self._tts is None:
                sounds = await self._sounds(FIRST_WORD)
                self._tts = await self._pool.run(lambda: self._load(sounds), limit_s=600)

    async def close(self) -> None:
        """End the helper that spells."""
        await self._speller.close()

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`. Leaving early stops the voice at its next piece."""
        if not any(character.isalnum() for character in text):
            return
        await self.warm()
        sounds = await self._sounds(text)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Pcm | None] = asyncio.Queue()  # bounded by the clause
        is_wanted = True

        def take(samples: NDArray[np.float32], progress: float) -> int:
            loop.call_soon_threadsafe(pieces.put_nowait, np.array(samples, np.float32))
            return int(is_wanted)

        def work() -> None:
            self._generate(text, sounds, request, take)

        making = asyncio.ensure_future(self._pool.run(work, limit_s=LIMIT_S))
        making.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            cutter = _Chunks(self.rate)
            is_silent = True
            while (piece := await pieces.get()) is not None:
                is_silent = False
                for chunk in cutter.feed(guarded(piece).pcm):
                    yield chunk
            try:
                making.result()
            except (RuntimeError, ValueError) as error:
                raise EngineError(f"the voice failed: {error}", "Say it again.", code="tts_failed") from None
            if is_silent:
                raise EngineError("the voice knows none of these words", "Take another one.", code="tts_failed")
            for chunk in cutter.rest():
                yield chunk
        finally:
            is_wanted = False
            making.cancel()

    async def _sounds(self, text: str) -> list[list[int]]:
        """Phonemes of each sentence; none for a voice that reads letters."""
        if self._files.spoken is None:
            return []
        return sentences_from(await self._speller.spell(text, self._files.spoken), self._files.longest)

    def _generate(self, text: str, sounds: list[list[int]], request: TtsRequest, take: Any) -> None:
        from sherpa_onnx import GenerationConfig

        how = GenerationConfig()
        how.speed = min(4.0, max(0.25, request.speed))
        how.sid = self._number(request.voice)
        if sounds:
            how.phoneme_codepoints = sounds
        if self._reference is not None:
            how.reference_audio, how.reference_sample_rate = self._reference
        self._tts.generate(text, how, callback=take)

    def _number(self, asked: str) -> int:
        """Which of the model's voices; the first for a name that it does not know."""
        name = self._voice or self._voices.get(asked, asked)
        if name.isascii() and name.isdigit():
            return min(int(name), max(0, int(self._tts.num_speakers) - 1))
        return KOKORO_EN.index(name) if self._files.kind == "kokoro" and name in KOKORO_EN else 0

    def _load(self, sounds: list[list[int]]) -> Any:
        """The voice, after its first word; `sounds` are that word's."""
        import sherpa_onnx

        files = self._files
        for path in files.models.values():
            if path.suffix == ".onnx":
                check_model(path, needs_figures=files.kind != "pocket")
        model = sherpa_onnx.OfflineTtsModelConfig(num_threads=self._pool.threads_each)
        paths = {name: str(path) for name, path in files.models.items()}
        match files.kind:
            case "kokoro":
                model.kokoro = sherpa_onnx.OfflineTtsKokoroModelConfig(**paths)
            case "vits":
                model.vits = sherpa_onnx.OfflineTtsVitsModelConfig(**paths)
            case "pocket":
                model.pocket = sherpa_onnx.OfflineTtsPocketModelConfig(**paths)
                wav = read_wav((files.folder / REFERENCE).read_bytes())
                self._reference = (wav.pcm, wav.rate_hz)
        config = sherpa_onnx.OfflineTtsConfig(model=model, max_num_sentences=1)
        if not config.validate():
            raise EngineError(
                f"the voice in {files.folder} lacks files", "Remove and pull it again.", code="model_broken"
            )
        self._tts = sherpa_onnx.OfflineTts(config)
        if self._tts.sample_rate != self.rate:
            raise EngineError(
                f"the voice in {files.folder} speaks at {self._tts.sample_rate} Hz, not {self.rate}",
                "It is not the model that its name says.",
                code="model_broken",
            )
        self._generate(FIRST_WORD, sounds, TtsRequest("0"), lambda samples, progress: 1)
        return self._tts


class _Chunks:
    """A model's pieces, cut so that none is too long and none in the middle too short."""

    def __init__(self, rate_hz: int) -> None:
        self._longest = round(LONGEST_CHUNK_S * rate_hz)
        self._shortest = round(SHORTEST_CHUNK_S * rate_hz)
        self._waiting: Pcm = np.zeros(0, np.float32)

    def feed(self, piece: Pcm) -> list[Pcm]:
        sound = np.concatenate((self._waiting, piece))
        made: list[Pcm] = []
        while sound.size >= self._longest + self._shortest:
            made.append(sound[: self._longest])
            sound = sound[self._longest :]
        self._waiting = sound
        return made

    def rest(self) -> list[Pcm]:
        sound, self._waiting = self._waiting, np.zeros(0, np.float32)
        halves = [sound[: self._longest], sound[self._longest :]]
        return [half for half in halves if half.size]


REFERENCE = "voice.wav"
"""Of pocket-tts: some seconds of the voice that it is to speak with."""


def find_voice(folder: Path) -> VoiceFiles:
    """The voice in a folder as sherpa-onnx's releases have them. Raises `ConfigError`."""
    names = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    if "voices.bin" in names and "tokens.txt" in names:
        return _kokoro(folder, names)
    if "tokens.txt" in names:
        return _vits(folder, names)
    if any(name.startswith("lm_flow") for name in names):
        return _pocket(folder, names)
    raise ConfigError(
        f"{folder} holds no voice for sherpa-onnx",
        "Kokoro has voices.bin, VITS has tokens.txt, pocket-tts has lm_flow.onnx. Get one with: "
        "antiphon models pull kokoro-en",
    )


def _kokoro(folder: Path, names: Mapping[str, Path]) -> VoiceFiles:
    model = _one(folder, "model*.onnx")
    figures = _figures(model)
    try:
        longest, _, width = (int(part) for part in figures["style_dim"].split(","))
        styles_bytes = 4 * longest * width * int(figures["n_speakers"])
    except (KeyError, ValueError) as error:
        raise _foreign(model, error) from None
    if names["voices.bin"].stat().st_size != styles_bytes:  # sherpa-onnx would end the process
        raise ConfigError(
            f"{names['voices.bin']} is not of {model.name}: it should have {styles_bytes} bytes", "Pull it again."
        )
    lexicons = [path for name, path in sorted(names.items()) if name.startswith("lexicon") and path.suffix == ".txt"]
    parts = {"model": model, "voices": names["voices.bin"], "tokens": names["tokens.txt"]}
    if lexicons:
        return VoiceFiles("kokoro", folder, parts | {"lexicon": Path(",".join(map(str, lexicons)))}, KOKORO_RATE)
    spoken = figures.get("voice") or "en-us"
    return VoiceFiles("kokoro", folder, parts, KOKORO_RATE, spoken, longest - KOKORO_FRAME)


def _vits(folder: Path, names: Mapping[str, Path]) -> VoiceFiles:
    model = _one(folder, "*.onnx")
    figures = _figures(model)
    try:
        rate_hz = int(figures["sample_rate"])
    except (KeyError, ValueError) as error:
        raise _foreign(model, error) from None
    parts = {"model": model, "tokens": names["tokens.txt"]}
    if "lexicon.txt" in names:
        return VoiceFiles("vits", folder, parts | {"lexicon": names["lexicon.txt"]}, rate_hz)
    return VoiceFiles("vits", folder, parts, rate_hz, figures.get("voice") or figures.get("language") or "en-us")


def _pocket(folder: Path, names: Mapping[str, Path]) -> VoiceFiles:
    if REFERENCE not in names:
        raise ConfigError(f"{folder} has no {REFERENCE}", "Put some seconds of the voice there, as a WAV file.")
    graphs = ("lm_flow", "lm_main", "encoder", "decoder", "text_conditioner")
    parts = {part: _one(folder, f"{part}*.onnx") for part in graphs}
    parts |= {part: _one(folder, part.replace("_json", ".json")) for part in ("vocab_json", "token_scores_json")}
    return VoiceFiles("pocket", folder, parts, POCKET_RATE)


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern), key=lambda path: ("int8" not in path.name, path.name))
    if not found:
        raise ConfigError(f"{folder} has no {pattern}", "Remove and pull it again.")
    return found[0]


def _figures(model: Path) -> Mapping[str, str]:
    try:
        return figures_of(model)
    except EngineError as error:
        raise _foreign(model, error) from None


def _foreign(model: Path, why: object) -> ConfigError:
    return ConfigError(
        f"{model} is no voice that was exported for sherpa-onnx: {why}", "Pull it again: antiphon models list"
    )
