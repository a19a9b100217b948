"""Calls over WebRTC with plain aiortc on the other side: spoken turns, those who join, and all that can go wrong."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import httpx
import numpy as np
import pytest
from aiortc import RTCSessionDescription
from calling import KEY, client, refusal, server, web
from phone import Phone, phone, tone48

from antiphon.engines.fake import Call as ToolCall
from antiphon.engines.fake import FakeLlm
from antiphon.server.calls import worker_of
from antiphon.server.run import Running

pytestmark = [pytest.mark.real]

LONG = "One two three four five six seven eight nine ten. " * 4


async def until(what: object, patience_s: float = 30.0) -> None:
    """Wait until the function is true."""
    assert callable(what)
    async with asyncio.timeout(patience_s):
        while not what():  # noqa: ASYNC110 - the state of the server, which has no event for it
            await asyncio.sleep(0.02)


# --- what it is for --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_spoken_turn_is_answered_aloud_and_the_next_one_interrupts() -> None:
    async def story() -> None:
        async with server(FakeLlm([LONG, "Yes."])) as made, phone(made) as call:
            call.microphone.say(tone48(0.8))
            started = await call.receive("output_audio_buffer.started")
            await until(lambda: call.heard)
            kinds = call.kinds()
            assert kinds[0] == "session.created"
            assert kinds.index("response.content_part.added") < kinds.index("output_audio_buffer.started")
            await asyncio.sleep(0.6)
            before = len(call.events)
            call.microphone.say(tone48(0.6))
            await call.receive("input_audio_buffer.speech_started", before)
            cleared = await call.receive("output_audio_buffer.cleared", before)
            truncated = await call.receive("conversation.item.truncated", before)
            silent_from = asyncio.get_running_loop().time()
            assert cleared["response_id"] == started["response_id"]
            assert 400 < truncated["audio_end_ms"] < 3000
            await call.receive("output_audio_buffer.stopped", before)
            kinds = call.kinds()
            order = [
                "input_audio_buffer.speech_started", "response.done", "output_audio_buffer.cleared",
                "conversation.item.truncated",
            ]  # fmt: skip
            places = [kinds.index(kind, before) for kind in order]
            assert places == sorted(places)
            assert "response.output_audio.delta" not in kinds
            assert kinds[-1] == "output_audio_buffer.stopped" or "rate_limits.updated" in kinds[-2:]
            # What was on its way when the voice was found is heard, and no more until the next answer.
            late = [at for at, _ in call.heard if silent_from + 0.25 < at < silent_from + 0.6]
            assert not late
        assert not made.state.sessions.running
        assert not made.state.calls.ongoing

    asyncio.run(story())


@pytest.mark.slow
def test_a_session_comes_with_the_call_and_messages_travel_both_ways() -> None:
    session = {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}

    async def story() -> None:
        async with server() as made, phone(made, session=session) as call:
            assert call.events[0]["session"]["instructions"] == "Be brief."
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
            call.send("conversation.item.create", item=item)
            call.send("response.create")
            done = await call.receive("response.output_text.done")
            assert done["text"] == "Hello there."
            call.send("input_audio_buffer.append", audio="AAAA", event_id="sound")
            error = (await call.receive("error"))["error"]
            assert (error["code"], error["event_id"]) == ("invalid_value", "sound")
            call.send("session.close")
            await until(lambda: call.channel.readyState == "closed")
        assert not made.state.sessions.running

    asyncio.run(story())


@pytest.mark.slow
def test_what_the_person_says_comes_whole_and_in_tune() -> None:
    """One tone, from a microphone at 48 kHz over Opus: the session holds it at 24 kHz, as long, and as high."""

    async def story() -> None:
        detection = {"audio": {"input": {"turn_detection": None}}}
        async with server() as made, phone(made, session=detection | {"type": "realtime"}) as call:
            (drive,) = made.state.sessions.running.values()
            before = drive.position
            call.microphone.say(tone48(1.0, 440.0))
            await asyncio.sleep(1.5)
            call.send("input_audio_buffer.commit")
            item_id = (await call.receive("conversation.item.added"))["item"]["id"]
            assert drive.position - before > 24_000
            pcm = drive._retained.of(item_id).astype(np.float64)
            spectrum = np.abs(np.fft.rfft(pcm))
            assert abs(np.argmax(spectrum) * 24_000 / pcm.size - 440) < 3
            loud = np.flatnonzero(np.abs(pcm) > 2000)
            assert abs((loud[-1] - loud[0]) / 24_000 - 1.0) < 0.05

    asyncio.run(story())


# --- those who join --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_others_join_a_call_see_the_same_and_may_say_the_same() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as made, phone(made, KEY) as call:
            query = f"?call_id={call.call_id}"
            async with client(made, query, KEY) as boss, client(made, query, KEY) as observer:
                created = [await one.receive("session.created") for one in (boss, observer)]
                assert {one["session"]["id"] for one in created} == {call.events[0]["session"]["id"]}
                await boss.send("session.update", session={"type": "realtime", "instructions": "Be kind."})
                assert (await call.receive("session.updated"))["session"]["instructions"] == "Be kind."
                await boss.send("response.create", response={"instructions": "Greet."})
                await call.receive("output_audio_buffer.stopped")
                await observer.receive("output_audio_buffer.stopped")
                kinds = [event["type"] for event in observer.events]
                assert "response.output_audio_transcript.delta" in kinds
                assert "response.output_audio.delta" not in kinds, "the sound is the call's"
                # What only one of them did wrong, only that one hears.
                await observer.send("response.cancel", event_id="mine")
                assert (await observer.receive("error"))["error"]["event_id"] == "mine"
                await observer.socket.send(bytes(960))
                assert (await observer.receive("error"))["error"]["code"] == "invalid_value"
                await observer.socket.close()
                await boss.send("session.update", session={"type": "realtime", "instructions": "Be gone."})
                await boss.receive("session.updated")
                assert not [event for event in (*call.events, *boss.events) if event["type"] == "error"]
                await call.hang_up()
                async with asyncio.timeout(5):
                    await boss.socket.wait_closed()
        assert not made.state.sessions.running

    asyncio.run(story())


@pytest.mark.slow
def test_who_joined_owns_the_tools_and_the_caller_hears_what_they_said() -> None:
    tool = {"type": "function", "name": "balance", "parameters": {"type": "object", "properties": {}}}

    async def story() -> None:
        async with server(FakeLlm([ToolCall("balance"), "You have seven."])) as made, phone(made) as call:
            async with client(made, f"?call_id={call.call_id}") as owner:
                await owner.send("session.update", session={"type": "realtime", "tools": [tool]})
                await owner.receive("session.updated")
                call.microphone.say(tone48(0.6))
                wanted = await owner.receive("response.function_call_arguments.done")
                assert wanted["name"] == "balance"
                await owner.receive("response.done")
                item = {"type": "function_call_output", "call_id": wanted["call_id"], "output": "7"}
                await owner.send("conversation.item.create", item=item)
                await owner.send("response.create")
                said = await call.receive("response.output_audio_transcript.done")
                assert said["transcript"] == "You have seven."
                await until(lambda: call.heard)

    asyncio.run(story())


@pytest.mark.slow
def test_nobody_joins_or_ends_a_call_of_somebody_else() -> None:
    other = "other-0123456789-0123456789-0123456789"

    async def story() -> None:
        async with server(server__keys=[KEY, other]) as made, phone(made, KEY) as call:
            status, error = await refusal(made, f"?call_id={call.call_id}", other)
            assert (status, error["code"]) == (404, "call_id_not_found")
            async with web(made, other) as http:
                answer = await http.post(f"/v1/realtime/calls/{call.call_id}/hangup")
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "call_id_not_found")
            async with web(made, KEY) as http:
                secret = (await http.post("/v1/realtime/client_secrets")).json()["value"]
                assert (await refusal(made, f"?call_id={call.call_id}", secret))[0] == 404
                assert (await http.post(f"/v1/realtime/calls/{call.call_id}/hangup")).status_code == 200
            await until(lambda: call.channel.readyState == "closed")
            await until(lambda: not made.state.sessions.running)

    asyncio.run(story())


@pytest.mark.slow
def test_a_page_calls_with_a_client_secret_and_its_session() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY], server__allowed_origins=["https://page.example"]) as made:
            async with web(made, KEY) as http:
                wish = {"session": {"type": "realtime", "instructions": "From the secret."}}
                secret = (await http.post("/v1/realtime/client_secrets", json=wish)).json()["value"]
            one = Phone()
            async with web(made, secret) as http:
                http.headers["Origin"] = "https://page.example"
                answer = await one.dial(http)
            assert answer.status_code == 201
            assert answer.headers["content-type"].startswith("application/sdp")
            assert answer.headers["access-control-allow-origin"] == "https://page.example"
            assert "location" in answer.headers["access-control-expose-headers"].lower()
            assert re.fullmatch(r"/v1/realtime/calls/rtc_[0-9a-f]+_[0-9a-f]{24}", answer.headers["location"])
            created = await one.receive("session.created")
            assert created["session"]["instructions"] == "From the secret."
            await one.hang_up()

    asyncio.run(story())


def test_a_page_of_an_allowed_origin_may_ask_first_with_the_headers_that_the_official_client_sends() -> None:
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
    }

    async def story() -> None:
        async with server(server__keys=[KEY], server__allowed_origins=["https://page.example"]) as made:
            async with web(made) as http:
                answer = await http.options("/v1/realtime/calls", headers=asked)
                assert answer.status_code == 200
                assert answer.headers["access-control-allow-origin"] == "https://page.example"
                assert "POST" in answer.headers["access-control-allow-methods"]
                allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}
                assert {"authorization", "content-type", "x-openai-agents-sdk"} <= allowed
                stranger = await http.options("/v1/realtime/calls", headers=asked | {"Origin": "https://bad.example"})
                assert "access-control-allow-origin" not in stranger.headers

    asyncio.run(story())


# --- what can go wrong -----------------------------------------------------------------------------------------------


async def offer(made: Running, body: str | bytes, kind: str = "application/sdp") -> httpx.Response:
    async with web(made) as http:
        return await http.post("/v1/realtime/calls", content=body, headers={"Content-Type": kind})


async def sdp_of_an_offer() -> str:
    one = Phone()
    await one.connection.setLocalDescription(await one.connection.createOffer())
    sdp: str = one.connection.localDescription.sdp
    await one.hang_up()
    return sdp


def test_what_is_no_offer_is_refused_in_words() -> None:
    async def story() -> None:
        async with server() as made:
            good = await sdp_of_an_offer()
            audio, _, data = good[good.index("m=audio") :].partition("m=application")
            head = good[: good.index("m=audio")]
            bad = [
                ("", "begin"),
                ("hello", "begin"),
                ('{"sdp": "v=0"}', "begin"),
                ("v=0\r\nm=audio nonsense\r\n", "cannot be read"),
                ("v=0\r\n" + "a=x\r\n" * 20_000, "longer"),
                (head, "no audio section"),
                (f"{head}m=application{data}", "no audio section"),
                (re.sub(r"opus/48000/2", "speex/8000", good), "no codec"),
                (re.sub(r"a=ice-ufrag.*\r\n", "", good), "ICE"),
                (re.sub(r"a=fingerprint.*\r\n", "", good), "fingerprint"),
                (good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "not encrypted"),
                (re.sub(r"a=group:BUNDLE.*\r\n", "", good), "max-bundle"),
            ]
            for body, words in bad:
                answer = await offer(made, body)
                error = answer.json()["error"]
                assert answer.status_code == 400, (body[:80], error)
                assert error["code"] in ("invalid_offer", "unsupported_codec")
                assert words in error["message"], error
                assert error["param"] == "sdp"
            assert (await offer(made, b"v=0\r\n\xff")).json()["error"]["code"] == "invalid_offer"
            answer = await offer(made, good, "application/json")
            assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_type")
            answer = await offer(made, "--x--", "multipart/form-data; boundary=x")
            assert answer.json()["error"]["code"] == "missing_required_parameter"
            form = f'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\n{good}\r\n--x\r\nContent-Disposition: '
            form += 'form-data; name="session"\r\n\r\n{7\r\n--x--'
            answer = await offer(made, form, "multipart/form-data; boundary=x")
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
            assert not made.state.sessions.running, "none of it has cost a session"
            assert audio

    asyncio.run(story())


def test_a_video_section_is_declined_and_a_call_without_data_channel_is_just_sound() -> None:
    async def story() -> None:
        async with server() as made:
            one = Phone()
            one.connection.addTransceiver("video")
            await one.connection.setLocalDescription(await one.connection.createOffer())
            answer = await offer(made, one.connection.localDescription.sdp)
            assert answer.status_code == 201
            assert re.search(r"^m=video 0 ", answer.text, re.MULTILINE)
            assert re.search(r"^m=audio \d+ UDP/TLS/RTP/SAVPF \d+\r$", answer.text, re.MULTILINE)
            await one.hang_up()
            good = await sdp_of_an_offer()
            sound = re.sub(r"a=group:BUNDLE 0 1", "a=group:BUNDLE 0", good[: good.index("m=application")])
            answer = await offer(made, sound)
            assert answer.status_code == 201
            assert "m=application" not in answer.text

    asyncio.run(story())


def test_a_second_offer_is_another_call() -> None:
    async def story() -> None:
        async with server() as made:
            good = await sdp_of_an_offer()
            first, second = await offer(made, good), await offer(made, good)
            assert first.headers["location"] != second.headers["location"]
            assert len(made.state.sessions.running) == 2
            number = worker_of(first.headers["location"].rpartition("/")[2])
            assert number == worker_of(second.headers["location"].rpartition("/")[2])
        assert not made.state.calls.ongoing, "a server that stops hangs up"

    asyncio.run(story())


def test_nobody_hoards_calls_that_are_never_connected() -> None:
    async def story() -> None:
        good = await sdp_of_an_offer()
        async with server(webrtc__max_connecting=2) as made:
            answers = [await offer(made, good) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [201, 201, 429]
            assert answers[2].json()["error"]["code"] == "too_many_calls"
        async with server(webrtc__max_connecting=1, webrtc__connect_timeout_s=0.1) as made:
            for _ in range(2):
                assert (await offer(made, good)).status_code == 201
                await until(lambda: not made.state.calls.ongoing)
                assert not made.state.sessions.running
        async with server(server__max_sessions=1) as made:
            assert [(await offer(made, good)).status_code for _ in range(2)] == [201, 503]

    asyncio.run(story())


@pytest.mark.slow
def test_thousands_of_calls_without_a_key_cost_nothing() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as made, web(made) as http:
            url = http.base_url
            request = f"POST /v1/realtime/calls HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: 3\r\n\r\nv=0"
            assert url.port is not None
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(request.encode() * 2000)
            for _ in range(2000):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 401 ")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                await reader.readexactly(int(length[1]))
            writer.close()
            assert made.state.admission.let_in == 0
            assert not made.state.calls.ongoing

    asyncio.run(story())


@pytest.mark.slow
def test_a_data_channel_that_never_opens_ends_the_call() -> None:
    async def story() -> None:
        async with server(webrtc__connect_timeout_s=0.8) as made:
            one = Phone()
            async with web(made) as http:
                # The offer promises a data channel; the client then never opens one.
                assert one.connection.sctp is not None
                one.connection.sctp._data_channel_queue.clear()
                await one.dial(http)
            await until(lambda: one.connection.connectionState == "connected")
            await until(lambda: not made.state.sessions.running)
            await until(lambda: one.connection.connectionState == "closed")
            await one.hang_up()

    asyncio.run(story())


@pytest.mark.slow
def test_what_a_data_channel_cannot_take_is_replaced_by_words() -> None:
    async def story() -> None:
        async with server() as made:
            one = Phone()
            await one.connection.setLocalDescription(await one.connection.createOffer())
            sdp = re.sub(r"max-message-size:\d+", "max-message-size:500", one.connection.localDescription.sdp)
            answer = await offer(made, sdp)
            await one.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            assert (await one.receive("error"))["error"]["code"] == "message_too_large"
            one.send("input_audio_buffer.clear")
            await one.receive("input_audio_buffer.cleared", 1)
            await one.hang_up()

    asyncio.run(story())


@pytest.mark.slow
def test_an_item_whose_sound_is_too_much_for_the_channel_comes_without() -> None:
    async def story() -> None:
        async with server() as made:
            one = Phone()
            await one.connection.setLocalDescription(await one.connection.createOffer())
            sdp = re.sub(r"max-message-size:\d+", "max-message-size:30000", one.connection.localDescription.sdp)
            answer = await offer(made, sdp)
            await one.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await one.receive("session.created")
            one.microphone.say(tone48(1.0))
            item_id = (await one.receive("input_audio_buffer.committed"))["item_id"]
            one.send("conversation.item.retrieve", item_id=item_id)
            (part,) = (await one.receive("conversation.item.retrieved"))["item"]["content"]
            assert not part.get("audio")
            assert part["transcript"] == "hello"
            await one.hang_up()

    asyncio.run(story())


@pytest.mark.slow
def test_a_call_that_is_left_without_a_word_is_hung_up() -> None:
    async def story() -> None:
        async with server(server__idle_timeout_s=0.5) as made, phone(made) as call:
            call.microphone.stop()
            for sender in call.connection.getSenders():
                await sender.stop()
            await asyncio.sleep(0.6)
            made.state.close_idle()
            await until(lambda: not made.state.sessions.running)

    asyncio.run(story())


@pytest.mark.slow
def test_a_session_that_reaches_its_end_says_so_before_it_hangs_up() -> None:
    async def story() -> None:
        async with server(server__session_limit_s=1.0) as made, phone(made) as call:
            assert (await call.receive("error"))["error"]["code"] == "session_expired"
            await until(lambda: call.channel.readyState == "closed")
        assert not made.state.sessions.running

    asyncio.run(story())


# --- a bad network ---------------------------------------------------------------------------------------------------


class Weather:
    """What a network does to the packets of sound that one side sends."""

    def __init__(self, loss: float, jitter_s: float, seed: int) -> None:
        self.sent = self.lost = 0
        self._loss, self._jitter_s = loss, jitter_s
        self._lots = random.Random(seed)

    def over(self, protocol: Any) -> None:
        """Rain on this socket from now on."""
        send = protocol.transport.sendto

        def sendto(data: bytes, address: object) -> None:
            if not (128 <= data[0] <= 191 and not 192 <= data[1] <= 223):
                send(data, address)
                return
            self.sent += 1
            if self._lots.random() < self._loss:
                self.lost += 1
                return
            asyncio.get_running_loop().call_later(self._lots.random() * self._jitter_s, send, data, address)

        protocol.transport = _Socket(protocol.transport, sendto)


class _Socket:
    """A transport whose packets go another way."""

    def __init__(self, transport: Any, sendto: Any) -> None:
        self._transport = transport
        self.sendto = sendto

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def sockets_of(gatherer: Any) -> list[Any]:
    return list(gatherer._connection._protocols)


@pytest.mark.slow
def test_with_loss_and_jitter_both_ways_a_turn_is_heard_and_answered() -> None:
    weather = Weather(loss=0.1, jitter_s=0.05, seed=1), Weather(loss=0.1, jitter_s=0.05, seed=2)

    async def story() -> None:
        async with server(FakeLlm([LONG])) as made, phone(made) as call:
            (ongoing,) = made.state.calls.ongoing.values()
            (theirs,) = {sender.transport.transport.iceGatherer for sender in call.connection.getSenders()}
            for protocol in sockets_of(theirs):
                weather[0].over(protocol)
            for protocol in sockets_of(ongoing.call._peer._gatherer):
                weather[1].over(protocol)
            before = ongoing.drive.position
            call.microphone.say(tone48(2.0))
            committed = await call.receive("input_audio_buffer.committed")
            await call.receive("output_audio_buffer.started")
            heard = ongoing.drive._retained.of(committed["item_id"])
            loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 1000)
            assert (loud[-1] - loud[0]) / 24_000 > 1.5, "as long as it was said; test_ear.py looks for holes"
            tally = ongoing.call._ear.arrivals.tally
            await until(lambda: weather[0].lost > 5 and tally.lost >= weather[0].lost * 0.5 and tally.recovered > 0)
            await until(lambda: ongoing.drive.position - before > 3 * 24_000)
            assert ongoing.call._ear.arrivals.jitter > 0.003
            await until(lambda: len(call.heard) > 40)
            # The other side tells of our loss every second or so.
            await until(lambda: (ongoing.call._reports.quality.loss or 0) > 0.01)

    asyncio.run(story())
