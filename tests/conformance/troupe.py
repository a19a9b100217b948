"""What the conformance tests share: the sounds that a person makes, and servers with the embedded engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import stage


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every line that a person can say."""
    folder = tmp_path_factory.mktemp("sounds")
    asyncio.run(stage.record(folder))
    return folder


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.House]:
    """One server for all clients, as a person starts it."""
    with stage.embedded(tmp_path_factory.mktemp("embedded"), tls=False) as house:
        yield house


@pytest.fixture(scope="session")
def embedded_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.House]:
    """The same with a certificate of its own making."""
    with stage.embedded(tmp_path_factory.mktemp("embedded_tls"), tls=True) as house:
        yield house
