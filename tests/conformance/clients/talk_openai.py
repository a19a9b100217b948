"""The official Python client, asynchronous: one task reads, the person speaks and types in another."""

from __future__ import annotations

import asyncio
import base64

from application import SESSION, Application, typed
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from person import Person

person = Person()


async def main() -> None:
    base_url = person.url.replace("ws", "http", 1).removesuffix("/realtime")
    async with AsyncOpenAI(api_key=person.key, base_url=base_url) as client:
        async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            await connection.session.update(session=SESSION)
            await talk(connection)
    person.note("end")


async def talk(connection: AsyncRealtimeConnection) -> None:
    application = Application(person.note)

    async def send_sound(frame: bytes) -> None:
        await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())

    async def type_text(text: str) -> None:
        await connection.send(typed(text))
        await connection.response.create()

    async def press_stop() -> None:
        await connection.response.cancel()
        for message in application.cut():
            await connection.send(message)

    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(watch(connection, application)), tasks.create_task(person.hold(send_sound))]
        await person.converse(type_text, press_stop)
        for task in others:
            task.cancel()


async def watch(connection: AsyncRealtimeConnection, application: Application) -> None:
    async for event in connection:
        for reply in application.answer(event):
            await connection.send(reply)


asyncio.run(main())
