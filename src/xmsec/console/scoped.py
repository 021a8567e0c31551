"""A Reader, and decisions, that reach only the systems for which a permission is held: no page filters by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from xmsec.console.access import EVERY, Permission, Principal
from xmsec.model.errors import PolicyError
from xmsec.model.ports import Backlog, Flow, Page, Query, Reader, Table, Use, UseQuery

_BY_SYSTEM: frozenset[Table] = frozenset(("findings", "incidents", "dead", "coverage"))
AT_ONCE = 500  # ids in one question
_NONE = "\x00"  # no system's name: a filter that nothing passes


class Scoped:
    """The Reader seam for one who asks. A table that has no system is closed to whom not all systems are open."""

    def __init__(self, reader: Reader, who: Principal, permission: Permission) -> None:
        self._reader = reader
        self._systems = who.reaches(permission)

    def page(self, query: Query, after: str | None = None) -> Page:
        """Return one page of what may be seen; of related incidents those alone. Raises PolicyError."""
        found = self._reader.page(self._within(query), after)
        if query.table != "incidents" or EVERY in self._systems:
            return found
        seen = self._seen(sorted({one for row in found.rows for one in row["related"]}))
        rows = [{**row, "related": [one for one in row["related"] if one in seen]} for row in found.rows]
        return Page(rows, found.next)

    def count(self, query: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """Return counts over what may be seen. Raises PolicyError."""
        return self._reader.count(self._within(query), by)

    def course(self, query: Query, step: timedelta, by: Sequence[str]) -> Mapping[tuple[int, tuple[str, ...]], int]:
        """Return counts by steps of time over what may be seen. Raises PolicyError."""
        return self._reader.course(self._within(query), step, by)

    def uses(self, query: UseQuery) -> Sequence[Use]:
        """Return use in events of the systems that may be seen."""
        return self._reader.uses(msgspec.structs.replace(query, systems=self._reached(query.systems or None)))

    def flows(self) -> Mapping[str, Flow]:
        """Return what the streams of those systems brought."""
        return {name: flow for name, flow in self._reader.flows().items() if self.reaches(name)}

    def backlogs(self) -> Sequence[Backlog]:
        """Return what waits of the streams of those systems; to who sees all of them, also what waits between hops."""
        return [one for one in self._reader.backlogs() if self.reaches(one.stream)]

    def reaches(self, stream: str) -> bool:
        """Whether a stream is of a system that may be seen."""
        return EVERY in self._systems or stream.partition(".")[0] in self._systems

    def one(self, table: Table, record: str) -> dict[str, object] | None:
        """Return the record of this id, or None when there is none that may be seen."""
        rows = self.page(Query(table, {"id": (record,)}, limit=1)).rows
        return rows[0] if rows else None

    def _seen(self, incidents: Sequence[str]) -> set[str]:
        """Return those of some incidents that may be seen."""
        seen: set[str] = set()
        for start in range(0, len(incidents), AT_ONCE):
            some = Query("incidents", {"id": tuple(incidents[start : start + AT_ONCE])})
            seen.update(one for (one,) in self.count(some, ("id",)))
        return seen

    def _within(self, query: Query) -> Query:
        if EVERY in self._systems:
            return query
        if query.table not in _BY_SYSTEM:
            raise PolicyError(f"{query.table} are shown to those alone who may see all systems")
        within = self._reached(query.where.get("system"))
        return msgspec.structs.replace(query, where={**query.where, "system": within})

    def _reached(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """Return those of the systems asked for (None: of all) that may be seen; empty: whichever."""
        if EVERY in self._systems:
            return tuple(asked or ())
        within = self._systems if asked is None else self._systems & {*asked}
        return tuple(sorted(within)) or (_NONE,)
