"""Pipecat: OpenAIRealtimeSTTService, which only writes down what is said, with each of its two ways to find turns.

First the server finds them; then Pipecat's own detector does, and commits. Pipecat turns its 16 kHz into 24 kHz.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from person import Person
from pipecat.audio.utils import create_stream_resampler
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame, StartFrame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

MICROPHONE_HZ = 24_000
PIPELINE_HZ = 16_000

person = Person()


class Microphone(BaseInputTransport):
    """Hands over what the person says, frame by frame, once the pipeline has started."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_in_enabled=True))
        self._started = asyncio.Event()
        self._resampler = create_stream_resampler()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._started.set()

    async def put(self, data: bytes) -> None:
        await self._started.wait()
        audio = await self._resampler.resample(data, MICROPHONE_HZ, PIPELINE_HZ)
        if audio:
            await self.push_audio_frame(InputAudioRawFrame(audio=audio, sample_rate=PIPELINE_HZ, num_channels=1))


class Paper(FrameProcessor):
    """Notes every transcript."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            person.note("heard", text=frame.text)
        await self.push_frame(frame, direction)


async def main() -> None:
    await write("weather", turn_detection={"type": "server_vad"})
    await write("story", turn_detection=False, detectors=(VADProcessor(vad_analyzer=SileroVADAnalyzer()),))
    person.note("end")


async def write(
    line: str, *, turn_detection: dict[str, str] | Literal[False], detectors: Sequence[FrameProcessor] = ()
) -> None:
    """Connect, say one line, and wait until it was written down."""
    stt = OpenAIRealtimeSTTService(
        api_key=person.key,
        base_url=person.url,
        turn_detection=turn_detection,
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-transcribe", noise_reduction="near_field"),
    )
    microphone = Microphone()
    rates = PipelineParams(audio_in_sample_rate=PIPELINE_HZ)
    worker = PipelineWorker(Pipeline([microphone, *detectors, stt, Paper()]), params=rates, enable_rtvi=False)

    @worker.event_handler("on_pipeline_error")
    async def failed(worker: PipelineWorker, frame: ErrorFrame) -> None:
        person.note("error", error=frame.error)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        holding = tasks.create_task(person.hold(microphone.put))
        person.say(line)
        await person.until("heard")
        holding.cancel()
        await worker.cancel()


asyncio.run(main())
