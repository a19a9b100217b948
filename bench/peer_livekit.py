"""LiveKit Agents as a server of many conversations in one process, for `peers.py`, in LiveKit's own environment.

    .venv-peers/livekit/bin/python bench/peer_livekit.py model     prints the port that it listens on

Each connection is an `AgentSession` whose audio input and output are set by hand, so that LiveKit's server and WebRTC,
and a process for each session, are spared it: 16-bit PCM at 16 kHz in, 24 kHz out. Frames are as long as its rooms make
them, 50 ms; sound goes out as far ahead as they allow, 200 ms. Recogniser, model and voice are the same scripts as our
server's, as nodes of the agent, which costs less than its plugins do. Turns end as its defaults have it: its own Silero
and its turn detector that runs here, 0.3 s of silence; or, with `vad`, Silero alone and 0.5 s. That it begins answers
before their turn is over is switched off, as it is for us: the scripts' delays could not be taken off.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import numpy as np
import uvloop
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, stt, tts
from livekit.agents.voice.events import UserStateChangedEvent
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities

IN_HZ, OUT_HZ = 16_000, 24_000
FRAME_BYTES = IN_HZ // 20 * 2
STT_S, LLM_S, TTS_S = 0.05, 0.1, 0.05
ANSWER_S = 3.1
CHUNK_S = 0.1
AHEAD_S = 0.2


class Microphone(AudioInput):
    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(label="socket")
        self._reader = reader
        self.is_over = asyncio.Event()

    async def __anext__(self) -> rtc.AudioFrame:
        try:
            audio = await self._reader.readexactly(FRAME_BYTES)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_over.set()
            raise StopAsyncIteration from None
        return rtc.AudioFrame(audio, IN_HZ, 1, len(audio) // 2)


class Loudspeaker(AudioOutput):
    """Plays in real time, with a little sent ahead."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(label="socket", capabilities=AudioOutputCapabilities(pause=False), sample_rate=OUT_HZ)
        self._writer = writer
        self._free_at = 0.0
        self._length_s = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        loop = asyncio.get_running_loop()
        if not self._length_s:
            self.on_playback_started(created_at=0.0)
        self._length_s += frame.duration
        self._free_at = max(self._free_at, loop.time()) + frame.duration
        self._writer.write(bytes(frame.data))
        await asyncio.sleep(self._free_at - loop.time() - AHEAD_S)

    def flush(self) -> None:
        super().flush()
        if self._length_s:
            self._end = asyncio.get_running_loop().call_at(self._free_at, self._finish, False)

    def clear_buffer(self) -> None:
        if self._length_s:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        length_s, self._length_s, self._free_at = self._length_s, 0.0, 0.0
        self.on_playback_finished(playback_position=length_s, interrupted=interrupted)


NEVER_ASKED = "The nodes of Script stand in for it: LiveKit asks a model only through them."


class NoRecogniser(stt.STT):
    """A session runs the node of a stage only where it has a model for that stage. So too the others."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise AssertionError(NEVER_ASKED)


class NoModel(llm.LLM):
    def chat(self, **_: Any) -> llm.LLMStream:
        raise AssertionError(NEVER_ASKED)


class NoVoice(tts.TTS):
    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=True), sample_rate=OUT_HZ, num_channels=1)

    def synthesize(self, *_: Any, **__: Any) -> tts.ChunkedStream:
        raise AssertionError(NEVER_ASKED)


class Script(Agent):
    CHUNK = (3000 * np.sin(np.arange(round(OUT_HZ * CHUNK_S)) / 20)).astype("<i2").tobytes()

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.ends: asyncio.Queue[None] = asyncio.Queue()
        """Something for each time that the caller has stopped speaking."""

    async def stt_node(self, audio: AsyncIterable[rtc.AudioFrame], _: object) -> AsyncIterator[stt.SpeechEvent]:
        draining = asyncio.create_task(self._drain(audio))
        try:
            while True:
                await self.ends.get()
                await asyncio.sleep(STT_S)
                said = stt.SpeechData(language="en", text="hello")
                yield stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[said])
        finally:
            draining.cancel()

    async def _drain(self, audio: AsyncIterable[rtc.AudioFrame]) -> None:
        async for _ in audio:
            pass

    async def llm_node(self, *_: object) -> AsyncIterator[str]:
        await asyncio.sleep(LLM_S)
        yield "It is about a quarter past nine in the morning."

    async def tts_node(self, text: AsyncIterable[str], _: object) -> AsyncIterator[rtc.AudioFrame]:
        async for _part in text:
            await asyncio.sleep(TTS_S)
            for _chunk in range(round(ANSWER_S / CHUNK_S)):
                yield rtc.AudioFrame(self.CHUNK, OUT_HZ, 1, len(self.CHUNK) // 2)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    turns: dict[str, Any] = {"preemptive_generation": {"enabled": False}}
    if sys.argv[1] == "vad":
        turns["turn_detection"] = "vad"
    session: AgentSession[None] = AgentSession(
        stt=NoRecogniser(), llm=NoModel(), tts=NoVoice(), turn_handling=turns, user_away_timeout=None
    )
    microphone = Microphone(reader)
    session.input.audio, session.output.audio = microphone, Loudspeaker(writer)
    agent = Script()

    @session.on("user_state_changed")
    def on_state(event: UserStateChangedEvent) -> None:
        if event.old_state == "speaking":
            agent.ends.put_nowait(None)

    await session.start(agent, record=False)
    writer.write(b"+")  # the caller waits for it
    await microphone.is_over.wait()
    await session.aclose()
    writer.close()


async def main() -> None:
    listening = await asyncio.start_server(converse, "127.0.0.1", 0)
    gc.freeze()
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    os.sched_setaffinity(0, {0})
    uvloop.run(main())
