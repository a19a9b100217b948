"""Pipecat: a pipeline around OpenAIRealtimeLLMService with a function, as its example for OpenAI Realtime makes it.

The transport is a microphone and a loudspeaker of this program's own, and does what Pipecat's local one does.
"""

from __future__ import annotations

import asyncio

from person import Person
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    ErrorFrame,
    LLMMessagesAppendFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
    LLMContextAggregatorPair,
    LLMUserAggregator,
    LLMUserAggregatorParams,
    UserTurnMessageAddedMessage,
)
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from pipecat_microphone import RATE_HZ, Microphone

ANSWER_HZ = 24_000

person = Person()


class Loudspeaker(BaseOutputTransport):
    """Plays in real time: a write takes as long as its sound."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._free_at = 0.0
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        clock = asyncio.get_running_loop().time
        self._free_at = max(self._free_at, clock()) + len(frame.audio) / 2 / ANSWER_HZ
        if any(frame.audio):
            person.note("audio", bytes=len(frame.audio))
        await asyncio.sleep(self._free_at - clock())
        return True


WEATHER = FunctionSchema(
    name="get_weather",
    description="What the weather is like in a city.",
    properties={"city": {"type": "string"}},
    required=["city"],
)


async def get_weather(params: FunctionCallParams) -> None:
    person.note("tool", city=params.arguments["city"])
    await params.result_callback({"weather": "sunny"})


async def main() -> None:
    finds_turns = person.plot == "own"
    llm = OpenAIRealtimeLLMService(
        api_key=person.key,
        base_url=person.url,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime-2.1",
            system_instruction="You are a helpful guide.",
            session_properties=SessionProperties(
                audio=AudioConfiguration(
                    input=AudioInput(
                        transcription=InputAudioTranscription(),
                        turn_detection=False if finds_turns else TurnDetection(),
                    )
                )
            ),
        ),
    )
    llm.register_function("get_weather", get_weather)
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_out_end_silence_secs=0)
    microphone, loudspeaker = Microphone(params), Loudspeaker(params)
    aggregators = LLMContextAggregatorPair(
        LLMContext(tools=ToolsSchema(standard_tools=[WEATHER])),
        user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer() if finds_turns else None),
    )
    pipeline = Pipeline([microphone, aggregators.user(), llm, loudspeaker, aggregators.assistant()])
    rates = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=ANSWER_HZ)
    worker = PipelineWorker(pipeline, params=rates, enable_rtvi=False)
    watch(worker, aggregators)

    async def type_text(text: str) -> None:
        await worker.queue_frame(LLMMessagesAppendFrame([{"role": "user", "content": text}], run_llm=True))

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        holding = tasks.create_task(person.hold(microphone.put))
        if person.plot == "sum":
            # Pipecat asks for an answer whenever it first has a context: to a person who speaks before that, it gives
            # two. Its examples therefore begin with a greeting.
            await type_text("hello")
            await person.until("answered")
        await person.converse(type_text)
        holding.cancel()
        await worker.cancel()
    person.note("end")


def watch(worker: PipelineWorker, aggregators: LLMContextAggregatorPair) -> None:
    """Note what an application is shown."""

    @aggregators.user().event_handler("on_user_turn_message_added")
    async def heard(aggregator: LLMUserAggregator, message: UserTurnMessageAddedMessage) -> None:
        person.note("heard", text=message.content)

    @aggregators.assistant().event_handler("on_assistant_turn_stopped")
    async def answered(aggregator: LLMAssistantAggregator, message: AssistantTurnStoppedMessage) -> None:
        person.note("interrupted" if message.interrupted else "answered", text=message.content)

    @worker.event_handler("on_pipeline_error")
    async def failed(worker: PipelineWorker, frame: ErrorFrame) -> None:
        person.note("error", error=frame.error)


asyncio.run(main())
