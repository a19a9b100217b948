"""LiveKit Agents: an AgentSession with OpenAI's RealtimeModel and a function tool, as its documentation makes it.

There is no LiveKit server. The session's ends are a microphone and a loudspeaker of this program's own, which is what
LiveKit itself does for a console.
"""

from __future__ import annotations

import asyncio
import time

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    Agent,
    AgentSession,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    function_tool,
)
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai
from person import Person

RATE_HZ = 24_000

person = Person()


class Microphone(AudioInput):
    """Hands over what the person says, frame by frame."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue(maxsize=50)

    async def put(self, data: bytes) -> None:
        await self._frames.put(rtc.AudioFrame(data, RATE_HZ, 1, len(data) // 2))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Loudspeaker(AudioOutput):
    """Plays in real time, as far as LiveKit can tell: it says when a segment began, and how much of it was heard."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self._began = 0.0
        self._length_s = 0.0
        self._ending: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._length_s:
            self._began = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=time.time())
        self._length_s += frame.duration
        person.note("audio", bytes=len(frame.data) * 2)

    def flush(self) -> None:
        super().flush()
        if self._length_s:
            ends = self._began + self._length_s
            self._ending = asyncio.get_running_loop().call_at(ends, self._finish, self._length_s, False)

    def clear_buffer(self) -> None:
        if not self._length_s:
            return
        played_s = min(self._length_s, asyncio.get_running_loop().time() - self._began)
        person.note("interrupted", played_s=played_s)
        self._finish(played_s, True)

    def _finish(self, played_s: float, interrupted: bool) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._length_s = 0.0
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


@function_tool
async def get_weather(city: str) -> str:
    """What the weather is like in a city."""
    person.note("tool", city=city)
    return "sunny"


async def main() -> None:
    model = openai.realtime.RealtimeModel(
        model="gpt-realtime-2.1",
        voice="marin",
        base_url=person.url.replace("ws", "http", 1).removesuffix("/realtime"),
        api_key=person.key,
        turn_detection=None if person.plot == "own" else NOT_GIVEN,
    )
    session: AgentSession[None] = AgentSession(llm=model)
    watch(session)
    microphone = Microphone()
    session.input.audio = microphone
    session.output.audio = Loudspeaker()
    guide = Agent(instructions="You are a helpful guide.", tools=[get_weather])
    await session.start(guide)

    async def type_text(text: str) -> None:
        session.generate_reply(user_input=text)

    async def press_stop() -> None:
        await session.interrupt()

    async with asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(person.hold(microphone.put))
        await person.converse(type_text, press_stop)
        holding.cancel()
    await forget_all_but(guide, 2)
    await session.aclose()
    await model.aclose()
    person.note("end")


async def forget_all_but(agent: Agent, items: int) -> None:
    """Keep only the last items of the conversation, as one does with a long one. Waits until the server has done so."""
    await agent.update_chat_ctx(agent.chat_ctx.copy().truncate(max_items=items))
    person.note("kept", items=[item.id for item in agent.chat_ctx.items if item.type == "message"])


def watch(session: AgentSession[None]) -> None:
    """Note what an application is shown."""

    @session.on("user_input_transcribed")
    def heard(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            person.note("heard", text=event.transcript)

    @session.on("conversation_item_added")
    def added(event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message" and event.item.role == "assistant":
            person.note("cut" if event.item.interrupted else "answered", text=event.item.text_content)

    @session.on("error")
    def failed(event: ErrorEvent) -> None:
        person.note("error", error=str(event.error))


asyncio.run(main())
