"""What a server leans on, to be killed: two upstreams that answer questions, and Redis; each is a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from redis_process import free_port, running

PIECE_MS = 10  # from one word of an answer to the next


class Perishable(Struct, frozen=True):
    """They are there until they are killed."""

    config: Path
    """Of a server that leans on them."""
    upstream: subprocess.Popen[bytes]
    """The one that is asked first."""
    redis: ExitStack
    redis_port: int
    folder: Path

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """It is killed, and is back afterwards with what was written before."""
        self.redis.close()
        yield
        self.redis.enter_context(running(self.folder, self.redis_port))


@contextmanager
def perishable(folder: Path) -> Iterator[Perishable]:
    with ExitStack() as redis, _upstream("first") as (first, url), _upstream("second") as (_, second_url):
        config = folder / "antiphon.toml"
        one = Perishable(config, first, redis, free_port(), folder)
        redis.enter_context(running(folder, one.redis_port))
        config.write_text(
            f"""[history]
redis_url = "redis://127.0.0.1:{one.redis_port}/0"
[stt]
engine = "fake"
[tts]
engine = "fake"
[llm]
base_url = "{url}"
model = "m"
first_byte_timeout_s = 60.0
fallbacks = [{{ base_url = "{second_url}", model = "m" }}]
"""
        )
        yield one


@contextmanager
def _upstream(reply: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scripted server that answers every question with this, and its address."""
    command = (sys.executable, "-m", "antiphon.testing.upstream", "--port", "0", "--reply", reply)
    with subprocess.Popen([*command, "--token-ms", str(PIECE_MS)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert line, "it has ended: its complaint is above"
            yield process, line.split()[-1]
        finally:
            process.kill()
