"""Which engine plays a role, why, and what that costs to ask."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from antiphon.config import Config, Detector, Engine, Model, Recogniser, Remote, Server, Turns, Voice, load
from antiphon.engines import registry
from antiphon.engines.api import LlmRequest, SttRequest, TtsRequest, UserSaid
from antiphon.engines.fake import FakeStt, FakeTts
from antiphon.engines.pool import Share
from antiphon.engines.registry import EMBEDDED, FACTORIES, Role, Workshop, choose, make
from antiphon.errors import ConfigError, UnknownName
from antiphon.testing.upstream import Script, serving

ROLES: tuple[Role, ...] = get_args(Role)
REMOTE: tuple[Role, ...] = ("stt", "llm", "tts")
ELSEWHERE = "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize("role", ROLES)
def test_auto_is_what_is_built_in_and_says_why_and_what_would_be_better(role: Role) -> None:
    choice = choose(role, Remote() if role in REMOTE else Detector())
    assert choice.name == EMBEDDED[role]
    assert choice.reason
    assert role == "vad" or f"{role}.base_url" in choice.caveat


@pytest.mark.parametrize("role", REMOTE)
def test_auto_is_the_server_that_was_named(role: Role) -> None:
    choice = choose(role, Remote(base_url=ELSEWHERE, model="m"))
    assert (choice.name, choice.caveat) == ("openai", "")
    assert f"{role}.base_url" in choice.reason


@pytest.mark.parametrize("role", ROLES)
def test_a_name_that_nobody_has_is_refused_with_those_that_there_are(role: Role) -> None:
    with pytest.raises(UnknownName) as caught:
        choose(role, Engine(engine=EMBEDDED[role][:-1] + "_"))
    assert f"Did you mean {EMBEDDED[role]!r}?" in caught.value.hint
    assert caught.value.known == sorted(FACTORIES[role])


@pytest.mark.parametrize("role", REMOTE)
def test_a_server_without_address_is_refused(role: Role) -> None:
    with pytest.raises(ConfigError, match=f"{role}.base_url"):
        choose(role, Remote(engine="openai"))


@pytest.mark.parametrize("role", ROLES)
def test_whoever_is_named_is_taken_whatever_else_is_set(role: Role) -> None:
    for name in FACTORIES[role]:
        assert choose(role, Remote(engine=name, base_url=ELSEWHERE)).name == name


@pytest.mark.slow  # the first one to import an HTTP client
def test_one_set_plays_all_roles_and_shares_one_client() -> None:
    async def life() -> None:
        engines = make(
            Config(
                vad=Detector(engine="energy"),
                stt=Recogniser(base_url=ELSEWHERE, model="m"),
                llm=Model(base_url=ELSEWHERE, model="m"),
                tts=Voice(base_url=ELSEWHERE, model="m"),
            )
        )
        assert [(choice.role, choice.name) for choice in engines.choices] == [
            ("vad", "energy"),
            ("stt", "openai"),
            ("llm", "openai"),
            ("tts", "openai"),
        ]
        assert engines.client is not None
        await engines.close()

    asyncio.run(life())


def test_without_a_remote_engine_there_is_no_client() -> None:
    async def life() -> None:
        engines = make(
            Config(
                vad=Detector(engine="energy"),
                stt=Recogniser(engine="fake"),
                llm=Model(engine="fake"),
                tts=Voice(engine="fake"),
            )
        )
        assert engines.client is None
        await engines.warm()
        await engines.close()

    asyncio.run(life())


# --- cores -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> dict[str, Share]:
    """What a recogniser and a voice that compute in the pool got of it, on a machine of eight cores."""
    got: dict[str, Share] = {}

    def listening(settings: Recogniser, workshop: Workshop) -> FakeStt:
        got["stt"] = workshop.pool(settings.threads)
        return FakeStt()

    def speaking(settings: Voice, workshop: Workshop) -> FakeTts:
        got["tts"] = workshop.pool(settings.threads)
        return FakeTts()

    monkeypatch.setattr(registry, "usable_cores", lambda: 8)
    monkeypatch.setitem(FACTORIES["stt"], "fake", listening)
    monkeypatch.setitem(FACTORIES["tts"], "fake", speaking)
    return got


def local(stt: Recogniser, tts: Voice, workers: int = 1, turns: Turns | None = None) -> Config:
    llm, vad, server = Model(engine="fake"), Detector(engine="energy"), Server(workers=workers)
    return Config(vad=vad, stt=stt, llm=llm, tts=tts, server=server, turns=turns or Turns())


@pytest.mark.parametrize(("workers", "threads", "at_once"), [(1, 2, 4), (2, 2, 2), (3, 1, 2), (8, 1, 1), (20, 1, 1)])
def test_processes_share_the_cores_of_the_machine(
    shares: dict[str, Share], workers: int, threads: int, at_once: int
) -> None:
    make(local(Recogniser(engine="fake"), Voice(engine="fake"), workers))
    assert (shares["stt"].threads_each, shares["stt"].workers) == (threads, at_once)


def test_each_engine_computes_with_its_own_threads(shares: dict[str, Share]) -> None:
    make(local(Recogniser(engine="fake", threads=1), Voice(engine="fake", threads=4)))
    assert (shares["stt"].threads_each, shares["tts"].threads_each) == (1, 4)
    assert shares["stt"].pool is shares["tts"].pool


@pytest.mark.parametrize(("threads", "each", "at_once"), [(0, 1, 8), (1, 1, 8), (3, 8, 1)])
def test_moonshine_computes_with_one_thread_or_with_all(
    shares: dict[str, Share], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, each: int, at_once: int
) -> None:
    pytest.importorskip("moonshine_voice")
    from antiphon.engines.stt import moonshine

    got: list[Share] = []

    def made(folder: Path, share: Share) -> FakeStt:
        got.append(share)
        return FakeStt()

    monkeypatch.setattr(moonshine, "Moonshine", made)
    make(local(Recogniser(engine="moonshine", model=str(tmp_path), threads=threads), Voice(engine="fake")))
    assert [(share.threads_each, share.workers) for share in got] == [(each, at_once)]


def test_who_computes_beside_the_pool_is_counted(
    shares: dict[str, Share], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sherpa_onnx")
    from antiphon.engines.turn import smart_turn

    for name in ("tokens.txt", "encoder.onnx", "decoder.onnx", "joiner.onnx"):
        (tmp_path / name).touch()
    monkeypatch.setattr(smart_turn, "SmartTurn", lambda path: None)
    streaming = Recogniser(engine="sherpa", model=str(tmp_path), threads=3)
    make(local(streaming, Voice(engine="fake"), turns=Turns(model=tmp_path)))
    assert shares["tts"].pool.cores == 8 - 3 - 1


@pytest.mark.real
@pytest.mark.slow
def test_what_the_configuration_says_of_a_server_reaches_its_requests() -> None:
    async def life() -> None:
        async with serving(Script()) as upstream:
            url = upstream.base_url
            engines = make(
                Config(
                    vad=Detector(engine="energy"),
                    stt=Recogniser(base_url=url, stream=True),
                    llm=Model(
                        base_url=url, model="m", count_tokens=False, max_tokens_field="most", extra={"temper": 1}
                    ),
                    tts=Voice(base_url=url, model="v", voices={"marin": "af_heart"}, rate_hz=16_000),
                )
            )
            try:
                assert engines.tts.rate == 16_000
                async for _ in engines.stt.transcribe(np.zeros(16_000, np.float32), SttRequest()):
                    pass
                async for _ in engines.llm.write(LlmRequest((UserSaid("Well?"),), max_tokens=7)):
                    pass
                async for _ in engines.tts.speak("Yes.", TtsRequest("marin")):
                    pass
            finally:
                await engines.close()
            heard, asked, said = upstream.requests
            assert heard.fields["stream"] == "true"
            assert (asked.json["most"], asked.json["temper"]) == (7, 1)
            assert "stream_options" not in asked.json
            assert (said.json["voice"], said.json["model"]) == ("af_heart", "v")

    asyncio.run(life())


@pytest.mark.real
@pytest.mark.slow
def test_asking_what_there_is_imports_nothing_heavy() -> None:
    program = (
        "import sys, antiphon.engines.registry as r\n"
        "from antiphon.config import Engine\n"
        "[r.choose(role, Engine()) for role in r.FACTORIES]\n"
        "heavy = {'onnxruntime', 'httpx', 'aiohttp', 'pocketsphinx', 'av', 'espeakng_loader'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("role", "engine", "model", "why"),
    [
        ("stt", "whisper", None, "whisper-small is not on this machine"),
        ("stt", "sherpa", "whisper-tiny", "not on this machine"),
        ("stt", "parakeet", "parrot", "no model is called 'parrot'"),
        ("stt", "moonshine", None, "moonshine-small is not on this machine"),
        ("tts", "sherpa", "./nowhere", "no folder"),
    ],
)
def test_local_engines_say_what_is_missing_and_download_nothing(
    role: str, engine: str, model: str | None, why: str, tmp_path: Path
) -> None:
    settings = load(None, {}, {f"{role}.engine": engine, f"{role}.model": model, "models.folder": tmp_path})
    with pytest.raises(ConfigError, match=why) as refused:
        make(settings)
    assert refused.value.hint
    assert not list(tmp_path.iterdir())
