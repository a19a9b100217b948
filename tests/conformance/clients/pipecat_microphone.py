"""The microphone of both programs for Pipecat: at 16 kHz, as Pipecat itself and its voice detector want it."""

from __future__ import annotations

import asyncio

from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import InputAudioRawFrame, StartFrame
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams

PERSON_HZ = 24_000
RATE_HZ = 16_000


class Microphone(BaseInputTransport):
    """Hands over what the person says, frame by frame, once the pipeline has started."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self._started = asyncio.Event()
        self._resampler = create_stream_resampler()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._started.set()

    async def put(self, data: bytes) -> None:
        await self._started.wait()
        audio = await self._resampler.resample(data, PERSON_HZ, RATE_HZ)
        if audio:
            await self.push_audio_frame(InputAudioRawFrame(audio=audio, sample_rate=RATE_HZ, num_channels=1))
