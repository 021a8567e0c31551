"""Proposed labels that somebody rejected: they stay rejected, however often the stream observes the same again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from xmsec.console.keep import Keep
from xmsec.model.clock import rfc3339
from xmsec.runtime.ledgers import Place


class Refused(msgspec.Struct, frozen=True):
    """Who rejected a label, why and when."""

    by: str
    reason: str
    at: str


class Refusals:
    """The record in the console's own file."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    def of(self, datasets: Sequence[str]) -> Mapping[Place, Refused]:
        """Return what was rejected of these datasets."""
        places = ", ".join("?" * len(datasets))
        query = f"SELECT dataset, field, type, by, reason, at FROM refused_labels WHERE dataset IN ({places})"
        with self._keep.reading() as connection:
            return {(row[0], row[1], row[2]): Refused(*row[3:]) for row in connection.execute(query, datasets)}

    def add(self, place: Place, by: str, reason: str, now: datetime) -> None:
        """Reject a label."""
        with self._keep.writing() as connection:
            row = (*place, by, reason, rfc3339(now))
            connection.execute("INSERT OR REPLACE INTO refused_labels VALUES (?, ?, ?, ?, ?, ?)", row)

    def drop(self, place: Place) -> None:
        """Let a label be proposed again."""
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM refused_labels WHERE dataset = ? AND field = ? AND type = ?", place)
