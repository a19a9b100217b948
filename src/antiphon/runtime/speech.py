"""A whole text spoken: clause by clause, as in a conversation, as one stream of sound.

It does not know formats or requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from antiphon.audio.pcm import guarded, int16_from_float
from antiphon.audio.resample import Resampler
from antiphon.audio.units import WIRE_RATE, Pcm, Pcm16
from antiphon.engines.api import Tts, TtsRequest
from antiphon.session.clauses import ClauseSplitter
from antiphon.session.spoken_text import SpokenText


async def spoken(text: str, tts: Tts, request: TtsRequest) -> AsyncIterator[Pcm16]:
    """The text as int16 at 24 kHz, in pieces as the voice makes them; nothing for what has no words.

    One resampler goes through all clauses, so that there is no click between them. Closing the iterator stops the
    voice.
    """
    clauses = ClauseSplitter(request.language)
    now = asyncio.get_running_loop().time()
    words = SpokenText()
    resampler = Resampler(tts.rate, WIRE_RATE)
    for clause in (*clauses.feed(text, now), *clauses.finish()):
        said = words.feed(clause)
        if not said:
            continue
        async with aclosing(cast("AsyncGenerator[Pcm, None]", tts.speak(said, request))) as chunks:
            async for chunk in chunks:
                pcm = int16_from_float(resampler.push(guarded(chunk).pcm))
                if pcm.size:
                    yield pcm
    rest = int16_from_float(resampler.flush())
    if rest.size:
        yield rest
