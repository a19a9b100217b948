"""The page for Prometheus, over a real socket: who may read it, and that it says what has happened."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from calling import KEY, client, refusal, server, web
from prometheus_client.parser import text_string_to_metric_families

from antiphon.engines.api import LlmRequest
from antiphon.engines.failover import Chain, Link
from antiphon.engines.fake import Fail, FakeLlm
from antiphon.server.run import Running

pytestmark = pytest.mark.real


async def figures(made: Running, key: str | None = None) -> dict[str, float]:
    """Every sample by its name and labels, written as Prometheus does."""
    async with web(made, key) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_a_conversation_can_be_read_off_the_page() -> None:
    async def story() -> None:
        async with server(server__max_sessions=1) as made:
            async with client(made) as call:
                await call.receive("session.created")
                await call.speak()
                await call.receive("response.done")
                assert (await refusal(made))[0] == 503
                during = await figures(made)
            while made.state.sessions.running:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            after = await figures(made)
        assert during["voice_active_sessions"] == 1
        assert during['voice_connections{transport="websocket"}'] == 1
        assert during["voice_connection_setup_seconds_count"] == 1
        assert during["voice_held_audio_bytes"] > 0
        assert during['voice_requests_refused_total{code="server_full"}'] == 1
        assert during["voice_to_voice_latency_seconds_count"] == 1
        assert during['voice_responses_total{status="completed"}'] == 1
        assert during["voice_hub_windows_total"] > 0
        assert during["process_resident_memory_bytes"] > 1e6
        assert after["voice_active_sessions"] == 0
        assert after['voice_sessions_ended_total{reason="closed by the client"}'] == 1
        assert after["voice_session_bytes_sum"] > 0
        assert after["voice_heard_seconds_total"] == pytest.approx(2.0)
        assert after["voice_event_loop_lag_seconds_count"] > 0

    asyncio.run(story())


def test_engines_that_share_a_role_tell_how_they_are() -> None:
    async def story() -> None:
        first, second = FakeLlm([Fail("upstream_reset", "gone")]), FakeLlm("Here I am.")
        async with server() as made:
            links = (Link("llm 1 (a)", first, 20.0), Link("llm 2 (b)", second, 20.0))
            chain = Chain(links)
            state = made.state
            state.engines = msgspec.structs.replace(state.engines, chains={"llm": links})
            assert [piece async for piece in chain.answer(lambda link: link.engine.write(LlmRequest(())))]
            found = await figures(made)
            assert found['voice_engine_rests{engine="llm 1 (a)"}'] == 1
            assert found['voice_engine_rests{engine="llm 2 (b)"}'] == 0
            assert found['voice_engine_failures_total{engine="llm 1 (a)"}'] == 1
            async with web(made) as client:
                assert (await client.get("/health")).text == "ok\nllm 1 (a) failed and rests\n"
            await chain.close()

    asyncio.run(story())


def test_what_is_kept_of_conversations_is_counted() -> None:
    async def story() -> None:
        async with server(history__keep=True) as made:
            async with client(made) as call:
                await call.receive("session.created")
                await call.speak()
                await call.receive("response.done")
            async with asyncio.timeout(20):
                while (found := await figures(made))["voice_history_written_total"] < 3:  # noqa: ASYNC110 - a figure
                    await asyncio.sleep(0.05)
            assert found["voice_history_lost_total"] == found["voice_history_errors_total"] == 0

    asyncio.run(story())


def test_it_needs_a_key_unless_it_is_open() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as made, web(made) as stranger:
            assert (await stranger.get("/metrics")).status_code == 401
            assert (await figures(made, KEY))['voice_requests_refused_total{code="missing_api_key"}'] == 1
        async with server(server__keys=[KEY], server__open_metrics=True) as made:
            assert "voice_active_sessions" in await figures(made)

    asyncio.run(story())
