"""The file of conversations, beside what every shelf does: see test_shelf."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from antiphon.errors import ConfigError
from antiphon.store import database
from antiphon.store.changes import Change, ItemKept, SessionBegan, SessionEnded, TurnKept
from antiphon.store.reading import SqliteReader

DAY_S = 86_400.0


def began(session: str, at: float = 100.0, owner: str = "") -> SessionBegan:
    return SessionBegan(session, owner, at, "realtime", "antiphon")


def said(session: str, item: str, text: str, place: float = 1.0, kind: str = "user") -> ItemKept:
    data = b'{"type":"message","id":"%b","role":"user","content":[{"type":"text","text":"x"}]}' % item.encode()
    return ItemKept(session, item, place, 101.0, kind, text, None, 1.0, 2.0, data)


def write(path: Path, *changes: Change, lost: tuple[tuple[str, int], ...] = ()) -> None:
    with closing(database.connect(path)) as opened:
        database.apply(opened, "w1", changes, lost)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "conversations.sqlite3"


def test_the_file_is_its_owners_alone(path: Path) -> None:
    write(path, began("s"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_session_whose_server_is_gone_is_lost(path: Path) -> None:
    write(path, began("s"))
    with closing(database.connect(path)) as opened:
        database.note_alive(opened, "w1", 1000.0)
    reader = SqliteReader(path)
    assert [kept.status for kept in reader.sessions("", 1010.0, 9)] == ["in_progress"]
    assert [kept.status for kept in reader.sessions("", 1100.0, 9)] == ["lost"]
    write(path, SessionEnded("s", 1001.0, "closed"))
    assert [(kept.status, kept.reason) for kept in reader.sessions("", 1100.0, 9)] == [("ended", "closed")]


def test_search_finds_what_was_said_last_and_takes_any_words(path: Path) -> None:
    write(path, began("s"), said("s", "i", "Öffne das Fenster"))
    write(path, said("s", "i", "Schließe die Tür"))
    reader = SqliteReader(path)
    assert reader.search("", "fenster", 9) == []
    assert [found.item_id for found in reader.search("", "tur schl", 9)] == ["i"]
    for odd in ('"', "a OR", "NEAR(", "*", "  ", "-x:y"):
        assert reader.search("", odd, 9) == []


def test_what_is_old_is_forgotten_and_its_words_with_it(path: Path) -> None:
    many = [began(f"s{number}", 10.0) for number in range(database.PRUNED_AT_ONCE + 5)]
    write(path, *many, said("s1", "i", "unmistakable"), began("late", 5 * DAY_S), said("late", "i", "kept words"))
    write(path, SessionEnded("s2", 4 * DAY_S, "closed"))
    with closing(database.connect(path)) as opened:
        assert database.prune(opened, 3 * DAY_S) == len(many) - 1
    reader = SqliteReader(path)
    assert [kept.id for kept in reader.sessions("", 0.0, 9)] == ["late", "s2"]
    assert reader.search("", "unmistakable", 9) == []
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"unmistakable" not in left
    assert b"kept words" in left


def test_what_comes_after_a_deletion_brings_nothing_back(path: Path) -> None:
    write(path, began("s"), said("s", "i", "one"))
    reader = SqliteReader(path)
    reader.delete("s")
    write(path, said("s", "j", "two"), TurnKept("s", 0, b"{}"), SessionEnded("s", 1.0, "closed"))
    assert reader.sessions("", 0.0, 9) == []
    assert reader.items("s") == []
    assert reader.turns("s") == []


def test_a_batch_is_written_whole_or_not_at_all(path: Path) -> None:
    write(path, began("s"))
    bad = TurnKept("s", None, b"")  # type: ignore[arg-type]
    with closing(database.connect(path)) as opened, pytest.raises(sqlite3.IntegrityError):
        database.apply(opened, "w1", [said("s", "i", "one"), bad], [])
    assert SqliteReader(path).items("s") == []


def test_a_file_that_cannot_be_is_refused_with_a_hint(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a database, and longer than sqlite's header of a hundred bytes " * 9)
    with pytest.raises(ConfigError, match=r"history\.path"):
        database.connect(blocked)
    with pytest.raises(ConfigError, match=r"history\.path"):
        database.connect(blocked / "below")
    newer = tmp_path / "newer"
    with closing(sqlite3.connect(newer)) as opened:
        opened.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    with pytest.raises(ConfigError, match="version of Antiphon"):
        database.connect(newer)


@pytest.mark.parametrize(("survives_power_loss", "level"), [(False, 1), (True, 2)])
def test_a_power_loss_is_survived_where_that_is_wished(
    tmp_path: Path, *, survives_power_loss: bool, level: int
) -> None:
    with closing(database.connect(tmp_path / "c.sqlite3", survives_power_loss=survives_power_loss)) as opened:
        assert opened.execute("PRAGMA synchronous").fetchone() == (level,)  # 1 is NORMAL, 2 is FULL
