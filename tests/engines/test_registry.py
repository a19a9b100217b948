"""Which engine plays a role, why, and what that costs to ask."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import get_args

import pytest

from antiphon.config import Config, Engine
from antiphon.engines.registry import EMBEDDED, FACTORIES, Role, choose, make
from antiphon.errors import ConfigError, UnknownName

ROLES: tuple[Role, ...] = get_args(Role)
REMOTE: tuple[Role, ...] = ("stt", "llm", "tts")
ELSEWHERE = "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize("role", ROLES)
def test_auto_is_what_is_built_in_and_says_why_and_what_would_be_better(role: Role) -> None:
    choice = choose(role, Engine())
    assert choice.name == EMBEDDED[role]
    assert choice.reason
    assert role == "vad" or f"{role}.base_url" in choice.caveat


@pytest.mark.parametrize("role", REMOTE)
def test_auto_is_the_server_that_was_named(role: Role) -> None:
    choice = choose(role, Engine(base_url=ELSEWHERE, model="m"))
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
        choose(role, Engine(engine="openai"))


@pytest.mark.parametrize("role", ROLES)
def test_whoever_is_named_is_taken_whatever_else_is_set(role: Role) -> None:
    for name in FACTORIES[role]:
        assert choose(role, Engine(engine=name, base_url=ELSEWHERE)).name == name


@pytest.mark.slow  # the first one to import an HTTP client
def test_one_set_plays_all_roles_and_shares_one_client() -> None:
    async def life() -> None:
        remote = Engine(base_url=ELSEWHERE, model="m")
        engines = make(Config(vad=Engine(engine="energy"), stt=remote, llm=remote, tts=remote))
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
        fake = Engine(engine="fake")
        engines = make(Config(vad=Engine(engine="energy"), stt=fake, llm=fake, tts=fake))
        assert engines.client is None
        await engines.warm()
        await engines.close()

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
