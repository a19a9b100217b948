"""Pipecat as a server of many conversations in one process, for `peers.py`, which runs it in Pipecat's own environment.

    .venv-peers/pipecat/bin/python bench/peer_pipecat.py smart     prints the port that it listens on

Each connection is a conversation: 16-bit PCM at 16 kHz in, 24 kHz out, and nothing around it, which costs less than any
transport of its own. Recogniser, model and voice are the same scripts as our server's, as plain processors, which costs
less than its services do. Turns end as its defaults have it: Silero's detector, 0.2 s of silence, and its Smart Turn
model; or, with `timeout`, without that model, 0.2 s and 0.3 s more. Frames, queues and pacing are its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys

import numpy as np
import uvloop
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

IN_HZ, OUT_HZ = 16_000, 24_000
FRAME_BYTES = IN_HZ // 50 * 2
STT_S, LLM_S, TTS_S = 0.05, 0.1, 0.05
ANSWER_S = 3.1
CHUNK_S = 0.1


class Microphone(BaseInputTransport):
    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def feed(self, reader: asyncio.StreamReader) -> None:
        while True:
            audio = await reader.readexactly(FRAME_BYTES)
            await self.push_audio_frame(InputAudioRawFrame(audio=audio, sample_rate=IN_HZ, num_channels=1))


class Loudspeaker(BaseOutputTransport):
    """Plays in real time: a write takes as long as its sound."""

    def __init__(self, params: TransportParams, writer: asyncio.StreamWriter) -> None:
        super().__init__(params)
        self._writer = writer
        self._free_at = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        clock = asyncio.get_running_loop().time
        self._free_at = max(self._free_at, clock()) + len(frame.audio) / 2 / OUT_HZ
        self._writer.write(frame.audio)
        await asyncio.sleep(self._free_at - clock())
        return True


class Recogniser(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self.create_task(self._recognise())

    async def _recognise(self) -> None:
        await asyncio.sleep(STT_S)
        await self.push_frame(TranscriptionFrame("hello", "caller", "", finalized=True))


class Model(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await asyncio.sleep(LLM_S)
        await self.push_frame(LLMTextFrame("It is about a quarter past nine in the morning."))
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(FrameProcessor):
    CHUNK = (3000 * np.sin(np.arange(round(OUT_HZ * CHUNK_S)) / 20)).astype("<i2").tobytes()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if not isinstance(frame, LLMTextFrame):
            return
        await asyncio.sleep(TTS_S)
        await self.push_frame(TTSStartedFrame())
        for _ in range(round(ANSWER_S / CHUNK_S)):
            await self.push_frame(TTSAudioRawFrame(audio=self.CHUNK, sample_rate=OUT_HZ, num_channels=1))
        await self.push_frame(TTSStoppedFrame())


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_out_end_silence_secs=0)
    microphone, loudspeaker = Microphone(params), Loudspeaker(params, writer)
    strategies = None
    if sys.argv[1] == "timeout":
        strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.3)])
    aggregators = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=strategies),
    )
    pipeline = Pipeline(
        [microphone, Recogniser(), aggregators.user(), Model(), Voice(), loudspeaker, aggregators.assistant()]
    )
    rates = PipelineParams(audio_in_sample_rate=IN_HZ, audio_out_sample_rate=OUT_HZ)
    worker = PipelineWorker(pipeline, params=rates, enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_started(*_: object) -> None:
        started.set()

    async def feed() -> None:
        await started.wait()
        writer.write(b"+")  # the caller waits for it
        try:
            await microphone.feed(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            await worker.cancel()

    feeding = asyncio.create_task(feed())
    try:
        await runner.run()
    finally:
        feeding.cancel()
        writer.close()


async def main() -> None:
    listening = await asyncio.start_server(converse, "127.0.0.1", 0)
    gc.freeze()
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    logger.remove()
    os.sched_setaffinity(0, {0})
    uvloop.run(main())
