"""Conversations in Redis, for the processes of several machines.

A session is a hash, its items and its turns are one each, and two sorted sets say which sessions an owner has and
which are old. A batch is one transaction; writing it again changes nothing, so that one whose answer was lost may be
repeated.
What survives the death of Redis itself is for its configuration to say ("appendonly yes").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import redis
from redis.client import Pipeline
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError

from antiphon.audio.units import Seconds
from antiphon.errors import ConfigError
from antiphon.session.items import Item
from antiphon.store.changes import DAY_S, Change, ItemGone, ItemKept, SessionBegan, SessionEnded, TurnKept, UnixSeconds
from antiphon.store.shelf import Found, KeptItem, KeptSession, Unwritten, status_of, unreadable

PATIENCE_S: Seconds = 5.0  # with one command: a server that answers later is as good as gone
PRUNED_AT_ONCE = 50
SEARCHED = 1000  # sessions of an owner, the newest: each of their items is read
SEARCHED_AT_ONCE = 50
LONGEST_LINE = 100  # sessions that go on with one another
EXCERPT = 60  # characters before and after what was found
SENT_AND_REFUSED = " caused error: "  # before it, redis-py repeats the command, and with it what people said
PASSING_REPLY = ("MISCONF", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY")
"""How the server's answer begins where it cannot write for a while: it cannot save, or a part of it is away."""
PASSING = (redis.ConnectionError, redis.TimeoutError, BusyLoadingError, OutOfMemoryError, ReadOnlyError)

Server = redis.Redis

_packer = msgspec.msgpack.Encoder()
_items = msgspec.msgpack.Decoder(ItemKept)
_contents: msgspec.json.Decoder[Item] = msgspec.json.Decoder(Item)
_turns: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def connect(url: str) -> Server:
    """The server of that URL; nothing is sent yet. Raises `ConfigError`."""
    try:
        return redis.Redis.from_url(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)
    except ValueError:
        raise ConfigError(
            "history.redis_url is not the URL of a Redis server", "Write it like redis://:PASSWORD@host:6379/0"
        ) from None


class RedisShelf:
    """See `Shelf`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        where = server.connection_pool.connection_kwargs
        self.name = f"Redis at {where.get('host', 'a socket')}:{where.get('port', '')}"

    def write(self, worker: str, changes: Iterable[Change], lost: Iterable[tuple[str, int]]) -> int:
        changes, lost = list(changes), list(lost)
        with _told():
            known = self._known(changes, lost)
            wanted = [change for change in changes if change.session_id in known]
            with self._server.pipeline(transaction=True) as together:
                for change in wanted:
                    _write(together, worker, change)
                for session_id, count in lost:
                    if session_id in known:
                        together.hincrby(_session(session_id), "lost", count)
                together.execute()
        return sum(isinstance(change, ItemKept | TurnKept) for change in changes) - sum(
            isinstance(change, ItemKept | TurnKept) for change in wanted
        )

    def _known(self, changes: Sequence[Change], lost: Sequence[tuple[str, int]]) -> set[str]:
        """Which of their sessions there are, or will be: what belongs to a deleted one is not to come back."""
        begun = {change.session_id for change in changes if isinstance(change, SessionBegan)}
        asked = ({change.session_id for change in changes} | {session_id for session_id, _ in lost}) - begun
        if not asked:
            return begun
        names = sorted(asked)
        with self._server.pipeline(transaction=False) as together:
            for name in names:
                together.exists(_session(name))
            found = together.execute()
        return begun | {name for name, is_there in zip(names, found, strict=True) if is_there}

    def note_alive(self, worker: str, now: UnixSeconds) -> None:
        with _told():
            self._server.set(_worker(worker), now, ex=round(DAY_S))

    def prune(self, before: UnixSeconds) -> int:
        forgotten = 0
        with _told():
            while found := cast(
                "list[bytes]",
                self._server.zrangebyscore(BY_END, "-inf", f"({before}", start=0, num=PRUNED_AT_ONCE),
            ):
                for session_id in found:
                    _delete(self._server, session_id.decode())
                forgotten += len(found)
        return forgotten

    def close(self) -> None:
        """The reader may go on; connections that nobody uses are closed with the process."""


class RedisReader:
    """See `Reader`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def sessions(self, owner: str, now: UnixSeconds, limit: int, before: str | None = None) -> list[KeptSession]:
        with _readable():
            first = 0
            if before is not None:
                rank = cast("int | None", self._server.zrevrank(_owned(owner), before))
                if rank is None:
                    return []
                first = rank + 1
            names = cast("list[bytes]", self._server.zrevrange(_owned(owner), first, first + limit - 1))
            found = [self._read(name.decode(), now) for name in names]
        return [kept for _, kept in filter(None, found)]

    def session(self, owner: str, session_id: str, now: UnixSeconds) -> KeptSession | None:
        with _readable():
            found = self._read(session_id, now)
        return found[1] if found is not None and found[0] == owner else None

    def items(self, session_id: str) -> list[KeptItem]:
        with _readable():
            kept = self._items(session_id)
        return [_shown(item) for item in kept]

    def conversation(self, session_id: str, most: int) -> list[Item]:
        found: list[ItemKept] = []
        with _readable():
            for _ in range(LONGEST_LINE):
                found = self._items(session_id) + found
                earlier = cast("bytes | None", self._server.hget(_session(session_id), "continues"))
                if not earlier or len(found) >= most:
                    break
                session_id = earlier.decode()
        return [_contents.decode(item.data) for item in found[-most:]]

    def turns(self, session_id: str) -> list[dict[str, Any]]:
        with _readable():
            found = cast("dict[bytes, bytes]", self._server.hgetall(_turns_of(session_id)))
        return [_turns.decode(found[number]) for number in sorted(found, key=int)]

    def search(self, owner: str, words: str, limit: int) -> list[Found]:
        """The newest first, in the newest sessions: Redis has no index of words."""
        wanted = _folded(words).split()
        found: list[Found] = []
        if not wanted:
            return found
        with _readable():
            names = cast("list[bytes]", self._server.zrevrange(_owned(owner), 0, SEARCHED - 1))
            for start in range(0, len(names), SEARCHED_AT_ONCE):
                for name in names[start : start + SEARCHED_AT_ONCE]:
                    session_id = name.decode()
                    found += [
                        Found(session_id, item.item_id, item.kind, item.start_s, excerpt)
                        for item in self._items(session_id)
                        if (excerpt := _excerpt(item.text, wanted)) is not None
                    ]
                    if len(found) >= limit:
                        return found[:limit]
        return found

    def delete(self, session_id: str) -> None:
        with _readable():
            _delete(self._server, session_id)

    def _items(self, session_id: str) -> list[ItemKept]:
        values = cast("list[bytes]", self._server.hvals(_items_of(session_id)))
        return sorted(map(_items.decode, values), key=lambda item: item.place)

    def _read(self, session_id: str, now: UnixSeconds) -> tuple[str, KeptSession] | None:
        """A session and its owner."""
        stored = cast("dict[bytes, bytes]", self._server.hgetall(_session(session_id)))
        if not stored:
            return None
        values = {name.decode(): value.decode() for name, value in stored.items()}
        seen = cast("bytes | None", self._server.get(_worker(values["worker"])))
        ended = float(values["ended"]) if "ended" in values else None
        items = self._items(session_id)
        first = next((item.text for item in items if item.kind == "user" and item.text), None)
        kept = KeptSession(
            id=session_id,
            began_at=float(values["began"]),
            ended_at=ended,
            status=status_of(ended, float(seen) if seen is not None else None, now),
            reason=values.get("reason"),
            kind=values["kind"],
            model=values["model"],
            continues=values.get("continues"),
            items=len(items),
            turns=self._server.hlen(_turns_of(session_id)),
            first_words=first,
            changes_lost=int(values.get("lost", 0)),
        )
        return values["owner"], kept


# --- what it is called there -----------------------------------------------------------------------------------------

BY_END = "antiphon:sessions"
"""Every session by when it ended, or began if it has not."""


def _owned(owner: str) -> str:
    """An owner's sessions by when they began."""
    return f"antiphon:owner:{owner}"


def _session(session_id: str) -> str:
    return f"antiphon:session:{session_id}"


def _items_of(session_id: str) -> str:
    return f"antiphon:items:{session_id}"


def _turns_of(session_id: str) -> str:
    return f"antiphon:turns:{session_id}"


def _worker(worker: str) -> str:
    return f"antiphon:worker:{worker}"


def _write(together: Pipeline, worker: str, change: Change) -> None:
    name = _session(change.session_id)
    match change:
        case SessionBegan():
            told: dict[Any, Any] = {
                "owner": change.owner, "worker": worker, "kind": change.kind, "model": change.model, "began": change.at,
            }  # fmt: skip
            if change.continues is not None:
                told["continues"] = change.continues
            together.hset(name, mapping=told)
            together.zadd(_owned(change.owner), {change.session_id: change.at})
            together.zadd(BY_END, {change.session_id: change.at})
        case SessionEnded():
            together.hset(name, mapping={"ended": change.at, "reason": change.reason})
            together.zadd(BY_END, {change.session_id: change.at})
        case ItemKept():
            together.hset(_items_of(change.session_id), change.item_id, _packer.encode(change))
        case ItemGone():
            together.hdel(_items_of(change.session_id), change.item_id)
        case TurnKept():
            together.hset(_turns_of(change.session_id), str(change.number), change.data)


def _delete(server: Server, session_id: str) -> None:
    owner = cast("bytes | None", server.hget(_session(session_id), "owner"))
    with server.pipeline(transaction=True) as together:
        together.delete(_session(session_id), _items_of(session_id), _turns_of(session_id))
        together.zrem(BY_END, session_id)
        if owner is not None:
            together.zrem(_owned(owner.decode()), session_id)
        together.execute()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PASSING as error:
        raise Unwritten(_reply(error), may_pass=True) from error
    except (RedisError, TypeError, ValueError) as error:
        reply = _reply(error)
        raise Unwritten(reply, may_pass=reply.startswith(PASSING_REPLY)) from error


def _reply(error: Exception) -> str:
    return str(error).rpartition(SENT_AND_REFUSED)[2]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise unreadable(error) from None


# --- words -----------------------------------------------------------------------------------------------------------


def _shown(item: ItemKept) -> KeptItem:
    return KeptItem(item.item_id, item.kind, item.at, item.start_s, item.end_s, item.text, item.said)


def _folded(text: str) -> str:
    """Without capitals and accents."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()


def _excerpt(text: str, wanted: Sequence[str]) -> str | None:
    """The text around the first of the words, if all of them begin words of it."""
    words = [(found.start(), _folded(found[0])) for found in re.finditer(r"\w+", text)]
    places = [next((start for start, word in words if word.startswith(one)), None) for one in wanted]
    if not words or None in places:
        return None
    place = min(place for place in places if place is not None)
    first, last = max(0, place - EXCERPT), min(len(text), place + EXCERPT)
    return f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}"
