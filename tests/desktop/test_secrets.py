"""Keys of servers in a store of secrets, and what happens without one."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoStore

from antiphon.desktop.secrets import remember, remembered
from antiphon.errors import ConfigError


class Store(KeyringBackend):
    """Keeps them in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Store())
    yield
    keyring.set_keyring(before)


def test_a_key_is_for_its_host() -> None:
    remember("wss://voice.example.org:8443/v1/realtime", "sk-1")
    assert remembered("wss://voice.example.org:8443/v1/realtime?model=x") == "sk-1"
    assert remembered("wss://voice.example.org/v1/realtime") is None


def test_without_a_store() -> None:
    keyring.set_keyring(NoStore())  # type: ignore[no-untyped-call]
    assert remembered("wss://voice.example.org/") is None
    with pytest.raises(ConfigError, match=r"(?s)store of secrets.*ANTIPHON_KEY"):
        remember("wss://voice.example.org/", "sk-1")
