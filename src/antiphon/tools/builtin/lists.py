"""A list that is kept: one SQLite file, one table."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.builtin.arguments import spec, words

BUSY_S = 5.0  # to wait for another process that writes
SCHEMA = "CREATE TABLE IF NOT EXISTS item (name TEXT PRIMARY KEY COLLATE NOCASE, added INTEGER NOT NULL)"
LONGEST_LIST = 500


class Lists:
    """The list at a path. A connection for each call: they are seconds apart, and threads then share nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows, from a thread of its own. Raises `ToolError` when the file cannot be used."""
        return await asyncio.to_thread(self._run, statement, values)

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as database, database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute(SCHEMA)
                return database.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise ToolError(f"the list cannot be used: {error}.") from error


ITEM = {"type": "string", "description": "What it is about, such as milk."}


class Add:
    conduct: Conduct = Conduct(resource="list")
    spec: ToolSpec = spec("list_add", "Puts something on the list.", item=ITEM)

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        item = words(arguments, "item")
        rows = await self._lists.run("SELECT count(*) FROM item")
        if rows[0][0] >= LONGEST_LIST:
            raise ToolError("the list is full.")
        await self._lists.run("INSERT OR IGNORE INTO item VALUES (?, unixepoch())", item)
        return json.dumps({"item": item})


class Remove:
    conduct: Conduct = Conduct(resource="list")
    spec: ToolSpec = spec("list_remove", "Takes something off the list.", item=ITEM)

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        item = words(arguments, "item")
        rows = await self._lists.run("DELETE FROM item WHERE name = ? RETURNING name", item)
        return json.dumps({"item": item, "removed": bool(rows)})


class Show:
    conduct: Conduct = Conduct(reads_only=True, resource="list")
    spec: ToolSpec = spec("list_show", "What is on the list.")

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        rows = await self._lists.run("SELECT name FROM item ORDER BY added, rowid")
        return json.dumps({"items": [name for (name,) in rows]})


class Clear:
    conduct: Conduct = Conduct(resource="list", destroys=True)
    spec: ToolSpec = spec("list_clear", "Empties the list.")

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        await self._lists.run("DELETE FROM item")
        return json.dumps({"cleared": True})


def list_tools(lists: Lists) -> list[ServerTool]:
    return [Add(lists), Remove(lists), Show(lists), Clear(lists)]
