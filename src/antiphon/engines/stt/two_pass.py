"""Two recognisers for one utterance: a fast one for the words on the screen, a better one for the last word.

It does not know which they are. What the fast one has shown is for the moment: if it fails, nothing more is shown, and
the transcript comes all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from antiphon.engines.api import Hypothesis, Listener, Stt, SttRequest, Transcript
from antiphon.engines.stt.agreement import Agreeing, final
from antiphon.engines.utterance import Utterance
from antiphon.errors import AntiphonError

log = logging.getLogger("antiphon.stt")


class TwoPass:
    """`Listener` whose hypotheses are `fast`'s and whose transcript is `better`'s. It owns `fast` alone."""

    def __init__(self, fast: Stt, better: Stt) -> None:
        self._fast = fast
        self._ears = cast("Listener", fast) if hasattr(fast, "listen") else Agreeing(fast)
        self._better = better

    async def warm(self) -> None:
        await self._fast.warm()

    async def close(self) -> None:
        close = getattr(self._fast, "close", None)
        if close is not None:
            await close()

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`. What the fast one thinks of the end is not waited for."""
        ending = asyncio.ensure_future(utterance.ended())
        try:
            async for news in self._hypotheses(utterance, request, ending):
                yield news
            await ending
        finally:
            ending.cancel()
        yield await final(self._better, utterance.view(), request)

    async def _hypotheses(
        self, utterance: Utterance, request: SttRequest, ending: asyncio.Future[None]
    ) -> AsyncIterator[Hypothesis]:
        events = cast("AsyncGenerator[Hypothesis | Transcript, None]", self._ears.listen(utterance, request))
        async with aclosing(events):
            while not utterance.is_ended:
                coming = asyncio.ensure_future(anext(events))
                try:
                    await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        return
                    event = coming.result()
                except AntiphonError as error:
                    log.warning("no words are shown while this is spoken: %s", error)
                    return
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.gather(coming, return_exceptions=True)
                if isinstance(event, Transcript):
                    return
                yield event
