"""Speech engines whose work is done by other processes of a cluster: recognisers and voices that sessions share.

What is asked goes to whichever replica is free, and comes back as it is found. A replica that dies is replaced by the
cluster; who was being served by it is asked for again as long as nothing of the answer was passed on. It does not know
sessions, nor how many replicas there are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

from ray.exceptions import RayError, TaskCancelledError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta, TtsRequest
from antiphon.errors import EngineError

TRIES = 3
HINT = "Look at the replicas with: serve status. The answer after the next one may come from another replica."

T = TypeVar("T")


class RemoteStt:
    """A recogniser elsewhere. Fulfils `engines.api.Stt`."""

    def __init__(self, replicas: DeploymentHandle, languages: frozenset[str] | None, *, translates: bool) -> None:
        """`replicas` are those of `replicas.Ears`; the rest is what they said of their engine."""
        self.languages = languages
        self.translates = translates
        self._transcribe = replicas.options(stream=True).transcribe

    async def warm(self) -> None:
        """Nothing: the cluster lets nobody ask a replica that is not warm."""

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncGenerator[TranscriptDelta | Transcript, None]:
        async for piece in _pieces(lambda: self._transcribe.remote(pcm, request), "recogniser"):
            yield piece


class RemoteTts:
    """A voice elsewhere. Fulfils `engines.api.Tts`."""

    def __init__(self, replicas: DeploymentHandle, rate: int) -> None:
        """`replicas` are those of `replicas.Voices`, `rate` what they said of their engine."""
        self.rate = rate
        self._speak = replicas.options(stream=True).speak

    async def warm(self) -> None:
        """Nothing: the cluster lets nobody ask a replica that is not warm."""

    async def speak(self, text: str, request: TtsRequest) -> AsyncGenerator[Pcm, None]:
        async for chunk in _pieces(lambda: self._speak.remote(text, request), "voice"):
            yield chunk


async def _pieces(ask: Callable[[], DeploymentResponseGenerator[Any]], what: str) -> AsyncIterator[Any]:
    """The answer, asked for again while nothing of it has come. Leaving it, or being cancelled, stops the work."""
    for attempt in range(1, TRIES + 1):
        answer = ask()
        has_begun = False
        try:
            async for piece in answer:
                has_begun = True
                yield piece
        except TaskCancelledError:
            raise EngineError(f"the {what}'s work was cancelled by the cluster", HINT) from None
        except EngineError:
            raise  # what the engine itself says of the question
        except (RayError, RayServeException) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, EngineError):
                raise cause from None
            if has_begun or attempt == TRIES:
                raise EngineError(f"the {what}'s replica failed: {type(error).__name__}", HINT) from error
        else:
            return
        finally:
            answer.cancel()
