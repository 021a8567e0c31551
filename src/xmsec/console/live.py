"""News for open pages: one look a second at the store for all of them; each is told what its filter lets pass.

New findings are noticed by the count of all, then found among the latest; those with an old time are told by number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from xmsec.console.access import EVERY
from xmsec.model.errors import XmsecError
from xmsec.model.ports import Query, Reader

LOOK_S = 1.0
BEAT_S = 15.0  # a line that says nothing keeps proxies from closing the stream
LATEST = 200  # findings looked at when there are new ones
KNOWN = 5_000  # ids that are remembered
STREAMS = 500  # open pages
Matches = Callable[[Mapping[str, Any]], bool]


class News(msgspec.Struct, frozen=True):
    """What arrived at one look: rows, and how many more each system has whose time is old. number: of the look."""

    number: int
    rows: tuple[Mapping[str, Any], ...] = ()
    more: Mapping[str, int] = {}


class Live:
    """Looks, and tells. Everything runs on the server's event loop, but for the look itself."""

    def __init__(self, reader: Callable[[], Reader]) -> None:
        self._reader = reader
        self._known: dict[str, None] = {}
        self._totals: Mapping[str, int] | None = None
        self._news = News(0)
        self._open = 0
        self._task: asyncio.Task[None] | None = None
        self._changed: asyncio.Condition | None = None
        self._ended = False

    def end(self) -> None:
        """Let every stream end at its next beat: a server that stops waits for them."""
        self._ended = True

    async def stream(self, matches: Matches, systems: frozenset[str]) -> AsyncIterator[str]:
        """Yield server-sent events until the page is closed: `news` with how many findings are new, `here` once news come.

        systems: those of which the page may know; `*` are all.
        """
        if self._open >= STREAMS:
            yield "event: full\ndata: {}\n\n"
            return
        self._open += 1
        self._changed = self._changed or asyncio.Condition()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        seen = self._news.number
        try:
            yield ": open\n\n" if self._totals is None else "event: here\ndata: {}\n\n"
            while not self._ended:
                news = await self._next(seen)
                if news is None:
                    yield ": beat\n\n"
                    continue
                seen = news.number
                if not news.rows and not news.more:
                    yield "event: here\ndata: {}\n\n"
                    continue
                rows = [row for row in news.rows if matches(row)]
                more = sum(count for system, count in news.more.items() if EVERY in systems or system in systems)
                if rows or more:
                    said = {"count": len(rows), "more": more, "rows": [_brief(row) for row in rows]}
                    yield f"event: news\ndata: {msgspec.json.encode(said).decode()}\n\n"
        finally:
            self._open -= 1

    async def _next(self, seen: int) -> News | None:
        assert self._changed is not None
        waited = 0.0
        while self._news.number == seen and not self._ended:
            if waited >= BEAT_S:
                return None
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), LOOK_S)
                except TimeoutError:
                    waited += LOOK_S
        return self._news if self._news.number != seen else None

    async def _look(self) -> None:
        """Look as long as somebody listens."""
        while self._open and not self._ended:
            try:
                found = await asyncio.to_thread(self._found)
            except XmsecError:
                found = None  # the store is away: the page itself says so when it asks
            if found is not None and self._changed is not None:
                self._news = found
                async with self._changed:
                    self._changed.notify_all()
            await asyncio.sleep(LOOK_S)
        self._totals = None

    def _found(self) -> News | None:
        reader = self._reader()
        totals = {system: count for (system,), count in reader.count(Query("findings"), ("system",)).items()}
        before, self._totals = self._totals, totals
        came = {} if before is None else {one: count - before.get(one, 0) for one, count in totals.items()}
        if before is not None and not any(count > 0 for count in came.values()):
            return None
        rows = reader.page(Query("findings", limit=LATEST)).rows
        fresh = [row for row in rows if row["id"] not in self._known]
        self._known.update(dict.fromkeys(row["id"] for row in rows))
        while len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        if before is None:  # the first look: from now on news are news
            return News(self._news.number + 1)
        told: list[Mapping[str, Any]] = []
        for row in fresh:
            if came.get(row["system"], 0) > 0:
                came[row["system"]] -= 1
                told.append(row)
        return News(self._news.number + 1, tuple(told), {one: count for one, count in came.items() if count > 0})


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "severity", "system")}
