"""A Redis server in a process of its own, whose data survive its death."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="there is no redis-server: apt-get install redis-server")


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[int]:
    """A Redis server whose data survive its own death; its port."""
    port = port or free_port()
    flags = ("--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
    process = subprocess.Popen([REDIS or "", *flags, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        until_there(port)
        yield port
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until_there(port: int) -> None:
    client = redis.Redis(port=port)
    limit = time.monotonic() + 30
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < limit, "Redis does not answer"
            time.sleep(0.02)
        else:
            client.close()
            return
