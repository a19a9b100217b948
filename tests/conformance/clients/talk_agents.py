"""openai-agents for Python: a RealtimeSession with a function tool, as its documentation's quickstart makes it."""

from __future__ import annotations

import asyncio

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeModelSendInterrupt, RealtimeRunner, RealtimeSession
from person import Person

person = Person()


@function_tool
async def get_weather(city: str) -> str:
    """What the weather is like in a city."""
    person.note("tool", city=city)
    return "sunny"


async def main() -> None:
    agent = RealtimeAgent(name="Guide", instructions="You are a helpful guide.", tools=[get_weather])
    runner = RealtimeRunner(
        agent,
        config={
            "model_settings": {
                "model_name": "gpt-realtime-2.1",
                "audio": {
                    "input": {
                        "format": "pcm16",
                        "transcription": {"model": "gpt-4o-mini-transcribe"},
                        "turn_detection": {"type": "server_vad", "interrupt_response": True},
                    },
                    "output": {"format": "pcm16", "voice": "ash"},
                },
            }
        },
    )
    url = f"{person.url}?model=gpt-realtime-2.1"
    async with await runner.run(model_config={"url": url, "api_key": person.key}) as session:

        async def press_stop() -> None:
            # RealtimeSession.interrupt() leaves it to the server's voice detector to end the response.
            await session.model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))

        tasks = [asyncio.create_task(watch(session)), asyncio.create_task(person.hold(session.send_audio))]
        conversation = asyncio.create_task(person.converse(session.send_message, press_stop))
        await asyncio.wait([*tasks, conversation], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await conversation
    person.note("end")


async def watch(session: RealtimeSession) -> None:
    """Note what an application is shown."""
    words = ""
    async for event in session:
        match event.type:
            case "error":
                person.note("error", error=str(event.error))
            case "audio":
                person.note("audio", bytes=len(event.audio.data))
            case "audio_interrupted":
                person.note("interrupted")
            case "agent_start":
                words = ""
            case "raw_model_event" if event.data.type == "transcript_delta":
                words += event.data.delta
            case "raw_model_event" if event.data.type == "input_audio_transcription_completed":
                person.note("heard", text=event.data.transcript)
            case "agent_end" if words:
                person.note("answered", text=words)
            case "history_updated":
                person.note("history", roles=[getattr(item, "role", item.type) for item in event.history])
            case _:
                pass


asyncio.run(main())
