"""Phrases that are said again and again, in the voice that said them first: fillers, a greeting.

Each is synthesised once for each voice, speed and language, whoever asks. It does not know what a phrase is for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.engines.api import Tts, TtsRequest

MOST_BYTES = 8_000_000  # 83 s of float32 at 24 kHz: a few phrases in a few dozen voices

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
        key = (text, request)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            yield known
            return
        chunks = []
        async for chunk in self._tts.speak(text, request):
            chunks.append(chunk)
            yield chunk
        if chunks:
            self._keep(key, np.concatenate(chunks))

    def _keep(self, key: Key, sound: Pcm) -> None:
        if key in self._kept:
            return  # somebody else asked at the same time
        self._kept[key] = sound
        self._bytes += sound.nbytes
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
