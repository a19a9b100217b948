"""The writer: nobody waits for it, what it took is written, and what it could not take is said."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec import structs

from antiphon.session.items import Message, Role, Text
from antiphon.store import writer as writer_module
from antiphon.store.changes import ItemKept, SessionBegan
from antiphon.store.database import SqliteShelf
from antiphon.store.drafts import ItemDraft
from antiphon.store.pace import OwnThread
from antiphon.store.reading import SqliteReader
from antiphon.store.writer import Writer, newest

pytestmark = pytest.mark.real


def item(number: int, text: str = "word") -> ItemKept:
    return ItemKept("s", f"i{number}", float(number), 1.0, "user", text, None, 0.0, 1.0, b"{}")


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[Writer]:
    writer = await asyncio.to_thread(_opened, path, asyncio.get_running_loop())
    try:
        writer.put(SessionBegan("s", "", 1.0, "realtime", "antiphon"))
        yield writer
    finally:
        await writer.close()


def _opened(path: Path, loop: asyncio.AbstractEventLoop) -> Writer:
    return Writer(SqliteShelf(path), OwnThread(loop))


async def settled(writer: Writer) -> None:
    async with asyncio.timeout(5):
        while writer.waiting:  # noqa: ASYNC110 - the thread tells nobody
            await asyncio.sleep(0.01)


def test_everything_that_was_handed_over_is_written(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"

    async def story() -> None:
        async with writing(path) as writer:
            for number in range(3 * writer_module.BATCH_MOST):
                writer.put(item(number))
            writer.put(item(7, "the last word"))
            assert writer.waiting

    asyncio.run(story())
    kept = SqliteReader(path).items("s")
    assert len(kept) == 3 * writer_module.BATCH_MOST
    assert kept[7].text == "the last word"


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 50)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    monkeypatch.setattr("antiphon.store.database.BUSY_S", 0.05)
    path = tmp_path / "c.sqlite3"

    async def story() -> None:
        async with writing(path) as writer:
            await settled(writer)
            with closing(sqlite3.connect(path, check_same_thread=False)) as other:
                await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
                loop = asyncio.get_running_loop()
                began = loop.time()
                for number in range(60):
                    writer.put(item(number))
                assert loop.time() - began < 0.05
                assert writer.lost == 10
                async with asyncio.timeout(5):
                    while not writer.errors:  # noqa: ASYNC110 - the thread tells nobody
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(other.execute, "ROLLBACK")
            await settled(writer)
            writer.put(item(100))

    asyncio.run(story())
    reader = SqliteReader(path)
    assert [kept.id for kept in reader.items("s")] == [f"i{number}" for number in (*range(50), 100)]
    assert reader.sessions("", 0.0, 9)[0].changes_lost == 10


def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "CLOSE_S", 0.1)
    monkeypatch.setattr("antiphon.store.database.BUSY_S", 0.4)
    path = tmp_path / "c.sqlite3"

    async def story() -> None:
        writer = await asyncio.to_thread(_opened, path, asyncio.get_running_loop())
        await asyncio.sleep(0.05)
        with closing(sqlite3.connect(path, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
            writer.put(item(1))
            began = asyncio.get_running_loop().time()
            await writer.close()
            assert asyncio.get_running_loop().time() - began < 0.3
        await asyncio.to_thread(writer.join)

    asyncio.run(story())


def test_a_change_that_cannot_be_written_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"

    async def story() -> None:
        async with writing(path) as writer:
            writer.put(item(1))
            writer.put(ItemKept("s", "bad", None, 1.0, "user", "", None, 0.0, 1.0, b""))  # type: ignore[arg-type]
            writer.put(item(2, "half a character: \ud83d"))
            writer.put(item(3))
            await settled(writer)
            assert (writer.lost, writer.written) == (2, 3)
            writer.put(item(4))

    asyncio.run(story())
    reader = SqliteReader(path)
    assert [kept.id for kept in reader.items("s")] == ["i1", "i3", "i4"]
    assert reader.sessions("", 0.0, 9)[0].changes_lost == 2


def test_what_comes_of_a_session_whose_beginning_was_refused_is_not_called_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with writing(tmp_path / "c.sqlite3") as writer:
            writer.put(SessionBegan("t", "", None, "realtime", "antiphon"))  # type: ignore[arg-type]
            for number in range(3):
                writer.put(structs.replace(item(number), session_id="t"))
            await settled(writer)
            assert (writer.lost, writer.written) == (4, 1)

    asyncio.run(story())


def test_a_session_that_begins_while_the_disk_hangs_is_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 0)
    path = tmp_path / "c.sqlite3"

    async def story() -> None:
        async with writing(path) as writer:
            writer.put(item(1))
            assert writer.lost == 1
            await settled(writer)
            monkeypatch.setattr(writer_module, "MOST_WAITING", 9)
            writer.put(item(2))

    asyncio.run(story())
    assert [kept.id for kept in SqliteReader(path).items("s")] == ["i2"]


def test_of_an_items_versions_only_the_newest_is_written() -> None:
    began = SessionBegan("s", "", 1.0, "realtime", "antiphon")
    assert newest([began, item(1, "a"), item(2), item(1, "b")]) == [began, item(2), item(1, "b")]


def test_a_draft_that_cannot_be_put_into_words_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    words = Message("i1", Role.USER, (Text("word"),))
    good = ItemDraft("s", "i1", 1.0, 1.0, 0.0, 1.0, words, None)

    async def story() -> None:
        async with writing(path) as writer:
            writer.put(structs.replace(good, item_id="i0", at=None))
            writer.put(good)
            await settled(writer)
            assert (writer.lost, writer.errors) == (1, 0)

    asyncio.run(story())
    assert [kept.id for kept in SqliteReader(path).items("s")] == ["i1"]
