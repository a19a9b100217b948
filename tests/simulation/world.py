"""One world from its seed: a few conversations on shared engines, in weather, under virtual time, to the end of all.

The sessions, their runtime, the hearing hub, the tool runner, the transport and the messages are the real ones; the
detector, the engines, the tools and the callers are scripted. What happened is told in an `Account`; whether it may
happen is for `laws` to say.
"""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import legible
import msgspec
from desk import Desk
from elsewhere import Elsewhere
from msgspec import Struct
from somebody import Person
from weather import MarkingTts, UnrulyLlm, UnrulyStt, UnrulyTool, UnrulyTts, UnrulyTurnModel, UnrulyVad, Weather

from antiphon.audio.units import Seconds
from antiphon.engines.api import Llm, Stt, Tts
from antiphon.engines.failover import FailoverLlm, FailoverTts, Link
from antiphon.engines.stt.failover import FailoverStt
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.relay.session import RelaySession, make_session
from antiphon.runtime.drive import Drive, Equipment, Record
from antiphon.runtime.phrases import KeptPhrases
from antiphon.runtime.relay import RelayDrive
from antiphon.runtime.workers import Engines
from antiphon.server.continuing import MOST_ITEMS, in_writing
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.items import Item
from antiphon.session.outputs import Output
from antiphon.session.session import Session
from antiphon.session.settings import (
    FunctionTool,
    Relaying,
    SessionConfig,
    Settings,
    Speculating,
    Transcription,
    TurnDetection,
)
from antiphon.store.changes import Change, SessionBegan
from antiphon.store.database import SqliteShelf
from antiphon.store.drafts import Draft, made
from antiphon.store.keeping import Keeping
from antiphon.store.reading import SqliteReader
from antiphon.testing.virtual_time import run
from antiphon.tools.api import Conduct, ServerTool, ToolContext
from antiphon.tools.registry import Registry
from antiphon.tools.runner import Workroom

E = TypeVar("E", Llm, Stt, Tts)
Steps = list[tuple[Seconds, Input, list[Output]]]
PATIENCE_S: Seconds = 15.0  # of a chain of engines with the first byte
RELAYED = 0.15  # of all worlds
DEADLY = 0.15  # of all worlds: a worker dies, and who talked to it goes on with another


class Call(Struct):
    """One conversation of a world, and what is known of it."""

    seed: int
    """Of its ids."""
    config: SessionConfig
    session: Session | RelaySession
    person: Person
    steps: Steps
    kept: list[Change]
    """What was handed over to be written down."""
    desk: Desk
    """Where it is."""
    died_at: Seconds | None = None
    """When its worker was gone, and with it what was not written yet. What happened to it since, nobody knows."""
    goes_on_with: Call | None = None
    """One that has died."""


class Account(Struct):
    """What has happened in a world."""

    seed: int
    weather: Weather
    calls: list[Call]
    tools: list[UnrulyTool]
    stts: list[UnrulyStt]
    elsewhere: Elsewhere | None
    """Where the voices of its conversations are, if they are not here."""
    vad_failures: int
    left_tasks: list[str]
    """Names of tasks that outlived every session."""
    left_timers: list[str]
    left_streams: int
    drives: list[weakref.ref[Drive]]
    """They are to be gone once nothing of this account is held."""
    died_in_storm: bool
    """Nobody waited for the end of what had gone wrong."""
    errors: list[str]
    """What was logged as a mistake of ours."""


class World:
    """See the module."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.weather = Weather(seed)
        self._chance = random.Random(seed ^ 0x5EED)
        self._vad = UnrulyVad(self.weather)
        self._hub = HearingHub(self._vad, InPlace())
        self._tools = [
            UnrulyTool("write", self.weather, Conduct()),
            UnrulyTool("read", self.weather, Conduct(reads_only=True)),
            UnrulyTool("dig", self.weather, Conduct(background_after_s=0.4)),
            UnrulyTool("send", self.weather, Conduct(outlives_response=True)),
        ]
        self._stts = [UnrulyStt(self.weather), UnrulyStt(self.weather)]
        self._chains: tuple[FailoverStt | FailoverLlm | FailoverTts, ...] = ()
        engines = self._engines()
        tools = cast("tuple[ServerTool, ...]", tuple(self._tools))
        self._equipment = Equipment(engines, self._hub, Workroom(Registry(tools)))
        is_relayed = random.Random(seed ^ 0xFA2).random() < RELAYED
        self._elsewhere = Elsewhere(self._session_elsewhere, self.weather) if is_relayed else None
        self._drives: list[weakref.ref[Drive]] = []
        self._fate = random.Random(seed ^ 0xDEAD)
        self._desk = Desk(seed, self.weather)

    def _engines(self) -> Engines:
        weather = self.weather
        voice = MarkingTts if self._chance.random() < 0.5 else UnrulyTts
        stt: Stt = self._stts[0]
        llm: Llm = UnrulyLlm(weather)
        tts: Tts = voice(weather)
        if self._chance.random() < 0.3:
            second = self._stts[1], UnrulyLlm(weather), voice(weather)
            self._chains = chains = (
                FailoverStt([_link("stt 1", stt), _link("stt 2", second[0])]),
                FailoverLlm([_link("llm 1", llm), _link("llm 2", second[1])]),
                FailoverTts([_link("tts 1", tts), _link("tts 2", second[2])]),
            )
            stt, llm, tts = chains
        return Engines(stt, llm, tts, KeptPhrases(tts), UnrulyTurnModel(weather))

    def _config(self) -> SessionConfig:
        chance = self._chance
        detection = TurnDetection(
            kind=chance.choice(("server_vad", "server_vad", "semantic_vad")),
            silence_duration_ms=chance.choice((200, 500)),
            interrupt_response=chance.random() < 0.85,
            create_response=chance.random() < 0.9,
            eagerness="high",
        )
        settings = Settings(turn_detection=detection, transcription=Transcription(), speaks=chance.random() < 0.9)
        return SessionConfig(
            settings,
            server_tools=tuple(FunctionTool(tool.spec.name, "Do it.", {"type": "object"}) for tool in self._tools),
            lead_ms=chance.choice((0, 200, 500)),
            speculation=Speculating(answers=chance.random() < 0.5),
            barge_in=chance.choice(("auto", "voice", "words")),
            continuous_endpoint=chance.random() < 0.3,
            scores_turns=chance.random() < 0.2,
            greeting=chance.choice(("", "", "Good day.")),
            apologies={"en": "Sorry, that went wrong."} if chance.random() < 0.3 else {},
            relay=None if self._elsewhere is None else Relaying("w"),
        )

    def _call(self, number: int, config: SessionConfig, words: list[int]) -> Call:
        """A session, and who is to say these words in it."""
        seed = self.seed * 16 + number
        session = make_session(config, Ids(seed))
        kept: list[Change] = []
        steps: Steps = []
        began = self.weather.now().timestamp()
        loop = asyncio.get_running_loop()
        keeping = Keeping(session.id, session.conversation, partial(_keep, kept, self._desk), loop.time(), began)
        drive = self._drive(session, (partial(_note, steps), keeping.record))
        drive.timeline.on_turn.append(keeping.turn_ended)
        if isinstance(drive, RelayDrive):
            drive.start()
        return Call(seed, config, session, Person(drive, self.weather, words), steps, kept, self._desk)

    def _go_on(self, number: int, dead: Call) -> Call:
        """With another worker, from what has been written down."""
        config = msgspec.structs.replace(dead.config, earlier=_read(dead))
        call = self._call(number, config, dead.person.unsaid_words)
        call.goes_on_with = dead
        return call

    async def _die(self, calls: list[Call]) -> list[Call]:
        """The worker of these was gone some time ago; returns those that go on with them."""
        now = asyncio.get_running_loop().time()
        for call in calls:
            call.died_at = self._fate.uniform(0.0, now)
            await call.person.drive.close("its worker has died")
            call.person.finish()
        await self._desk.writer.close()
        self._desk = Desk(self.seed + 1, self.weather)
        return [self._go_on(len(calls) + number, call) for number, call in enumerate(calls)]

    def _drive(self, session: Session | RelaySession, records: tuple[Record, ...] = ()) -> Drive:
        if isinstance(session, RelaySession):
            assert self._elsewhere is not None
            drive: Drive = RelayDrive(session, self._equipment, self._context, self._elsewhere, records)
        else:
            drive = Drive(session, self._equipment, self._context, records)
        self._drives.append(weakref.ref(drive))
        return drive

    def _session_elsewhere(self) -> Drive:
        """One that is another one's voice. It has no tools of its own."""
        equipment = Equipment(self._equipment.engines, self._hub)
        config = SessionConfig(Settings(transcription=Transcription()))
        ids = Ids((self.seed << 20) + 1024 + len(self._drives))
        drive = Drive(Session(config, ids), equipment, self._context)
        self._drives.append(weakref.ref(drive))
        return drive

    def _context(self, drive: Drive) -> ToolContext:
        return ToolContext(self.weather.now(), "en-US", drive.session.id, drive.announce)

    async def live(self) -> Account:
        """Everything, to its end."""
        count = self._chance.choice((1, 1, 1, 2))
        words = [list(range(number, legible.WORDS, count)) for number in range(count)]
        calls = [self._call(number, self._config(), words[number]) for number in range(count)]
        await _all_live(calls)
        dead: list[Call] = []
        if self._fate.random() < DEADLY:
            dead, calls = calls, await self._die(calls)
            await _all_live(calls)
        dies_in_storm = self._chance.random() < 0.2
        if not dies_in_storm:
            self.weather.is_clear = True
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    group.create_task(call.person.ask_at_last())
        for call in calls:
            await call.person.drive.close("the story is over")
        await self._desk.writer.close()
        for chain in self._chains:
            await chain.close()
        await self._hub.close()
        for call in calls:
            call.person.finish()
        return Account(
            self.seed,
            self.weather,
            dead + calls,
            self._tools,
            self._stts,
            self._elsewhere,
            self._vad.failures,
            [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()],
            _timers(),
            len(self._hub.streams),
            self._drives,
            dies_in_storm,
            [],
        )


class _Mistakes(logging.Handler):
    """What is logged as our own mistake; engines' and tools' exceptions are not."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in ("antiphon.drive", "asyncio"):
            self.found.append(self.format(record))


def live(seed: int) -> Account:
    """Run the world of this seed. Raises what broke out of it."""
    mistakes = _Mistakes()
    loggers = [logging.getLogger(name) for name in ("antiphon", "asyncio")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(mistakes)
        logger.setLevel(logging.ERROR)
        logger.propagate = False  # engines are to fail here, and nobody wants to read of it
    try:
        account = run(_born(seed))
    finally:
        for logger, (level, propagates) in zip(loggers, before, strict=True):
            logger.removeHandler(mistakes)
            logger.setLevel(level)
            logger.propagate = propagates
    account.errors += mistakes.found
    return account


async def _born(seed: int) -> Account:
    return await World(seed).live()


async def _all_live(calls: list[Call]) -> None:
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call.person.live())


def _keep(kept: list[Change], desk: Desk, draft: Change | Draft) -> None:
    kept.append(made(draft))
    desk.writer.put(draft)


def _read(dead: Call) -> tuple[Item, ...]:
    """What another worker finds of it in a file that both use."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "conversations.sqlite3")
        shelf = SqliteShelf(path)
        began = SessionBegan(dead.session.id, "", 0.0, "realtime", "")
        shelf.write("worker", [began, *dead.desk.written(dead.session.id, dead.died_at)], [])
        shelf.close()
        items = SqliteReader(path).conversation(dead.session.id, MOST_ITEMS)
    return tuple(told for item in items if (told := in_writing(item)) is not None)


def _note(steps: Steps, now: Seconds, item: Input, out: list[Output]) -> None:
    steps.append((now, item, out))


def _link(name: str, engine: E) -> Link[E]:
    return Link(name, engine, PATIENCE_S)


def _timers() -> list[str]:
    """Timers that are set and not cancelled."""
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009
    return [repr(timer) for timer in scheduled if not timer.cancelled()]
