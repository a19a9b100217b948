"""Pipecat: OpenAIRealtimeSTTService, which only writes down what is said, with each of its two ways to find turns.

First the server finds them; then Pipecat's own detector does, and commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from person import Person
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import ErrorFrame, Frame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from pipecat_microphone import RATE_HZ, Microphone

person = Person()


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
    microphone = Microphone(TransportParams(audio_in_enabled=True))
    rates = PipelineParams(audio_in_sample_rate=RATE_HZ)
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
