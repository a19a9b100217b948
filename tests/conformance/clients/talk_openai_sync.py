"""The official Python client, synchronous: a thread reads from the connection while another one writes to it."""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from typing import Any

from application import SESSION, Application, typed
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from person import Person

person = Person()


def main() -> None:
    base_url = person.url.replace("ws", "http", 1).removesuffix("/realtime")
    with OpenAI(api_key=person.key, base_url=base_url) as client:
        with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            connection.session.update(session=SESSION)
            asyncio.run(talk(connection))
    person.note("end")


async def talk(connection: RealtimeConnection) -> None:
    """The person in front of it. What is sent blocks for as long as it takes, which for 20 ms of sound is nothing."""
    loop = asyncio.get_running_loop()

    def note(kind: str, **facts: Any) -> None:
        loop.call_soon_threadsafe(partial(person.note, kind, **facts))

    async def send_sound(frame: bytes) -> None:
        connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())

    async def type_text(text: str) -> None:
        connection.send(typed(text))
        connection.response.create()

    async def press_stop() -> None:
        connection.response.cancel()
        for message in application.cut():
            connection.send(message)

    application = Application(note)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(watch, connection, application))
        microphone = tasks.create_task(person.hold(send_sound))
        try:
            await person.converse(type_text, press_stop)
        finally:
            microphone.cancel()
            connection.close()


def watch(connection: RealtimeConnection, application: Application) -> None:
    """Until the connection is closed."""
    for event in connection:
        for reply in application.answer(event):
            connection.send(reply)


main()
