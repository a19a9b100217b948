"""Phrases that are said again and again, in the voice that said them first: fillers, a greeting.

Each is synthesised once for each voice, speed and language, whoever asks; and when the voice cannot be reached, what
is known of the phrase is said, in whatever manner that is. It does not know what a phrase is for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.engines.api import Tts, TtsRequest
from antiphon.errors import EngineError
from antiphon.session.clauses import ClauseSplitter
from antiphon.session.spoken_text import SpokenText

MOST_BYTES = 12_000_000  # 125 s of float32 at 24 kHz: apologies in four languages, a few phrases in a few dozen voices

Key = tuple[str, TtsRequest]


class KeptPhrases:
    """A voice with a memory. Those that were not used for longest are forgotten first."""

    def __init__(self, tts: Tts, most_bytes: int = MOST_BYTES) -> None:
        self._tts = tts
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, Pcm] = OrderedDict()
        self._bytes = 0

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """As the voice's own `speak`; the second time all of it at once. What was broken off is not kept."""
        text = text.strip()
        key = (text, request)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            yield known
            return
        chunks: list[Pcm] = []
        try:
            async for chunk in self._tts.speak(text, request):
                chunks.append(chunk)
                yield chunk
        except EngineError:
            similar = self._similar(text, request)
            if chunks or similar is None:
                raise
            yield similar
            return
        if chunks:
            self._keep(key, np.concatenate(chunks))

    async def learn(self, text: str, request: TtsRequest) -> None:
        """Have a phrase ready, piece by piece as it will be said. Raises `EngineError` if the voice fails."""
        splitter, spoken_text = ClauseSplitter(request.language), SpokenText()
        for clause in (*splitter.feed(text, 0.0), *splitter.finish()):
            words = spoken_text.feed(clause)
            if words:
                async for _ in self.speak(words, request):
                    pass

    def _similar(self, text: str, request: TtsRequest) -> Pcm | None:
        """The same words in another manner; in the same voice, if there are such."""
        found = [key for key in self._kept if key[0] == text]
        found.sort(key=lambda key: key[1].voice == request.voice)
        return self._kept[found[-1]] if found else None

    def _keep(self, key: Key, sound: Pcm) -> None:
        if key in self._kept:
            return  # somebody else asked at the same time
        self._kept[key] = sound
        self._bytes += sound.nbytes
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
