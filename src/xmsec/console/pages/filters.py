"""What a list of findings or incidents is asked for: read from an address, written back into one, and tried on a single row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams

from xmsec.model.clock import from_rfc3339
from xmsec.model.ports import Query, Table

FACETS: Mapping[Table, tuple[str, ...]] = {
    "findings": ("severity", "status", "system", "grade", "stage", "detector", "entity.type"),
    "incidents": ("severity", "status", "system", "assignee", "entity.type"),
}
COLUMNS: Mapping[Table, tuple[str, ...]] = {
    "findings": (*FACETS["findings"], "entity.id", "kind", "stream", "state", "incident", "assignee", "exception"),
    "incidents": (*FACETS["incidents"], "entity.id", "state"),
}
ORDERS = ("-time", "-severity", "-risk", "time")
VALUES, CHARACTERS = 50, 512  # of one column; of one value


class Filter(msgspec.Struct, frozen=True):
    """Columns with the values that pass, words, a span of time, an order."""

    where: Mapping[str, tuple[str, ...]] = {}
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    order: str = ORDERS[0]
    table: Table = "findings"

    def query(self, limit: int = 1) -> Query:
        """Return what a Reader is asked."""
        query = Query(self.table, dict(self.where), self.order, limit, text=self.text)
        return msgspec.structs.replace(query, since=self.since, until=self.until)

    def without(self, column: str) -> Filter:
        """Return the filter without one column."""
        return msgspec.structs.replace(self, where={name: values for name, values in self.where.items() if name != column})

    def chosen(self, **values: str) -> Filter:
        """Return the filter with a column set to one value; dots of its name written as two underscores."""
        news = {name.replace("__", "."): (value,) for name, value in values.items()}
        return msgspec.structs.replace(self, where={**self.where, **news})

    @property
    def encoded(self) -> str:
        """The filter as it stands in an address."""
        pairs = [(name, value) for name, values in self.where.items() for value in values]
        if self.text:
            pairs.append(("q", self.text))
        pairs += [(name, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in (("since", self.since), ("until", self.until)) if at]
        if self.order != ORDERS[0]:
            pairs.append(("order", self.order))
        return urlencode(pairs)

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row passes, apart from the words' place among many."""
        flat = {**row, "entity.type": row["entity"]["type"], "entity.id": row["entity"]["id"]}
        if any((flat.get(name) or "") not in values for name, values in self.where.items()):
            return False
        searched = " ".join(str(flat[name]) for name in ("title", "entity.id", "detector", "system", "id")).lower()
        if not all(word in searched for word in self.text.lower().split()):
            return False
        at = from_rfc3339(row["time"])
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def read(asked: QueryParams, zone: tzinfo, table: Table = "findings") -> Filter:
    """Read a filter from an address; a time without an offset is one of `zone`. Raises InputError for a time that is none."""
    where = {
        name: tuple(value[:CHARACTERS] for value in asked.getlist(name)[:VALUES]) for name in COLUMNS[table] if name in asked
    }
    order = asked.get("order", ORDERS[0])
    return Filter(
        where,
        asked.get("q", "").strip()[:CHARACTERS],
        moment(asked.get("since", ""), zone),
        moment(asked.get("until", ""), zone),
        order if order in ORDERS else ORDERS[0],
        table,
    )


def moment(text: str, zone: tzinfo) -> datetime | None:
    """Read a time; one without an offset is one of `zone`, an empty text none. Raises InputError."""
    if not text:
        return None
    local = text.removesuffix("Z") == text and "+" not in text
    return from_rfc3339(text).replace(tzinfo=zone) if local else from_rfc3339(text)
