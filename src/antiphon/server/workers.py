"""`antiphon serve --workers N`: processes that share one port, under a parent that starts them and sees them end.

The parent holds the port and everything that has to be the same for all: the secret that client secrets are sealed
with, a certificate made at start, the file of shared limits. It carries no session. Each worker is a whole server, to
which the system hands its share of the connections. They are told their configuration over a pipe, so that no key is
ever seen in a list of processes; the pipe's end is how they learn that the parent is gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.observe.jsonlog import JsonLines
from antiphon.server import memory
from antiphon.server.bounded import allow_many_files
from antiphon.server.run import Place, bind, check, reread, running
from antiphon.server.shared import SharedTable
from antiphon.server.tls import self_signed

log = logging.getLogger("antiphon.workers")

LIMITS = "limits"
READY = b"ready\n"
AGAIN_AFTER_S: Seconds = 1.0  # before a worker that died is replaced: one that dies at once must not take the machine
FAREWELL_S: Seconds = 15.0  # beyond the time to drain, for a worker to close what it has; then it is killed
LONGEST_LINE = 16 << 20  # of a configuration on its way to a worker


class Plan(Struct, frozen=True):
    """What a worker is told first."""

    config: Config
    folder: Path
    number: int
    count: int
    verbose: bool


async def serve_together(
    config: Config, reload: Callable[[], Config], announce: Callable[[str, int], None], *, verbose: bool = False
) -> None:
    """Run the configuration's workers until SIGINT or SIGTERM, then have them drain; SIGHUP has them take keys and
    limits from `reload` anew. `announce` is given the port's URL and how many workers there are, once all listen."""
    check(config)
    with TemporaryDirectory(prefix="antiphon-") as name:
        folder = Path(name)
        with closing(bind(config, shared=True)) as port:
            # Bound and not listening, it gets no connection, and keeps the number for those who do.
            crew = Crew(_made_common(config, folder, port.getsockname()[1]), folder, verbose=verbose)
            await crew.run(reload, announce)


def _made_common(config: Config, folder: Path, port: int) -> Config:
    """What every worker would otherwise make for itself, and differently."""
    server = msgspec.structs.replace(config.server, port=port)
    if not server.all_keys and server.token_secret is None:
        server = msgspec.structs.replace(server, token_secret=secrets.token_urlsafe(32))
    if server.tls_self_signed:
        certificate, key = self_signed(folder, server.host)
        server = msgspec.structs.replace(server, tls_cert=certificate, tls_key=key, tls_self_signed=False)
    return msgspec.structs.replace(config, server=server)


class Crew:
    """The workers, seen from their parent."""

    def __init__(self, config: Config, folder: Path, *, verbose: bool) -> None:
        self._config = config
        self._folder = folder
        self._verbose = verbose
        self._count = config.server.workers
        self._limits = SharedTable(folder / LIMITS, 0, self._count)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._are_ready = asyncio.Semaphore(0)
        self._stop = asyncio.Event()

    async def run(self, reload: Callable[[], Config], announce: Callable[[str, int], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload, reload)
        tending = [asyncio.create_task(self._tend(number)) for number in range(self._count)]
        greeting = asyncio.create_task(self._greet(announce))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopping, *tending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            greeting.cancel()
            self._end_all()
            results = await asyncio.gather(*tending, return_exceptions=True)
            self._limits.close()
        for failure in results:
            if isinstance(failure, BaseException):
                raise failure

    async def _greet(self, announce: Callable[[str, int], None]) -> None:
        for _ in range(self._count):
            await self._are_ready.acquire()
        server = self._config.server
        scheme = "wss" if server.tls_cert is not None else "ws"
        host = f"[{server.host}]" if ":" in server.host else server.host
        announce(f"{scheme}://{host}:{server.port}/v1/realtime", self._count)

    async def _tend(self, number: int) -> None:
        """Keep one worker running. Raises `ConfigError` if it does not even start."""
        while not self._stop.is_set():
            process = await self._begin(number)
            is_ready = await self._first_line(process) == READY
            if is_ready:
                self._are_ready.release()
            code = await self._end_of(process)
            await asyncio.to_thread(self._clear_up, number, process.pid)
            if self._stop.is_set():
                return
            if not is_ready:
                raise ConfigError(f"worker {number} did not start", "What it said stands above.")
            log.error("worker %d ended with %d, and its sessions with it: another one takes its place", number, code)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _begin(self, number: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._processes[number] = process
        if self._stop.is_set():  # it was begun before all were told to end, and is there only now
            process.send_signal(signal.SIGTERM)
        plan = Plan(self._config, self._folder, number, self._count, self._verbose)
        self._tell(process, plan)
        return process

    async def _first_line(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        return await process.stdout.readline()

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        """Its exit status. Once all are to end, it has so long as sessions may take, and then is killed."""
        waiting = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            async with asyncio.timeout(self._config.server.drain_s + FAREWELL_S if self._stop.is_set() else None):
                return await waiting
        except TimeoutError:
            log.error("a worker did not end in time: killed")
            process.kill()
            return await process.wait()

    def _clear_up(self, number: int, pid: int) -> None:
        self._limits.clear(number)
        (self._folder / f"{number}.{pid:x}.sock").unlink(missing_ok=True)

    def _end_all(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)

    def _reload(self, reload: Callable[[], Config]) -> None:
        config = reread(reload)
        if config is None:
            return
        common = self._config.server
        server = msgspec.structs.replace(
            config.server,
            port=common.port,
            token_secret=config.server.token_secret or common.token_secret,
            tls_cert=common.tls_cert,
            tls_key=common.tls_key,
            tls_self_signed=False,
        )
        self._config = msgspec.structs.replace(config, server=server)
        for process in self._processes.values():
            self._tell(process, self._config)

    def _tell(self, process: asyncio.subprocess.Process, what: Plan | Config) -> None:
        assert process.stdin is not None
        if not process.stdin.is_closing():
            process.stdin.write(msgspec.json.encode(what, enc_hook=str) + b"\n")


# --- in a worker -----------------------------------------------------------------------------------------------------


def _decode(kind: type, value: Any) -> Any:
    return kind(value)  # paths, which travel as text


async def _work() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the parent says what becomes of it
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    orders = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    line = await _first_order(orders, stop)
    if not line:
        return
    plan = msgspec.json.decode(line, type=Plan, dec_hook=_decode)
    _set_up(plan)
    table = SharedTable(plan.folder / LIMITS, plan.number, plan.count)
    place = Place(table, plan.folder, plan.number, plan.count)
    async with running(_own(plan), place=place) as server:
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        obeying = asyncio.create_task(_obey(orders, server.state.apply))
        stopping = asyncio.create_task(stop.wait())
        tending = asyncio.create_task(memory.tend(server.state.warmed))
        await asyncio.wait([obeying, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (obeying, stopping, tending):
            task.cancel()


async def _first_order(orders: asyncio.StreamReader, stop: asyncio.Event) -> bytes:
    """The plan; empty if it does not come any more, as the parent is gone or does not want this worker after all."""
    reading = asyncio.create_task(orders.readline())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        reading.cancel()
        return b""
    return reading.result()


def _own(plan: Plan) -> Config:
    """A port that cannot be shared is the first worker's."""
    if plan.number == 0:
        return plan.config
    return msgspec.structs.replace(plan.config, server=msgspec.structs.replace(plan.config.server, wyoming_port=None))


async def _obey(orders: asyncio.StreamReader, apply: Callable[[Config], None]) -> None:
    """Take a new configuration each time that one comes, until nobody is left who could send one."""
    while line := await orders.readline():
        apply(msgspec.json.decode(line, type=Config, dec_hook=_decode))
        log.info("keys and limits were read again")
    log.warning("the parent is gone: draining")


def _set_up(plan: Plan) -> None:
    level = logging.DEBUG if plan.verbose else logging.INFO
    words = f"%(asctime)s %(levelname).1s {plan.number} %(name)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=words)
    if plan.config.server.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines({"worker": plan.number}))
    logging.getLogger("antiphon").setLevel(level)
    allow_many_files()


def main() -> None:
    """What a worker's process runs."""
    import uvloop

    try:
        uvloop.run(_work())
    except ConfigError as error:
        sys.exit(f"Error: {error.message}\n  {error.hint}")


if __name__ == "__main__":
    main()
