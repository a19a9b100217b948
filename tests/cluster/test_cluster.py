"""A cluster of two machines, both on this one: conversations in one place, ears and voices in another, and one dies."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import ray
import yaml
from machines import KEY, ONE_EACH, PORT, Two, deployed_anew, replicas
from msgspec import ValidationError, convert
from phone import Phone
from ray.serve.schema import ServeDeploySchema
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.cluster.application import Sizes, build
from antiphon.engines.api import TtsRequest
from antiphon.engines.tts.espeak import Espeak

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 60.0  # for machines that share two cores
FEWEST_PEOPLE, MOST_PEOPLE = 6, 40  # as many more as it takes until each machine has some of them
ABOUT_A_SUM = "What is five times eleven?"


@pytest.fixture(scope="module")
def kept(machines: Two, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where conversations are kept, once the application is there for the tests of this file."""
    folder = tmp_path_factory.mktemp("cluster")
    kept, config = folder / "conversations.sqlite3", folder / "antiphon.toml"
    config.write_text(f'[history]\npath = "{kept}"\n[tools]\nlist_path = "{folder}/lists.sqlite3"\n')
    deployed_anew(**ONE_EACH, config=str(config))
    return kept


class Unanswered(Exception):
    """They were told that something went wrong."""


class Person:
    """Somebody with a connection, and what came of the questions."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self.session = session

    async def types(self, text: str) -> str:
        """Returns what was answered aloud. Raises `ConnectionClosed` if the server is gone."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self._send({"type": "conversation.item.create", "item": item})
        await self._send({"type": "response.create"})
        return await self._answer()

    async def says(self, sound: bytes) -> str:
        """Speaks, in 20 ms pieces as fast as they go, and is quiet then; returns what was answered aloud."""
        for begin in range(0, len(sound), 960):
            piece = base64.b64encode(sound[begin : begin + 960]).decode()
            await self._send({"type": "input_audio_buffer.append", "audio": piece})
        return await self._answer()

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    async def _answer(self) -> str:
        said, is_aloud = "", False
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = json.loads(await self._socket.recv())
                match message["type"]:
                    case "error":
                        raise AssertionError(message["error"])
                    case "response.output_audio.delta":
                        is_aloud = True
                    case "response.output_audio_transcript.done":
                        said += message["transcript"]
                    case "response.done":
                        if message["response"]["status"] == "failed":
                            raise Unanswered(message["response"]["status_details"])
                        assert message["response"]["status"] == "completed", message
                        if said:  # not only a function's call
                            assert is_aloud
                            return said


@asynccontextmanager
async def a_person() -> AsyncIterator[Person]:
    keys = {"Authorization": f"Bearer {KEY}"}
    async with connect(f"ws://127.0.0.1:{PORT}/v1/realtime", additional_headers=keys) as socket:
        created = json.loads(await socket.recv())
        yield Person(socket, created["session"]["id"])


async def question() -> bytes:
    """The sum, spoken, with the quiet in which a turn ends: PCM16 at 24 kHz."""
    voice = Espeak()
    try:
        chunks = [chunk async for chunk in voice.speak(ABOUT_A_SUM, TtsRequest("marin"))]
    finally:
        await voice.close()
    spoken = resampled(np.concatenate(chunks), voice.rate, 24_000)
    quiet = np.zeros(24_000, np.float32)
    return bytes(int16_from_float(np.concatenate([quiet[:12_000], spoken, quiet])))


def test_a_spoken_question_goes_to_the_ears_and_comes_back_from_the_voices(kept: Path) -> None:
    async def story() -> None:
        async with a_person() as person:
            assert await person.says(await question()) == "That is 55."

    asyncio.run(story())


def test_ears_and_voices_that_die_are_replaced_and_the_conversation_goes_on(kept: Path) -> None:
    async def story() -> None:
        async with a_person() as person:
            assert await person.types("What is two plus three?") == "That is 5."
            for name in ("Ears", "Voices"):
                (replica,) = await asyncio.to_thread(replicas, name)
                await asyncio.to_thread(ray.kill, replica)
            assert await person.says(await question()) == "That is 55."

    asyncio.run(story())


def test_a_call_is_joined_and_ended_and_a_session_taken_up_again_at_whichever_machine_is_reached(kept: Path) -> None:
    """Connections are shared out between the two: of ten in a row, each gets some."""

    async def story() -> None:
        keys = {"Authorization": f"Bearer {KEY}"}
        phone = Phone()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", headers=keys, timeout=PATIENCE_S) as http:
            answer = await phone.dial(http)
            assert answer.status_code == 201, answer.text
            session = (await phone.receive("session.created"))["session"]["id"]
            call_id = answer.headers["location"].rpartition("/")[2]
            async with AsyncExitStack() as inside:
                for _ in range(10):
                    beside = await inside.enter_async_context(joining(f"?call_id={call_id}"))
                    assert json.loads(await beside.recv())["session"]["id"] == session
            with pytest.raises(InvalidStatus) as refused:
                await joining(f"?call_id={call_id[:-1]}z")
            assert refused.value.response.status_code == 404
            assert (await http.post(f"/v1/realtime/calls/{call_id}/hangup")).status_code == 200
        await phone.hang_up()

    def joining(query: str) -> connect:
        keys = {"Authorization": f"Bearer {KEY}"}
        return connect(f"ws://127.0.0.1:{PORT}/v1/realtime{query}", additional_headers=keys)

    async def comes_back() -> None:
        url, keys = f"ws://127.0.0.1:{PORT}/v1/realtime?antiphon=1", {"Authorization": f"Bearer {KEY}"}
        socket = await connect(f"{url}&resumable=1", additional_headers=keys)
        offered = await until(socket, "antiphon.session.resumable")
        last = offered
        for _ in range(10):
            socket.transport.abort()
            query = f"&resume={offered['token']}&after={last['event_id']}"
            socket = await connect(f"{url}{query}", additional_headers=keys)
            last = await until(socket, "antiphon.session.resumed")
            assert last["is_complete"]
        await socket.close()

    async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await socket.recv())
                if message["type"] == kind:
                    return message

    asyncio.run(story())
    asyncio.run(comes_back())


def test_when_a_machine_dies_its_people_are_served_by_the_other_and_nothing_acknowledged_is_lost(
    two: Two, kept: Path
) -> None:
    said: dict[str, list[str]] = {}

    async def talk(number: int, go_on: asyncio.Event, has_begun: asyncio.Event) -> bool:
        """Holds a conversation, again with somebody else if its server goes; whether it had to."""
        was_dropped = False
        async with a_person() as person:
            said[person.session] = [await person.types(f"What is {number} plus one?")]
            has_begun.set()
            await go_on.wait()
            try:
                said[person.session].append(await person.types(f"What is {number} plus two?"))
            except ConnectionClosed:
                was_dropped = True
            except Unanswered:  # the voice was there, and in the middle of a word
                said[person.session].append(await person.types(f"What is {number} plus two?"))
        if was_dropped:
            async with asyncio.timeout(PATIENCE_S):
                said_again = await talk_again(number)
            assert said_again == f"That is {number + 2}."
        return was_dropped

    async def talk_again(number: int) -> str:
        while True:
            try:
                async with a_person() as person:
                    return await person.types(f"What is {number} plus two?")
            except (ConnectionClosed, OSError, InvalidStatus):  # of a server that is just dying, too
                await asyncio.sleep(0.5)

    async def story() -> None:
        go_on = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            talks: list[asyncio.Task[bool]] = []
            while len(talks) < FEWEST_PEOPLE or len(await asyncio.to_thread(servers_of, kept, set(said))) < 2:
                assert len(talks) < MOST_PEOPLE, "all of them come to the same machine"
                has_begun = asyncio.Event()
                talks.append(group.create_task(talk(len(talks) + 2, go_on, has_begun)))
                await has_begun.wait()
            await asyncio.sleep(0.3)  # what was acknowledged so long ago is to survive
            await asyncio.to_thread(two.lose_the_second)
            go_on.set()
        dropped = [talk.result() for talk in talks]
        assert any(dropped), "one machine had some of them"
        assert not all(dropped), "and the other one the rest"
        for session, answers in said.items():
            for answer in answers:
                assert answer in await transcript(session)

    asyncio.run(story())


def servers_of(kept: Path, sessions: set[str]) -> set[str]:
    """The processes that have these sessions, as far as it is written down: there is one on each machine."""
    with closing(sqlite3.connect(kept)) as database:
        return {server for session, server in database.execute("SELECT id, worker FROM session") if session in sessions}


async def transcript(session: str) -> str:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        answer = await client.get(
            f"http://127.0.0.1:{PORT}/v1/sessions/{session}/transcript", params={"format": "text"}
        )
        answer.raise_for_status()
        return answer.text


def test_the_file_that_is_deployed_names_arguments_that_there_are() -> None:
    written = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "serve.yaml").read_text())
    (application,) = ServeDeploySchema.model_validate(written).applications
    assert application.import_path == f"{build.__module__}:{build.__qualname__}"
    assert convert(application.args, Sizes).most_sessions > 1


def test_an_argument_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="most_session`"):
        build({"most_session": 3})
