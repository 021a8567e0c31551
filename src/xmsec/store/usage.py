"""Use as recordings tell it: rows are summed by day, dataset and account at Arrow's speed, each row once.

The embedded store adds the sums in a transaction of their own, about once a minute and before a part is sealed, with the place
up to which rows were counted. Killed in between, the next start reads what was recorded after that place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmsec.store.sqlite import SqliteStore
from xmsec.store.uses import DAY_MICROS, DayUse, add

ENTRY = "uses"  # the store's entry that says which part was counted up to which row
SETTLE_AFTER = timedelta(minutes=1)  # of `received`: how far what people see may lag behind
SETTLE_ROWS = 200_000  # that wait in memory, some 100 bytes each
COLUMNS = ("time", "system", "user", "datasets", "flags")
_NO_USE = pa.array(["far_future", "rejected"])  # whose day is not known; of which nothing is known
_TOKEN = r"^⟨([A-Z][A-Z0-9_]*):[0-9a-f]{16}⟩$"


class Usage:
    """Sums what a recording takes in, into the store that the recording belongs to."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        number, rows = store.meta().get(ENTRY, "1 0").split()
        self._number, self._rows = int(number), int(rows)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._since: datetime | None = None

    def note(self, number: int, rows: pa.Table) -> None:
        """Take in rows of a part that follow what is settled and what waits; they count once they are settled."""
        if number != self._number:
            self._number, self._rows = number, 0
        self._waiting.append(rows.select(COLUMNS))
        self._waiting_rows += rows.num_rows

    def ripe(self, received: datetime) -> bool:
        """Whether what waits should be settled. received: when its latest row was."""
        self._since = self._since or received
        return received - self._since >= SETTLE_AFTER or self._waiting_rows >= SETTLE_ROWS

    def settle(self) -> None:
        """Add what waits to the store's sums; all of it must be committed."""
        if not self._waiting:
            return
        self._rows += self._waiting_rows
        found = summed(pa.concat_tables(self._waiting))
        with self._store.transaction() as connection:
            add(connection, found)
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (ENTRY, f"{self._number} {self._rows}"))
        self._waiting, self._waiting_rows, self._since = [], 0, None

    @property
    def number(self) -> int:
        """The part that was counted last."""
        return self._number

    def catch_up(self, parts: Iterable[tuple[int, Iterable[pa.Table]]]) -> None:
        """Count what was recorded, by an earlier life or an earlier version, and was not counted: parts from `number` on."""
        for number, tables in parts:
            known = self._rows if number == self._number else 0
            for rows in tables:
                if rows.num_rows > known:
                    self.note(number, rows.slice(known))
                known = max(0, known - rows.num_rows)
                if self._waiting_rows >= SETTLE_ROWS:
                    self.settle()
            self.settle()


def summed(rows: pa.Table) -> Sequence[DayUse]:
    """Sum rows by day, dataset, account and system, an event under each of its datasets; some 0.1 µs an event.

    An account that is a token counts under the token's type: whose data it is uses their own, and is no consumer to be granted
    anything. Events whose time lies far in the future, and records that no parser took, are no use.
    """
    rows = _usable(rows)
    datasets = rows["datasets"].combine_chunks()
    of = pc.list_parent_indices(datasets)
    time = rows["time"].combine_chunks().cast(pa.int64()).take(of)
    named: dict[str, pa.Array] = {"dataset": pc.list_flatten(datasets).dictionary_encode()}
    for name, column in (("account", "user"), ("system", "system")):
        named[name] = pc.fill_null(rows[column].combine_chunks(), "").dictionary_encode()
    accounts, systems = (named[name].dictionary for name in ("account", "system"))
    accounts = pc.replace_substring_regex(accounts, _TOKEN, r"⟨\1⟩")
    grouped = pa.table(
        {
            "day": pc.divide(time, DAY_MICROS),
            "dataset": named["dataset"].indices,
            "account": accounts.dictionary_encode().indices.take(named["account"].indices.take(of)),
            "system": named["system"].indices.take(of),
            "time": time,
        }
    ).group_by(["day", "dataset", "account", "system"])
    found = grouped.aggregate([("time", "count"), ("time", "min"), ("time", "max")])
    columns = {name: found[name].to_pylist() for name in found.column_names}
    names = [named["dataset"].dictionary.to_pylist(), accounts.unique().to_pylist(), systems.to_pylist()]
    return [
        DayUse(day, names[0][dataset], names[1][account], names[2][system], *counted)
        for day, dataset, account, system, *counted in zip(
            *(columns[name] for name in ("day", "dataset", "account", "system", "time_count", "time_min", "time_max")),
            strict=True,
        )
    ]


def _usable(rows: pa.Table) -> pa.Table:
    flags = rows["flags"].combine_chunks()
    marked = pc.list_parent_indices(flags).filter(pc.is_in(pc.list_flatten(flags), value_set=_NO_USE))
    if not len(marked):
        return rows
    keep = np.ones(rows.num_rows, np.bool_)
    keep[marked.to_numpy()] = False
    return rows.filter(pa.array(keep))
