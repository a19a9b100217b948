"""Every place in which conversations may be kept does the same: an SQLite file, and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest
from redis_process import free_port, needs_redis, running

from antiphon.errors import ConfigError, EngineError
from antiphon.store.changes import Change, ItemGone, ItemKept, SessionBegan, SessionEnded, TurnKept
from antiphon.store.database import SqliteShelf
from antiphon.store.pace import OwnThread
from antiphon.store.reading import SqliteReader
from antiphon.store.redis import RedisReader, RedisShelf, connect
from antiphon.store.shelf import SILENT_S, Reader, Shelf, Unwritten
from antiphon.store.writer import Writer

pytestmark = pytest.mark.real


class Place:
    """A shelf and its reader."""

    def __init__(self, shelf: Shelf, reader: Reader) -> None:
        self.shelf = shelf
        self.reader = reader

    def write(self, *changes: Change, lost: tuple[tuple[str, int], ...] = ()) -> None:
        self.shelf.write("w1", changes, lost)


@pytest.fixture(params=["sqlite", "imitated redis", pytest.param("redis", marks=needs_redis)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "sqlite":
            shelf = SqliteShelf(tmp_path / "c.sqlite3")
            yield Place(shelf, SqliteReader(shelf.path))
            shelf.close()
        case "imitated redis":
            server = fakeredis.FakeRedis()
            yield Place(RedisShelf(server), RedisReader(server))
        case _:
            with running(tmp_path) as port:
                real = connect(f"redis://127.0.0.1:{port}/0")
                yield Place(RedisShelf(real), RedisReader(real))
                real.close()


def began(session: str, at: float = 100.0, owner: str = "", continues: str | None = None) -> SessionBegan:
    return SessionBegan(session, owner, at, "realtime", "antiphon", continues)


def said(session: str, item: str, text: str, place: float = 1.0, kind: str = "user") -> ItemKept:
    data = b'{"type":"message","id":"%b","role":"user","content":[{"type":"text","text":"x"}]}' % item.encode()
    return ItemKept(session, item, place, 101.0, kind, text, None, 1.0, 2.0, data)


def test_items_come_in_their_order_and_the_last_version_counts(place: Place) -> None:
    place.write(began("s"), said("s", "b", "two", 2.0), said("s", "a", "one", 1.0), said("s", "c", "gone", 3.0))
    place.write(said("s", "b", "changed", 0.5), ItemGone("s", "c"), *(TurnKept("s", n, b"{}") for n in range(12)))
    assert [(item.id, item.text) for item in place.reader.items("s")] == [("b", "changed"), ("a", "one")]
    assert [item.id for item in place.reader.conversation("s", 10)] == ["b", "a"]
    assert [item.id for item in place.reader.conversation("s", 1)] == ["a"]
    assert len(place.reader.turns("s")) == 12


def test_a_session_tells_how_it_went(place: Place) -> None:
    place.shelf.note_alive("w1", 1000.0)
    place.write(began("s"), said("s", "a", "", 1.0), said("s", "b", "hello", 2.0), lost=(("s", 3), ("gone", 1)))
    kept = place.reader.session("", "s", 1001.0)
    assert kept is not None
    assert (kept.status, kept.items, kept.first_words, kept.changes_lost) == ("in_progress", 2, "hello", 3)
    lost = place.reader.session("", "s", 1001.0 + SILENT_S)
    assert lost is not None
    assert lost.status == "lost"
    place.write(SessionEnded("s", 200.0, "closed by the client"))
    ended = place.reader.session("", "s", 1001.0)
    assert ended is not None
    assert (ended.status, ended.ended_at, ended.reason) == ("ended", 200.0, "closed by the client")


def test_nobody_sees_another_owners_sessions(place: Place) -> None:
    place.write(began("a", owner="anna"), began("b", owner="bert"), said("b", "i", "a secret"))
    assert [kept.id for kept in place.reader.sessions("anna", 0.0, 10)] == ["a"]
    assert place.reader.session("anna", "b", 0.0) is None
    assert place.reader.search("anna", "secret", 10) == []
    assert [found.session_id for found in place.reader.search("bert", "secr", 10)] == ["b"]


def test_sessions_come_in_pages_the_newest_first(place: Place) -> None:
    place.write(*(began(f"s{number}", float(number)) for number in range(5)))
    assert [kept.id for kept in place.reader.sessions("", 0.0, 2)] == ["s4", "s3"]
    assert [kept.id for kept in place.reader.sessions("", 0.0, 9, "s3")] == ["s2", "s1", "s0"]
    assert place.reader.sessions("", 0.0, 9, "unknown") == []


def test_words_are_found_by_their_beginnings_in_any_case_and_accent(place: Place) -> None:
    place.write(began("s"), said("s", "a", "Wann fährt der Zug nach Köln?"), said("s", "b", "The train to Cologne"))
    assert [found.item_id for found in place.reader.search("", "koln zu", 9)] == ["a"]
    assert "Köln" in place.reader.search("", "KÖLN", 9)[0].excerpt
    for nothing in ("köln cologne", "oln", "", "  ", '"', "a* OR b"):
        assert place.reader.search("", nothing, 9) == [], nothing


def test_a_conversation_goes_on_with_those_before_it(place: Place) -> None:
    place.write(began("a"), said("a", "1", "x"), began("b", continues="a"), said("b", "2", "x", 1.0))
    place.write(said("b", "3", "x", 2.0), began("c", continues="b"), said("c", "4", "x"))
    assert [item.id for item in place.reader.conversation("c", 10)] == ["1", "2", "3", "4"]
    assert [item.id for item in place.reader.conversation("c", 2)] == ["3", "4"]
    assert [item.id for item in place.reader.items("c")] == ["4"]


def test_what_belongs_to_no_session_is_left_out_and_counted(place: Place) -> None:
    assert place.shelf.write("w1", [began("s"), said("s", "i1", "one"), said("gone", "i2", "two")], []) == 1


def test_what_is_deleted_or_old_does_not_come_back(place: Place) -> None:
    place.write(began("s"), said("s", "a", "a secret"), began("old", 1.0), began("long", 1.0))
    place.write(SessionEnded("old", 50.0, ""), SessionEnded("long", 500.0, ""), SessionEnded("s", 500.0, ""))
    place.reader.delete("s")
    place.write(said("s", "b", "late secret"), TurnKept("s", 0, b"{}"), SessionEnded("s", 600.0, ""))
    assert place.reader.search("", "secret", 9) == []
    assert place.reader.items("s") == []
    assert place.shelf.prune(100.0) == 1
    assert [kept.id for kept in place.reader.sessions("", 0.0, 9)] == ["long"]


def test_a_server_that_is_not_there_may_come_back() -> None:
    server = connect(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(Unwritten) as refused:
        RedisShelf(server).write("w1", [began("s")], [])
    assert refused.value.may_pass
    with pytest.raises(EngineError, match="cannot be read"):
        RedisReader(server).sessions("", 0.0, 9)
    with pytest.raises(ConfigError):
        connect("http://127.0.0.1")


@needs_redis
def test_a_server_that_takes_no_writes_for_a_while_is_asked_again_and_repeats_no_words(tmp_path: Path) -> None:
    with running(tmp_path) as port:
        server = connect(f"redis://127.0.0.1:{port}/0")
        shelf = RedisShelf(server)
        server.config_set("min-replicas-to-write", 1)
        with pytest.raises(Unwritten) as refused:
            shelf.write("w1", [began("s"), said("s", "i1", "a secret")], [])
        assert refused.value.may_pass
        assert refused.value.message.startswith("NOREPLICAS")
        server.config_set("min-replicas-to-write", 0)
        assert shelf.write("w1", [began("s"), said("s", "i1", "a secret")], []) == 0
        server.close()


@needs_redis
@pytest.mark.slow
def test_redis_may_be_killed_while_it_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.store.writer.RETRY_S", 0.05)

    async def story() -> None:
        port = free_port()
        server = connect(f"redis://127.0.0.1:{port}/0")
        loop = asyncio.get_running_loop()
        first, second = running(tmp_path, port), running(tmp_path, port)
        await asyncio.to_thread(first.__enter__)
        writer = await asyncio.to_thread(Writer, RedisShelf(server), OwnThread(loop))
        writer.put(began("s"))
        for number in range(100):
            writer.put(said("s", f"i{number}", f"line {number}", float(number)))
            await asyncio.sleep(0.005)
            if number == 50:
                await asyncio.to_thread(first.__exit__, None, None, None)
        async with asyncio.timeout(30):
            while not writer.errors:  # noqa: ASYNC110 - the thread tells nobody
                await asyncio.sleep(0.01)
        await asyncio.to_thread(second.__enter__)
        await writer.settle(30.0)
        items = await asyncio.to_thread(RedisReader(server).items, "s")
        assert [item.id for item in items] == [f"i{number}" for number in range(100)]
        assert writer.lost == 0
        await writer.close()
        await asyncio.to_thread(server.close)
        await asyncio.to_thread(second.__exit__, None, None, None)

    asyncio.run(story())
