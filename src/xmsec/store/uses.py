"""Who used which dataset how often: daily sums in the embedded store, and what is asked of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from xmsec.model.ports import Use, UseQuery
from xmsec.store.states import from_micros, micros

KEPT_DAYS = (
    400  # more than a year, so that what is done once a year shows as used; outlives the recordings that it was read from
)
DAY_MICROS = 86_400_000_000
_ADD = (
    "INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET events = events + excluded.events,"
    " first = min(first, excluded.first), last = max(last, excluded.last)"
)


class DayUse(msgspec.Struct, frozen=True, order=True):
    """One account's use of one dataset on one day. day: since 1970; first, last: in microseconds."""

    day: int
    dataset: str
    account: str
    system: str
    events: int
    first: int
    last: int


def add(connection: sqlite3.Connection, uses: Sequence[DayUse]) -> None:
    """Add to the sums, within a transaction of the caller's; days that are past keeping leave."""
    connection.executemany(_ADD, map(msgspec.structs.astuple, sorted(uses)))
    connection.execute("DELETE FROM uses WHERE day < (SELECT max(day) FROM uses) - ?", (KEPT_DAYS,))


def asked(connection: sqlite3.Connection, query: UseQuery) -> Sequence[Use]:
    """Answer what the Reader seam is asked, in one look at the days or the datasets that are meant."""
    terms, bound = ["1"], list[Any]()
    for column, values in (("system", query.systems), ("dataset", query.datasets), ("account", query.accounts)):
        if values:
            terms.append(f"{column} IN (SELECT value FROM json_each(?))")
            bound.append(json.dumps(values))
    if query.since is not None:
        since = micros(query.since)
        terms.append("day >= ? AND last >= ?")
        bound += (since // DAY_MICROS, since)
    if query.until is not None:
        until = micros(query.until)
        terms.append("day <= ? AND first < ?")
        bound += (until // DAY_MICROS, until)
    rows = connection.execute(
        f"SELECT system, dataset, account, sum(events) AS total, min(first), max(last) FROM uses WHERE {' AND '.join(terms)}"
        # the signs keep SQLite from a walk over all rows in the order of an index, which saves it the sorting
        " GROUP BY +dataset, +account, +system ORDER BY total DESC, dataset, account, system LIMIT ?",
        (*bound, query.limit),
    )
    return [
        Use(system, dataset, account, events, from_micros(first), from_micros(last))
        for system, dataset, account, events, first, last in rows
    ]


def ordered(uses: Sequence[Use]) -> list[Use]:
    """Put what was used most first; by name among equals."""
    return sorted(uses, key=lambda use: (-use.events, use.dataset, use.account, use.system))
